"""The classes of samplers within which one scale means the same: with or without fresh noise, and how many steps.

A record does not see the noise of every sampler: some draw for themselves. Such a run is of a class of its own, unless
its steps follow the guided prediction to rounding, which leaves no room for noise.
"""

from __future__ import annotations

import torch

from ..trace.recorder import RECUR
from ..trace.trace import Trace

FEW, MANY = 15, 35  # steps: below the first are few, above the second many
CLASSES = ("ode-few", "ode", "ode-many", "sde-few", "sde", "sde-many", "unseen-few", "unseen", "unseen-many")
HIDDEN = ("not observable", "counts as part of the move")  # words of header.split and header.notes


def class_of_sampler(noisy: bool | None, steps: int) -> str:
    """The key of a class.  noisy: None where nobody saw. steps: of the sampler, whatever each of them evaluates."""
    return ("unseen" if noisy is None else "sde" if noisy else "ode") + (
        "-few" if steps < FEW else "-many" if steps > MANY else ""
    )


def sampler_class(trace: Trace) -> str:
    """The key of the class of a run: whether any of its steps added noise, and how many there were."""
    return class_of_sampler(_noisy(trace), sum(stage != RECUR for stage in trace.stage))


def _noisy(trace: Trace) -> bool | None:
    """Whether a run added noise; None where it may have, unseen."""
    if bool((trace.record.dot("noise", "noise") > 0).any()):
        return True
    facts = (trace.header.get("split"), *(trace.header.get("notes") or ()))
    if not any(words in str(one) for one in facts for words in HIDDEN):
        return False
    own = torch.tensor([stage != RECUR for stage in trace.stage], dtype=torch.bool)
    return False if bool(trace.steps["kappa"][own].isfinite().all()) else None
