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


class Runner:
    """Where a chain stands in its run.

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
        self.run = replace(self.run, began=None if first else self.began)
        self.states = [state.inside(self.run.began) for state in self.states]

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
        if p.uncond is None and (stand_in := self.chain.in_place_of_u(p.extra)) is not None:
            self.in_place_of_u = stand_in.detach().clone()
        p = replace(p, known_level=self.sigma)
        parts = [p] if len(self.states) == 1 else self._split(p)
        guided, following = self._guide_parts(parts)
        if p.has_graph and self.run.began is None:  # a memory must not hold this step's graph
            _, following = self._guide_parts([part.detach() for part in parts])
        self.following = following
        whole = guided[0]
        if len(parts) > 1:
            untouched = all(d is part.cond for d, part in zip(guided, parts, strict=True))
            whole = p.cond if untouched else self.packing.join(guided)
        self.stage = "reuse" if p.uncond is None and whole is not p.cond else ""
        return whole

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
