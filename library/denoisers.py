"""Denoisers as functions: exact ones, and networks from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..files.included import included_weights
from ..guidance.labels import NO_LABEL, UNTRAINED, label_numbers
from ..guidance.mixture import ANY, GaussianMixture
from ..guidance.vectors import where_float64_is
from ..models.denoisers.conversion import network_input, to_x0
from ..models.denoisers.reading import read_denoiser
from ..models.denoisers.schedules import index_of, network_time, table
from ..models.denoisers.spec import ChosenSpec, choose_spec, label_vectors

WITHOUT = (
    "Set gamma to 1, give uncond a label, or guide with a weaker network: "
    "rule=gg.Autoguidance(gg.Source('cond', weaker))."
)


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
        names = tuple(map(str, range(self.mixture.classes)))
        labels = torch.tensor(one_each(label_numbers(label, names, ANY), len(x)), device=x.device)
        return self.mixture.denoised(x, sigma, 1 - sigma if self.flow else 1.0, labels)


class NetworkDenoiser:
    """A network from a file, as a function.  labels: names of its classes. shape: of one native sample.

    A condition is a name or number of a label, or None for no label; for all samples, or a list or array of one for
    each; or embeddings of labels [B, emb], as `label_vectors` gives them. Raises ValueError for what is no label, and
    for None where the network was never trained without one.
    decoder: of latents whose VAE lies in the file, to pictures [B, 3, H, W] in -1 .. 1, which a gradient can pass;
    decode: the same as [B, H, W, 3] in 0 .. 1, for figures; both are None for others.
    """

    def __init__(self, spec: ChosenSpec, network: nn.Module, vae: nn.Module | None = None):
        self.vae: Any = vae and vae.eval().requires_grad_(False)
        self.decoder, self.decode = (self._picture, self._image) if vae else (None, None)
        self.spec, self.network, self.labels, self.shape = (
            spec,
            network.eval().requires_grad_(False),
            spec.labels,
            spec.shape,
        )
        self.facts = {
            "space": "flow" if spec.schedule == "flow" else "ve",
            "model": {"name": spec.name, "hash": spec.sha256},
            "sigma_data": spec.sigma_data,
        }
        self.table = table(spec.schedule, spec.levels).log()

    def __call__(self, x: Tensor, sigma: float, condition: Any = None) -> Tensor:  # x [B, ...] -> [B, ...]
        """x0-hat, where x is and in its dtype, wherever the network is."""
        seen = x.to(next(self.network.parameters()))
        spec, at = self.spec, seen.new_full((len(x),), sigma)
        how = (spec.parametrisation, spec.schedule)
        vectors = condition if isinstance(condition, Tensor) and condition.is_floating_point() else None
        y = self._label_numbers(condition, x) if vectors is None else vectors.to(seen)
        output = self.network(network_input(*how, seen, at, spec.sigma_data), self._time(at), y)
        return to_x0(*how, output, seen, at, spec.sigma_data).to(x)

    def label_vectors(self, condition: Any, x: Tensor) -> Tensor | None:  # x [B, ...] -> [B, emb]
        """Embeddings of the labels of a condition, which may stand in its place; None for a network without labels."""
        return label_vectors(self.network, self._label_numbers(condition, x)) if self.labels else None

    def _label_numbers(self, condition: Any, x: Tensor) -> Tensor:  # x [B, ...] -> [B]
        device = next(self.network.parameters()).device
        return torch.tensor(self._labels(condition, len(x)), device=device)

    def _picture(self, x0: Tensor) -> Tensor:  # [B, C, h, w] -> [B, 3, H, W]
        space, vae = self.spec.latents, self.vae
        latent = x0.to(next(vae.parameters()))
        scale, shift = (latent.new_tensor(numbers)[:, None, None] for numbers in (space.scale, space.shift))
        return space.to_picture(vae.decode(latent / scale + shift)).to(x0)

    @torch.no_grad()
    def _image(self, x0: Tensor) -> Tensor:  # [B, C, h, w] -> [B, H, W, 3]
        return (self._picture(x0) / 2 + 0.5).clamp(0, 1).movedim(1, -1)

    def _time(self, sigma: Tensor) -> Tensor:
        spec = self.spec
        if spec.time != "index":
            return network_time(spec.time, spec.schedule, sigma)
        if spec.schedule == "flow":
            return sigma * spec.levels.timesteps
        return index_of(self.table, where_float64_is(sigma)).round().to(sigma)

    def _labels(self, condition: Any, batch: int) -> list[int]:
        """One label for each sample.  Raises ValueError for what is none, and where one is needed and absent."""
        numbers = label_numbers(condition, self.labels, self.spec.null_index)
        if self.spec.null_index is None and NO_LABEL in numbers:
            raise ValueError(f"{UNTRAINED.format(self.spec.name)}. {WITHOUT}")
        return one_each(numbers, batch)


def one_each(labels: list[int], batch: int) -> list[int]:
    """A label for each sample, from one for all or one for each.  Raises ValueError for another number of them."""
    if len(labels) not in (1, batch):
        raise ValueError(f"There are {len(labels)} labels for {batch} samples. Give one label, or one for each sample.")
    return labels * (batch // len(labels))


def load_denoiser(path: str | Path = "pocket-1", device: str | torch.device = "cpu") -> NetworkDenoiser:
    """A denoiser file or folder as ComfyUI's Load Denoiser reads it; pocket-1 is included.

    Raises FileNotFoundError, or ValueError for a file that is no denoiser or does not say how it was trained.
    """
    file = read_denoiser(included_weights("denoisers", str(path)) or path)
    spec = choose_spec(file.spec)
    network = spec.format.network(spec.sizes, len(spec.labels), operations=nn, device=device, dtype=torch.float32)
    network.load_state_dict(dict(file.weights))
    vae = spec.vae().to(device) if spec.vae else None
    if vae:
        vae.load_state_dict(dict(file.vae))
    return NetworkDenoiser(spec, network, vae)
