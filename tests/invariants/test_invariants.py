"""The invariant suite: broken rules are caught, sound ones pass, and anybody's rule can be held to it."""

import dataclasses
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from guidance_geometry.guidance.chain import PLAIN, Chain, calls_of, combine
from guidance_geometry.guidance.invariants import INVARIANTS, examine, list_failures
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.angle import Angle
from guidance_geometry.guidance.rules.kinds import Add, Before, Combine, Conditions, with_difference
from guidance_geometry.tests.invariants.example_rule import HalfwayBack

ROOT = Path(__file__).resolve().parents[2]
EVERY_CLAIM = frozenset({"gamma 0 is u", "same in every space", "in plane", "in span", "per item", "no memory"})


def test_the_command_prints_the_table_and_its_exit_code_is_the_verdict():
    command = [sys.executable, str(ROOT), "check", f"{Path(__file__)}:OneTooMuch"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "FAILED: gamma 1 is c, gamma 0 is u" in ended.stdout + ended.stderr
    assert ended.returncode == 1


def test_plain_cfg_holds_everything():
    verdicts = examine(PLAIN)
    assert {verdict.word for verdict in verdicts.values()} == {"pass"}


def test_a_rule_that_imports_nothing_of_ours_holds_what_it_claims():
    verdicts = examine(HalfwayBack())
    assert list_failures(verdicts) == []
    assert verdicts["in plane"].word == "pass"
    assert verdicts["gamma 0 is u"].word == "not claimed"
    assert (verdicts["gamma 0 is u"].size or 0.0) > 0.1


class Broken:
    """CFG with one thing wrong."""

    claims = EVERY_CLAIM
    off = ""

    def init(self, run):
        return 0

    def step(self, state, p, gamma):
        return p.uncond + (p.cond - p.uncond) * gamma, state


class OneTooMuch(Broken):
    def step(self, state, p, gamma):
        return p.cond + (p.cond - p.uncond) * gamma, state


class Batched(Broken):
    def step(self, state, p, gamma):
        delta = p.cond - p.uncond
        return p.uncond + delta * gamma * delta.norm() / delta.flatten(1).norm(dim=1).mean(), state


class FourAxes(Broken):
    def step(self, state, p, gamma):
        return super().step(state, p, gamma)[0] * p.cond.std(dim=(1, 2, 3), keepdim=True) ** 0, state


class PerChannel(Broken):
    def step(self, state, p, gamma):
        cap = (
            p.cond.norm(dim=(-1, -2, -3), keepdim=True) if p.cond.ndim > 3 else p.cond.norm(dim=(-1, -2), keepdim=True)
        )
        return super().step(state, p, gamma)[0].mul(cap / p.cond.flatten(1).norm(dim=1).max()), state


class Remembering(Broken):
    def __init__(self):
        self.seen = 0.0

    def step(self, state, p, gamma):
        self.seen = 0.5 * self.seen + (p.cond - p.uncond)
        return p.cond + (gamma - 1) * self.seen, state


class Momentum(Broken):
    def step(self, state, p, gamma):
        state = 0.5 * state + (p.cond - p.uncond)
        return p.cond + (gamma - 1) * state, state


class Dividing(Broken):
    def step(self, state, p, gamma):
        delta = p.cond - p.uncond
        return p.cond + (gamma - 1) * delta / delta.abs().amax() * 0.1, state


class VeOnly(Broken):
    def step(self, state, p, gamma):
        eps = p.x - p.uncond
        return super().step(state, p, gamma)[0] + 0.1 * (gamma - 1) * gamma * eps, state


class Writing(Broken):
    def step(self, state, p, gamma):
        return p.uncond.add_((p.cond - p.uncond) * gamma), state


class Overflowing(Broken):
    def step(self, state, p, gamma):
        share = (p.cond * p.cond).sum() / (p.cond * p.cond).sum()
        return super().step(state, p, gamma)[0] * share, state


class Widening(Broken):
    def step(self, state, p, gamma):
        return super().step(state, p, gamma)[0].double(), state


class Wandering(Broken):
    def step(self, state, p, gamma):
        return super().step(state, p, gamma)[0] + 0.1 * (gamma - 1) * gamma * (p.cond - p.uncond).roll(1, -1), state


class MovesFirst(Chain):
    """Moves u and c by what is to be added, before they are combined."""

    def _guide(self, calls, p, gamma, ask):
        for link in calls[Add]:
            shift = ask(link, p, gamma)
            p = replace(p, uncond=p.uncond + shift, cond=p.cond + shift)
        return combine(calls, p, gamma, ask)


class ReshapesTheNegative(Chain):
    """Combines conditions after u has been reshaped."""

    @property
    def calls(self):
        calls = calls_of(self.links)
        return {**calls, Conditions: [], Combine: [*calls[Combine], *calls[Conditions]]}


def moves_first():
    return MovesFirst((Angle(),))


def reshapes_the_negative():
    return ReshapesTheNegative((AdaptiveProjected(),))


CAUGHT = [
    (OneTooMuch, "gamma 1 is c"),
    (OneTooMuch, "gamma 0 is u"),
    (Batched, "batch is singles"),
    (FourAxes, "rank 3, 4, 5"),
    (PerChannel, "rank 3, 4, 5"),
    (Remembering, "second run is first"),
    (Momentum, "split is whole"),
    (Dividing, "c = u gives c"),
    (VeOnly, "same in every space"),
    (Writing, "inputs kept"),
    (Overflowing, "half precision"),
    (Widening, "half precision"),
    (Wandering, "in plane"),
    (Wandering, "in span"),
    (Remembering, "stages leave no state"),
    (moves_first, "perturbed arrives"),
    (reshapes_the_negative, "reshapes what pulls"),
]


@pytest.mark.parametrize(("rule", "name"), CAUGHT, ids=lambda value: getattr(value, "__name__", value))
def test_what_is_wrong_is_caught(rule, name):
    assert name in list_failures(examine(rule()))


def test_knobs_that_should_be_neutral_and_are_not_are_caught():
    class Off(Broken):
        neutral = OneTooMuch()

    assert list_failures(examine(Off())) == ["neutral is CFG"]


def test_every_invariant_is_caught_by_some_broken_rule():
    assert {name for _, name in CAUGHT} | {"neutral is CFG"} == {one.name for one in INVARIANTS}


def test_a_rule_that_a_chain_leaves_out_is_not_failed_for_its_formula():
    """Its knob 0 means off, and the formula would divide by it, which no chain ever asks."""

    @dataclasses.dataclass(frozen=True)
    class Softer(Before):
        phrase = "softer"
        share: float = 2.0
        neutral = property(lambda self: self.share == 0)

        def step(self, state, p, gamma):
            return with_difference(p, p.delta / self.share), state

    verdict = examine(PLAIN.then(Softer()))["neutral is CFG"]
    assert (verdict.word, verdict.size) == ("pass", 0.0)
    assert "leaves the rule out" in verdict.note
