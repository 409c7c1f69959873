"""Networks that say what a picture shows: read, asked, trained."""

from typing import TYPE_CHECKING

from ...guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import exact, reading, training, wired
else:
    __getattr__ = modules_on_demand(__name__)
