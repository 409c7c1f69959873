"""A guided run inside the host: the chain, its gradients, and the memory they take."""

from typing import TYPE_CHECKING

from ...guidance.on_demand import modules_on_demand

if TYPE_CHECKING:
    from . import (
        autograd,
        blog_sampler,
        chain_evaluation,
        classifier_training,
        dry_run,
        guided_run,
        memory_plan,
        steering,
    )
else:
    __getattr__ = modules_on_demand(__name__)
