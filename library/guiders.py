"""Watching a diffusers pipeline through its guider: nothing of it is changed, and no diffusers is imported."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..guidance.predictions import denoised_from
from ..trace.recorder import Evaluation
from .recording import Recording, run_of
from .traces import Trace

KINDS = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0", "flow_prediction": "flow"}


class Coordinates:
    """The noise levels of a diffusers scheduler, and its latents as x = x0 + sigma eps, or as they are on flow."""

    def __init__(self, scheduler: Any):
        self.flow = "FlowMatch" in type(scheduler).__name__
        self.scaled = not self.flow and float(scheduler.init_noise_sigma) == 1  # such latents have unit variance
        self.kind = KINDS[scheduler.config.get("prediction_type", "flow_prediction" if self.flow else "epsilon")]
        self.sigmas = [float(sigma) for sigma in self._sigmas(scheduler)]

    @staticmethod
    def _sigmas(scheduler: Any) -> list[Any]:
        if hasattr(scheduler, "sigmas"):
            return list(scheduler.sigmas[getattr(scheduler, "begin_index", None) or 0 :])
        kept = [*scheduler.alphas_cumprod[scheduler.timesteps], getattr(scheduler, "final_alpha_cumprod", 1.0)]
        return [math.sqrt((1 - float(signal)) / float(signal)) for signal in kept]

    def state(self, latents: Tensor, step: int) -> Tensor:
        """The latents at the beginning of a step."""
        return latents.float() * (math.sqrt(1 + self.sigmas[step] ** 2) if self.scaled else 1.0)

    def clean(self, output: Tensor, x: Tensor, step: int) -> Tensor:
        """x0-hat from what the network put out."""
        sigma = self.sigmas[step]
        return denoised_from(self.kind, output.float(), x, sigma, 1 - sigma if self.flow else 1.0)


class GuiderWatch:
    """The record of one run of a pipeline.  trace: set when the run has ended."""

    trace: Trace

    def __init__(self, guider: Any, scheduler: Any, facts: Mapping[str, Any]):
        self.guider, self.scheduler, self.facts = guider, scheduler, facts
        self.predictions: dict[str, Tensor] = {}
        self.at: Coordinates | None = None
        self.recording: Recording | None = None
        self.latents, self.steps = torch.empty(0), 0

    def guided(self, forward: Callable) -> Callable:
        """The guider's `forward`, whose predictions are noted."""

        @functools.wraps(forward)
        def noted(**predictions: Tensor) -> Any:
            self.predictions = predictions
            return forward(**predictions)

        return noted

    def stepped(self, step: Callable) -> Callable:
        """The scheduler's `step`, whose state is noted."""

        @functools.wraps(step)
        def noted(model_output: Tensor, timestep: Any, sample: Tensor, *rest: Any, **named: Any) -> Any:
            self._observe(model_output, sample)
            found = step(model_output, timestep, sample, *rest, **named)
            self.latents, self.steps = found[0], self.steps + 1
            return found

        return noted

    def _observe(self, output: Tensor, latents: Tensor) -> None:
        if self.at is None or self.recording is None:
            self.at = Coordinates(self.scheduler)
            space = "flow" if self.at.flow else "ve"
            self.recording = Recording(run_of(self.at.sigmas, space), None, "pictures", {**self._told(), **self.facts})
        x = self.at.state(latents, self.steps)
        made = {name: self.at.clean(one, x, self.steps) for name, one in self.predictions.items()}
        cond, uncond = made["pred_cond"], made.get("pred_uncond")
        gamma = 1.0 if uncond is None else self._gamma
        seen = Evaluation(self.at.clean(output, x, self.steps), uncond, cond, gamma, len(made))
        self.recording.observe(x, self.at.sigmas[self.steps], seen)

    @property
    def _gamma(self) -> float:
        """The scale at which 1 is c: the original formulation counts from c."""
        scale = float(getattr(self.guider, "guidance_scale", math.nan))
        return scale + bool(getattr(self.guider, "use_original_formulation", False))

    def _told(self) -> dict[str, Any]:
        names = {"chain": type(self.guider).__name__, "sampler": type(self.scheduler).__name__}
        return names | {"cfg": self._gamma, "split": "noise counts as part of the move"}

    def finish(self) -> None:
        """Take the trace of a run that took all its steps."""
        if self.at is None or self.recording is None:
            raise ValueError("The pipeline took no step with this guider and scheduler. Watch the ones that it uses.")
        self.trace = self.recording.finish(self.at.state(self.latents, self.steps))


@contextmanager
def watch_guider(guider: Any, scheduler: Any, **facts: Any) -> Iterator[GuiderWatch]:
    """Watch one run of a diffusers pipeline with this guider and this scheduler; its `trace` is there afterwards.

    Both are as they were when it has ended. A scheduler's noise counts as part of the move. facts: of the trace's
    header. Raises ValueError where the pipeline took no step.
    """
    watch = GuiderWatch(guider, scheduler, facts)
    guider.forward, scheduler.step = watch.guided(guider.forward), watch.stepped(scheduler.step)
    try:
        yield watch
    finally:
        del guider.forward, scheduler.step
    watch.finish()
