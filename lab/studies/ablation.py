"""How far the estimate of what is left of a push is from an ablation: the tables of docs/which-steps.md.

Each run is made again with one window of steps at gamma 1 and the same noise; how far the end moves is what the push of
that window did. `python lab ablation` does so with both demo models and an exact mixture, in four minutes of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy import ndarray

from ... import library as gg
from ...guidance.vectors import flat
from ...samplers.steps import follow, level, up_and_down
from ...trace.guidance_effect import contraction, push
from ..markdown import table

EXACT = "exact mixture"
MODELS = ("pocket-1", "pocket-flow-1", EXACT)
NOISE = {"none": ("euler", 0.0), "fresh": ("ddpm", 1.0)}  # the sampler, and its share of fresh noise
STEPS, WIDTH, GAMMA, SEED, DRAWS = 20, 4, 3.0, 0, 2000
WINDOWS = [list(range(first, first + WIDTH)) for first in range(0, STEPS, WIDTH)]


def denoiser_of(model: str) -> gg.NetworkDenoiser | gg.ExactDenoiser:
    """A demo model, or the mixture."""
    return gg.ExactDenoiser(gg.make_mixture((4, 8, 8), 5, 3)) if model == EXACT else gg.load_denoiser(model)


def run_of(denoiser, sampler: str, samples: int, window: Sequence[int] = ()) -> gg.Recording:
    """Samples whose labels cycle, guided at GAMMA; gamma is 1 at the steps of the window."""
    exact, flow = isinstance(denoiser, gg.ExactDenoiser), denoiser.facts["space"] == "flow"
    shape, labels = (denoiser.mixture.shape, 5) if exact else (denoiser.shape, len(denoiser.labels))
    sigmas = np.linspace(1, 0, STEPS + 1).tolist() if flow else gg.karras(STEPS, 0.002, 80.0)
    scales = gg.ScaleSchedule("list", values=tuple(1.0 if i in window else GAMMA for i in range(STEPS)))
    run = gg.record(denoiser, sigmas, [i % labels for i in range(samples)], gamma=GAMMA, rule=scales, capture="numbers")
    noise = torch.randn(samples, *shape, generator=torch.Generator().manual_seed(SEED))
    run.sample(sigmas[0] * noise, sampler, SEED)
    return run


def estimates(run: gg.Recording, fresh: float) -> tuple[ndarray, ndarray]:  # -> [windows, B] x2
    """Sums over each window: of the push as it is made, |kappa (D - c)|, and of what the estimate leaves of it."""
    steps, flow = run.trace.steps, run.run.flow
    levels = [level(sigma, flow) for sigma in run.run.sigmas]
    kappa = [follow(now, then, up_and_down(now, then, fresh)[1]) for now, then in pairwise(levels)]
    there = push(run.trace.record, steps["gamma"][:, None], torch.tensor(kappa)[:, None])
    kept = contraction(steps["sigma_next"], steps["alpha_next"], run.trace.header["sigma_data"], fresh > 0)
    pushed, left = (torch.stack([one[window].sum(0) for window in WINDOWS]) for one in (there, there * kept[:, None]))
    return pushed.numpy(), left.numpy()


def measure(model: str, noise: str, samples: int) -> tuple[ndarray, ndarray, ndarray]:  # [windows, B] each
    """The push of each window, what the estimate leaves of it, and how far the end moves without it."""
    denoiser, (sampler, fresh) = denoiser_of(model), NOISE[noise]
    run = run_of(denoiser, sampler, samples)
    ends = [run_of(denoiser, sampler, samples, window).end for window in WINDOWS]
    change = torch.stack([flat(end.double() - run.end.double()).norm(dim=1) for end in ends]).numpy()
    return (*estimates(run, fresh), change)


def interval_of(values: ndarray, statistic: Callable[..., ndarray]) -> tuple[float, float, float]:  # [B]
    """A statistic of the runs in which it is known, and between which it lies in 95 % of their resamples."""
    values = values[np.isfinite(values)]
    drawn = np.random.default_rng(SEED).integers(len(values), size=(DRAWS, len(values)))
    low, high = np.quantile(statistic(values[drawn], axis=1), (0.025, 0.975))
    return float(statistic(values)), float(low), float(high)


def correlation(one: ndarray, other: ndarray) -> str:  # [windows, B] x2
    """Pearson's over the windows of a run, as a mean of all runs with its interval."""
    found = np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(one.T, other.T, strict=True)])
    return "{:.2f} ({:.2f} to {:.2f})".format(*interval_of(found, np.mean)).replace("-", "\u2212")


def percent(share: float) -> str:
    """A share in whole percent."""
    return f"{share:.0%}".replace("%", " %")


def rows_of(pushed: ndarray, left: ndarray, change: ndarray) -> tuple[list[str], list[list[str]]]:
    """How well push, estimate and their middle tell the ablation; and a row for each window."""
    a, b, middle, real = (one / one.sum(axis=0) for one in (pushed, left, np.sqrt(pushed * left), change))
    between = percent(((real - a) * (real - b) <= 0).mean())
    ratio = np.divide(change, left, where=left > 0, out=np.full_like(change, np.nan))
    windows = []
    for k, steps in enumerate(WINDOWS):
        share, *ends = map(percent, interval_of(real[k], np.mean))
        moved = "{:.2g} ({:.2g} to {:.2g})".format(*interval_of(ratio[k], np.median))
        shares = [percent(a[k].mean()), percent(b[k].mean()), f"{share} ({' to '.join(ends)})"]
        windows.append([f"{steps[0] + 1} to {steps[-1] + 1}", *shares, moved])
    return [*(correlation(one, real) for one in (a, b, middle)), between], windows


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=80, help="runs of a row")
    samples, order, every = parser.parse_args().samples, [], []
    torch.set_num_threads(1)
    for model in MODELS:
        for noise in NOISE:
            found, windows = rows_of(*measure(model, noise, samples))
            order.append([model, noise, *found])
            every += [[model, noise, *row] for row in windows if model != EXACT]
    print(table("model | fresh noise | push | estimate | middle | between", order), end="\n\n")
    head = "model | fresh noise | steps | push | left, estimated | change, measured | change / estimate"
    print(table(head, every))


if __name__ == "__main__":
    main()
