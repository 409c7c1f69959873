"""The classes of samplers within which one scale means the same: with or without fresh noise, and how many steps."""

from __future__ import annotations

from .recorder import RECUR
from .trace import Trace

FEW, MANY = 15, 35  # steps: below the first are few, above the second many
CLASSES = {
    "ode-few": "a deterministic sampler with fewer than 15 steps",
    "ode": "a deterministic sampler with 15 to 35 steps",
    "ode-many": "a deterministic sampler with more than 35 steps",
    "sde-few": "a sampler that adds noise, with fewer than 15 steps",
    "sde": "a sampler that adds noise, with 15 to 35 steps",
    "sde-many": "a sampler that adds noise, with more than 35 steps",
}


def class_of_sampler(noisy: bool, steps: int) -> str:
    """The key of a class.  steps: of the sampler, whatever each of them evaluates."""
    return ("sde" if noisy else "ode") + ("-few" if steps < FEW else "-many" if steps > MANY else "")


def sampler_class(trace: Trace) -> str:
    """The key of the class of a run: whether any of its steps added noise, and how many there were."""
    noise = trace.record.dot("noise", "noise")
    return class_of_sampler(bool((noise > 0).any()), sum(stage != RECUR for stage in trace.stage))
