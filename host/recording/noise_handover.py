"""Whose draws a sampler adds to its state, and whether they can be told from its move.

A sampler of the k-diffusion kind takes its draws from a `noise_sampler`. It is handed one that draws the same numbers
and marks them. Where it draws for itself nothing can be marked, and all of the move counts as step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from ...samplers.response import Response
from ..models.closed_code import is_hosts_own
from ..sampling.blog_sampler import BlogSampler
from ..sampling.dry_run import own_noise, takes_noise
from .host_run import HostRun

TOLD_APART = "move and noise separated by marking the noise"
UNSEEN = "noise not observable: {reason}; all of the move counts as step"


class NoiseHandOver:
    """The draws of one run.  split: a sentence for the trace on how move and noise are told apart."""

    def __init__(self):
        self.split = TOLD_APART

    def note_hidden(self, reason: str) -> None:
        """Note that nobody can see the noise."""
        self.split = UNSEEN.format(reason=reason)

    def draws(self, run: HostRun, response: Response, x: Tensor, sigmas: Tensor, options: Mapping) -> Callable | None:
        """What the sampler is to draw from: the user's, or what it would have made; None where nothing is handed over.

        options: the sampler's arguments in this call.
        """
        if len(sigmas) < 2:
            return None
        takes = takes_noise(run.function)
        draw = options.get("noise_sampler") if takes else None
        if takes and draw is None and is_hosts_own(run.function):
            draw = own_noise(run.function, x, sigmas, run.seed, run.patcher.get_model_object("model_sampling"))
        elif takes and draw is None:
            ours = isinstance(run.function, BlogSampler)
            draw = run.function.noise(x, run.seed) if ours else None  # else nobody can say what it would draw from
        if any(step.hidden or (step.draws and draw is None) for step in response.steps):
            self.note_hidden(f"{run.name} draws it for itself")
        elif draw is None and not response.steps and (takes or not is_hosts_own(run.function)):
            self.note_hidden(f"it is not known whether {run.name} draws any")
        return draw
