"""Rules that reshape a difference, where several conditions are combined: they act on the difference that pulls."""

from dataclasses import replace

import pytest
import torch

from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.autoguidance import Autoguidance
from guidance_geometry.guidance.rules.kinds import Source
from guidance_geometry.guidance.rules.negative import Negative
from guidance_geometry.guidance.rules.perp_neg import PerpNeg
from guidance_geometry.guidance.rules.reuse import Reuse
from guidance_geometry.guidance.rules.threshold import DynamicThreshold
from guidance_geometry.guidance.rules.zero_star import ZeroStar
from guidance_geometry.tests.toys import FLOW_RUN, RUN, largest_error, toy

CONDITIONS = {
    "Perp-Neg": PerpNeg("e"),
    "sum": Negative(("m",), (-0.7,)),
    "InstructPix2Pix": Negative(("m",), (1.5,), "InstructPix2Pix"),
    "nested": Negative(("m",), (1.5,), "nested"),
}


def in_chain(rules, p, gamma, run=RUN):
    """What a chain makes of the predictions; every source reads `other`."""
    chain = Chain(rules)
    return chain.step(chain.init(run), replace(p, extra=dict.fromkeys(chain.sources, p.extra["other"])), gamma)[0]


@pytest.mark.parametrize("rule", CONDITIONS.values(), ids=CONDITIONS)
def test_a_rule_reshapes_the_difference_that_pulls(rule):
    p, apg = toy(names=("other",)), AdaptiveProjected(0.3, 0.0, 0.0)
    pull = (in_chain((rule,), p, 4.0) - p.cond) / 3
    expected = in_chain((apg,), replace(p, uncond=p.cond - pull), 4.0)
    assert largest_error(in_chain((rule, apg), p, 4.0), list(expected)) < 1e-12
    assert torch.allclose(in_chain((rule, apg), p, 1.0), p.cond)


def at_the_start(p):
    return replace(p, sigma=torch.ones_like(p.sigma))


@pytest.mark.parametrize("other", [*CONDITIONS.values(), DynamicThreshold("percentile", 0.5, 0.1)], ids=type)
def test_zero_init_waits_behind_conditions_and_before_a_threshold(other):
    p = at_the_start(toy("flow", names=("other",)))
    assert torch.equal(in_chain((ZeroStar(1), other), p, 4.0, FLOW_RUN), p.x)


@pytest.mark.parametrize("order", [1, -1], ids=["behind it on the wire", "before it"])
def test_a_skipped_step_saves_the_weak_pass_too(order):
    chain = Chain((Autoguidance(Source("cond", object())), Reuse(2, "hold"))[::order])
    p, state = toy(names=("other",)), chain.init(RUN)
    [name] = chain.sources
    assert chain.needs(state, 8.0, 4.0) == {"cond", name}
    guided, state = chain.step(state, replace(p, uncond=None, extra={name: p.extra["other"]}), 4.0)
    assert chain.needs(state, 4.0, 4.0) == {"cond"}
    found, _ = chain.step(state, replace(p, uncond=None, extra={}), 4.0)
    assert largest_error(found, list(guided)) <= 1e-12
