"""What ComfyUI's objects mean here, and the runs and records that are made of them."""

from typing import TYPE_CHECKING

from ..guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import editor, models, recording, sampling, sweeps
else:
    __getattr__ = modules_on_demand(__name__)
