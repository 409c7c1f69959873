"""A denoiser as the host's MODEL, and what the host's objects mean in the terms of this pack."""

from typing import TYPE_CHECKING

from ...guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import (
        adapter,
        model_folders,
        model_marks,
        native_model,
        noise_levels,
        pictures,
        pixel_vae,
        published,
        trace_pictures,
    )
else:
    __getattr__ = modules_on_demand(__name__)
