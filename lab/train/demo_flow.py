"""How the latent demo denoiser learns: rectified flow on the latents of its VAE, everything else as Pocket."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...models.classifiers.networks import PocketJudge
from ...models.denoisers.latents import POCKET_LATENTS
from ...models.denoisers.pocket_flow import FlowSizes, PocketFlow, PocketVAE
from ...models.denoisers.schedules import network_time
from .demo_evaluation import Bench, Protocol, Statistics
from .demo_training import Course, Network, Training, channels_last

VALIDATION_LEVELS = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98)
LOWEST, HIGHEST = 1e-3, 0.999


@dataclass(frozen=True)
class FlowRecipe(Course):
    """Noise levels that Pocket Flow sees: logit-normal and uniform."""

    steps: int = 8000
    level_mean: float = 0.0  # of ln(s / (1 - s)), for `level_normal` of the batch; the rest is uniform
    level_std: float = 1.0
    level_normal: float = 0.75


def velocity(network: Network, x: Tensor, s: Tensor, y: Tensor) -> Tensor:  # [B, ...], [B], [B] -> [B, ...]
    """v = eps - x0 at noise level s."""
    return network(x.contiguous(memory_format=torch.channels_last), network_time("log_sigma", "flow", s), y)


class FlowTraining(Training):
    """State of one run."""

    by_adamw = ("stem", "velocity", "embedding.first", "embedding.classes")

    def build_network(self) -> PocketFlow:
        """The network before training."""
        return channels_last(PocketFlow(FlowSizes(**self.config)))

    def draw_sigma(self) -> Tensor:  # [batch]
        """Noise levels s.  Source: Esser et al. 2024, arXiv 2403.03206, section 3.1 (logit-normal)."""
        r, g = self.recipe, self.generator
        normal = torch.sigmoid(r.level_mean + r.level_std * torch.randn(r.batch, generator=g))
        chosen = torch.rand(r.batch, generator=g) < r.level_normal
        return torch.where(chosen, normal, torch.rand(r.batch, generator=g)).clamp(LOWEST, HIGHEST)

    def position(self, sigma: Tensor) -> Tensor:
        """A level of flow is a share already."""
        return sigma

    def loss(self, network: nn.Module, x0: Tensor, eps: Tensor, sigma: Tensor, y: Tensor) -> Tensor:  # -> [B]
        """Each item's loss before weighting."""
        return velocity_loss(network, x0, eps, sigma, y)

    def validation(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """Loss of the averaged weights by noise level."""
        return validation_loss(self.averaged_network(), images, labels)


def velocity_loss(network: Network, x0: Tensor, eps: Tensor, level: Tensor, y: Tensor) -> Tensor:  # -> [B]
    """mean |v - (eps - x0)|^2 at x = (1 - s) x0 + s eps."""
    s = level[:, None, None, None]
    error = velocity(network, (1 - s) * x0 + s * eps, level, y).float() - (eps - x0)
    return error.square().flatten(1).mean(1)


@torch.no_grad()
def validation_loss(network: nn.Module, samples: Tensor, labels: Tensor) -> dict[str, float]:
    """Loss of true labels at seven levels, with noise that is the same in every call."""
    found = {}
    for place, s in enumerate(VALIDATION_LEVELS):
        eps = torch.randn(samples.shape, generator=torch.Generator().manual_seed(1000 + place))
        found[f"{s:g}"] = velocity_loss(network, samples, eps, torch.full((len(samples),), s), labels).mean().item()
    return found


@torch.no_grad()
def decode(vae: PocketVAE, samples: Tensor) -> Tensor:  # [B, 4, H, W] of unit deviation -> [B, 3, 4H, 4W]
    """The pictures of samples."""
    return vae.decode(samples / per_channel(POCKET_LATENTS.scale) + per_channel(POCKET_LATENTS.shift))


class FlowDenoiser:
    """x0-hat = x - s v, with the network evaluated in `dtype` and everything around it in float32."""

    def __init__(self, network: nn.Module, dtype: torch.dtype):
        self.network, self.dtype = deepcopy(network).to(dtype), dtype

    @torch.no_grad()
    def __call__(self, x: Tensor, s: Tensor, y: Tensor) -> Tensor:
        """Predict x0."""
        return x - s[:, None, None, None] * velocity(self.network, x.to(self.dtype), s, y).float()


@dataclass(frozen=True)
class FlowProtocol(Protocol):
    """How latent samples are drawn: the host's `dpmpp_2m` with the `simple` schedule."""

    scheduler: str = "simple"


class FlowBench(Bench):
    """Samples of latents by one protocol, decoded and measured as Pocket's."""

    def __init__(
        self, network: PocketFlow, vae: PocketVAE, judge: PocketJudge, real: Statistics, protocol: FlowProtocol
    ):
        super().__init__(network, judge, real, 1.0, protocol)
        self.denoise, self.vae = FlowDenoiser(network, getattr(torch, protocol.dtype)), vae

    def noise(self, count: int) -> Tensor:  # [count, 4, 8, 8]
        """Start noise: the same for every gamma."""
        g = torch.Generator().manual_seed(self.protocol.seed)
        return torch.randn(count, len(POCKET_LATENTS.scale), 8, 8, generator=g)

    def levels(self) -> Tensor:
        """From 1 evenly to 0."""
        return torch.linspace(1, 0, self.protocol.steps + 1, dtype=torch.float64)

    def pictures(self, samples: Tensor) -> Tensor:
        """Decoded, in float32."""
        return decode(self.vae, samples)


def per_channel(numbers: Sequence[float]) -> Tensor:  # -> [C, 1, 1]
    """One number a channel."""
    return torch.tensor(numbers)[:, None, None]
