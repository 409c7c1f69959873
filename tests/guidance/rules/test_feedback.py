import math

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


def states(run, shape):
    """One prediction a level of a run; the samples wander as a sampler's would."""
    for i, sigma in enumerate(run.sigmas[:-1]):
        clean, level = draw(shape, 7), torch.full((shape[0],), sigma, dtype=torch.float64)
        alpha = torch.full_like(level, signal(run, sigma))
        x = signal(run, sigma) * clean + sigma * draw(shape, 20 + i)
        yield Predictions(x, level, alpha, clean + 0.3 * draw(shape, 40 + i), clean + 0.3 * draw(shape, 60 + i))


def scales(rule, run, b, shape, most):
    """The scale of one item at every step, from the paper's update in z = x / alpha, n = sigma / alpha."""
    levels = [(s / signal(run, s) if signal(run, s) else math.inf) for s in run.sigmas]
    steps = run.steps
    offset = math.log((1 - rule.pi) * 3 / 2) / ((1 - rule.t0) * steps)
    kernel = [levels[i + 1] ** 2 * (1 - (levels[i + 1] / levels[i]) ** 2) for i in range(steps)][::-1]
    low = int(rule.t1 * steps)
    share = rule.t1 * steps - low
    temperature = abs(2 * ((1 - share) * kernel[low] + share * kernel[low + 1]) / 10 * offset)
    floor, log_posterior, found, before = math.log((1 - rule.pi) * most / (most - 1)), 0.0, [], None
    for i, p in enumerate(states(run, shape)):
        if before is not None:
            r = levels[i] / levels[i - 1]
            old = before.x[b] / before.alpha[b] * r * r if before.alpha[b] > 0 else 0.0
            if before.alpha[b] == 0:
                old = torch.zeros_like(p.x[b])
            misses = [
                (p.x[b] / p.alpha[b] - old - (1 - r * r) * v[b]).square().sum() for v in (before.cond, before.uncond)
            ]
            variance = levels[i] ** 2 * (1 - r * r)
            log_posterior += float(-temperature / (2 * variance) * (misses[0] - misses[1])) + offset
        log_posterior = min(max(log_posterior, floor), 3.0)
        found.append(math.exp(log_posterior) / (math.exp(log_posterior) - (1 - rule.pi)))
        before = p
    return found


@pytest.mark.parametrize("family", RUNS)
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 6), (2, 2, 3, 4, 2)], ids=["audio", "image", "video"])
@pytest.mark.parametrize("rule", [Feedback(), Feedback(0.8, 0.7, 0.5)], ids=lambda r: r.text)
def test_the_scale_of_every_item_is_the_papers(family, shape, rule):
    run, most = RUNS[family], 6.0
    chain = PLAIN.then(rule)
    state, wanted = chain.init(run), [scales(rule, run, b, shape, most) for b in range(2)]
    assert len({round(s, 6) for s in wanted[0]}) > 2
    for i, p in enumerate(states(run, shape)):
        guided, state = chain.step(state, p, most)
        for b in range(2):
            expected = p.uncond[b] + wanted[b][i] * (p.cond[b] - p.uncond[b])
            assert (guided[b] - expected).abs().max() <= 1e-6 * expected.abs().max()


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


def test_a_second_run_starts_undecided():
    run, chain = RUNS["ve"], PLAIN.then(Feedback())
    runs = []
    for _ in range(2):
        state, made = chain.init(run), []
        for p in states(run, (2, 3, 4)):
            guided, state = chain.step(state, p, 5.0)
            made.append(guided)
        runs.append(made)
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_bad_knobs_are_refused():
    with pytest.raises(ValueError, match="pi is 1"):
        Feedback(1.0)
    with pytest.raises(ValueError, match="t0 is 1"):
        Feedback(0.9, 1.0)


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
