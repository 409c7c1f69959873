"""Denoisers as functions: exact ones, and networks from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..denoisers.conversion import denoised, network_input
from ..denoisers.reading import read_denoiser
from ..denoisers.schedules import index_of, network_time, table
from ..denoisers.spec import ChosenSpec, chosen
from ..guidance.mixture import GaussianMixture

ASSETS = Path(__file__).parents[1] / "assets" / "denoisers"


class ExactDenoiser:
    """The exact denoiser of a mixture, as a function: E[x0 | x, label]; label None is unconditional.

    flow: x = (1 - sigma) x0 + sigma eps instead of x0 + sigma eps.
    """

    def __init__(self, mixture: GaussianMixture, flow: bool = False):
        self.mixture, self.flow = mixture, flow
        self.facts = {
            "space": "flow" if flow else "ve",
            "model": {"name": "exact mixture"},
            "sigma_data": mixture.rms,
        }

    def __call__(self, x: Tensor, sigma: float, label: Any = None) -> Tensor:  # x [B, ...] -> [B, ...]
        """The posterior mean."""
        return self.mixture.denoised(x, sigma, 1 - sigma if self.flow else 1.0, label)


class NetworkDenoiser:
    """A network from a file, as a function.  labels: names of its classes. shape: of one native sample.

    A condition is a name or number of a label, a list of one for each sample, or None for no label.
    """

    def __init__(self, spec: ChosenSpec, network: nn.Module):
        self.spec, self.network, self.labels, self.shape = spec, network.eval(), spec.labels, spec.shape
        self.facts = {
            "space": "flow" if spec.schedule == "flow" else "ve",
            "model": {"name": spec.name, "sha256": spec.sha256},
            "sigma_data": spec.sigma_data,
        }
        self.table = table(spec.schedule, spec.levels).log()

    @torch.no_grad()
    def __call__(self, x: Tensor, sigma: float, condition: Any = None) -> Tensor:  # x [B, ...] -> [B, ...]
        """x0-hat."""
        spec, at = self.spec, x.new_full((len(x),), sigma)
        how = (spec.parametrisation, spec.schedule)
        y = torch.tensor([self._label(one) for one in self._each(condition, len(x))], device=x.device)
        output = self.network(network_input(*how, x, at, spec.sigma_data), self._time(at), y)
        return denoised(*how, output, x, at, spec.sigma_data)

    def _time(self, sigma: Tensor) -> Tensor:
        spec = self.spec
        if spec.time != "index":
            return network_time(spec.time, spec.schedule, sigma)
        return (
            sigma * spec.levels.timesteps if spec.schedule == "flow" else index_of(self.table, sigma).round().to(sigma)
        )

    @staticmethod
    def _each(condition: Any, batch: int) -> Sequence[Any]:
        return condition if isinstance(condition, list | tuple) else [condition] * batch

    def _label(self, condition: Any) -> int:
        """The number of a label.  Raises ValueError for one that is unknown."""
        known = {**{name: i for i, name in enumerate(self.labels)}, **{i: i for i in range(len(self.labels))}}
        known[None] = len(self.labels)
        if condition not in known:
            raise ValueError(f"{self.spec.name} has no label {condition!r}. It has {', '.join(self.labels)}.")
        return known[condition]


def load_denoiser(path: str | Path = "pocket-1", device: str = "cpu") -> NetworkDenoiser:
    """A denoiser file or folder as ComfyUI's Load Denoiser reads it; pocket-1 is included.

    Raises FileNotFoundError, or ValueError for a file that is no denoiser or does not say how it was trained.
    """
    included = ASSETS / f"{path}.safetensors"
    file = read_denoiser(included if included.is_file() else path)
    spec = chosen(file.spec)
    network = spec.format.network(spec.sizes, len(spec.labels), operations=nn, device=device, dtype=torch.float32)
    network.load_state_dict(dict(file.weights))
    return NetworkDenoiser(spec, network)
