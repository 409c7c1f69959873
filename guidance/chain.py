"""The chain on a GG_GUIDANCE wire: an immutable, ordered list of what happens to the predictions of a step.

Gamma itself lives in the sampler's cfg; a schedule in the chain reshapes it. A sampler accepts any object with the two
methods `init` and `step`, so that another pack can put its own rule on the wire without importing this one.

No rule waits for the device, but for `reuse`. Where a device has no float64, a chain with a rule of somebody else acts
on the CPU: a step waits for one copy of what it reads, and one of what it makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from .gradients.term import Term
from .predictions import Predictions
from .printing import Printed, text_of
from .rules.cfg import cfg
from .rules.function import FunctionRule
from .rules.kinds import (
    Add,
    After,
    Before,
    BeforeAlways,
    Combination,
    Combine,
    Conditions,
    Replace,
    Rule,
    Schedule,
    Source,
    with_difference,
)
from .rules.window import WHOLE
from .run import Run
from .vectors import narrow, promote, where_float64_is

ORDER = (Schedule, Replace, Conditions, Before, Combine, After, Add, Term)  # in which the rules of a step act
MOST_RULES = 64  # a host needs a node for each, and more time for each than for the one before
PLAIN_NEEDS = frozenset({"cond", "uncond"})
Act = Callable[..., Any]  # index of a rule, predictions, and what else its kind is handed -> what it makes of that


class Guidance(Protocol):
    """What a sampler asks of a guidance wire; what else a Chain offers is optional."""

    def init(self, run: Run) -> Any:
        """State of one run, made anew for each."""
        ...

    def step(self, state: Any, p: Predictions, gamma: float) -> tuple[Tensor, Any]:
        """Guided x0-hat [B, ...] of one outer step, and the state for the next."""
        ...


class ChainState(NamedTuple):
    """State of a chain in one run: the schedule, and one state per rule.

    acting_chain: the chain as it acted in the latest step, where rules were outside their windows.
    """

    run: Run
    rules: tuple[Any, ...]
    acting_chain: Chain | None = None

    def inside(self, began: float | None) -> ChainState:
        """The same for a further stage of the outer step that began at this noise level; None for its beginning."""
        return self._replace(run=replace(self.run, began=began))


@dataclass(frozen=True)
class Chain(Printed):
    """Rules in wire order; they act in the order of their kinds.

    Gradient terms, which need more than predictions, are added to the result by whoever evaluates: `terms`.

    An empty chain is plain classifier-free guidance. Raises ValueError for more than MOST_RULES.
    """

    rules: tuple[Rule, ...] = ()

    def __post_init__(self):
        if len(self.rules) > MOST_RULES:
            raise ValueError(f"The chain has {len(self.rules)} rules, and {MOST_RULES} is the most. Take rules away.")

    def then(self, rule: Rule) -> Chain:
        """A longer chain; this one stays as it is.  Raises ValueError for two rules that combine in one step."""
        combining = [one for one in self.rules if isinstance(one, Combination)] if isinstance(rule, Combination) else ()
        if rivals := [mine for mine in combining if not mine.window.intersect(rule.window).empty]:
            raise ValueError(
                f"Two rules combine the predictions: {rivals[0].chain_text!r} and {rule.chain_text!r}. A step can have "
                "only one: remove the other, or give them windows that do not overlap."
            )
        return replace(self, rules=(*self.rules, rule))

    @property
    def is_cfg(self) -> bool:
        """Whether a step is plain CFG at the chain's scale, which a host may compute itself."""
        return all(isinstance(rule, Schedule | Term) or rule.neutral for rule in self.rules)

    @property
    def terms(self) -> tuple[Term, ...]:
        """Gradient terms at work, in wire order: a host adds them last."""
        return tuple(rule for rule in self.rules if isinstance(rule, Term) and not rule.neutral)

    @property
    def sources(self) -> Mapping[str, Source]:
        """Further predictions the rules read, by names that no two rules share."""
        at_work = ((i, rule) for i, rule in enumerate(self.rules) if not rule.neutral)
        return {f"{i} {name}": source for i, rule in at_work for name, source in rule.sources.items()}

    def waits(self, run: Run) -> int:
        """Outer steps at the start of a run in which a rule wants the sample to stay."""
        at_work = (rule for rule in self.rules if not rule.neutral)
        return max((rule.window.first(rule.waits(run), run) for rule in at_work), default=0)

    def init(self, run: Run) -> ChainState:
        """State of a run.  Raises ValueError when a rule does not fit it."""
        return ChainState(run, tuple(rule.init(run) for rule in self.rules))

    def scale(self, state: ChainState, sigma: float, gamma: float) -> float:
        """Gamma in force at a noise level, from the sampler's cfg; every schedule reshapes what the one before gave."""
        for rule in self._acting(state.run, sigma).rules:
            gamma = rule.scale(gamma, state.run, sigma) if isinstance(rule, Schedule) else gamma
        return gamma

    def needs(self, state: ChainState, sigma: float, gamma: float) -> frozenset[str]:
        """Predictions to evaluate at a noise level: "cond", "uncond" and names of `sources`.  gamma: from `scale`."""
        wanted = PLAIN_NEEDS if gamma != 1 else frozenset({"cond"})
        order = self._acting(state.run, sigma)._in_order()
        for i in reversed(order):  # what acts last says what it wants of those before it
            own = frozenset(name for name in wanted if name in PLAIN_NEEDS)
            own_needs = self.rules[i].needs(state.rules[i], sigma, own)
            wanted = (wanted - own) | frozenset(n if n in PLAIN_NEEDS else f"{i} {n}" for n in own_needs)
        return wanted

    def in_place_of_u(self, extra: Mapping[str, Tensor]) -> Tensor | None:
        """What guides in the place of a u that was not evaluated, such as a weak model's prediction.

        extra: the further predictions of an evaluation, by the names of `sources`.
        """
        names = [f"{i} {name}" for i in self._of(Replace) for name in self.rules[i].sources]
        return next((extra[name] for name in reversed(names) if name in extra), None)

    def step(self, state: ChainState, p: Predictions, gamma: float) -> tuple[Tensor, ChainState]:
        """Guide one outer step.  gamma: from `scale`; 0 is u, 1 is c.  Where u is missing and no rule fills it: c."""
        memory, acting = list(state.rules), self._acting(state.run, p.level)

        def act(i: int, p: Predictions, *given: Any) -> Any:
            rule: Any = self.rules[i]
            result, memory[i] = rule.step(memory[i], self._own(p, i), *given)
            return result

        guided = acting._apply(p, gamma, act, self._asks_others)
        return guided, state._replace(rules=tuple(memory), acting_chain=None if acting is self else acting)

    def stage(self, state: ChainState, following: ChainState, p: Predictions, gamma: float) -> Tensor:
        """Guide a further stage of an outer step that began with `state`; its first evaluation left `following`."""

        def act(i: int, p: Predictions, *given: Any) -> Any:
            rule: Any = self.rules[i]
            return rule.stage(state.rules[i], following.rules[i], self._own(p, i), *given)

        return (following.acting_chain or self)._apply(p, gamma, act, self._asks_others)

    def _acting(self, run: Run, sigma: float) -> Chain:
        """The chain without the rules outside their windows; the others keep their places."""
        if all(rule.window == WHOLE for rule in self.rules):
            return self
        return replace(self, rules=tuple(rule if rule.window.covers(run, sigma) else ABSENT for rule in self.rules))

    @property
    def _asks_others(self) -> bool:
        """Whether somebody else's rule reads predictions, in any step: all memories stay on one device."""
        return any(_is_of_others(rule) for rule in self.rules if not isinstance(rule, Schedule | Term))

    def _apply(self, p: Predictions, gamma: float, act: Act, asks_others: bool) -> Tensor:
        """What the chain makes of u and c, and what its rules add to that from the predictions as evaluated.

        Rules see half precision as float32: a difference that they stretch may lie beyond it and lead to a result that
        does not. Plain CFG stays in its own dtype, whose bits are the host's. asks_others: where a device has no
        float64 the rules act on the CPU, since another's rule might ask that device for what it cannot do.
        """
        if self.is_cfg:
            return p.cond if p.uncond is None else cfg(p, gamma=gamma)
        wide = (where_float64_is(p) if asks_others else p).promote()
        guided = self._combine(wide, gamma, act)
        shifts = [act(i, wide, gamma) for i in self._of(Add)]
        guided = sum((promote(shift) for shift in shifts if shift is not None), guided)
        return p.cond if guided is wide.cond else narrow(guided, p.cond.dtype).to(p.cond.device)

    def _combine(self, p: Predictions, gamma: float, act: Act) -> Tensor:
        still = p.x.to(p.cond.dtype)
        for i in self._of(Replace):
            p = replace(act(i, p, gamma), extra=p.extra)
        guided, p = self._of_conditions(p, gamma, act)
        moved = self._apply_before(p, gamma, act)
        if moved is None:
            return still
        if moved.uncond is None:
            return moved.cond
        if guided is None or self._of(Before):
            combine = self._of(Combine)
            guided = act(combine[0], moved, gamma) if combine else cfg(moved, gamma=gamma)
        for i in self._of(After):
            guided = act(i, moved, guided, gamma)
        return guided

    def _of_conditions(self, p: Predictions, gamma: float, act: Act) -> tuple[Tensor | None, Predictions]:
        """The combination D of several conditions, and the predictions between which plain CFG would make it.

        So rules that reshape the difference are handed the one that pulls: (D - c) / (gamma - 1).
        """
        combined = None
        for i in self._of(Conditions) if p.uncond is not None else ():
            combined = act(i, p, gamma)
            pull = promote(combined) - promote(p.cond)
            p = p if gamma == 1 else with_difference(p, pull / (gamma - 1))
        return combined, p

    def _apply_before(self, p: Predictions, gamma: float, act: Act) -> Predictions | None:
        """The predictions as the rules before the combination leave them; None where one wants the sample to stay."""
        for i in self._of(Before):
            if p.uncond is not None or isinstance(self.rules[i], BeforeAlways):
                moved = act(i, p, gamma)
                if moved is None:
                    return None
                p = replace(moved, extra=p.extra)
        return p

    def _in_order(self) -> list[int]:
        """Indices of the rules at work, in the order in which they act."""
        return [i for kind in ORDER for i in self._of(kind)]

    def _of(self, kind: type[Rule]) -> list[int]:
        return [i for i, rule in enumerate(self.rules) if isinstance(rule, kind) and not rule.neutral]

    def _own(self, p: Predictions, i: int) -> Predictions:
        """The predictions as rule i sees them: its own further ones under its own names."""
        names = self.rules[i].sources
        return replace(p, extra={n: p.extra[f"{i} {n}"] for n in names if f"{i} {n}" in p.extra}) if names else p

    @property
    def text(self) -> str:
        """The chain as one line for the trace, in the order in which the rules act."""
        parts = {kind: [rule.chain_text for rule in self.rules if isinstance(rule, kind)] for kind in ORDER}
        if not any(isinstance(rule, Combination) for rule in self.rules):
            parts[Combine] = ["CFG"]
        return " > ".join(text for kind in ORDER for text in parts[kind])

    def __repr__(self) -> str:
        return f"Guidance({self.text})"


@dataclass(frozen=True)
class Absent(Rule):
    """A rule's place in a step outside its window."""

    neutral = True  # pyright: ignore[reportAssignmentType]
    text = "outside its window"  # pyright: ignore[reportAssignmentType]


ABSENT = Absent()


@dataclass(frozen=True)
class Foreign(Combine):
    """Another pack's object with `init` and `step`, as the rule that combines."""

    guidance: Guidance

    @property
    def text(self) -> str:
        """Its own text, or the name of its class."""
        return text_of(self.guidance)

    def init(self, run: Run) -> Any:
        """Its own state."""
        return self.guidance.init(run)

    def step(self, state: Any, p: Predictions, gamma: float) -> tuple[Tensor, Any]:
        """Its own step."""
        return self.guidance.step(state, p, gamma)


def _is_of_others(rule: Rule) -> bool:
    return isinstance(rule, Foreign | FunctionRule) or not type(rule).__module__.startswith(f"{__package__}.")


def chain_of(guidance: Guidance | None) -> Chain:
    """Any guidance as a chain, so that rules can be added to its end; None is plain classifier-free guidance."""
    if guidance is None:
        return PLAIN
    return guidance if isinstance(guidance, Chain) else Chain((Foreign(guidance),))


PLAIN = Chain()
