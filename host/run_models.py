"""Everything that the predictions of one run go through: the sampled MODEL, further MODELs, ControlNets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from .other_model import OtherModel


@dataclass(frozen=True)
class RunModels:
    """The models of one run.  guider: with the sampled MODEL and its conditions. others: a chain's further MODELs."""

    guider: Any
    others: tuple[OtherModel, ...] = ()

    def controls(self) -> list:
        """The host's ControlNets at work in the run: those of every condition, and those that each goes on to."""
        found = []
        for conds in (self.guider.conds, *(other.conds for other in self.others)):
            for entry in (entry for entries in conds.values() for entry in entries or []):
                control = entry.get("control")
                while control is not None and control not in found:
                    found.append(control)
                    control = control.previous_controlnet
        return found

    def models(self) -> list[Any]:
        """The sampled model first, then further ones."""
        return [self.guider.inner_model, *(other.patcher.model for other in self.others)]

    def denoisers(self) -> list[nn.Module]:
        """The networks inside them."""
        return [*dict.fromkeys(model.diffusion_model for model in self.models())]

    def networks(self) -> list[nn.Module]:
        """Models and ControlNets."""
        return [*self.models(), *self.control_networks()]

    def control_networks(self) -> list[nn.Module]:
        """Those of the ControlNets."""
        parts = (part for control in self.controls() for part in vars(control).values())
        return [*dict.fromkeys(part for part in parts if isinstance(part, nn.Module))]

    def patchers(self) -> list:
        """The host's keepers of their weights."""
        own = [self.guider.model_patcher, *(other.patcher for other in self.others)]
        return [*own, *(getattr(control, "control_model_wrapped", None) for control in self.controls())]
