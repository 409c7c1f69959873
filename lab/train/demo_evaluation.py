"""How good the demo denoiser is at every guidance scale, by one protocol that the card states.

A guided prediction is u + gamma * (c - u). Samples are rounded to 8 bits before anything is measured on them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...models.classifiers.networks import PocketJudge
from .demo_training import SIGMA_MAX, SIGMA_MIN, Pockets, evaluate

GAMMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]  # x, sigma [B], labels [B] -> x0


@dataclass(frozen=True)
class Protocol:
    """How samples are drawn: the host's `dpmpp_2m` with the `karras` schedule; labels cycle through the classes."""

    samples: int = 2000
    seed: int = 7
    sampler: str = "dpmpp_2m"
    scheduler: str = "karras"
    steps: int = 20
    dtype: str = "bfloat16"
    batch: int = 50


def karras_sigmas(steps: int, rho: float = 7.0) -> Tensor:  # -> [steps + 1], float64, the last is 0
    """Noise levels from 80 to 0.002, dense at the low end, then 0."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    high, low = SIGMA_MAX ** (1 / rho), SIGMA_MIN ** (1 / rho)
    return torch.cat([(high + ramp * (low - high)) ** rho, torch.zeros(1, dtype=torch.float64)])


def dpmpp_2m(denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigmas: Tensor) -> Tensor:
    """DPM-Solver++(2M) in x0 form.  Source: Lu et al. 2022, arXiv 2211.01095, algorithm 2."""
    before, step_before = None, 0.0
    for sigma, sigma_next in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        denoised = denoise(x, sigma)
        if sigma_next == 0:
            return denoised
        step = math.log(sigma / sigma_next)
        target = denoised
        if before is not None:
            share = step / (2 * step_before)
            target = (1 + share) * denoised - share * before
        x = sigma_next / sigma * x - math.expm1(-step) * target
        before, step_before = denoised, step
    return x


def euler_ancestral(
    denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigmas: Tensor, g: torch.Generator
) -> Tensor:
    """Euler steps with the noise of the exact posterior put back (the host's `euler_ancestral`)."""
    for sigma, sigma_next in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        denoised = denoise(x, sigma)
        up = sigma_next * math.sqrt(max(0.0, 1 - (sigma_next / sigma) ** 2))
        down = math.sqrt(sigma_next**2 - up**2)
        x = x + (down / sigma - 1) * (x - denoised) + up * torch.randn(x.shape, generator=g)
    return x


class Denoiser:
    """D(x, sigma, y) with the network evaluated in `dtype` and everything around it in float32."""

    def __init__(self, network: nn.Module, sigma_data: float, dtype: torch.dtype):
        self.network, self.sigma_data, self.dtype = deepcopy(network).to(dtype), sigma_data, dtype

    def raw(self, scaled: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """The network's output, in float32."""
        return self.network(scaled.to(self.dtype), t, y).float()

    @torch.no_grad()
    def __call__(self, x: Tensor, sigma: Tensor, y: Tensor) -> Tensor:
        """Predict x0."""
        return evaluate(self.raw, x, sigma, y, self.sigma_data)


def guide_by(denoise: Denoise, labels: Tensor, null_index: int, gamma: float) -> Callable[[Tensor, float], Tensor]:
    """u + gamma * (c - u) in one batch; only what is needed at gamma 0 and 1."""
    null = torch.full_like(labels, null_index)

    def prediction(x: Tensor, sigma: float) -> Tensor:
        level = torch.full((len(x),), sigma)
        if gamma in (0.0, 1.0):
            return denoise(x, level, labels if gamma else null)
        both = denoise(torch.cat([x, x]), torch.cat([level, level]), torch.cat([null, labels]))
        uncond, cond = both.chunk(2)
        return uncond + gamma * (cond - uncond)

    return prediction


def classifier_guided(
    denoise: Denoise, network: nn.Module, labels: Tensor, null_index: int, gamma: float, sigma_data: float
) -> Callable[[Tensor, float], Tensor]:
    """Add a classifier's gradient to the unconditional prediction.

    Noise-aware network: u + gamma * sigma^2 * grad log p(y|x, sigma). Clean network, without backprop through D:
    u + gamma * r^2 * grad log p(y|x0) at x0 = u, with r^2 = sigma^2 s^2 / (sigma^2 + s^2).
    """
    null = torch.full_like(labels, null_index)

    def prediction(x: Tensor, sigma: float) -> Tensor:
        level = torch.full((len(x),), sigma)
        uncond = denoise(x, level, null)
        if network.noise_aware:
            gradient = log_prob_gradient(lambda z: network(z, level), x, labels)
            return uncond + gamma * sigma**2 * gradient
        gradient = log_prob_gradient(network, uncond, labels)
        return uncond + gamma * (sigma * sigma_data) ** 2 / (sigma**2 + sigma_data**2) * gradient

    return prediction


def log_prob_gradient(logits: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor) -> Tensor:
    """Gradient of log p(y|x) with respect to x."""
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        log_prob = logits(x).log_softmax(1).gather(1, labels[:, None]).sum()
        return torch.autograd.grad(log_prob, x)[0]


def to_pixels(x0: Tensor) -> np.ndarray:  # [N, 3, H, W] -> uint8 [N, H, W, 3]
    """Clip and round to 8 bits, as a saved picture is."""
    return ((x0.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


@dataclass(frozen=True)
class Statistics:
    """What Frechet distances compare: judge features of a set of images."""

    mean: Tensor  # [F]
    covariance: Tensor  # [F, F]
    class_means: Tensor  # [K, F]
    within: Tensor  # [F, F], pooled covariance about the class means


def statistics_of(features: Tensor, labels: Tensor) -> Statistics:  # [N, F], [N]
    """Means and covariances in float64."""
    f = features.double()
    class_means = torch.stack([f[labels == label].mean(0) for label in range(int(labels.max()) + 1)])
    deviations = f - class_means[labels]
    return Statistics(f.mean(0), torch.cov(f.T), class_means, deviations.T @ deviations / (len(f) - len(class_means)))


def root_trace(a: Tensor, b: Tensor) -> Tensor:  # two covariances -> scalar
    """Trace of (a b)^(1/2), from the symmetric matrix a^(1/2) b a^(1/2)."""
    values, vectors = torch.linalg.eigh(a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    return torch.linalg.eigvalsh(root @ b @ root).clamp(min=0).sqrt().sum()


def frechet(a: Statistics, b: Statistics) -> float:
    """Squared distance of two Gaussians: blind to swapped labels."""
    spread = a.covariance.trace() + b.covariance.trace() - 2 * root_trace(a.covariance, b.covariance)
    return ((a.mean - b.mean).square().sum() + spread).item()


def classwise_frechet(a: Statistics, b: Statistics) -> float:
    """Mean squared distance of class means + Frechet distance of the pooled deviations: sees swaps and collapse."""
    apart = (a.class_means - b.class_means).square().sum(1).mean()
    return (apart + a.within.trace() + b.within.trace() - 2 * root_trace(a.within, b.within)).item()


def diversity(x0: Tensor, labels: Tensor, at_most: int = 200) -> float:  # [N, 3, H, W], [N]
    """Mean pairwise RMS pixel distance among images of the same label, averaged over the labels."""
    found = []
    for label in labels.unique():
        flat = x0[labels == label][:at_most].flatten(1).double()
        found.append(torch.pdist(flat).mean() / flat.shape[1] ** 0.5)
    return torch.stack(found).mean().item()


def grain(pixels: np.ndarray) -> float:  # uint8 [N, H, W, 3]
    """RMS about the mean of the top-left 4 x 4 corner, in 8-bit levels; the median over images, 0 on flat areas."""
    corner = pixels[:, :4, :4].astype(np.float64)
    return float(np.median(np.sqrt(((corner - corner.mean((1, 2), keepdims=True)) ** 2).mean((1, 2, 3)))))


def interval(share: float, count: int, z: float = 1.96) -> list[float]:
    """Wilson score interval of a share, 95 % by default."""
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return [round(middle - half, 4), round(middle + half, 4)]


class Bench:
    """Samples by one protocol, measured against the validation images by one judge."""

    def __init__(self, network: Pockets, judge: PocketJudge, real: Statistics, sigma_data: float, protocol: Protocol):
        self.denoise = Denoiser(network, sigma_data, getattr(torch, protocol.dtype))
        self.judge, self.real, self.sigma_data, self.protocol = judge, real, sigma_data, protocol
        self.null_index = network.null_index

    def labels(self, count: int) -> Tensor:  # [count]
        """Labels that cycle through the classes."""
        return torch.arange(count) % self.null_index

    def noise(self, count: int) -> Tensor:  # [count, 3, 32, 32]
        """Start noise: the same for every gamma."""
        g = torch.Generator().manual_seed(self.protocol.seed)
        return SIGMA_MAX * torch.randn(count, 3, 32, 32, generator=g)

    def levels(self) -> Tensor:  # [steps + 1]
        """The protocol's noise levels."""
        return karras_sigmas(self.protocol.steps)

    def pictures(self, samples: Tensor) -> Tensor:  # -> [N, 3, 32, 32]
        """What samples look like, unclipped."""
        return samples

    def sample(self, rule: Callable[[Tensor], Callable], count: int, ancestral: bool = False) -> tuple[Tensor, float]:
        """Unclipped pictures, and milliseconds of CPU an image.  rule: labels -> prediction(x, sigma)"""
        sigmas, g = self.levels(), torch.Generator().manual_seed(self.protocol.seed + 1)
        begun, parts = time.process_time(), []
        size = self.protocol.batch
        for x, y in zip(self.noise(count).split(size), self.labels(count).split(size), strict=True):
            ended = euler_ancestral(rule(y), x, sigmas, g) if ancestral else dpmpp_2m(rule(y), x, sigmas)
            parts.append(self.pictures(ended))
        return torch.cat(parts), 1000 * (time.process_time() - begun) / count

    def guided_samples(self, gamma: float, count: int) -> tuple[Tensor, float]:
        """Samples with classifier-free guidance, and milliseconds an image."""
        return self.sample(lambda y: guide_by(self.denoise, y, self.null_index, gamma), count)

    def classifier_samples(self, guide: nn.Module, gamma: float, count: int) -> tuple[Tensor, float]:
        """Samples whose null prediction a classifier guides, and milliseconds an image."""

        def rule(y: Tensor) -> Callable[[Tensor, float], Tensor]:
            return classifier_guided(self.denoise, guide, y, self.null_index, gamma, self.sigma_data)

        return self.sample(rule, count, ancestral=True)

    @torch.no_grad()
    def measure(self, x0: Tensor) -> dict[str, Any]:  # unclipped samples whose labels cycle
        """One row of the card's table, without gamma and time."""
        labels, pixels = self.labels(len(x0)), to_pixels(x0)
        rounded = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
        features = torch.cat([self.judge.features(part) for part in rounded.split(250)])
        right = (self.judge.out(features).argmax(1) == labels).double().mean().item()
        found = statistics_of(features, labels)
        return {
            "accuracy": round(right, 4),
            "ci95": interval(right, len(x0)),
            "frechet": round(frechet(found, self.real), 3),
            "classwise": round(classwise_frechet(found, self.real), 3),
            "diversity": round(diversity(rounded, labels), 4),
            "clipped": round(100 * (x0.abs() > 1).double().mean().item(), 2),
            "grain": round(grain(pixels), 2),
        }


def guidance_row(bench: Bench, gamma: float) -> dict[str, Any]:
    """Sample and measure one gamma, on one thread."""
    torch.set_num_threads(1)
    x0, milliseconds = bench.guided_samples(gamma, bench.protocol.samples)
    row = {"gamma": gamma, **bench.measure(x0), "ms_per_image": round(milliseconds, 1)}
    print(row, flush=True)
    return row


def guidance_table(bench: Bench, processes: int, gammas: tuple[float, ...] = GAMMAS) -> list[dict[str, Any]]:
    """The card's rows, one a gamma, each in a process of its own; the costly ones first."""
    tasks = [(bench, gamma) for gamma in sorted(gammas, reverse=True)]
    with get_context("fork").Pool(processes) as pool:
        rows = pool.starmap(guidance_row, tasks, chunksize=1)
    return sorted(rows, key=lambda row: row["gamma"])


def classifier_table(bench: Bench, guides: list[nn.Module], samples: int) -> list[dict[str, Any]]:
    """Classifier guidance of the null label, on few samples: the noise-aware guide and the clean one on predictions."""
    rows = []
    for guide in guides:
        kind, gammas = (
            ("noise-aware", (1.0, 2.0, 4.0, 8.0)) if guide.noise_aware else ("x0, no backprop", (30.0, 100.0))
        )
        for gamma in gammas:
            x0, milliseconds = bench.classifier_samples(guide, gamma, samples)
            measured = bench.measure(x0)
            kept = {key: measured[key] for key in ("accuracy", "ci95", "frechet", "classwise", "diversity")}
            about = {
                "evaluation": kind,
                "sampler": "euler_ancestral",
                "steps": bench.protocol.steps,
                "samples": samples,
            }
            rows.append({**about, "gamma": gamma, **kept, "ms_per_image": round(milliseconds, 1)})
            print(rows[-1], flush=True)
    return rows


def real_row(bench: Bench, images: Tensor) -> dict[str, float]:  # training images whose labels cycle
    """Measure as many real images: what no model can beat."""
    found = bench.measure(images[: bench.protocol.samples])
    return {
        "accuracy": found["accuracy"],
        "frechet_floor": found["frechet"],
        "classwise_floor": found["classwise"],
        "diversity": found["diversity"],
        "grain": found["grain"],
    }


def nearest_distance(x0: Tensor, images: Tensor) -> dict[str, float]:  # [n, 3, H, W], [N, 3, H, W]
    """RMS pixel distance of each sample to its nearest training image: near 0 would mean copying."""
    nearest = torch.cat([torch.cdist(part.flatten(1), images.flatten(1)).amin(1) for part in x0.split(50)])
    scaled = nearest / images[0].numel() ** 0.5
    return {"median": round(scaled.median().item(), 3), "least": round(scaled.min().item(), 3)}


def protocol_facts(protocol: Protocol, sigma_max: float = SIGMA_MAX, sigma_min: float = SIGMA_MIN) -> dict[str, Any]:
    """The protocol as the card states it."""
    return asdict(protocol) | {"sigma_max": sigma_max, "sigma_min": sigma_min, "rounded_to_8_bits_before_judging": True}
