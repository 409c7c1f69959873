"""The chain on a GG_GUIDANCE wire: an immutable, ordered list of what happens to the predictions of a step.

Gamma itself lives in the sampler's cfg; a schedule in the chain reshapes it. A sampler accepts any object with the two
methods `init` and `step`, so that another pack can put its own rule on the wire without importing this one.

No rule waits for the device, but for `reuse`. Where a device has no float64, a chain with a rule of somebody else acts
on the CPU: a step waits for one copy of what it reads, and one of what it makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
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
RESHAPING = ORDER[1:-1]  # what acts on the predictions; without any of them a step is plain CFG
PLAIN_NEEDS = frozenset({"cond", "uncond"})


class Guidance(Protocol):
    """What a sampler asks of a guidance wire; what else a Chain offers is optional."""

    def init(self, run: Run) -> Any:
        """State of one run, made anew for each."""
        ...

    def step(self, state: Any, p: Predictions, gamma: float) -> tuple[Tensor, Any]:
        """Guided x0-hat [B, ...] of one outer step, and the state for the next."""
        ...


class Link(NamedTuple):
    """A rule at its place in a chain, which is also the place of its state.

    names: of its further predictions in `Chain.sources`, by its own names for them.
    """

    place: int
    rule: Any  # a Rule; each kind is called in its own way
    names: Mapping[str, str]

    def view(self, p: Predictions) -> Predictions:
        """The predictions as the rule sees them: its own further ones under its own names."""
        if not self.names:
            return p
        return replace(p, extra={key: p.extra[name] for key, name in self.names.items() if name in p.extra})


Calls = Mapping[type[Rule], list[Link]]  # what a step calls: by kind in their order, within a kind in wire order
Ask = Callable[..., Any]  # a link, predictions, and what else its kind is handed -> what the rule makes of that


class ChainState(NamedTuple):
    """State of a chain in one run: the schedule, and one state per rule.

    acting: what the latest outer step called; None before the first.
    """

    run: Run
    rules: tuple[Any, ...]
    acting: Calls | None = None

    def inside(self, began: float | None) -> ChainState:
        """The state for a further stage of the outer step that began at this noise level; None for its beginning."""
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
        combining = [other for other in self.rules if isinstance(other, Combination) and isinstance(rule, Combination)]
        if rivals := [other for other in combining if not other.window.intersect(rule.window).empty]:
            raise ValueError(
                f"Two rules combine the predictions: {rivals[0].chain_text!r} and {rule.chain_text!r}. A step can have "
                "only one: remove the other, or give them windows that do not overlap."
            )
        return replace(self, rules=(*self.rules, rule))

    @cached_property
    def is_cfg(self) -> bool:
        """Whether a step is plain CFG at the chain's scale, which a host may compute itself."""
        return all(isinstance(rule, Schedule | Term) or rule.neutral for rule in self.rules)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """The rules at work, in wire order; the others leave every step as it is."""
        at_work = ((i, rule) for i, rule in enumerate(self.rules) if not rule.neutral)
        return tuple(Link(i, rule, {name: f"{i} {name}" for name in rule.sources}) for i, rule in at_work)

    @cached_property
    def calls(self) -> Calls:
        """What a step of the whole chain calls, resolved once."""
        return calls_of(self.links)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """Gradient terms at work, in wire order: a host adds them last."""
        return tuple(link.rule for link in self.calls[Term])

    @cached_property
    def sources(self) -> Mapping[str, Source]:
        """Further predictions the rules read, by names that no two rules share."""
        return {link.names[key]: source for link in self.links for key, source in link.rule.sources.items()}

    def waits(self, run: Run) -> int:
        """Outer steps at the start of a run in which a rule wants the sample to stay."""
        rules = (link.rule for link in self.links)
        return max((rule.window.first(rule.waits(run), run) for rule in rules), default=0)

    def init(self, run: Run) -> ChainState:
        """State of a run.  Raises ValueError when a rule does not fit it."""
        return ChainState(run, tuple(rule.init(run) for rule in self.rules))

    def scale(self, state: ChainState, sigma: float, gamma: float) -> float:
        """Gamma in force at a noise level, from the sampler's cfg; every schedule reshapes what the one before gave."""
        for link in self._calls_at(state.run, sigma)[Schedule]:
            gamma = link.rule.scale(gamma, state.run, sigma)
        return gamma

    def needs(self, state: ChainState, sigma: float, gamma: float) -> frozenset[str]:
        """Predictions to evaluate at a noise level: "cond", "uncond" and names of `sources`.  gamma: from `scale`."""
        wanted = PLAIN_NEEDS if gamma != 1 else frozenset({"cond"})
        calls = self._calls_at(state.run, sigma)
        for link in (link for kind in reversed(ORDER) for link in reversed(calls[kind])):
            plain = wanted & PLAIN_NEEDS  # what acts last says what it wants of those before it
            names = link.rule.needs(state.rules[link.place], sigma, plain)
            wanted = (wanted - plain) | {n if n in PLAIN_NEEDS else f"{link.place} {n}" for n in names}
        return wanted

    def in_place_of_u(self, extra: Mapping[str, Tensor]) -> Tensor | None:
        """What guides in the place of a u that was not evaluated, such as a weak model's prediction.

        extra: the further predictions of an evaluation, by the names of `sources`.
        """
        names = [name for link in self.calls[Replace] for name in link.names.values()]
        return next((extra[name] for name in reversed(names) if name in extra), None)

    def step(self, state: ChainState, p: Predictions, gamma: float) -> tuple[Tensor, ChainState]:
        """Guide one outer step.  gamma: from `scale`; 0 is u, 1 is c.  Where u is missing and no rule fills it: c."""
        memory, calls = list(state.rules), self._calls_at(state.run, p.level)

        def ask(link: Link, p: Predictions, *given: Any) -> Any:
            result, memory[link.place] = link.rule.step(memory[link.place], link.view(p), *given)
            return result

        guided = self._guide(calls, p, gamma, ask)
        return guided, state._replace(rules=tuple(memory), acting=calls)

    def stage(self, state: ChainState, following: ChainState, p: Predictions, gamma: float) -> Tensor:
        """Guide a further stage of an outer step that began with `state`; its first evaluation left `following`."""

        def ask(link: Link, p: Predictions, *given: Any) -> Any:
            before, after = state.rules[link.place], following.rules[link.place]
            return link.rule.stage(before, after, link.view(p), *given)

        return self._guide(following.acting or self.calls, p, gamma, ask)

    def _calls_at(self, run: Run, sigma: float) -> Calls:
        """What the outer step at a noise level calls: nothing of a rule outside its window."""
        if not self._has_windows:
            return self.calls
        return calls_of(link for link in self.links if link.rule.window.covers(run, sigma))

    @cached_property
    def _has_windows(self) -> bool:
        return any(rule.window != WHOLE for rule in self.rules)

    @cached_property
    def _asks_others(self) -> bool:
        """Whether somebody else's rule reads predictions, in any step: all memories stay on one device."""
        rules = [rule for rule in self.rules if not isinstance(rule, Schedule | Term)]
        ours = [type(rule).__module__.startswith(f"{__package__}.") for rule in rules]
        return not all(ours) or any(isinstance(rule, Foreign | FunctionRule) for rule in rules)

    def _guide(self, calls: Calls, p: Predictions, gamma: float, ask: Ask) -> Tensor:
        """The guided prediction D of one evaluation, gradients of energies left out.

        Rules see half precision as float32: a difference that they stretch may lie beyond it and lead to a result that
        does not. Plain CFG stays in its own dtype, whose bits are the host's. Where a device has no float64, a chain
        with a rule of somebody else acts on the CPU: that rule might ask the device for what it cannot do.
        """
        if not any(calls[kind] for kind in RESHAPING):
            return p.cond if p.uncond is None else cfg(p, gamma=gamma)
        wide = (where_float64_is(p) if self._asks_others else p).promote()
        guided = combine(calls, wide, gamma, ask)
        for link in calls[Add]:
            shift = ask(link, wide, gamma)
            guided = guided if shift is None else guided + promote(shift)
        return p.cond if guided is wide.cond else narrow(guided, p.cond.dtype).to(p.cond.device)

    @property
    def text(self) -> str:
        """The chain as one line for the trace, in the order in which the rules act."""
        parts = {kind: [rule.chain_text for rule in self.rules if isinstance(rule, kind)] for kind in ORDER}
        if not any(isinstance(rule, Combination) for rule in self.rules):
            parts[Combine] = ["CFG"]
        return " > ".join(text for kind in ORDER for text in parts[kind])

    def __repr__(self) -> str:
        return f"Guidance({self.text})"


