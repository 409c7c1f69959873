"""The exact toy measured: what every evaluation of a gradient reaches where the truth is known in closed form.

Writes docs/exact-toy.md; about five minutes of one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ...dev.fixtures import exact_toy as toy
from ...dev.fixtures.toy_gradients import DATA, LEVELS, guided, states
from ...dev.places import ROOT
from ...guidance.gradients.term import BACKPROP, CLEAN_X0, NOISY
from ...guidance.predictions import denoised_from, output_from
from ..markdown import page, table, write

PAGE = ROOT / "docs" / "exact-toy.md"
NAMES = {"none": "none", "noisy": NOISY, "through": BACKPROP, "clean": CLEAN_X0}
GAMMAS, STEPS, HEUN = (0.3, 0.5, 1.0, 2.0, 4.0), (20, 40, 80, 160), 80
TRUE, PAIRED = 1_000_000, 10_000  # true samples of the first row; samples that the energy distance pairs
COLUMNS = {"acc": "accuracy", "p": "p(y)", "fd": "Frechet", "ed": "energy", "spread": "spread"}
SHOWN = {"acc": "{:.3f}", "p": "{:.3f}", "fd": "{:.4f}", "ed": "{:.3f}", "spread": "{:.3f}"}
OPENING = """# Classifier guidance where the truth is known

Written by `python3 dev.py bench exact_toy`; every number is from that run. The data are the mixture of
`dev/fixtures/exact_toy.py`: four dimensions, three classes of two Gaussians each, denoiser and classifier in closed
form, float64. {count:,} samples a row, seed 0, Karras noise levels from 40 to 0.01. **accuracy**: share of samples
whose most probable class is the wanted one; **p(y)**: its mean probability; **Frechet**: distance to the true moments
of the class; **energy**: energy distance of 10,000 of them to 10,000 true ones; **spread**: variance relative to that
of the class. The first row has a million true samples. `tests/guidance/test_toy.py` holds the pack to these numbers.
"""
SCALE = """## What \u03b3 = 1 is

Heun, 80 steps. On noisy x_t \u03b3 = 1 is Bayes. With the x0 evaluations it is **not**: they use the posterior
mean, reach the class too often and too narrowly, and are best near \u03b3 = 0.3 to 0.5.
"""
STEP = """## The number of steps

Accuracy / p(y) / spread at \u03b3 = 1. With Heun all evaluations keep accuracy and p(y) within a point from 20 to 160
steps: the shifts are rates. Euler's method has its own error: its spread is too small even without
guidance, and what it adds to accuracy and p(y) at \u03b3 = 1 goes away with more steps.
"""
IDENTITIES = """## Identities

Largest error over \u03b1 and \u03c3 from (1, 0.05) to (1, 40), and down to \u03b1 = 0.02: the prediction on noisy x_t
at \u03b3 = 1 against the conditional one, from a network of each kind; and the Jacobian of the denoiser, by automatic
differentiation, against (\u03b1/\u03c3\u00b2) Cov[x0 given x], relative.
"""


def samples(solver: Callable, evaluation: str, gamma: float, steps: int, count: int) -> Tensor:
    """One run."""
    return solver(guided(evaluation, gamma), steps, count)


def numbers(x: Tensor) -> dict[str, float]:
    """All of what is measured, the distance to true samples included."""
    apart = toy.energy_distance(x[:PAIRED], toy.samples_of(toy.TARGET, PAIRED))
    return toy.measured(x) | {"ed": max(apart, 0.0)}


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
            found = [toy.measured(samples(solver, evaluation, 1.0, n, count)) for n in STEPS]
            shown = [" / ".join(f"{n[name]:.3f}" for name in ("acc", "p", "spread")) for n in found]
            rows.append([solver.__name__, NAMES[evaluation], *shown])
            print(*rows[-1], flush=True)
    return table(f"solver | evaluation | {' | '.join(map(str, STEPS))}", rows)


def bayes(kind: str, alpha: float, sigma: float) -> float:
    """Error of u + g against c, with u from a network that outputs `kind`."""
    x = states(alpha, sigma)
    output = output_from(kind, toy.denoised(x, sigma, alpha), x, sigma, alpha, sigma_data=DATA)
    u = denoised_from(kind, output, x, sigma, alpha, sigma_data=DATA)
    shift = guided("noisy", 1.0)(x, sigma, alpha) - toy.denoised(x, sigma, alpha)
    return float((u + shift - toy.denoised(x, sigma, alpha, toy.TARGET)).abs().max())


def jacobian(alpha: float, sigma: float) -> float:
    """Relative error of (alpha / sigma^2) Cov against the Jacobian."""
    x = states(alpha, sigma)[:1]
    found = torch.autograd.functional.jacobian(lambda z: toy.denoised(z[None], sigma, alpha)[0], x[0])
    expected = alpha / sigma**2 * toy.covariance(x, sigma, alpha)[0]
    return float((found - expected).abs().max() / expected.abs().max())


def identities() -> str:
    """Bayes for every kind of network, and the Jacobian."""
    kinds = ("epsilon", "v", "edm", "flow", "x0")
    rows = [[f"noisy x_t, {kind}", f"{max(bayes(kind, *at) for at in LEVELS):.0e}"] for kind in kinds]
    rows.append(["Jacobian", f"{max(jacobian(*at) for at in LEVELS):.0e}"])
    return table("what | error", rows)


def main() -> int:
    """Measure, print and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=toy.COUNT, help="of a row (default 20,000)")
    parser.add_argument("--page", type=Path, default=PAGE, help="where to write (default docs/exact-toy.md)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    opening, count = OPENING.format(count=given.samples), given.samples
    text = page(opening, SCALE, scales(count), STEP, steps(count), IDENTITIES, identities())
    write(given.page, text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
