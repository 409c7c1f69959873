"""Sampling objects: which noise levels a MODEL knows, and how its network's output becomes x0-hat inside the host.

Each is a schedule class (the levels) joined with a conversion class (the parametrisation). The host's own are used
where they say the same as `denoisers.conversion`; the others go through that table.
"""

from __future__ import annotations

from types import SimpleNamespace

import comfy.model_sampling as host
import torch
from torch import Tensor

from ...models.denoisers.conversion import ends_without_signal, network_input, to_x0
from ...models.denoisers.schedules import index_of, table
from ...models.denoisers.spec import ChosenSpec

Sampling = host.ModelSamplingDiscrete | host.ModelSamplingContinuousEDM | host.ModelSamplingDiscreteFlow
HOST_CONVERSIONS = {
    ("vp_linear", "epsilon"): host.EPS,
    ("vp_linear", "v"): host.V_PREDICTION,
    ("vp_linear", "x0"): host.X0,
    ("vp_cosine", "epsilon"): host.EPS,
    ("vp_cosine", "v"): host.V_PREDICTION,
    ("vp_cosine", "x0"): host.X0,
    ("edm", "epsilon"): host.EPS,
    ("edm", "x0"): host.X0,
    ("edm", "edm"): host.EDM,
    ("flow", "flow"): host.CONST,
}


class IndexedLevels(host.ModelSamplingDiscrete):
    """A table of VE levels; a level between two entries keeps its place between them, nothing is rounded."""

    sigmas: Tensor
    log_sigmas: Tensor

    def timestep(self, sigma: Tensor) -> Tensor:
        return index_of(self.log_sigmas, sigma)

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0.0:
            return 999999999.9  # the host's word for "from the very start"
        if percent >= 1.0:
            return 0.0
        return self.sigma(torch.tensor((1.0 - percent) * (len(self.sigmas) - 1))).item()


class ByTable:
    """Conversion for the pairs the host has no class for.  Needs the attribute `spec`."""

    spec: ChosenSpec

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        spec = self.spec
        return network_input(spec.parametrisation, spec.schedule, noise, sigma, spec.sigma_data)

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        spec = self.spec
        return to_x0(spec.parametrisation, spec.schedule, model_output, model_input, sigma, spec.sigma_data)


class ExactVE(host.ModelSamplingContinuousEDM, host.X0):
    """For a network that wants x and sigma as they are and answers x0-hat, in VE coordinates."""

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma

    def sigma(self, timestep: Tensor) -> Tensor:
        return timestep

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        return noise


class ExactFlow(host.ModelSamplingDiscreteFlow, host.CONST):
    """For a network that wants x and sigma as they are and answers x0-hat, in flow coordinates."""

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma

    def sigma(self, timestep: Tensor) -> Tensor:
        return timestep

    def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
        return model_output


def denoiser_levels(spec: ChosenSpec) -> Sampling:
    """The sampling object of a denoiser."""
    by_table = (ByTable, host.CONST if spec.schedule == "flow" else host.EPS)
    of_host = HOST_CONVERSIONS.get((spec.schedule, spec.parametrisation))
    levels = {"edm": host.ModelSamplingContinuousEDM, "flow": host.ModelSamplingDiscreteFlow}
    conversion = by_table if of_host is None else (of_host,)
    joined = type("NoiseLevels", (levels.get(spec.schedule, IndexedLevels), *conversion), {})
    edm = {"sigma_min": spec.levels.sigma_min, "sigma_max": spec.levels.sigma_max, "sigma_data": spec.sigma_data}
    flow = {"shift": 1.0, "multiplier": spec.levels.timesteps}  # what a network that is told an index knows as s = 1
    sampling = joined(SimpleNamespace(sampling_settings=edm if spec.schedule == "edm" else flow))
    sampling.spec = spec
    if spec.schedule in ("vp_linear", "vp_cosine"):
        sampling.set_sigmas(table(spec.schedule, spec.levels))
    if ends_without_signal(spec.parametrisation, spec.schedule):
        sampling.register_buffer("sigmas", sampling.sigmas[:-1].clone())
    return sampling


def exact_levels(kind: str) -> Sampling:
    """The sampling object of an exact mixture.  kind: ve (0.002 .. 80) or flow (0 .. 1)"""
    if kind == "flow":
        return ExactFlow(SimpleNamespace(sampling_settings={"shift": 1.0, "multiplier": 1.0}))
    return ExactVE(SimpleNamespace(sampling_settings={"sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 1.0}))
