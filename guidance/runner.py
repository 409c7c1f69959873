"""A chain at work in one run, evaluation by evaluation: which predictions it needs, and what it makes of them.

Whoever evaluates, a host or a function, does so between `needs` and `guide`. A chain acts on each part of a sample by
itself: with its own gamma, its own memory, its own lengths.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from .chain import Chain, ChainState
from .parts import WHOLE, Packed
from .predictions import Predictions
from .run import Run

Guided = list[tuple[Tensor, ChainState]]  # of each part, and the state that it leaves


class Runner:
    """Where a chain stands in its run.

    packing: the parts of a sample. run: with the place of the latest evaluation. sigma: noise level there. states: of
    the chain when the outer step began; following: when the next one begins. gammas: the scale in force. stage: reuse
    where D is neither c nor made of c and u, else empty. in_place_of_u: the prediction [B, ...] that guided in the
    place of u, where u was not evaluated. States and scales are those of each part.

    An evaluation may be made again, as after an attempt that failed: each time it starts from `states`.
    Raises ValueError when a rule does not fit the run.
    """

    def __init__(self, chain: Chain, run: Run, packing: Packed = WHOLE):
        self.chain, self.packing, self.run, self.sigma = chain, packing, run, run.sigmas[0]
        self.states = self.following = [chain.init(replace(run, part=i)) for i in range(len(packing.names))]
        self.gammas, self.stage = (1.0,), ""
        self.in_place_of_u: Tensor | None = None

    @property
    def outer(self) -> float:
        """Noise level at which the outer step began."""
        return self.sigma if self.run.began is None else self.run.began

    def begin(self, sigma: float, first: bool) -> None:
        """Go to the next evaluation.  first: it begins an outer step; else it is a further stage of the same step."""
        self.run = replace(self.run, began=None if first else self.outer)
        self.states = self.following if first else self.states
        self.sigma = sigma

    def needs(self, cfg: float) -> frozenset[str]:
        """Predictions to evaluate here, by the names of `Chain.needs`: whatever a part needs.  cfg: of the sampler."""
        self.in_place_of_u, self.stage = None, ""
        here = [state.inside(self.run.began) for state in self.states]
        self.gammas = tuple(self.chain.scale(state, self.sigma, cfg) for state in here)
        pairs = zip(self.states, self.gammas, strict=True)
        return frozenset().union(*(self.chain.needs(state, self.outer, gamma) for state, gamma in pairs))

    def guide(self, p: Predictions) -> Tensor:  # -> [B, ...]
        """D, without gradients of energies; the conditional prediction itself where every part is that."""
        if p.uncond is None and (stand_in := self.chain.in_place_of_u(p.extra)) is not None:
            self.in_place_of_u = stand_in.detach().clone()
        parts = self._parts(replace(p, known_level=self.sigma))
        guided = self._guide_parts(parts)
        if self.run.began is None:  # the first evaluation of an outer step, whose state counts
            # a memory must not hold this step's graph
            lasting = self._guide_parts([part.detach() for part in parts]) if p.has_graph else guided
            self.following = [state for _, state in lasting]
        untouched = all(one is part.cond for (one, _), part in zip(guided, parts, strict=True))
        whole = p.cond if untouched else self.packing.join([one for one, _ in guided])
        self.stage = "reuse" if p.uncond is None and whole is not p.cond else ""
        return whole

    def _guide_parts(self, parts: list[Predictions]) -> Guided:
        at = zip(self.states, self.following, parts, self.gammas, strict=True)
        if self.run.began is None:
            return [self.chain.step(state, p, gamma) for state, _, p, gamma in at]
        return [(self.chain.stage(state, then, p, gamma), then) for state, then, p, gamma in at]

    def _parts(self, p: Predictions) -> list[Predictions]:
        pair = {"cond": p.cond} | ({} if p.uncond is None else {"uncond": p.uncond})
        tables, extras = (self.packing.split_table(table) for table in ({"x": p.x, **pair}, p.extra))
        return [replace(p, **own, extra=extra) for own, extra in zip(tables, extras, strict=True)]
