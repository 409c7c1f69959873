"""Files, read with care and written whole."""

from typing import TYPE_CHECKING

from ..guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import claims, writing
else:
    __getattr__ = modules_on_demand(__name__)
