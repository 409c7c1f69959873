"""What the story claims, measured: predictions as averages, guidance as reweighting, and runs that are not straight.

Pocket and the exact mixture, sampled in process with the pack's own steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ...guidance.mixture import GaussianMixture
from ...guidance.predictions import Predictions
from ...guidance.rules.cfg import cfg
from ...samplers.steps import Level, ddim, level
from ..train.demo_evaluation import Denoiser, karras_sigmas
from ..train.demo_files import read_denoiser
from .pocket_means import CARD, Means
from .reweighting import PlaneDensity, reweight, sliced_distance

Pair = Callable[[Tensor, float], tuple[Tensor, Tensor]]  # x, sigma -> u, c
STEPS = 20
STEP_SIZE = 0.02  # of gamma, for the slope of the end


def rms(v: Tensor) -> Tensor:  # [B, ...] -> [B]
    """Root mean square of every item."""
    return v.double().flatten(1).square().mean(dim=1).sqrt()


def pocket() -> tuple[Denoiser, int]:
    """Pocket in float32, and its null label."""
    network, metadata = read_denoiser(CARD.with_suffix(".safetensors"))
    return Denoiser(network, float(metadata["gg.sigma_data"]), torch.float32), network.null_index


def both(denoise: Denoiser, null: int, labels: Tensor) -> Pair:
    """Predictions without and with the labels, in one batch."""

    def predict(x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        asked = torch.cat([torch.full_like(labels, null), labels])
        uncond, cond = denoise(torch.cat([x, x]), torch.full((2 * len(x),), sigma), asked).chunk(2)
        return uncond, cond

    return predict


@dataclass(frozen=True)
class Moment:
    """One step of a run: its level, the state, both predictions, and kappa, how far x' follows the guided one."""

    sigma: float
    x: Tensor
    uncond: Tensor
    cond: Tensor
    kappa: float


@dataclass(frozen=True)
class Path:
    """A guided Euler run.  end: the last state [B, ...]."""

    moments: list[Moment]
    end: Tensor

    @property
    def push(self) -> Tensor:
        """The effects of all steps on the end, per unit of gamma, if none of them changed the steps after it.

        sum_i kappa_i delta_i,  kappa = 1 - sigma'/sigma
        """
        return torch.stack([m.kappa * (m.cond - m.uncond) for m in self.moments]).sum(dim=0)


def guided_path(predict: Pair, x: Tensor, gamma: float, sigmas: Tensor) -> Path:
    """Sample with classifier-free guidance and Euler steps, and keep what every step predicted."""
    levels, moments = [level(float(sigma), flow=False) for sigma in sigmas], []
    for now, then in pairwise(levels):
        uncond, cond = predict(x, float(now.sigma))
        moments.append(Moment(float(now.sigma), x, uncond, cond, 1 - float(then.sigma / now.sigma)))
        sigma, alpha = (x.new_full((len(x),), v) for v in (now.sigma, now.alpha))
        x = x + _move(x, cfg(Predictions(x, sigma, alpha, uncond, cond), gamma=gamma), now, then)
    return Path(moments, x)


def _move(x: Tensor, denoised: Tensor, now: Level, then: Level) -> Tensor:
    return ddim(x, denoised, now, then, torch.zeros_like(x)).move.to(x)


def start_noise(count: int, seed: int, sigma: float) -> tuple[Tensor, Tensor]:  # -> [count, 3, 32, 32], labels [count]
    """Pocket's start: pure noise, labels in turn."""
    noise = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    return sigma * noise, torch.arange(count) % 10


@dataclass(frozen=True)
class Averages:
    """How predictions relate to the mean picture, step by step, rms over all samples.

    far: x0-hat to the mean of all pictures; far_label: x0-hat given the label to what that label means. size: rms of
    x0-hat about the mean of all pictures over that of the end. by_guidance: one sample's run, without and with its
    label.
    """

    sigmas: list[float]
    far: list[float]
    far_label: list[float]
    to_end: list[float]
    by_guidance: dict[str, list[Tensor]]
    label: int


def averages(predict: Pair, x: Tensor, labels: Tensor, means: tuple[Means, float], shown: int) -> Averages:
    """Follow the predictions of a run without guidance down to the picture.

    Unconditional predictions come from the run at gamma 0, conditional ones from the run at gamma 1. means: of the
    data, and the share of wrong labels in training. shown: the sample whose pictures are kept.
    """
    plain, asked = (guided_path(predict, x, gamma, karras_sigmas(STEPS)) for gamma in (0.0, 1.0))
    every, told = means[0].every, means[0].means_with_errors(means[1])[labels]
    chosen = {
        "x": [m.x[shown] / math.sqrt(1 + m.sigma**2) for m in plain.moments],
        "uncond": [m.uncond[shown] for m in plain.moments],
        "cond": [m.cond[shown] for m in asked.moments],
        "end": [plain.end[shown], asked.end[shown]],
    }
    return Averages(
        [m.sigma for m in plain.moments],
        [_mean(rms(m.uncond - every)) for m in plain.moments],
        [_mean(rms(m.cond - told)) for m in asked.moments],
        [_mean(rms(m.uncond - plain.end)) for m in plain.moments],
        chosen,
        int(labels[shown]),
    )


