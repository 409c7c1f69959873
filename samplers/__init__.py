"""Steps of samplers, and what of a step can be measured."""

from typing import TYPE_CHECKING

from ..guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import loop
else:
    __getattr__ = modules_on_demand(__name__)

PAPERS = ("DPS", "FreeDoM", "TFG", "MPGD")  # whose units a gradient may be in
