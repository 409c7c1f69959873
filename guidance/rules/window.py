"""A window for any rule: the part of the run in which it acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..gradients.term import Term
from ..predictions import Predictions
from ..run import Run
from .contract import WHOLE, Rule, Source


@dataclass(frozen=True)
class Windowed(Rule):
    """A rule at work in a part of the run; outside it a chain is as if the rule were not there.

        start <= i / steps < end          i = outer step, counted from 0

    So outside, what it would read is not evaluated, and its state stays as it is: a momentum begins in the window.
    rule: of any kind but gradient, whose terms have a window of their own. Its own window, if it has one, holds too.
    Raises ValueError for a window that is empty, upside down or no part of the run, or that the rule's own never meets.
    """

    rule: Rule
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self):
        checked(self.start, self.end)
        if self.rule.kind == "gradient":
            raise ValueError(f"{self.rule.text!r} is a gradient: set its own start_percent and end_percent.")
        if not met(self.window):
            raise ValueError(never((self.start, self.end), self.rule.text, self.rule.window))

    @property
    def window(self) -> tuple[float, float]:
        """What its window and the rule's own share."""
        return shared((self.start, self.end), self.rule.window)

    @property
    def kind(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  a class has its kind, this one its rule's
        """That of the rule; so are all that follow."""
        return self.rule.kind

    @property
    def claims(self) -> frozenset[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Plain CFG, which is what is left outside, claims them all."""
        return self.rule.claims

    @property
    def fills_uncond(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it acts also where u was not evaluated."""
        return self.rule.fills_uncond

    @property
    def acts_alone(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it acts also where there is no difference."""
        return self.rule.acts_alone

    @property
    def text(self) -> str:
        """The rule, and its part of the run."""
        return f"{self.rule.text}, {self.start:g} .. {self.end:g} of the steps"

    @property
    def neutral(self) -> bool:
        """Whether the rule is."""
        return self.rule.neutral

    @property
    def sources(self) -> Mapping[str, Source]:
        """Further predictions, read in the window."""
        return self.rule.sources

    def init(self, run: Run) -> Any:
        """State of the rule."""
        return self.rule.init(run)

    def waits(self, run: Run) -> int:
        """First steps in which the rule wants the sample to stay, up to the end of a window that holds the first."""
        first = range(self.rule.waits(run) if self.start == 0 else 0)
        return sum(i / run.steps < self.end for i in first)

    def needs(self, state: Any, sigma: float, wanted: frozenset[str]) -> frozenset[str]:
        """What the rule needs in the window."""
        return self.rule.needs(state, sigma, wanted)

    def scale(self, gamma: float, run: Run, sigma: float) -> float:
        """The rule's scale in the window."""
        return self.rule.scale(gamma, run, sigma)

    def step(self, state: Any, p: Predictions, *rest: Any) -> tuple[Any, Any]:
        """The rule's step in the window."""
        return self.rule.step(state, p, *rest)

    def stage(self, state: Any, following: Any, p: Predictions, *rest: Any) -> Any:
        """The rule's further stage of a step in the window."""
        return self.rule.stage(state, following, p, *rest)


def windowed(rule: Rule, start: float, end: float) -> Rule:
    """The same rule, at work in a part of the run.

    Raises ValueError as `Windowed` does.
    """
    checked(start, end)
    if isinstance(rule, Term):
        return _shortened(rule, start, end)
    return rule if (start, end) == WHOLE else Windowed(rule, start, end)


def _shortened(term: Term, start: float, end: float) -> Term:
    """A gradient term in what its own window and this one share."""
    first, last = shared((start, end), (term.start, term.end))
    if not met((first, last)):
        raise ValueError(never((start, end), term.text, (term.start, term.end)))
    return replace(term, start=first, end=last)


def checked(start: float, end: float) -> None:
    """Raise ValueError for a window that is empty, upside down or no part of the run."""
    if not 0 <= start < end <= 1:
        raise ValueError(
            f"window {start:g} .. {end:g} is no part of the run: give start_percent and end_percent from 0 (the first "
            "step) to 1 (the end), start_percent the smaller one."
        )


def shared(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """What two windows have in common; where that is nothing, its start is not before its end."""
    return max(one[0], other[0]), min(one[1], other[1])


def met(window: tuple[float, float]) -> bool:
    """Whether a window has an extent."""
    return window[0] < window[1]


def never(window: tuple[float, float], text: str, own: tuple[float, float]) -> str:
    """The sentence for two windows that share no part of the run."""
    return (
        f"{text!r} acts from {own[0]:g} to {own[1]:g} of the run by its own start_percent and end_percent, and the "
        f"window {window[0]:g} .. {window[1]:g} has no part of that. Let them overlap."
    )
