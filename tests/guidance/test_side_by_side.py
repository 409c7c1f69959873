from dataclasses import replace

import pytest
import torch

from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.cfg import cfg
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.rules.reuse import Reuse
from guidance_geometry.guidance.rules.schedule import ScaleSchedule
from guidance_geometry.guidance.run import Run
from guidance_geometry.guidance.side_by_side import Lane, batch_chain

RUN = Run((8.0, 4.0, 2.0, 1.0, 0.5, 0.0))
LANES = (
    Lane(Chain(), 0.0),
    Lane(Chain(), 1.0),
    Lane(Chain(), 4.0),
    Lane(Chain((AdaptiveProjected(momentum=-0.5),)), 4.0),
    Lane(Chain((Interval("percent", 0.2, 0.7),)), 3.0),
    Lane(Chain((Reuse(2),)), 3.0),
)
SIZE = 2


def predictions(step, rows):
    """Predictions of a step; every run of a batch is at a place of its own."""
    draw = torch.Generator().manual_seed(step)
    x, u, c = torch.randn(3, rows, 3, 4, 4, generator=draw)
    return Predictions(x, torch.full((rows,), RUN.sigmas[step]), torch.ones(rows), u, c)


def rows_of(p, i):
    rows = slice(i * SIZE, (i + 1) * SIZE)
    return Predictions(p.x[rows], p.sigma[rows], p.alpha[rows], p.uncond[rows], p.cond[rows])


def alone(lane, i):
    """The guided predictions of a run by itself."""
    state, made = lane.chain.init(RUN), []
    for step in range(RUN.steps):
        p = rows_of(predictions(step, SIZE * len(LANES)), i)
        scale = lane.chain.scale(state, RUN.sigmas[step], lane.gamma)
        asked = "uncond" in lane.chain.needs(state, RUN.sigmas[step], scale)
        guided, state = lane.chain.step(state, p if asked else replace(p, uncond=None), scale)
        made.append(guided)
    return made


def test_every_run_of_a_batch_is_guided_as_by_itself():
    chain = batch_chain(LANES, SIZE)
    state, made = chain.init(RUN), []
    for step in range(RUN.steps):
        p = predictions(step, SIZE * len(LANES))
        guided, state = chain.step(state, p, 9.0)
        made.append(guided)
    for i, lane in enumerate(LANES):
        for together, own in zip(made, alone(lane, i), strict=True):
            assert torch.equal(together[i * SIZE : (i + 1) * SIZE], own), lane


def needed(chain, sigma, began=None):
    """What an evaluation asks for, of a step that began at another level or at this one."""
    state = chain.init(RUN)
    scale = chain.scale(state.inside(began), sigma, 9.0)
    return chain.needs(state, sigma if began is None else began, scale)


@pytest.mark.parametrize("schedule", [ScaleSchedule("linear"), Interval("sigma", 6.0, 5.0)])
def test_u_is_asked_for_inside_a_step_that_began_at_scale_1(schedule):
    lanes = (Lane(Chain(), 1.0), Lane(Chain((schedule,)), 3.0))
    chain, alone = batch_chain(lanes), lanes[1].chain
    assert needed(chain, 8.0) == frozenset({"cond"})
    assert needed(chain, 5.5, began=8.0) == frozenset({"cond", "uncond"})
    first, inside = (replace(predictions(0, 2), sigma=torch.full((2,), sigma)) for sigma in (8.0, 5.5))
    _, following = chain.step(chain.init(RUN), replace(first, uncond=None), 1.0)
    made = chain.stage(chain.init(RUN).inside(8.0), following, inside, 1.0)
    scale = alone.scale(alone.init(RUN).inside(8.0), 5.5, 3.0)
    assert scale != 1
    assert torch.equal(made[:1], inside.cond[:1])
    assert torch.equal(made[1:], cfg(inside, gamma=scale)[1:])
