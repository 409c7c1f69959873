"""What a rule is: one link of a guidance chain.

A rule is a frozen dataclass whose fields are its knobs; their defaults are the paper's, and `neutral` says when they
leave plain classifier-free guidance as it is. Its kind says where in a step it acts:

    scale      scale(gamma, run, sigma) -> gamma                reshapes the guidance scale over the run
    replace    step(state, p, gamma) -> (predictions, state)    puts another prediction in the place of u, also of none
    conditions step(state, p, gamma) -> (guided, state)         combines several conditions, affine in them
    before     step(state, p, gamma) -> (predictions, state)    reshapes the difference, or moves c; None for D = x
    combine    step(state, p, gamma) -> (guided, state)         takes the place of classifier-free guidance
    after      step(state, p, guided, gamma) -> (guided, state) corrects the guided prediction
    add        step(state, p, gamma) -> (shift or None, state)  is added to the result, from predictions as evaluated
    gradient   (see `terms`)                                    adds the gradient of an energy, last

Kinds act in this order, rules of one kind in wire order. A rule that reshapes the difference keeps c and moves u
(`with_difference`), so that gamma = 1 stays c; behind a combination D of conditions it is handed the difference that
pulls, (D - c) / (gamma - 1). All reductions run per item over all axes but the batch, whatever the rank. Nothing writes
into a prediction.

A sampler may evaluate an outer step more than once. The first evaluation is `step`, and its state counts; the others
are `stage`, and leave no state behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from torch import Tensor

from ..predictions import Predictions
from ..printing import Printed

if TYPE_CHECKING:
    from ..run import Run

KINDS = ("scale", "replace", "conditions", "before", "combine", "after", "add", "gradient")
ONE_OF = ("conditions", "combine")  # kinds of which a chain has one rule together
WHOLE = (0.0, 1.0)  # window of a rule that acts all the time
CLAIMS = ("gamma 0 is u", "same in every space", "in plane", "in span", "per item")


class Source(NamedTuple):
    """Where a further prediction of a rule comes from: its own condition, its own model, or both; None is the run's.

    conditioning: what the sampler would take as a condition ("cond", "uncond" name the run's own). model: a denoiser.
    """

    conditioning: Any
    model: Any = None


class Rule(Printed):
    """One link of a chain; subclasses are frozen dataclasses that override what they use.

    claims: what holds for it beyond what holds for every rule (of CLAIMS); the invariant suite checks them.
    "in plane": the result lies in the affine plane of x, u and c; "in span": in the span of x, u and c. "per item": no
    item of a batch changes another. "same in every space": epsilon, v and flow networks of one denoiser agree.
    """

    kind: ClassVar[str]
    claims: ClassVar[frozenset[str]] = frozenset()
    fills_uncond: ClassVar[bool] = False  # of kind "before": acts also where u was not evaluated
    acts_alone: ClassVar[bool] = False  # acts also where c = u leaves no difference to guide along

    @property
    def text(self) -> str:
        """The rule and its knobs as one phrase for the trace: short name, then what differs from neutral."""
        raise NotImplementedError

    @property
    def neutral(self) -> bool:
        """Whether these knobs leave plain classifier-free guidance as it is, at every step."""
        return False

    @property
    def window(self) -> tuple[float, float]:
        """Share of the outer steps in which it acts: start <= i / steps < end.  Outside, a chain leaves it out."""
        return WHOLE

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

    def scale(self, gamma: float, run: Run, sigma: float) -> float:
        """Scale in force at a noise level (kind "scale")."""
        return gamma

    def step(self, state: Any, p: Predictions, *rest: Any) -> tuple[Any, Any]:
        """Act on one outer step, as the rule's kind says, and return the state for the next."""
        raise NotImplementedError

    def stage(self, state: Any, following: Any, p: Predictions, *rest: Any) -> Any:
        """Act on a further evaluation of the same outer step.

        state: with which the step began. following: what its first evaluation made of it. The default acts as the first
        evaluation did, from the same state.
        """
        return self.step(state, p, *rest)[0]


def with_difference(p: Predictions, delta: Tensor) -> Predictions:
    """Predictions with the same c and another difference: u = c - delta.  CFG then gives c + (gamma - 1) delta."""
    return replace(p, uncond=(p.cond - delta).to(p.cond.dtype))
