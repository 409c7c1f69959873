"""The record of a run: made, kept, read."""

from typing import TYPE_CHECKING

from ..guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import checks, faults, file, portable
else:
    __getattr__ = modules_on_demand(__name__)

CAPTURES = {"numbers": 0, "pictures": 24, "tensors": 1 << 30}  # steps at most; each mode adds to the one before
MOST_PARTS = 16
