"""The chain on a GG_GUIDANCE wire: an immutable, ordered list of what happens to the predictions of a step.

Gamma itself lives in the sampler's cfg; a schedule in the chain reshapes it. A sampler accepts any object with the two
methods `init` and `step`, so that another pack can put its own rule on the wire without importing this one.

In a run a `Runner` follows the chain, evaluation by evaluation: `begin`, `needs`, `guide`. Whoever evaluates, a host or
a function, does so between `needs` and `guide`.

No rule waits for the device, but for `reuse` and `economy`. Where a device has no float64, a chain with a rule of
somebody else acts on the CPU: a step waits for one copy of what it reads, and one of what it makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from .gradients.term import Term
from .parts import WHOLE, Packed
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
    Embedding,
    Replace,
    Rule,
    Schedule,
    Source,
    with_difference,
)
from .run import Run
from .vectors import narrow, promote, where_float64_is

ORDER = (
    Embedding,
    Schedule,
    Replace,
    Conditions,
    Before,
    Combine,
    After,
    Add,
    Term,
)  # in which the rules of a step act
MOST_RULES = 64  # a host needs a node for each, and more time for each than for the one before
RESHAPING = ORDER[2:-1]  # what acts on the predictions; without any of them a step is plain CFG
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
        return self if began == self.run.began else self._replace(run=replace(self.run, began=began))


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
        """What a step calls in which every rule acts."""
        return calls_of(self.links)

    @cached_property
    def parts(self) -> tuple[tuple[float, Calls], ...]:
        """The parts into which windows cut a run: the share of it at which each begins, and what its steps call."""
        windows = [(link, link.rule.window) for link in self.links]
        starts = sorted({0.0, *(edge for _, window in windows for edge in window if 0 < edge < 1)})
        acting = ([link for link, window in windows if window.start <= start < window.end] for start in starts)
        return tuple(zip(starts, map(calls_of, acting), strict=True))

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

    @cached_property
    def embeds(self) -> bool:
        """Whether a rule at work changes the embedding of the condition, at some noise level."""
        return bool(self.calls[Embedding])

    def embeds_at(self, run: Run, sigma: float) -> bool:
        """Whether a rule changes the embedding of the condition at this noise level."""
        return any(link.rule.acts(run, sigma) for link in self._calls_at(run, sigma)[Embedding])

    def embed(self, run: Run, sigma: float, y: Tensor, draw: Callable[[int], Tensor]) -> Tensor:
        """The embedding [B, ...] of the condition that c is evaluated with.

        y: of the condition itself, [B, ...]. draw: noise [B, ...] of this outer step for the rule of a place.
        """
        for link in self._calls_at(run, sigma)[Embedding]:
            y = link.rule.embed(y, draw(link.place), run, sigma) if link.rule.acts(run, sigma) else y
        return y

    def needs(self, state: ChainState, sigma: float, gamma: float) -> frozenset[str]:
        """Predictions to evaluate at a noise level: "cond", "uncond" and names of `sources`.  gamma: from `scale`."""
        wanted = PLAIN_NEEDS if gamma != 1 else frozenset({"cond"})
        calls = self._calls_at(state.run, sigma)
        for link in (link for kind in reversed(ORDER) for link in reversed(calls[kind])):
            plain = wanted & PLAIN_NEEDS  # what acts last says what it wants of those before it
            names = link.rule.needs(state.rules[link.place], sigma, plain)
            wanted = (wanted - plain) | {n if n in PLAIN_NEEDS else f"{link.place} {n}" for n in names}
        return wanted

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
        if len(self.parts) == 1:
            return self.calls
        share = run.share(run.step(sigma))
        return next(calls for start, calls in reversed(self.parts) if start <= share)

    @cached_property
    def _asks_others(self) -> bool:
        """Whether somebody else's rule reads predictions, in any step: all memories stay on one device."""
        rules = [rule for rule in self.rules if not isinstance(rule, Embedding | Schedule | Term)]
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
        wide = (where_float64_is(p) if self._asks_others else p).map(promote)
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


def calls_of(links: Sequence[Link]) -> Calls:
    """Rules by kind, in the order in which a step calls them."""
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


