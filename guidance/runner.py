"""A chain at work in one run, evaluation by evaluation: which predictions it needs, and what it makes of them.

Whoever evaluates, a host or a function, does so between `needs` and `guide`.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from .parts import PartedChain
from .predictions import Predictions
from .run import Run


class Runner:
    """Where a chain stands in its run.

    run: with the place of the latest evaluation. sigma: noise level there. state: of the chain when the outer step
    began; following: when the next one begins. gammas: the scale in force, of each part of the sample. stage: reuse
    where D is neither c nor made of c and u, else empty. in_place_of_u: the prediction [B, ...] that guided in the
    place of u, where u was not evaluated.

    An evaluation may be made again, as after an attempt that failed: each time it starts from `state`.
    """

    def __init__(self, chain: PartedChain, run: Run):
        self.chain, self.run, self.sigma = chain, run, run.sigmas[0]
        self.state = self.following = chain.init(run)
        self.gammas, self.stage = (1.0,), ""
        self.in_place_of_u: Tensor | None = None

    @property
    def outer(self) -> float:
        """Noise level at which the outer step began."""
        return self.sigma if self.run.began is None else self.run.began

    def begin(self, sigma: float, first: bool) -> None:
        """Go to the next evaluation.  first: it begins an outer step; else it is a further stage of the same step."""
        self.run = replace(self.run, began=None if first else self.outer)
        self.state = self.following if first else self.state
        self.sigma = sigma

    def needs(self, cfg: float) -> frozenset[str]:
        """Predictions to evaluate here, by the names of `Chain.needs`.  cfg: the sampler's scale."""
        self.in_place_of_u, self.stage = None, ""
        self.gammas = self.chain.scales(self.state.inside(self.run.began), self.sigma, cfg)
        return self.chain.needs(self.state, self.outer, self.gammas)

    def guide(self, p: Predictions) -> Tensor:  # -> [B, ...]
        """D, without gradients of energies."""
        if p.uncond is None and (found := self.chain.chain.in_place_of_u(p.extra)) is not None:
            self.in_place_of_u = found.detach().clone()
        guided = self._further_stage(p) if self.run.began is not None else self._first(p)
        self.stage = "reuse" if p.uncond is None and guided is not p.cond else ""
        return guided

    def _further_stage(self, p: Predictions) -> Tensor:
        return self.chain.stage(self.state, self.following, p, self.gammas)

    def _first(self, p: Predictions) -> Tensor:
        """The first evaluation of an outer step, whose state counts."""
        guided, self.following = self.chain.step(self.state, p, self.gammas)
        if p.tracked:  # a memory must not hold this step's graph
            _, self.following = self.chain.step(self.state, p.detached(), self.gammas)
        return guided
