"""What a run says of its scale."""

from typing import TYPE_CHECKING

from ..guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import case, picks, report
else:
    __getattr__ = modules_on_demand(__name__)
