"""The chain on a GG_GUIDANCE wire: an immutable, ordered list of what happens to the predictions of a step.

Gamma itself lives in the sampler's cfg; a schedule in the chain reshapes it. A sampler accepts any object with the two
methods `init` and `step`, so that another pack can put its own rule on the wire without importing this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from .predictions import Predictions
from .printing import Printed, text_of
from .rules.cfg import cfg
from .rules.contract import KINDS, Rule, Source
from .schedules import Run

PLAIN_NEEDS = frozenset({"cond", "uncond"})


class Guidance(Protocol):
    """What a sampler asks of a guidance wire; what else a Chain offers is optional."""

    def init(self, run: Run) -> Any:
        """State of one run, made anew for each."""
        ...

    def step(self, state: Any, p: Predictions, gamma: float) -> tuple[Tensor, Any]:
        """Guided x0-hat [B, ...] of one outer step, and the state for the next."""
        ...


class ChainState(NamedTuple):
    """State of a chain in one run: the schedule, and one state per rule."""

    run: Run
    rules: tuple[Any, ...]


@dataclass(frozen=True)
class Chain(Printed):
    """Rules in wire order: scales, then what comes before the combination, one combination, and what comes after.

    Gradient terms, which need more than predictions, are added to the result by whoever evaluates: `terms`.

    An empty chain is plain classifier-free guidance.
    """

    rules: tuple[Rule, ...] = ()

    def then(self, rule: Rule) -> Chain:
        """A longer chain; this one stays as it is.  Raises ValueError for a second rule that combines."""
        there = [mine for mine in self.rules if mine.kind == rule.kind == "combine"]
        if there:
            raise ValueError(
                f"Two rules want to combine the predictions: {there[0].text!r} and {rule.text!r}. "
                "A chain has room for one of them: remove the other."
            )
        return replace(self, rules=(*self.rules, rule))

    @property
    def is_cfg(self) -> bool:
        """Whether a step is plain CFG at the chain's scale, which a host may compute itself."""
        return all(rule.kind in ("scale", "gradient") or rule.neutral for rule in self.rules)

    @property
    def terms(self) -> tuple[Any, ...]:
        """Gradient terms at work, in wire order: a host adds them last."""
        return tuple(rule for rule in self.rules if rule.kind == "gradient" and not rule.neutral)

    @property
    def sources(self) -> Mapping[str, Source]:
        """Further predictions the rules read, by names that no two rules share."""
        at_work = ((i, rule) for i, rule in enumerate(self.rules) if not rule.neutral)
        return {f"{i} {name}": source for i, rule in at_work for name, source in rule.sources.items()}

    def init(self, run: Run) -> ChainState:
        """State of a run.  Raises ValueError when a rule does not fit it."""
        return ChainState(run, tuple(rule.init(run) for rule in self.rules))

    def scale(self, state: ChainState, sigma: float, gamma: float) -> float:
        """Gamma in force at a noise level, from the sampler's cfg; every schedule reshapes what the one before gave."""
        for rule in self.rules:
            gamma = rule.scale(gamma, state.run, sigma)
        return gamma

    def needs(self, state: ChainState, sigma: float, gamma: float) -> frozenset[str]:
        """Predictions to evaluate at a noise level: "cond", "uncond" and names of `sources`.  gamma: from `scale`."""
        wanted = PLAIN_NEEDS if gamma != 1 else frozenset({"cond"})
        for i, (rule, memory) in enumerate(zip(self.rules, state.rules, strict=True)):
            if rule.neutral:
                continue
            own = frozenset(name for name in wanted if name in PLAIN_NEEDS)
            asked = rule.needs(memory, sigma, own)
            wanted = (wanted - own) | frozenset(n if n in PLAIN_NEEDS else f"{i} {n}" for n in asked)
        return wanted

    def step(self, state: ChainState, p: Predictions, gamma: float) -> tuple[Tensor, ChainState]:
        """Guide one outer step.  gamma: from `scale`; 0 is u, 1 is c.  Where u is missing and no rule fills it: c."""
        memory = list(state.rules)
        for i in self._of("before"):
            if p.uncond is not None or self.rules[i].fills_uncond:
                found, memory[i] = self.rules[i].step(memory[i], self._own(p, i), gamma)
                p = replace(found, extra=p.extra)
        if p.uncond is None:
            return p.cond, state._replace(rules=tuple(memory))
        guided = None
        for i in self._of("combine"):
            guided, memory[i] = self.rules[i].step(memory[i], self._own(p, i), gamma)
        guided = cfg(p, gamma=gamma) if guided is None else guided
        for i in self._of("after"):
            guided, memory[i] = self.rules[i].step(memory[i], self._own(p, i), guided, gamma)
        return guided, state._replace(rules=tuple(memory))

    def _of(self, kind: str) -> list[int]:
        return [i for i, rule in enumerate(self.rules) if rule.kind == kind and not rule.neutral]

    def _own(self, p: Predictions, i: int) -> Predictions:
        """The predictions as rule i sees them: its own further ones under its own names."""
        names = self.rules[i].sources
        return replace(p, extra={n: p.extra[f"{i} {n}"] for n in names if f"{i} {n}" in p.extra}) if names else p

    @property
    def text(self) -> str:
        """The chain as one line for the trace, in the order in which the rules act."""
        ordered = sorted(self.rules, key=lambda rule: KINDS.index(rule.kind))
        parts = {kind: [rule.text for rule in ordered if rule.kind == kind] for kind in KINDS}
        rest = (*parts["after"], *parts["gradient"])
        return " > ".join([*parts["scale"], *parts["before"], *(parts["combine"] or ["CFG"]), *rest])

    def __repr__(self) -> str:
        return f"Guidance({self.text})"


@dataclass(frozen=True)
class Foreign(Rule):
    """Another pack's object with `init` and `step`, as the rule that combines."""

    guidance: Guidance
    kind = "combine"

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


def chain_of(guidance: Guidance) -> Chain:
    """Any guidance as a chain, so that rules can be added to its end."""
    return guidance if isinstance(guidance, Chain) else Chain((Foreign(guidance),))


PLAIN = Chain()
