"""Which cfg ten liked pictures name, beside the best one, and beside every other rule that was tried.

The liked pictures are real ones, or the model's own at a value that the rule does not know. What a named value costs is
a difference from the best: of both Frechet distances, and of the share that shows its label. Exact worlds, a part of
whose labels is wrong, stand beside the demo models. `python lab own_measure_liked` prints the tables of
docs/own-measure.md.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ... import library as gg
from ...dev.places import ROOT
from ...guidance.vectors import flat
from ...library.arena.worlds import Sloppy
from ...measure.curve import MEASURABLE, VISIBLE, Curve
from ...measure.measurement import Measurement
from ..markdown import table
from ..train.demo_evaluation import classwise_frechet, frechet, statistics_of
from ..train.demo_files import images_of
from .judging import LABELS, judge
from .own_measure import MODELS, SCALES, draw, labels_of, pictures_of

WORLDS = {f"{size} values, {wrong:.0%} wrong": ((size,), wrong) for size in (2, 32) for wrong in (0.1, 0.3)}
FEW, REAL, CLOSE = 10, 100, 1.25  # pictures that a person likes; real ones; of a hidden value, as near as asked for
MANY = 5000  # samples of an exact world, which stand for the truth
VALIDATION = ROOT / "tests" / "fixtures" / "pocket_validation.png"
LIKED = f"{FEW} liked real pictures"


def judged(denoiser: Any, x: Tensor) -> tuple[float, float, float]:
    """Frechet and class-wise Frechet distance from real samples, and the share that does not show its label."""
    if not isinstance(denoiser, Sloppy):
        seen = judge(pictures_of(denoiser, x))
        return seen["frechet"], seen["classwise"], 1 - seen["accuracy"]
    own, true = (statistics_of(flat(one), torch.tensor(labels_of(one))) for one in (x, real(denoiser, MANY)))
    says = denoiser.mixture.label_log_prob(x, 0.0).argmax(dim=1)
    right = (says == torch.tensor(labels_of(x))).double().mean()
    return frechet(own, true), classwise_frechet(own, true), 1 - float(right)


def real(denoiser: Any, count: int) -> Tensor:
    """Real samples of every label in turn: of an exact world, or pictures that no model learned from."""
    if isinstance(denoiser, Sloppy):
        labels, generator = torch.arange(count) % LABELS, torch.Generator().manual_seed(9)
        return denoiser.mixture.sample(count, labels, generator).float()
    return encoded(denoiser, validation_pictures(count))


def validation_pictures(count: int) -> Tensor:  # -> [B, 3, H, W]
    """Pictures that no model learned from, every label in turn."""
    pixels = torch.from_numpy(images_of(np.asarray(Image.open(VALIDATION)))[:count])
    return pixels.permute(0, 3, 1, 2) / 127.5 - 1


def encoded(denoiser: gg.NetworkDenoiser, pictures: Tensor) -> Tensor:
    """Pictures in the space of a model."""
    space = denoiser.spec.latents
    if denoiser.vae is None:
        return pictures
    shift, scale = (torch.tensor(one)[:, None, None] for one in (space.shift, space.scale))
    return (denoiser.vae.encode(pictures) - shift) * scale


def rules_of(curve: Curve) -> dict[str, float | None]:
    """The value that every rule names; None where it names none."""
    first, seen = (mark.value if mark else None for mark in map(curve.mark, (MEASURABLE, VISIBLE)))
    named = {
        "half of first measured": first and first / 2,
        "first measured": first,
        "half of first seen": seen and seen / 2,
    }
    named |= {"where pictures are least strange": curve.least, "where prompt strength is 1": curve.value_of(1.0)}
    return named | {f"always {scale:g}": scale for scale in SCALES[:6]}


def part_of(point: Measurement, start: int, end: int) -> Measurement:
    """Of some of its pictures."""
    return replace(point, levels=[level.of(range(start, end)) for level in point.levels])


class Found:
    """What is known of one model.  costs [S, 3]: as `judged`, of every scale; named: a value or several, by rule"""

    def __init__(self, denoiser: Any, pictures: int, measured: int):
        self.costs, points = [], []
        for scale in SCALES:
            x = draw(denoiser, scale, pictures)
            self.costs.append(judged(denoiser, x))
            points.append(gg.measure(denoiser, x[:measured], labels_of(x[:measured]), draws=1))
        self.best = [SCALES[int(np.argmin(column))] for column in zip(*self.costs, strict=True)]
        x = real(denoiser, REAL)
        liked = gg.measure(denoiser, x, labels_of(x), draws=1)
        self.strength, curve = liked.strength, Curve(SCALES, points, (), 1.0)
        sets = [part_of(liked, start, start + FEW).strength.value for start in range(0, REAL, FEW)]
        self.named = {LIKED: [curve.value_of(strength) for strength in sets]}
        self.named |= {rule: [value] for rule, value in rules_of(curve).items()}
        rest = Curve(SCALES, [part_of(point, FEW, measured) for point in points], (), 1.0)
        self.hidden = [rest.value_of(part_of(point, 0, FEW).strength.value) for point in points]

    def regret(self, rule: str) -> list[float]:
        """What the named values cost over the best, on average; the largest value stands for none."""
        places = np.log([value or SCALES[-1] for value in self.named[rule]])
        columns = zip(*self.costs, strict=True)
        return [float(np.interp(places, np.log(SCALES), one).mean()) - min(one) for one in columns]

    def row(self) -> tuple[str, ...]:
        """The best values, and what is named."""
        values = sorted(value or math.inf for value in self.named[LIKED])
        near = [value is not None and abs(math.log(value / scale)) <= math.log(CLOSE)
                for scale, value in zip(SCALES, self.hidden, strict=True)]  # fmt: skip
        best = (f"{one:g}" for one in self.best)
        named = f"{values[len(values) // 2]:.1f} ({values[0]:.1f} to {values[-1]:.1f})"
        return (*best, self.strength.text, named, f"{sum(near)} of {len(near)}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=40, help="of every scale")
    parser.add_argument("--measured", type=int, default=30, help="of them, more than ten")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        worlds = {
            name: Sloppy(gg.make_mixture(shape, LABELS, seed=0), wrong) for name, (shape, wrong) in WORLDS.items()
        }
        models = worlds | {name: gg.load_denoiser(name) for name in MODELS}
        found = {name: Found(one, given.pictures, given.measured) for name, one in models.items()}
    head = "model | best by Frechet | by class-wise | by label shown | strength of real ones"
    head += f" | {FEW} of them name cfg | hidden values named"
    print(table(head, ((name, *one.row()) for name, one in found.items())))
    for i, what in enumerate(("Frechet distance", "class-wise Frechet distance", "share without its label")):
        rows = {rule: [one.regret(rule)[i] for one in found.values()] for rule in found[MODELS[-1]].named}
        print(f"\n{what}, over the best\n\n" + table(f"rule | {' | '.join(found)}", (
            (rule, *(f"{value:.3f}" for value in values)) for rule, values in rows.items())))  # fmt: skip


if __name__ == "__main__":
    main()
