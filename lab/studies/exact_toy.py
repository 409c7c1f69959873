"""What every evaluation of a gradient reaches where the truth is known: the tables of docs/classifier-guidance.md.

The data are a mixture in four dimensions, `dev/fixtures/exact_toy.py`; denoiser and classifier are exact. `python lab
exact_toy` prints the tables in five minutes of one core.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from ...dev.fixtures import exact_toy as toy
from ...dev.fixtures.toy_gradients import DATA, LEVELS, guided_denoiser, states
from ...guidance.gradients.term import BACKPROP, CLEAN_X0, NOISY
from ...guidance.predictions import output_from, x0_from_output
from ..markdown import table

NAMES = {"none": "none", "noisy": NOISY, "through": BACKPROP, "clean": CLEAN_X0}
GAMMAS, STEPS, HEUN = (0.3, 0.5, 1.0, 2.0, 4.0), (20, 40, 80, 160), 80
TRUE, PAIRED = 1_000_000, 10_000  # true samples of the first row; samples that the energy distance pairs


def cells(x: Tensor) -> list[str]:
    """What is measured of samples, the distance to true ones included."""
    found = toy.measure(x)
    apart = max(toy.energy_distance(x[:PAIRED], toy.samples_of(toy.TARGET, PAIRED)), 0.0)
    return [f"{found['acc']:.3f}", f"{found['p']:.3f}", f"{found['fd']:.4f}", f"{apart:.3f}", f"{found['spread']:.3f}"]


def scales(count: int) -> str:
    """Every evaluation at several gammas, beside true samples and no guidance."""
    rows = [["true samples", "", *cells(toy.samples_of(toy.TARGET, TRUE))]]
    guided = [(evaluation, gamma) for evaluation in ("noisy", "through", "clean") for gamma in GAMMAS]
    for evaluation, gamma in [("none", 0.0), *guided]:
        x = toy.heun(guided_denoiser(evaluation, gamma), HEUN, count)
        rows.append([NAMES[evaluation], f"{gamma:g}", *cells(x)])
    return table("evaluation | \u03b3 | accuracy | p(y) | Frechet | energy | spread", rows)


def steps(count: int) -> str:
    """Accuracy / p(y) / spread by Heun and Euler, with few and many steps."""
    rows = []
    for solver, evaluations in ((toy.heun, tuple(NAMES)), (toy.euler, ("none", "noisy"))):
        for evaluation in evaluations:
            found = [toy.measure(solver(guided_denoiser(evaluation, 1.0), n, count)) for n in STEPS]
            shown = [" / ".join(f"{one[name]:.3f}" for name in ("acc", "p", "spread")) for one in found]
            rows.append([solver.__name__, NAMES[evaluation], *shown])
    return table(f"solver | evaluation | {' | '.join(map(str, STEPS))}", rows)


def bayes(kind: str, alpha: float, sigma: float) -> float:
    """Error of u + g against c, with u from a network that outputs `kind`."""
    x = states(alpha, sigma)
    output = output_from(kind, toy.denoise_exactly(x, sigma, alpha), x, sigma, alpha, sigma_data=DATA)
    u = x0_from_output(kind, output, x, sigma, alpha, sigma_data=DATA)
    shift = guided_denoiser("noisy", 1.0)(x, sigma, alpha) - toy.denoise_exactly(x, sigma, alpha)
    return float((u + shift - toy.denoise_exactly(x, sigma, alpha, toy.TARGET)).abs().max())


def jacobian(alpha: float, sigma: float) -> float:
    """Relative error of (alpha / sigma^2) Cov[x0 given x] against the Jacobian of the denoiser."""
    x = states(alpha, sigma)[:1]
    found = torch.autograd.functional.jacobian(lambda z: toy.denoise_exactly(z[None], sigma, alpha)[0], x[0])
    expected = alpha / sigma**2 * toy.covariance(x, sigma, alpha)[0]
    return float((found - expected).abs().max() / expected.abs().max())


def identities() -> str:
    """The largest errors: Bayes' rule for every kind of network, and the Jacobian."""
    kinds = ("epsilon", "v", "edm", "flow", "x0")
    rows = [[f"noisy x_t, {kind}", f"{max(bayes(kind, *at) for at in LEVELS):.0e}"] for kind in kinds]
    rows.append(["Jacobian", f"{max(jacobian(*at) for at in LEVELS):.0e}"])
    return table("what | error", rows)


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=toy.COUNT, help="of a row")
    count = parser.parse_args().samples
    torch.set_num_threads(1)
    print(scales(count), steps(count), identities(), sep="\n\n")


if __name__ == "__main__":
    main()
