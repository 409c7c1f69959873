"""What the host evaluated for every model call of a sampler, copied before any rule may edit it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..guidance.parts import Packed
from ..trace.recorder import Evaluation, Pass
from . import adapter
from .foreign_guiders import proven_passes, settled
from .host_run import HostRun
from .other_model import FURTHER
from .passes import Asked, is_copy, names_inside, pass_name


@dataclass
class Predicted:
    """The predictions of one model call so far.

    uncond, cond: [B, ...], None where not evaluated. unnamed: predictions [B, ...] of which nobody says whether they
    are u or c. gammas: the scale in force of each part of the sample, nan where nobody states it. nfe: function
    evaluations. passes: what else was evaluated, by name. asked: what the network was asked for u and c, by name.
    """

    uncond: Tensor | None = None
    cond: Tensor | None = None
    unnamed: list[Tensor] = field(default_factory=list)
    gammas: tuple[float, ...] = ()
    nfe: int = 0
    passes: dict[str, Pass] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)

    def take(self, role: str, prediction: Tensor, asked: Asked) -> None:
        """Note u or c; a further pass if it is there already."""
        known = getattr(self, role)
        if known is None:
            setattr(self, role, prediction.detach().clone())
            self.asked[role] = asked
            return
        name, comparable = pass_name(self.asked[role], asked), asked.at_the_place_of(self.asked[role])
        if not comparable:  # of another x, such as one that was blurred, or a tile: it is counted, and says no more
            before = self.passes.get(name)
            self.passes[name] = Pass(torch.full_like(known, torch.nan), 1 + (before.nfe if before else 0))
            return
        again = sum(one.partition(" (")[0] == name for one in self.passes)
        self.passes[f"{name} ({again + 1})" if again else name] = Pass(known - prediction.detach(), 1)

    def split(self, packed: Packed) -> list[Predicted]:
        """Of each part of a sample by itself."""
        named = {"uncond": self.uncond, "cond": self.cond}
        pairs = packed.split_table({name: v for name, v in named.items() if v is not None})
        differences = packed.split_table({name: one.difference for name, one in self.passes.items()})
        unnamed = packed.split_table({str(i): v for i, v in enumerate(self.unnamed)})
        return [
            replace(
                self,
                uncond=pairs[i].get("uncond"),
                cond=pairs[i].get("cond"),
                unnamed=list(unnamed[i].values()),
                gammas=self.gammas[i : i + 1] or (math.nan,),
                passes={name: replace(self.passes[name], difference=d) for name, d in differences[i].items()},
            )
            for i in range(len(packed.names))
        ]


class Evaluations:
    """The model calls of one run.

    current: what is evaluated for the call in progress; an evaluation outside the sampler's calls belongs to no step.
    evaluated: whether the network was asked at all so far. inside: how many of its evaluations had a guidance patched
    into the network, by name. objects: what stands in the place of the network's own parts.
    """

    def __init__(self, run: HostRun):
        self.run = run
        self.inside: Counter[str] = Counter()
        self.objects = tuple(getattr(run.patcher, "object_patches", {}).values())
        self.current: Predicted | None = None
        self.evaluated = False

    def begin(self) -> Predicted:
        """Note a call of the model before it is made."""
        self.current = Predicted()
        return self.current

    def end(self) -> None:
        """Note that the call has come to an end, also when it failed."""
        self.current = None

    def add(self, predictions: list[Tensor], conds: list, x: Tensor, sigma: Tensor, model_options: Mapping) -> None:
        """Note what the host evaluated in one batch."""
        found = self.current
        if found is None:
            return
        active = [adapter.is_active(cond, float(sigma.flatten()[0])) for cond in conds]
        found.nfe += sum(active)
        found.gammas = self._scales()
        if model_options.get(FURTHER):
            return
        roles = self._roles(conds)
        options = model_options.get("transformer_options", {})
        for role, position in roles.items():
            if active[position]:
                if getattr(found, role) is None:
                    self.inside.update(names_inside(options, self.objects))
                found.take(role, predictions[position], Asked(x, conds[position], options))
        unnamed = set(range(len(conds))) - set(roles.values())
        found.unnamed += [predictions[i].detach().clone() for i in unnamed if self.run.foreign and active[i]]

    def completed(self, found: Predicted, denoised: Tensor) -> Evaluation:
        """The whole of a call, once its D is known."""
        packed, asked = self.run.packed, self.run.chain_run.gradients.latest if self.run.chain_run else ()
        if self.run.chain_run and found.uncond is None:
            found = replace(found, uncond=self.run.chain_run.in_place_of_u)
        parts = zip(found.split(packed), packed.split(denoised.clone()), strict=True)
        seen = [self._settled(own, guided) for own, guided in parts]
        if len(seen) > 1:
            return replace(seen[0], denoised=packed.joined([one.denoised for one in seen]), parts=tuple(seen))
        return replace(
            seen[0],
            gradients={a.name: a.shift for a in asked if a.shift is not None},
            log_probs={a.name: a.log_prob for a in asked},
            weights={a.name: a.weight for a in asked if a.weight is not None},
        )

    def _settled(self, found: Predicted, denoised: Tensor) -> Evaluation:
        """The same of one part, with the scales that its numbers prove."""
        uncond, cond, (gamma,) = found.uncond, found.cond, found.gammas
        if self.run.foreign:
            further = [one.difference for one in found.passes.values()]
            uncond, cond, gamma = settled(denoised, uncond, cond, found.unnamed, further)
        passes = proven_passes(denoised, uncond, cond, gamma, found.passes)
        return Evaluation(denoised, uncond, cond, gamma, found.nfe, self._stage(found.nfe, uncond), passes=passes)

    def _stage(self, nfe: int, uncond: Tensor | None) -> str:
        """What was left out of a call, empty if u and c tell it.  skip: another pack handed out a stored prediction."""
        self.evaluated = self.evaluated or nfe > 0
        if self.evaluated and nfe == 0:
            return "skip"
        return self.run.chain_run.stage if self.run.chain_run and uncond is None else ""

    def _scales(self) -> tuple[float, ...]:
        """The scale in force of each part, as far as somebody states it."""
        if self.run.chain_run:
            return tuple(map(float, self.run.chain_run.gammas))
        # a node may set it for this evaluation alone, so it is read in each
        stated = math.nan if self.run.foreign else float(self.run.guider.cfg)
        return (stated,) * len(self.run.packed.names)

    def _roles(self, conds: list) -> dict[str, int]:
        """Which of the evaluated conditions are u and c: the guider's own or copies, else the host's order [c, u]."""
        known = getattr(self.run.guider, "conds", {})
        own = (("cond", known.get("positive")), ("uncond", known.get("negative")))
        found = {role: i for i, c in enumerate(conds) for role, cond in own if is_copy(c, cond)}
        if found or (self.run.foreign and len(conds) != 2):
            return found
        return dict(zip(("cond", "uncond"), range(len(conds)), strict=False))
