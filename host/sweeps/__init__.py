"""Many runs of one MODEL inside one node."""

from typing import TYPE_CHECKING

from ...guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import axes, conditions, grid, results, runs
else:
    __getattr__ = modules_on_demand(__name__)
