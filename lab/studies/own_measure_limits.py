"""Where a model's own measure holds and where it errs, as docs/own-measure.md says.

On exact mixtures the right answers are known, and how often the intervals hold them is counted; then some of their
labels are wrong, as in data that people labelled. Last the pictures of `pocket-1` are changed in ways that people see
or like, to see which the numbers notice. `python lab own_measure_limits` prints the tables and draws these pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from ... import library as gg
from ...figures.contact_sheet import contact_sheet
from ...library.arena.worlds import Sloppy
from ..markdown import table
from ..pictures import write_pixels
from .judging import LABELS
from .own_measure import draw, labels_of
from .runs import FIGURES

WORLDS = {"2 values": (2,), "32 values": (32,), "4 x 16 x 16": (4, 16, 16)}
CLASSES, PICTURES, SCALE = 4, 16, 2.8
SHEET = FIGURES / "own-measure-errs.webp"
WRONG = (0.1, 0.3)  # shares of labels
HEAD = (
    "world | strength | ratio | strength without the prompt | of right labels: strength | ratio | "
    "held: strength | ratio | without"
)
NEGATIVE = (
    "world | strength of the prompt's samples | without a label | of the negative's | held: prompt | negative | "
    "of the prompt's: ratio"
)


def saturated(x: Tensor, by: float) -> Tensor:
    """Colours so many times as far from grey."""
    grey = x.mean(dim=1, keepdim=True)
    return grey + by * (x - grey)


def blurred(x: Tensor) -> Tensor:
    """Every value the mean of nine."""
    return functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)


def smoothed(pocket: gg.NetworkDenoiser, x: Tensor, times: int = 8, sigma: float = 0.3) -> Tensor:
    """Denoised again and again, until the texture is gone."""
    for _ in range(times):
        x = pocket(x, sigma, labels_of(x))
    return x


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "as they are": lambda x: x,
    "saturation x 1.3": lambda x: saturated(x, 1.3),
    "saturation x 0.6": lambda x: saturated(x, 0.6),
    "grey": lambda x: saturated(x, 0.0),
    "contrast x 1.2": lambda x: 1.2 * x,
    "contrast x 0.7": lambda x: 0.7 * x,
    "brighter by 0.3": lambda x: x + 0.3,
    "inverted": lambda x: -x,
    "blurred": blurred,
    "noise of 0.05": lambda x: x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1)),
    "upside down": lambda x: x.flip(2),
    "left half of another": lambda x: torch.cat([x.roll(1, 0)[..., :16], x[..., 16:]], dim=3),
}


def exact_world(shape: tuple[int, ...], batches: int, wrong: float) -> tuple[str, ...]:
    """What is said of samples with and without the prompt, and how often the intervals hold the truth.

    wrong: share of labels that the denoiser, and the samples with the prompt, draw anew.
    """
    world = gg.make_mixture(shape, CLASSES, seed=0)
    denoiser = Sloppy(world, wrong)
    labels, rows = torch.arange(PICTURES) % CLASSES, []
    for seed in range(batches):
        generator = torch.Generator().manual_seed(seed)
        with_it, without = (world.sample(PICTURES, one, generator).float() for one in (labels, None))
        slips = torch.rand(PICTURES, generator=generator) < wrong
        own = torch.where(slips.reshape(-1, *(1,) * len(shape)), without, with_it)
        asked = [gg.measure(denoiser, x, labels.tolist(), seed=seed) for x in (own, without, with_it)]
        found, other, clean = asked
        held = [e.low <= true <= e.high for e, true in ((found.strength, 1), (found.ratio, 1), (other.strength, 0))]
        values = (found.strength, found.ratio, other.strength, clean.strength, clean.ratio)
        rows.append([*(one.value for one in values), *map(float, held)])
    means = torch.tensor(rows).mean(dim=0).tolist()
    return (*(f"{value:.3f}" for value in means[:5]), *(f"{share:.0%}" for share in means[5:]))


def with_a_negative(shape: tuple[int, ...], batches: int) -> tuple[str, ...]:
    """What is said where the negative is another label and not the empty one, as a negative prompt that says something.

    u is then the mean of that label's samples, so strength is 1 for samples of the prompt and 0 for the negative's.
    """
    world, rows = gg.make_mixture(shape, CLASSES, seed=0), []
    denoiser, labels = gg.ExactDenoiser(world), torch.arange(PICTURES) % CLASSES
    negative = (labels + 1) % CLASSES
    ask = partial(gg.measure, denoiser, cond=labels.tolist(), uncond=negative.tolist())
    for seed in range(batches):
        generator = torch.Generator().manual_seed(seed)
        samples = (world.sample(PICTURES, one, generator).float() for one in (labels, None, negative))
        own, free, other = (ask(x=x, seed=seed) for x in samples)
        held = [e.low <= true <= e.high for e, true in ((own.strength, 1), (other.strength, 0))]
        values = (own.strength.value, free.strength.value, other.strength.value, *map(float, held), own.ratio.value)
        rows.append(values)
    means = torch.tensor(rows).mean(dim=0).tolist()
    return (*(f"{value:.3f}" for value in means[:3]), *(f"{share:.0%}" for share in means[3:5]), f"{means[5]:.3f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=200, help="of 16 samples, in each exact world")
    parser.add_argument("--pictures", type=int, default=100, help="of the demo model")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        for wrong in (0.0, *WRONG):
            rows = ((name, *exact_world(shape, given.batches, wrong)) for name, shape in WORLDS.items())
            print(f"\n{wrong:.0%} of the labels wrong\n\n{table(HEAD, rows)}", flush=True)
        rows = ((name, *with_a_negative(shape, given.batches)) for name, shape in WORLDS.items())
        print(f"\nThe negative is another label\n\n{table(NEGATIVE, rows)}", flush=True)
        pocket = gg.load_denoiser("pocket-1")
        x = draw(pocket, SCALE, given.pictures)
        drawn = {name: change(x) for name, change in CHANGES.items()} | {"smoothed 8 times": smoothed(pocket, x)}
        drawn |= {f"{steps} steps": draw(pocket, SCALE, given.pictures, steps=steps) for steps in (6, 50)}
        drawn |= {f"cfg {scale:g}": draw(pocket, scale, given.pictures) for scale in (8.0, 16.0)}
        found = {name: gg.measure(pocket, pictures, labels_of(pictures)) for name, pictures in drawn.items()}
    rows = ((name, one.strength.text, one.ratio.text) for name, one in found.items())
    print(f"\npocket-1, cfg {SCALE:g}\n\n" + table("change | prompt strength | denoising ratio", rows), flush=True)
    names = [f"{name}: {one.strength.value:.2f}, {one.ratio.value:.2f}" for name, one in found.items()]
    shown = torch.stack([pictures[:LABELS].clamp(-1, 1) / 2 + 0.5 for pictures in drawn.values()]).permute(
        1, 0, 3, 4, 2
    )
    columns = [(label, images, "") for label, images in zip(pocket.labels[:LABELS], shown, strict=True)]
    note = f"pocket-1, cfg {SCALE:g}, 20 steps unless the row says otherwise; numbers of {given.pictures} pictures."
    title = "Prompt strength and denoising ratio: what they notice is not what people mind"
    write_pixels(SHEET, contact_sheet(columns, title=title, scale=2, rows=names, note=note))


if __name__ == "__main__":
    main()