def calls_of(links: Iterable[Link]) -> Calls:
    """Rules by kind, in the order in which a step calls them."""
    links = [*links]
    return {kind: [link for link in links if isinstance(link.rule, kind)] for kind in ORDER}


def combine(calls: Calls, p: Predictions, gamma: float, ask: Ask) -> Tensor:  # -> [B, ...]
    """D of u and c, before shifts are added to it; x where a rule wants the sample to stay, c where u is missing.

    Behind the combination D of several conditions, rules that reshape the difference are handed the one that pulls,
    from which plain CFG would make that D: (D - c) / (gamma - 1).
    """
    still, guided = p.x.to(p.cond.dtype), None
    for link in calls[Replace]:
        p = replace(ask(link, p, gamma), extra=p.extra)
    for link in calls[Conditions] if p.uncond is not None else ():
        guided = ask(link, p, gamma)
        p = p if gamma == 1 else with_difference(p, (promote(guided) - promote(p.cond)) / (gamma - 1))
    for link in calls[Before]:
        acts = p.uncond is not None or isinstance(link.rule, BeforeAlways)
        reshaped = ask(link, p, gamma) if acts else p
        if reshaped is None:
            return still
        p = replace(reshaped, extra=p.extra)
    if p.uncond is None:
        return p.cond
    if guided is None or calls[Before]:
        guided = ask(calls[Combine][0], p, gamma) if calls[Combine] else cfg(p, gamma=gamma)
    for link in calls[After]:
        guided = ask(link, p, guided, gamma)
    return guided


@dataclass(frozen=True)
class Foreign(Combine):
    """Another pack's object with `init` and `step`, as the rule that combines."""

    guidance: Guidance

    @property
    def text(self) -> str:
        """The text of the guidance, or the name of its class."""
        return text_of(self.guidance)

    def init(self, run: Run) -> Any:
        """The state of the guidance."""
        return self.guidance.init(run)

    def step(self, state: Any, p: Predictions, gamma: float) -> tuple[Tensor, Any]:
        """The step of the guidance."""
        return self.guidance.step(state, p, gamma)


def chain_of(guidance: Guidance | None) -> Chain:
    """Any guidance as a chain, so that rules can be added to its end; None is plain classifier-free guidance."""
    if guidance is None:
        return PLAIN
    return guidance if isinstance(guidance, Chain) else Chain((Foreign(guidance),))


PLAIN = Chain()
