from typing import Any

import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rules.autoguidance import Autoguidance
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.rules.kinds import Source
from guidance_geometry.guidance.run import Run

RUN = Run((2.0, 1.0, 0.0))
WEAK = Source("cond", object())


def predictions(shape=(2, 3, 4), dtype=torch.float64, uncond=True, weak_shape=None) -> Any:
    generator = torch.Generator().manual_seed(0)
    x, u, c = (torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(3))
    weak = torch.randn(weak_shape or shape, generator=generator, dtype=torch.float64).to(dtype)
    ones = torch.ones(shape[0])
    return Predictions(x, ones, ones, u if uncond else None, c, {"0 weak": weak})


def guided(rule, p, gamma):
    chain = PLAIN.then(rule)
    return chain.step(chain.init(RUN), p, gamma)[0]


def test_the_unconditional_pass_is_replaced_and_only_a_mixture_needs_both():
    for share, asked in ((1.0, {"cond", "0 weak"}), (0.5, {"cond", "uncond", "0 weak"}), (0.0, {"cond", "uncond"})):
        chain = PLAIN.then(Autoguidance(WEAK, share))
        assert chain.needs(chain.init(RUN), 2.0, 3.0) == asked
        assert chain.needs(chain.init(RUN), 2.0, 1.0) == {"cond"}
    assert (
        guided(Autoguidance(WEAK), predictions(uncond=False), 3.0) - guided(Autoguidance(WEAK), predictions(), 3.0)
    ).abs().max() == 0


def test_outside_an_interval_the_weak_pass_is_saved_too():
    chain = PLAIN.then(Autoguidance(WEAK)).then(Interval("percent", 0.5, 1.0))
    state = chain.init(RUN)
    assert [chain.needs(state, s, chain.scale(state, s, 3.0)) for s in (2.0, 1.0)] == [{"cond"}, {"cond", "0 weak"}]


def test_a_weak_pass_that_was_not_evaluated_leaves_cfg():
    p = predictions()
    bare = Predictions(p.x, p.sigma, p.alpha, p.uncond, p.cond)
    assert torch.equal(guided(Autoguidance(WEAK), bare, 3.0), p.uncond + (p.cond - p.uncond) * 3.0)
