from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN, Chain, Foreign
from guidance_geometry.guidance.gradients.term import WatchTerm
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.angle import Angle
from guidance_geometry.guidance.rules.autoguidance import Autoguidance
from guidance_geometry.guidance.rules.formula import Formula
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.rules.kinds import (
    Add,
    After,
    Before,
    Combine,
    Conditions,
    Replace,
    Schedule,
    Source,
)
from guidance_geometry.guidance.rules.negative import Negative
from guidance_geometry.guidance.rules.perturbed import Perturbed
from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.guidance.rules.reuse import Reuse
from guidance_geometry.guidance.rules.schedule import ScaleSchedule
from guidance_geometry.tests.toys import RUN, toy

GAMMA = 4.0
ENERGY: Any = SimpleNamespace(text="cat", noise_aware=False, judge=False, classifiers=())
PLACES = (0, 1, 2, 3)  # outer steps of RUN


@dataclass(frozen=True)
class Halfway:
    """Another pack's rule: half of what lies beyond c, and how often it was asked."""

    text = "halfway back"

    def init(self, run):
        return 0

    def step(self, state, p, gamma):
        return p.cond + 0.5 * (gamma - 1) * (p.cond - p.uncond), state + 1


def at(step, names=()) -> Any:
    """Predictions at the beginning of an outer step of RUN."""
    p = toy(seed=step, names=names, dtype=torch.float32)
    return replace(p, sigma=torch.full((2,), RUN.sigmas[step]), alpha=torch.ones(2))


def named(p, chain):
    """The predictions with the further ones of each rule under the chain's names."""
    extra = {name: p.extra[name.split(" ", 1)[1]] for name in chain.sources}
    return replace(p, extra=extra)


def played(chain, names=(), gamma=GAMMA):
    """Guided predictions of a run, asked for as a sampler does, and what was needed."""
    state, found = chain.init(RUN), []
    for step in PLACES:
        sigma = RUN.sigmas[step]
        scale = chain.scale(state, sigma, gamma)
        needs = chain.needs(state, sigma, scale)
        p = named(at(step, names), chain)
        p = replace(
            p,
            uncond=p.uncond if "uncond" in needs else None,
            extra={name: x0 for name, x0 in p.extra.items() if name in needs},
        )
        guided, state = chain.step(state, p, scale)
        found.append((guided, needs, scale))
    return found


RULES = {
    Schedule: (ScaleSchedule("linear", 2.0, 0.5), ()),
    Replace: (Autoguidance(Source("cond", object())), ("weak",)),
    Conditions: (Negative(("red",), (0.5,)), ("condition 2",)),
    Before: (AdaptiveProjected(momentum=0.0), ()),
    Combine: (Angle(), ()),
    After: (Rescale(), ()),
    Add: (Perturbed(Source("cond", object())), ("perturbed",)),
}


@pytest.mark.parametrize("kind", RULES)
def test_inside_it_is_the_rule_and_outside_it_is_not_there(kind):
    rule, names = RULES[kind]
    whole, plain = played(Chain((rule,)), names), played(PLAIN, names)
    part = played(Chain((rule.within(0.25, 0.75),)), names)
    for step, found, inside, outside in zip(PLACES, part, whole, plain, strict=True):
        expected = inside if step in (1, 2) else outside
        assert torch.equal(found[0], expected[0]), step
        assert found[1:] == expected[1:], "what is not there asks for nothing"
    assert not torch.equal(whole[1][0], plain[1][0])


def test_a_memory_begins_in_the_window_and_waits_behind_it():
    rule = AdaptiveProjected(momentum=-0.6)
    chain = Chain((rule.within(0.25, 0.75),))
    state, bare = chain.init(RUN), Chain((rule,))
    begun = bare.init(RUN)
    for step in PLACES:
        before = state.rules
        guided, state = chain.step(state, at(step), GAMMA)
        if step in (1, 2):
            expected, begun = bare.step(begun, at(step), GAMMA)
            assert torch.equal(guided, expected)
        else:
            assert state.rules[0] is before[0]


def test_further_stages_belong_to_the_step_even_at_the_next_ones_level():
    chain, whole = Chain((Rescale().within(0.0, 0.5),)), Chain((Rescale(),))
    state = chain.init(RUN)
    for step in PLACES[:-1]:
        _, following = chain.step(state, at(step), GAMMA)
        p = at(step + 1)
        acting = whole if step < 2 else PLAIN
        assert torch.equal(
            chain.stage(state, following, p, GAMMA), acting.stage(acting.init(RUN), acting.init(RUN), p, GAMMA)
        )
        state = following
    scale = Chain((ScaleSchedule("list", values=(9.0,)).within(0.0, 0.25),))
    begun = scale.init(RUN)
    assert scale.scale(begun.inside(8.0), 4.0, 2.0) == 9.0
    assert scale.scale(begun, 4.0, 2.0) == 2.0


@pytest.mark.parametrize("other", [Formula("c"), Negative(("red",), (0.5,)), Foreign(Halfway())])
def test_two_that_combine_in_one_step_are_refused_by_name(other):
    chain = PLAIN.then(Angle().within(0.0, 0.6))
    with pytest.raises(ValueError, match=r"'ADG up to 60 deg, 0 .. 0.6 of the steps' and .* do not overlap"):
        chain.then(other.within(0.5, 1.0))
    with pytest.raises(ValueError, match="do not overlap"):
        chain.then(other)
    assert len(chain.then(other.within(0.6, 1.0)).rules) == 2


def test_reuse_and_interval_in_a_window_save_passes_there_alone():
    chain = PLAIN.then(Reuse(2, "hold").within(0.25, 0.75))
    assert ["uncond" in needs for _, needs, _ in played(chain)] == [True, True, False, True]
    chain = PLAIN.then(Interval("percent", 0.0, 0.5).within(0.25, 1.0))
    assert [scale for *_, scale in played(chain)] == [GAMMA, GAMMA, 1.0, 1.0]


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.5), (0.8, 0.2), (float("nan"), 0.5), (0.0, 1.5), (-0.1, 0.5)])
def test_a_window_that_is_none_is_refused(start, end):
    for rule in (Rescale(), Perturbed(Source("cond", object())), WatchTerm(ENERGY), Foreign(Halfway())):
        with pytest.raises(ValueError, match="is not part of the run"):
            rule.within(start, end)