def _mean(v: Tensor) -> float:
    return float(v.double().mean())


@dataclass(frozen=True)
class Straight:
    """The end of runs against the straight line from the run without guidance, one entry a gamma.

    predicted, measured: rms distance of the end from the one at gamma 0. cosine: between the two changes. slope: how
    fast the end really moves with gamma there, over the sum of the pushes there. ends, lines: pictures [S, ...].
    """

    gammas: tuple[float, ...]
    predicted: list[float]
    measured: list[float]
    cosine: list[float]
    slope: list[float]
    ends: list[Tensor]
    lines: list[Tensor]


def straightness(predict: Pair, x: Tensor, gammas: tuple[float, ...], shown: list[int]) -> Straight:
    """Predict the end at every scale from one run at gamma 0, every step at its word, and run again to see."""
    sigmas = karras_sigmas(STEPS)
    start = guided_path(predict, x, 0.0, sigmas)
    rows = [_against_the_line(predict, start, gamma, sigmas) for gamma in gammas]
    columns = {name: [row[name] for row in rows] for name in ("predicted", "measured", "cosine", "slope")}
    ends, lines = ([start.end[shown], *(row[name][shown] for row in rows)] for name in ("end", "line"))
    return Straight(gammas, **columns, ends=ends, lines=lines)


def _against_the_line(predict: Pair, start: Path, gamma: float, sigmas: Tensor) -> dict:
    run = guided_path(predict, start.moments[0].x, gamma, sigmas)
    near = [guided_path(predict, start.moments[0].x, gamma + h, sigmas).end for h in (-STEP_SIZE, STEP_SIZE)]
    line, change = gamma * start.push, run.end - start.end
    cosine = (line * change).flatten(1).double().sum(1) / (rms(line) * rms(change) * line[0].numel())
    slope = rms(near[1] - near[0]) / (2 * STEP_SIZE) / rms(run.push)
    found = {"predicted": _mean(rms(line)), "measured": _mean(rms(change)), "cosine": _mean(cosine)}
    return found | {"slope": float(slope.median()), "end": run.end, "line": start.end + line}


@dataclass(frozen=True)
class Reweighted:
    """Guided samples of one scale beside the density p(x) p(y|x)^gamma.

    distance: sliced Wasserstein of the samples to the density; floor: of two samples of the density, same size.
    spread, wanted_spread: rms about the mean of both.
    """

    gamma: float
    density: PlaneDensity
    samples: Tensor
    distance: float
    floor: float
    spread: float
    wanted_spread: float


def plane_mixture() -> tuple[GaussianMixture, int]:
    """Three labels in the plane that overlap, and the label to ask for."""
    means = torch.tensor([[-0.9, -0.2], [0.5, 0.75], [0.9, -0.55], [-0.25, 0.95], [0.15, -0.15], [-0.6, -1.05]])
    variances = torch.tensor([0.10, 0.12, 0.14, 0.09, 0.08, 0.12])
    weights = torch.tensor([1.0, 1.0, 1.0, 0.8, 0.7, 0.8])
    return GaussianMixture(means, variances, weights.log(), torch.tensor([0, 0, 1, 1, 2, 2])), 0


def reweighting(gamma: float, steps: int, count: int, reach: float = 3.0) -> Reweighted:
    """Sample the exact mixture with classifier-free guidance, and compare with what reweighting would give."""
    mixture, label = plane_mixture()
    generator = torch.Generator().manual_seed(0)
    x = 80 * torch.randn(count, 2, dtype=torch.float64, generator=generator)

    def predict(x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        return mixture.denoised(x, sigma), mixture.denoised(x, sigma, label=label)

    samples = guided_path(predict, x, gamma, karras_sigmas(steps)).end
    density = reweight(mixture, label, gamma, reach)
    first, second = (density.sample(count, generator) for _ in range(2))
    found = sliced_distance(samples, first), sliced_distance(second, first)
    return Reweighted(gamma, density, samples, *found, _spread(samples), _spread(first))


def _spread(points: Tensor) -> float:
    return float((points - points.mean(dim=0)).square().sum(dim=1).mean().sqrt())
