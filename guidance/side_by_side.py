"""Several runs in one batch: each has its own chain, scale and memory, and all share the evaluations of the network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor, cat

from .chain import PLAIN_NEEDS, Chain, ChainState
from .predictions import Predictions
from .rules.kinds import Replace, Schedule
from .run import Run

GUIDED = 2.0  # any scale but 1


class Lane(NamedTuple):
    """One of the runs."""

    chain: Chain
    gamma: float


class Lanes(NamedTuple):
    """State of all runs.  began: noise level at which the latest outer step began."""

    states: tuple[ChainState, ...]
    began: float | None = None


@dataclass(frozen=True)
class Farthest(Schedule):
    """The scale of the run that is farthest from 1 at a noise level: 1 only where none of them is guided there.

    So an evaluation inside a step has u where a run wants it at that level, though none did as the step began.
    """

    lanes: tuple[Lane, ...] = ()

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return "gamma of each run"

    def scale(self, gamma: float, run: Run, sigma: float) -> float:
        """Gamma of that run.  gamma: of the batch, which has none."""
        scales = (lane.chain.scale(ChainState(run, ()), sigma, lane.gamma) for lane in self.lanes)
        return max(scales, key=lambda scale: abs(scale - 1), default=gamma)


@dataclass(frozen=True)
class SideBySide(Replace):
    """What every run of a batch makes of its own rows, in the place of c; there is no u left to guide by.

    lanes: the runs, in the order of their rows. size: rows of each. A run is handed u only where it asks for it, so
    that gamma = 1 is c, as in a run by itself.
    Raises ValueError for a run that needs more than u and c.
    """

    lanes: tuple[Lane, ...] = ()
    size: int = 1

    def __post_init__(self):
        chains = [lane.chain for lane in self.lanes]
        if more := [chain.text for chain in chains if chain.terms or chain.sources or chain.embeds]:
            raise ValueError(f"{more[0]} needs more than u and c, which runs side by side do not share. Run it alone.")

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return f"{len(self.lanes)} runs side by side"

    def init(self, run: Run) -> Lanes:
        """The state of each run.  Raises ValueError where a rule does not fit it."""
        return Lanes(tuple(lane.chain.init(run) for lane in self.lanes))

    def waits(self, run: Run) -> int:
        """The most that one of them waits."""
        return max((lane.chain.waits(run) for lane in self.lanes), default=0)

    def needs(self, state: Lanes, sigma: float, wanted: frozenset[str]) -> frozenset[str]:
        """Whatever one of them would need if it were guided.  wanted: with u where one of them is."""
        guided = (self._needs(state, i, sigma, GUIDED) for i in range(len(self.lanes)))
        return wanted & frozenset().union(*guided)

    def step(self, state: Lanes, p: Predictions, gamma: float) -> tuple[Predictions, Lanes]:
        """Guide one outer step of each.  gamma: of the batch, which has none."""
        sigma = p.level
        own = [self._own(state, p, i, sigma) for i in range(len(self.lanes))]
        made = [lane.chain.step(state.states[i], *own[i]) for i, lane in enumerate(self.lanes)]
        return join_lanes(p, own, [guided for guided, _ in made]), Lanes(tuple(after for _, after in made), sigma)

    def stage(self, state: Lanes, following: Lanes, p: Predictions, gamma: float) -> Predictions:
        """Guide a further evaluation of an outer step.  gamma: of the batch, which has none."""
        inside = Lanes(tuple(one.inside(following.began) for one in state.states))
        states = list(zip(inside.states, following.states, strict=True))
        began = p.level if following.began is None else following.began
        own = [self._own(inside, p, i, began) for i in range(len(self.lanes))]
        return join_lanes(p, own, [lane.chain.stage(*states[i], *own[i]) for i, lane in enumerate(self.lanes)])

    def _needs(self, state: Lanes, i: int, began: float, scale: float) -> frozenset[str]:
        return self.lanes[i].chain.needs(state.states[i], began, scale) & PLAIN_NEEDS

    def _own(self, state: Lanes, p: Predictions, i: int, began: float) -> tuple[Predictions, float]:
        """The rows of a run, and its scale at their noise level.  began: level at which the outer step began."""
        rows, lane = slice(i * self.size, (i + 1) * self.size), self.lanes[i]
        scale = lane.chain.scale(state.states[i], p.level, lane.gamma)
        needs_uncond = "uncond" in self._needs(state, i, began, scale)
        uncond = p.uncond[rows] if needs_uncond and p.uncond is not None else None
        return Predictions(p.x[rows], p.sigma[rows], p.alpha[rows], uncond, p.cond[rows], known_level=p.level), scale


def batch_chain(lanes: tuple[Lane, ...], size: int = 1) -> Chain:
    """The chain of a batch of runs.  size: rows of each."""
    return Chain((Farthest(lanes=lanes), SideBySide(lanes=lanes, size=size)))


def join_lanes(p: Predictions, own: list[tuple[Predictions, float]], guided: list[Tensor]) -> Predictions:
    """Guided predictions of all rows as the only prediction; p itself where every run left c as it is.

    own: what each run was given. A copy of c would count as a step that was guided.
    """
    if p.uncond is None and all(made is given.cond for made, (given, _) in zip(guided, own, strict=True)):
        return p
    return replace(p, uncond=None, cond=cat(guided))
