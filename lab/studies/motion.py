"""Does the share of motion follow what moves?  What docs/trace-format.md says of M20: `python lab motion` prints it.

Exact films of blobs, whose label says a colour and a velocity. The farther the labelled blob really moves, the larger
is the share of the difference, and of the push of plain guidance, that changes from frame to frame.
"""

from __future__ import annotations

import torch

from ... import library as gg
from ...dev.fixtures.moving_blobs import DISPLACEMENTS, moving_blobs
from ..markdown import table

STEPS, COUNT, GAMMA, MOVING = 12, 4, 3.0, 1
HEAD = "displacement in cells | motion of the difference | motion of the push | motion of the films themselves"


def shares(displacement: float) -> tuple[float, float, float]:
    """Motion of the difference, of the push and of finished films, means over steps and samples of a guided run."""
    mixture = moving_blobs(displacement)
    noise = torch.randn(COUNT, *mixture.shape, generator=torch.Generator().manual_seed(0))
    sigmas = gg.karras(STEPS, 0.05, 10.0)
    run = gg.record(gg.ExactDenoiser(mixture), sigmas, MOVING, gamma=GAMMA, capture="numbers")
    trace = run.sample(sigmas[0] * noise)
    of_difference, of_push = (float(trace.column(code).nanmean()) for code in ("M20", "M20p"))
    films = run.end.double()
    moving = (films - films.mean(dim=2, keepdim=True)).square().sum() / films.square().sum()
    return of_difference, of_push, float(moving)


def correlations() -> tuple[list[tuple[float, float, float]], list[float]]:
    """The shares of every displacement, and how each of the three correlates with the displacement."""
    rows = [shares(displacement) for displacement in DISPLACEMENTS]
    columns = torch.tensor([DISPLACEMENTS, *zip(*rows, strict=True)], dtype=torch.float64)
    return rows, torch.corrcoef(columns)[0, 1:].tolist()


def main() -> None:
    """Print the table."""
    rows, found = correlations()
    lines = [[f"{d:g}", *(f"{share:.1%}" for share in row)] for d, row in zip(DISPLACEMENTS, rows, strict=True)]
    print(table(HEAD, [*lines, ["correlation", *(f"{r:.3f}" for r in found)]]))


if __name__ == "__main__":
    main()
