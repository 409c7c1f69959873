"""What ComfyUI's objects mean here, and the runs and records that are made of them."""

from typing import TYPE_CHECKING

from ..guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import (
        adapter,
        blog_sampler,
        chain_evaluation,
        choices,
        classifier_training,
        figure_files,
        guided_run,
        jobs,
        judging,
        knowledge,
        measuring,
        model_curves,
        model_marks,
        native_model,
        node_types,
        page_file,
        panel_record,
        pixel_vae,
        recording,
        routes,
        run_facts,
        run_recorder,
        run_store,
        sampling,
        saving,
        steering,
        sweep_axes,
        sweep_conditions,
        sweep_grid,
        sweeping,
        tap_places,
        trace_pictures,
    )
else:
    __getattr__ = modules_on_demand(__name__)
