"""A run of the host watched from outside: its evaluations, its facts, and what its model says of its pictures."""

from typing import TYPE_CHECKING

from ...guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import (
        evaluations,
        host_run,
        judging,
        measuring,
        noise_handover,
        passes,
        run_facts,
        run_recorder,
        sampler_nodes,
        watch,
        weight_patches,
    )
else:
    __getattr__ = modules_on_demand(__name__)
