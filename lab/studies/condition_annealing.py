"""What CADS does to variety, and what it costs: what the help page of GGConditionAnnealing says of it.

Both demo models draw the same seeds with plain guidance and with the rule; `gg.measure` asks each of its own pictures,
and the judge, which took no part, counts how many show their label: `python lab condition_annealing` prints it.
Variety is relative to the pictures of cfg 1 from the same noise. Pictures of another label raise it too, so it is also
given of those alone that show theirs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import torch
from torch import Tensor

from ... import library as gg
from ...guidance.vectors import flat
from ...measure.estimates import variety
from ..markdown import table
from .judging import named
from .own_measure import BATCH, MODELS, STEPS, draw, labels_of, pictures_of

PLAIN = "plain CFG"
CADS = gg.ConditionAnnealing
ROWS = {
    PLAIN: (),
    "CADS, tau1 0.8, tau2 1": (CADS(tau1=0.8, tau2=1.0),),
    "CADS, default": (CADS(),),
    "CADS, s 0.5": (CADS(noise_scale=0.5),),
    "CADS, s 0.5, tau1 0.2": (CADS(noise_scale=0.5, tau1=0.2),),
    "CADS, psi 0": (CADS(psi=0.0),),
}
SETTINGS = [(1.4, PLAIN), (2.0, PLAIN), *((scale, name) for scale in (4.0, 8.0) for name in ROWS)]
HEAD = "cfg | rule | variety | of those that show their label | prompt strength | denoising ratio | judge right"


def annealed(denoiser: gg.NetworkDenoiser, scale: float, rules: tuple, count: int) -> Tensor:
    """Pictures of every label in turn, from the noise of `own_measure.draw`."""

    def sample(guide: object, x: Tensor, sigmas: list[float], flow: bool) -> Tensor:
        labels = (torch.arange(len(made), len(made) + len(x)) % len(denoiser.labels)).tolist()
        run = gg.record(denoiser, sigmas, labels, gamma=scale, rule=gg.Chain(rules), capture="numbers")
        run.sample(x)
        made.extend(labels)
        return run.end

    made: list[int] = []
    return draw(denoiser, scale, count, sampler=sample)


def rows_of(denoiser: gg.NetworkDenoiser, count: int) -> Iterator[tuple[str, ...]]:
    """A row of the table for every scale and rule."""
    reference = draw(denoiser, 1.0, count)
    for scale, name in SETTINGS:
        x = annealed(denoiser, scale, ROWS[name], count)
        said, labels = gg.measure(denoiser, x, labels_of(x), setting={"steps": STEPS}), torch.tensor(labels_of(x))
        right = named(pictures_of(denoiser, x)) == labels
        every, shown = (variety(flat(x[rows]), flat(reference[rows]), labels[rows].tolist()).text
                        for rows in (slice(None), right))  # fmt: skip
        yield (
            f"{scale:g}",
            name,
            every,
            shown,
            said.strength.text,
            said.ratio.text,
            f"{float(right.double().mean()):.0%}",
        )


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=40, help=f"of every row, drawn {BATCH} at a time")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        for name in MODELS:
            denoiser = gg.load_denoiser(name)
            print(f"\n{name}, {given.pictures} pictures a row\n", flush=True)
            print(table(HEAD, rows_of(denoiser, given.pictures)), flush=True)


if __name__ == "__main__":
    main()
