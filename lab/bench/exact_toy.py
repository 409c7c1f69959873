"""The exact toy measured: what every evaluation of a gradient reaches where the truth is known in closed form.

Writes a section of docs/classifier-guidance.md; about five minutes of one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ...dev.fixtures import exact_toy as toy
from ...dev.fixtures.toy_gradients import DATA, LEVELS, guided_denoiser, states
from ...dev.places import ROOT
from ...guidance.gradients.term import BACKPROP, CLEAN_X0, NOISY
from ...guidance.predictions import output_from, x0_from_output
from ..markdown import page, passages, put_section, table

PAGE, HEADING = ROOT / "docs" / "classifier-guidance.md", "Where the truth is known"
NAMES = {"none": "none", "noisy": NOISY, "through": BACKPROP, "clean": CLEAN_X0}
GAMMAS, STEPS, HEUN = (0.3, 0.5, 1.0, 2.0, 4.0), (20, 40, 80, 160), 80
TRUE, PAIRED = 1_000_000, 10_000  # true samples of the first row; samples that the energy distance pairs
COLUMNS = {"acc": "accuracy", "p": "p(y)", "fd": "Frechet", "ed": "energy", "spread": "spread"}
SHOWN = {"acc": "{:.3f}", "p": "{:.3f}", "fd": "{:.4f}", "ed": "{:.3f}", "spread": "{:.3f}"}
TEXT = passages(__file__)


def samples(solver: Callable, evaluation: str, gamma: float, steps: int, count: int) -> Tensor:
    """One run."""
    return solver(guided_denoiser(evaluation, gamma), steps, count)


def numbers(x: Tensor) -> dict[str, float]:
    """All of what is measured, the distance to true samples included."""
    apart = toy.energy_distance(x[:PAIRED], toy.samples_of(toy.TARGET, PAIRED))
    return toy.measure(x) | {"ed": max(apart, 0.0)}


def cells(n: dict[str, float]) -> list[str]:
    """The columns of one row."""
    return [SHOWN[name].format(n[name]) for name in COLUMNS]


def scales(count: int) -> str:
    """Every evaluation at several gammas, beside true samples and no guidance."""
    rows = [["true samples", "", *cells(numbers(toy.samples_of(toy.TARGET, TRUE)))]]
    wanted = [("none", 0.0), *((evaluation, gamma) for evaluation in ("noisy", "through", "clean") for gamma in GAMMAS)]
    for evaluation, gamma in wanted:
        rows.append(
            [NAMES[evaluation], f"{gamma:g}", *cells(numbers(samples(toy.heun, evaluation, gamma, HEUN, count)))]
        )
        print(*rows[-1], flush=True)
    return table(f"evaluation | \u03b3 | {' | '.join(COLUMNS.values())}", rows)


def steps(count: int) -> str:
    """Heun and Euler with few and many steps."""
    rows = []
    for solver, evaluations in ((toy.heun, tuple(NAMES)), (toy.euler, ("none", "noisy"))):
        for evaluation in evaluations:
            found = [toy.measure(samples(solver, evaluation, 1.0, n, count)) for n in STEPS]
            shown = [" / ".join(f"{n[name]:.3f}" for name in ("acc", "p", "spread")) for n in found]
            rows.append([solver.__name__, NAMES[evaluation], *shown])
            print(*rows[-1], flush=True)
    return table(f"solver | evaluation | {' | '.join(map(str, STEPS))}", rows)


def bayes(kind: str, alpha: float, sigma: float) -> float:
    """Error of u + g against c, with u from a network that outputs `kind`."""
    x = states(alpha, sigma)
    output = output_from(kind, toy.denoise_exactly(x, sigma, alpha), x, sigma, alpha, sigma_data=DATA)
    u = x0_from_output(kind, output, x, sigma, alpha, sigma_data=DATA)
    shift = guided_denoiser("noisy", 1.0)(x, sigma, alpha) - toy.denoise_exactly(x, sigma, alpha)
    return float((u + shift - toy.denoise_exactly(x, sigma, alpha, toy.TARGET)).abs().max())


def jacobian(alpha: float, sigma: float) -> float:
    """Relative error of (alpha / sigma^2) Cov against the Jacobian."""
    x = states(alpha, sigma)[:1]
    found = torch.autograd.functional.jacobian(lambda z: toy.denoise_exactly(z[None], sigma, alpha)[0], x[0])
    expected = alpha / sigma**2 * toy.covariance(x, sigma, alpha)[0]
    return float((found - expected).abs().max() / expected.abs().max())


def identities() -> str:
    """Bayes for every kind of network, and the Jacobian."""
    kinds = ("epsilon", "v", "edm", "flow", "x0")
    rows = [[f"noisy x_t, {kind}", f"{max(bayes(kind, *at) for at in LEVELS):.0e}"] for kind in kinds]
    rows.append(["Jacobian", f"{max(jacobian(*at) for at in LEVELS):.0e}"])
    return table("what | error", rows)


def main() -> int:
    """Measure, print and write the section."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=toy.COUNT, help="of a row (default 20,000)")
    parser.add_argument("--page", type=Path, default=PAGE, help="where to write (default docs/classifier-guidance.md)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    opening, count = TEXT["OPENING"].format(count=given.samples), given.samples
    blocks = (opening, TEXT["SCALE"], scales(count), TEXT["STEP"], steps(count), TEXT["IDENTITIES"], identities())
    put_section(given.page, HEADING, *blocks)
    print(page(*blocks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
