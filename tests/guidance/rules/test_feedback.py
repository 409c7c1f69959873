from collections.abc import Iterator
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rules.feedback import Feedback
from guidance_geometry.guidance.run import Run
from guidance_geometry.tests.toys import draw

RUNS = {"ve": Run((8.0, 4.0, 2.0, 1.0, 0.5, 0.0)), "flow": Run((1.0, 0.9, 0.7, 0.5, 0.2, 0.0), flow=True)}


def signal(run, sigma):
    return 1 - sigma if run.flow else 1.0


def states(run, shape) -> Iterator[Any]:
    """One prediction a level of a run; the samples wander as a sampler's would."""
    for i, sigma in enumerate(run.sigmas[:-1]):
        clean, level = draw(shape, 7), torch.full((shape[0],), sigma, dtype=torch.float64)
        alpha = torch.full_like(level, signal(run, sigma))
        x = signal(run, sigma) * clean + sigma * draw(shape, 20 + i)
        yield Predictions(x, level, alpha, clean + 0.3 * draw(shape, 40 + i), clean + 0.3 * draw(shape, 60 + i))


def test_the_sampler_scale_is_the_ceiling_and_one_is_cond():
    run = RUNS["ve"]
    chain = PLAIN.then(Feedback())
    p = next(states(run, (2, 3, 4)))
    assert torch.equal(chain.step(chain.init(run), p, 1.0)[0], p.cond)
    assert torch.equal(chain.step(chain.init(run), p, 0.0)[0], p.uncond)
    state = chain.init(run)
    for q in states(run, (2, 3, 4)):
        guided, state = chain.step(state, q, 1.5)
        scale = (guided - q.uncond).norm() / (q.cond - q.uncond).norm()
        assert 1.0 <= scale <= 1.5 + 1e-9


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("asked", [True, False])
def test_a_step_that_began_unguided_has_no_scale_of_an_earlier_one(kind, asked):
    """Where gamma rises above 1 within a step, its later stage weighs the evidence itself."""
    chain, (first, second, third, *_) = PLAIN.then(Feedback()), states(RUNS[kind], (2, 2, 4, 6))
    _, state = chain.step(chain.init(RUNS[kind]), first, 4.0)
    bare = second if asked else Predictions(second.x, second.sigma, second.alpha, None, second.cond)
    _, following = chain.step(state, bare, 1.0)
    found = chain.stage(state, following, third, 4.0)
    assert torch.equal(found, chain.step(state, third, 4.0)[0])
    _, decided = chain.step(state, second, 4.0)
    assert not torch.equal(found, chain.stage(state, decided, third, 4.0))
