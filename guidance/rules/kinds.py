"""What a rule is: one link of a guidance chain; its class says where in a step it acts and on what.

In the order in which a chain applies them, in wire order within a kind, and behind them the gradients of energies:

    Embedding   condition -> condition             changes what the network is told, before c is evaluated
    Schedule    gamma -> gamma                     reshapes the guidance scale over the run
    Replace     predictions -> predictions         puts another prediction in the place of u, also of none
    Conditions  predictions -> guided              combines several conditions, affine in them
    Before      predictions -> predictions, None   reshapes the difference, or moves c; None for D = x
    Combine     predictions -> guided              takes the place of classifier-free guidance
    After       predictions, guided -> guided      corrects the guided prediction
    Add         predictions -> shift or None       is added to the result, from predictions as evaluated

A rule that reshapes the difference keeps c and moves u (`with_difference`), so that gamma = 1 stays c; behind a
combination D of conditions it is handed the difference that pulls, (D - c) / (gamma - 1). All reductions run per item
over all axes but the batch, whatever the rank. Nothing writes into a prediction. The rules of this package measure by
`vectors` and never ask for float64, which some devices lack: there, those of others act on the CPU.

A sampler may evaluate an outer step more than once. The first evaluation is `step`, and its state counts; the others
are `stage`, and leave no state behind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import reduce
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from torch import Tensor

from ..knobs import Stated, knobs, refuse_unlisted, widget_of
from ..predictions import Predictions
from ..printing import Printed, class_and_knobs, total
from ..run import Run
from .window import WHOLE, Window, part_of_run

CLAIMS = ("gamma 0 is u", "same in every space", "in plane", "in span", "per item")
Result = TypeVar("Result")
AnyRule = TypeVar("AnyRule", bound="Rule")


class Source(NamedTuple):
    """Where a further prediction of a rule comes from: its own condition, its own model, or both; None is the run's.

    conditioning: what the sampler would take as a condition ("cond", "uncond" name the run's own). model: a denoiser.
    """

    conditioning: Any
    model: Any = None


@dataclass(frozen=True, eq=False)  # a rule that is only itself (eq=False) must not be compared by its windows
class Rule(Stated, Printed, ABC):
    """One link of a chain, of one of the kinds below; a frozen dataclass whose fields are its knobs.

    Their defaults are the paper's. claims: what holds for it beyond what holds for every rule (of CLAIMS); the
    invariant suite checks them. "in plane": the result lies in the affine plane of x, u and c; "in span": in the span
    of x, u and c. "per item": no item of a batch changes another. "same in every space": epsilon, v and flow networks
    of one denoiser agree. phrase: for the trace, with its fields in braces. windows: parts of the run to which it was
    confined, one within another.
    """

    claims: ClassVar[frozenset[str]] = frozenset()
    phrase: ClassVar[str] = ""
    windows: tuple[Window, ...] = field(default=(), kw_only=True)

    def __post_init__(self):
        refuse_unlisted(self)

    @property
    def text(self) -> str:
        """One phrase for the trace; unless a rule has its own, its class and its knobs."""
        return self.phrase.format_map(vars(self)) if self.phrase else class_and_knobs(self, "windows")

    @property
    @total
    def chain_text(self) -> str:
        """The phrase, and the parts of the run to which the rule was confined."""
        return self.text + "".join(f", {start:g} .. {end:g} of the steps" for start, end in self.windows)

    @property
    def neutral(self) -> bool:
        """Whether these knobs leave plain classifier-free guidance as it is, at every step: all that can be are off."""
        off = {name: stated.off for name, stated in knobs(type(self)).items() if stated.off is not None}
        return bool(off) and all(getattr(self, name) == value for name, value in off.items())

    @property
    def window(self) -> Window:
        """The part of the run in which it acts; outside it a chain is as if the rule were not there."""
        return reduce(Window.intersect, self.windows, WHOLE)

    @property
    def fields_by_widget(self) -> dict[str, str]:
        """Names of the fields that hold a number, a word or a switch, by the names of the widgets that set them."""
        named = {widget_of(field): field.name for field in fields(self) if field.init}
        return {w: name for w, name in named.items() if w and isinstance(getattr(self, name), int | float | str)}

    def with_field(self: AnyRule, name: str, value: Any) -> AnyRule:
        """The rule with another value of a field."""
        return replace(self, **{name: value})

    def within(self: AnyRule, start: float, end: float) -> AnyRule:
        """The rule, confined to a part of the run.

        Raises ValueError for a window that is none, or that the rule's own never meets.
        """
        window = part_of_run(start, end)
        self.window.narrow(window, self.chain_text)
        return self if window == WHOLE else replace(self, windows=(*self.windows, window))

    @property
    def sources(self) -> Mapping[str, Source]:
        """Further predictions it reads from `p.extra`, by its own names."""
        return {}

    def init(self, run: Run) -> Any:
        """State of one run; raises ValueError when the knobs do not fit it.  None: no memory."""
        return None

    def waits(self, run: Run) -> int:
        """Outer steps at the start of a run in which the sample should stay: D = x."""
        return 0

    def needs(self, state: Any, sigma: float, wanted: frozenset[str]) -> frozenset[str]:
        """Predictions to evaluate at a noise level, given what the rest of the chain wants.

        wanted: of "cond", "uncond" and this rule's own names. The default asks for its own wherever u is asked for.
        """
        return wanted | frozenset(self.sources) if "uncond" in wanted else wanted

    def remark(self, state: Any) -> str:
        """What a rule has to say of a run that has ended, in a sentence without a full stop; empty for nothing."""
        return ""


class Embedding(Rule):
    """Changes the embedding of the condition before c is evaluated with it; that of u stays as it is."""

    @abstractmethod
    def acts(self, run: Run, sigma: float) -> bool:
        """Whether it changes the embedding at a noise level."""

    @abstractmethod
    def embed(self, y: Tensor, noise: Tensor, run: Run, sigma: float) -> Tensor:
        """The embedding [B, ...] that the network is told at a noise level.

        y: of the condition, one for each item, [B, ...]. noise: standard normal, of the outer step, [B, ...].
        """


class Schedule(Rule):
    """Reshapes the guidance scale over the run."""

    @abstractmethod
    def scale(self, gamma: float, run: Run, sigma: float) -> float:
        """Scale in force at a noise level, given the one before."""


class FromPredictions(Rule, Generic[Result]):
    """Makes something of the predictions of an evaluation."""

    @abstractmethod
    def step(self, state: Any, p: Predictions, gamma: float) -> tuple[Result, Any]:
        """What it makes in the first evaluation of an outer step, and the state for the next step."""

    def stage(self, state: Any, following: Any, p: Predictions, *given: Any) -> Result:
        """What it makes in a further evaluation of the same outer step.

        state: with which the step began. following: what its first evaluation made of it. given: as to `step`. The
        default acts as the first evaluation did, from the same state.
        """
        return self.step(state, p, *given)[0]


class Replace(FromPredictions[Predictions]):
    """Puts another prediction in the place of u, also of none."""


class Combination(FromPredictions[Tensor]):
    """Makes the guided prediction [B, ...] in place of plain guidance; a step has room for one."""


class Conditions(Combination):
    """Combines several conditions, affine in them."""


class Before(FromPredictions[Predictions | None]):
    """Reshapes the difference before u and c are combined, or moves c; None for D = x.  Left out where u is missing."""


class BeforeAlways(Before):
    """Reshapes the difference or moves c as `Before`, asked also where u was not evaluated, and free to fill it."""


class Combine(Combination):
    """Takes the place of classifier-free guidance."""


class After(FromPredictions[Tensor]):
    """Corrects the guided prediction; left out where u is missing."""

    @abstractmethod
    def step(self, state: Any, p: Predictions, guided: Tensor, gamma: float) -> tuple[Tensor, Any]:
        """The corrected prediction [B, ...], and the state for the next outer step."""


class Add(FromPredictions[Tensor | None]):
    """Gives a shift [B, ...] that is added to the result, from predictions as evaluated; None for none."""


def with_difference(p: Predictions, delta: Tensor) -> Predictions:
    """Predictions with the same c and another difference: u = c - delta.  CFG then gives c + (gamma - 1) delta."""
    return replace(p, uncond=(p.cond - delta).to(p.cond.dtype))