class Runner:
    """A chain at work in one run, on each part of a sample by itself: with its own gamma, memory and lengths.

    packing: the parts of a sample.
    run: with the place of the latest evaluation.
    sigma: noise level of that evaluation.
    began: noise level at which its outer step began.
    states: of the chain when the outer step began, one for each part.
    following: of the chain when the next outer step begins, one for each part.
    gammas: the scale in force, of each part.
    stage: reuse where D is neither c nor made of c and u, else empty.
    in_place_of_u: the prediction [B, ...] that guided in the place of u, where u was not evaluated.

    An evaluation may be made again, as after an attempt that failed: each time it starts from `states`.
    Raises ValueError when a rule does not fit the run.
    """

    def __init__(self, chain: Chain, run: Run, packing: Packed = WHOLE):
        self.chain, self.packing, self.run = chain, packing, run
        self.sigma = self.began = run.sigmas[0]
        self.states = self.following = [chain.init(replace(run, part=i)) for i in range(len(packing.names))]
        self.gammas, self.stage = (1.0,), ""
        self.in_place_of_u: Tensor | None = None

    def begin(self, sigma: float, first: bool) -> None:
        """Go to the next evaluation.  first: it begins an outer step; else it is a further stage of the same step."""
        self.sigma = sigma
        if first:
            self.began, self.states = sigma, self.following
        self.states = [state.inside(None if first else self.began) for state in self.states]
        self.run = self.states[0].run

    def needs(self, cfg: float) -> frozenset[str]:
        """Predictions to evaluate here, by the names of `Chain.needs`: whatever a part needs.  cfg: of the sampler."""
        self.in_place_of_u, self.stage = None, ""
        gammas, needs = [], frozenset[str]()
        for state in self.states:
            gammas.append(self.chain.scale(state, self.sigma, cfg))
            needs |= self.chain.needs(state, self.began, gammas[-1])
        self.gammas = tuple(gammas)
        return needs

    def guide(self, p: Predictions) -> Tensor:  # -> [B, ...]
        """D, without gradients of energies; the conditional prediction itself where every part is that."""
        if p.uncond is None:
            names = [name for link in self.chain.calls[Replace] for name in link.names.values()]
            stand_ins = [p.extra[name] for name in names if name in p.extra]
            self.in_place_of_u = stand_ins[-1].detach().clone() if stand_ins else self.in_place_of_u
        p = replace(p, known_level=self.sigma)
        parts = [p] if len(self.states) == 1 else self._split(p)
        guided, following = self._guide_parts(parts)
        if p.has_graph and self.run.began is None:  # a memory must not hold this step's graph
            _, following = self._guide_parts([part.map(Tensor.detach) for part in parts])
        self.following = following
        whole = guided[0]
        if len(parts) > 1:
            untouched = all(d is part.cond for d, part in zip(guided, parts, strict=True))
            whole = p.cond if untouched else self.packing.join(guided)
        self.stage = "reuse" if p.uncond is None and whole is not p.cond else ""
        return whole

    def remarks(self) -> list[str]:
        """What the rules have to say of a run that has ended, of each part.  Waits for the device where one has."""
        links = [(state, link) for state in self.following for link in self.chain.links]
        return [remark for state, link in links if (remark := link.rule.remark(state.rules[link.place]))]

    def _guide_parts(self, parts: list[Predictions]) -> tuple[list[Tensor], list[ChainState]]:
        """D of each part, and the states with which the next outer step begins: its first evaluation makes them."""
        guided, following = [], []
        for state, after, p, gamma in zip(self.states, self.following, parts, self.gammas, strict=True):
            if self.run.began is None:
                d, after = self.chain.step(state, p, gamma)
            else:
                d = self.chain.stage(state, after, p, gamma)
            guided.append(d)
            following.append(after)
        return guided, following

    def _split(self, p: Predictions) -> list[Predictions]:
        pair = {"cond": p.cond} | ({} if p.uncond is None else {"uncond": p.uncond})
        tables, extras = (self.packing.split_table(table) for table in ({"x": p.x, **pair}, p.extra))
        return [replace(p, **table, extra=extra) for table, extra in zip(tables, extras, strict=True)]


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
