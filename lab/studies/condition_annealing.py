"""What CADS does to variety, and what it costs: what the help page of GGConditionAnnealing says of it.

Both demo models draw the same seeds at two scales, with plain guidance and with the rule; `gg.measure` asks each of its
own pictures, and the judge, which took no part, counts how many show their label: `python lab condition_annealing`.
Variety is relative to the pictures of cfg 1 from the same noise.
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
from .judging import judge
from .own_measure import BATCH, MODELS, STEPS, draw, labels_of, pictures_of

SCALES = (4.0, 8.0)
ROWS = {
    "plain CFG": (),
    "as the paper: s 0.1, tau1 0.6": (gg.ConditionAnnealing(),),
    "more noise: s 0.5": (gg.ConditionAnnealing(noise_scale=0.5),),
    "noisy for longer: s 0.5, tau1 0.2": (gg.ConditionAnnealing(noise_scale=0.5, tau1=0.2),),
    "noise alone for longer: tau1 0.5, tau2 0.6": (gg.ConditionAnnealing(tau1=0.5, tau2=0.6),),
}
HEAD = "cfg | rule | variety | prompt strength | denoising ratio | judge right"


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
    for scale in SCALES:
        for name, rules in ROWS.items():
            x = annealed(denoiser, scale, rules, count)
            said = gg.measure(denoiser, x, labels_of(x), setting={"steps": STEPS})
            right = judge(pictures_of(denoiser, x))["accuracy"]
            spread = variety(flat(x), flat(reference), labels_of(x))
            yield f"{scale:g}", name, spread.text, said.strength.text, said.ratio.text, f"{right:.0%}"


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
