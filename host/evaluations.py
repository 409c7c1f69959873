"""What the host evaluated for every model call of a sampler, copied before any rule may edit it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ..trace.recorder import Evaluation
from . import adapter
from .foreign_guiders import settled
from .host_run import HostRun
from .other_model import FURTHER


@dataclass
class Predicted:
    """The predictions of one model call so far.

    uncond, cond: [B, ...], None where not evaluated. unnamed: predictions [B, ...] of which nobody says whether they
    are u or c. gamma: the scale in force, nan where nobody states it. nfe: function evaluations.
    """

    uncond: Tensor | None = None
    cond: Tensor | None = None
    unnamed: list[Tensor] = field(default_factory=list)
    gamma: float = math.nan
    nfe: int = 0


class Evaluations:
    """The model calls of one run.

    current: what is evaluated for the call in progress; an evaluation outside the sampler's calls belongs to no step.
    evaluated: whether the network was asked at all so far.
    """

    def __init__(self, run: HostRun):
        self.run = run
        self.current: Predicted | None = None
        self.evaluated = False

    def begin(self) -> Predicted:
        """Note a call of the model before it is made."""
        self.current = Predicted()
        return self.current

    def end(self) -> None:
        """Note that the call has come to an end, also when it failed."""
        self.current = None

    def add(self, predictions: list[Tensor], conds: list, sigma: Tensor, model_options: Mapping) -> None:
        """Note what the host evaluated in one batch."""
        found = self.current
        if found is None:
            return
        active = [adapter.is_active(cond, float(sigma.flatten()[0])) for cond in conds]
        found.nfe += sum(active)
        found.gamma = self._scale()
        if model_options.get(FURTHER):
            return
        roles = self._roles(conds)
        for role, position in roles.items():
            if getattr(found, role) is None and active[position]:
                setattr(found, role, predictions[position].detach().clone())
        unnamed = set(range(len(conds))) - set(roles.values())
        found.unnamed += [predictions[i].detach().clone() for i in unnamed if self.run.foreign and active[i]]

    def completed(self, found: Predicted, denoised: Tensor) -> Evaluation:
        """The whole of a call, once its D is known."""
        uncond, cond, gamma = found.uncond, found.cond, found.gamma
        if self.run.foreign:
            uncond, cond, gamma = settled(denoised, uncond, cond, found.unnamed)
        asked = self.run.chain_run.gradients.latest if self.run.chain_run else ()
        return Evaluation(
            denoised=denoised.clone(),
            uncond=uncond,
            cond=cond,
            gamma=gamma,
            nfe=found.nfe,
            stage=self._stage(found.nfe, uncond),
            gradients={a.name: a.shift for a in asked if a.shift is not None},
            log_probs={a.name: a.log_prob for a in asked},
        )

    def _stage(self, nfe: int, uncond: Tensor | None) -> str:
        """What was left out of a call, empty if u and c tell it.  skip: another pack handed out a stored prediction."""
        self.evaluated = self.evaluated or nfe > 0
        if self.evaluated and nfe == 0:
            return "skip"
        return self.run.chain_run.stage if self.run.chain_run and uncond is None else ""

    def _scale(self) -> float:
        """The scale in force, as far as somebody states it."""
        if self.run.chain_run:
            return float(self.run.chain_run.gamma)
        # a node may set it for this evaluation alone, so it is read in each
        return math.nan if self.run.foreign else float(self.run.guider.cfg)

    def _roles(self, conds: list) -> dict[str, int]:
        """Which of the evaluated conditions are u and c: the guider's own by identity, else the host's order [c, u]."""
        known = getattr(self.run.guider, "conds", {})
        own = (("cond", known.get("positive")), ("uncond", known.get("negative")))
        found = {role: i for i, c in enumerate(conds) if c is not None for role, cond in own if c is cond}
        if found or (self.run.foreign and len(conds) != 2):
            return found
        return dict(zip(("cond", "uncond"), range(len(conds)), strict=False))
