"""How often two pictures that count as the same show another subject, or other colours.

A pair is one sample at cfg and at half of it, or at 1 where that is less, from the same noise. The distance is the one
by which *Try half* answers (`verdict.alike`). The truth does not know it: whether the judge, which took no part, names
another label, and whether colours that are counted differ visibly. `python lab same_picture` prints it for both demo
models.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import library as gg
from ...verdict.alike import compare_pictures
from ...verdict.halved import CLOSE, NEAR, SAME, distance
from ..markdown import table
from .judging import named
from .own_measure import MODELS, draw, pictures_of

SCALES = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
APART, GREY, BINS = 0.15, 0.1, 24  # of 0 .. 1: what stands before the background, and what has a hue; bins of hues
HUE, SHARE = 20.0, 0.1  # degrees, and of 0 .. 1: a change that a person would name
HEAD = "the pictures count as | pairs | another label | other colours"


@dataclass(frozen=True)
class Pairs:
    """Pairs of pictures, all [n].  apart: distance of pictures; ends: of samples; subject, colours: what changed"""

    apart: Tensor
    ends: Tensor
    subject: Tensor
    colours: Tensor

    def row(self, words: str, chosen: Tensor) -> tuple[str, ...]:
        """How many pairs are chosen, and what of them changed."""
        shares = [float(changed[chosen].double().mean()) for changed in (self.subject, self.colours)]
        return (words, f"{int(chosen.sum())}", *(f"{share:.1%}" for share in shares))

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Of the table."""
        yield self.row(f"the same: distance below {SAME:g}", self.apart < SAME)
        yield self.row(f"a little changed: below {CLOSE:g}", (self.apart >= SAME) & (self.apart < CLOSE))
        yield self.row(f"visibly changed: from {CLOSE:g} on", self.apart >= CLOSE)
        yield self.row(f"without pictures, samples nearer than {NEAR:g}", self.ends < NEAR)


def pairs_of(denoiser: gg.NetworkDenoiser, count: int, seed: int = 30) -> Pairs:
    """Every pair of a model."""
    ends = {scale: draw(denoiser, scale, count, seed) for scale in {1.0, *SCALES, *(scale / 2 for scale in SCALES)}}
    shown = {scale: pictures_of(denoiser, x).clamp(-1, 1) for scale, x in ends.items()}
    names = {scale: named(x) for scale, x in shown.items()}
    columns: list[list[Tensor]] = [[], [], [], []]
    for scale in SCALES:
        half = max(1.0, scale / 2)
        own, other = (shown[one] / 2 + 0.5 for one in (scale, half))
        found = (
            compare_pictures(own, other).distance,
            distance(ends[scale], ends[half]),
            names[scale] != names[half],
            colours_changed(own, other),
        )
        for column, values in zip(columns, found, strict=True):
            column.append(values)
    return Pairs(*map(torch.cat, columns))


def colours_of(pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # [B, 3, H, W] in 0 .. 1
    """Of what stands before the background: shares of hues [B, BINS], saturation and brightness [B, 2]; and behind it.

    In plain sRGB, so that it shares nothing with the distance: saturation = max - min, brightness = max.
    """
    border = torch.cat([pictures[:, :, 0], pictures[:, :, -1], pictures[..., 0], pictures[..., -1]], dim=2)
    background = border.median(dim=2).values  # [B, 3]
    subject = ((pictures - background[..., None, None]).abs().amax(dim=1) > APART).to(pictures.dtype)
    brightness, channel = pictures.max(dim=1)
    saturation = (brightness - pictures.amin(dim=1)) * subject
    red, green, blue = pictures.unbind(1)
    turns = torch.stack([green - blue, blue - red + 2 * saturation, red - green + 4 * saturation], dim=1)
    hue = turns.gather(1, channel[:, None])[:, 0] / saturation.clamp(min=1e-9) % 6  # in sixths of the circle
    bins = (hue * BINS / 6).long().clamp(0, BINS - 1).flatten(1)
    hues = pictures.new_zeros(len(pictures), BINS).scatter_add_(1, bins, saturation.flatten(1))
    count = subject.flatten(1).sum(dim=1).clamp(min=1)
    means = [one.flatten(1).sum(dim=1) / count for one in (saturation, brightness * subject)]
    return hues / hues.sum(dim=1, keepdim=True).clamp(min=1e-9), torch.stack(means, dim=1), background


def colours_changed(first: Tensor, second: Tensor) -> Tensor:  # 2 x [B, 3, H, W] in 0 .. 1 -> [B] bool
    """Hues moved by more than 20 degrees on the circle; saturation, brightness or background by more than a tenth."""
    (hues, means, ground), (other_hues, other_means, other_ground) = colours_of(first), colours_of(second)
    moved = (hues - other_hues).cumsum(dim=1)
    turned = (moved - moved.median(dim=1, keepdim=True).values).abs().sum(dim=1) * 360 / BINS
    coloured = torch.minimum(means[:, 0], other_means[:, 0]) > GREY
    further = torch.cat([means - other_means, ground - other_ground], dim=1).abs().amax(dim=1) > SHARE
    return (turned > HUE) & coloured | further


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100, help="of every scale")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        for name in MODELS:
            found = pairs_of(gg.load_denoiser(name), given.pictures)
            print(f"\n{name}, {given.pictures} pictures a scale\n\n{table(HEAD, found.rows())}", flush=True)


if __name__ == "__main__":
    main()
