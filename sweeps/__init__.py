"""Runs at many settings, and what comes of them."""

from typing import TYPE_CHECKING

from ..guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import axes, rules
else:
    __getattr__ = modules_on_demand(__name__)
