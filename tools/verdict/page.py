"""docs/verdict.md: what the verdict rests on, how often it errs, and what it cannot know."""

from __future__ import annotations

from collections.abc import Sequence

from ..markdown import page, table
from ..places import ROOT
from .evidence import Setting, band_by_l
from .odds import NEAR, RATIO, SAME, TIMES, Carded, burning, cards, halved, ranges, share, sisters
from .runs import SAMPLERS

PAGE = ROOT / "docs" / "verdict.md"
OPENING = """# How sure the verdict is

Written by `{command}`; every number is from that run. A verdict compares the scale \u03b3 of a run
(`cfg`) with what is known of the model. This page says what is known, how it was measured, and how often it errs.
"""
WHY = """## Why one run cannot know the best \u03b3

Train a network on labels of which 30 % are random. Ideally trained, it predicts exactly what the world of sloppy labels
asks for, p' = 0.7 p(x|y) + 0.3 p(x). A second network whose world *is* p' predicts the same. Their runs agree in every
number at every \u03b3. For the first, \u03b3 > 1 repairs the labels; for the second, \u03b3 = 1 is right. No number of
the run tells them apart, so the verdict never says which \u03b3 is best for a model that nobody measured.

The same holds for a weak condition: c' = u + (c \u2212 u)/k makes the same pictures at k\u03b3 as c at \u03b3. So every
world below also stands for itself blurred by 0.5, 1, 2 and 4, and a feature may count only if a blur leaves it as it
is. All features here do: they use u, D and \u03b3(c \u2212 u).
"""
OBJECTIVE = """## What counts as good

With a judge (`pocket-judge-1`, which never guides): **J** = cFD / min cFD + FD / min FD, class-wise and plain Frechet
distance of its features to those of real pictures, each divided by its least value over the scales. Good are the
scales with J \u2264 1.25 min J; the centre is the geometric mean of the edges. **L** = ln cFD of the recognised ones
+ 20 (1 \u2212 accuracy) is given beside it. In the exact worlds: **E** = 0.01 + energy distance to true samples of the
class, divided by the mean distance between true samples. It is a choice: who asks for diversity wants less.
"""
SETTINGS = "world | sampler | steps | class | samples | good \u03b3 | centre | by L"
BURN = """## The alarm of burning

`overmax` is the largest rms(D) / rms(x_end) over the steps: how many times as long as the final picture a guided
prediction was. A posterior mean is not longer than the data in any world. The alarm is sure above **{sure:.2f}**: at
most 5 % of the fine runs of *every* world are above. Above **{likely:.2f}** it is a sign: at most 5 % in half of the
worlds. Batches of {size} samples of one label. *Left out*: fine runs of this world above the threshold of all others.
Hits: runs above the alarm whose \u03b3 is so many times the centre (within a factor of {near}).
"""
CARD = """## With a card

A card is made from one seed; other seeds, and other samplers of the same class, are held against it. *Covered*: a range
of {ratio} (high / low) about the card's centre holds the other's centre. *Too high in vain*: share of the other's good
scales, in ln \u03b3, that lie above the card's band.
"""
SISTERS = """## From Pocket's card to its sisters

The same network, fine-tuned on another share of sloppy labels. A card is never used for other weights; this is what
would happen if it were.
"""
HALF = """## Half the scale, the same noise

d = |x(\u03b3) \u2212 x(\u03b3/2)| / |x(\u03b3)|. Below {same} it is called the same picture: {close} of {pairs:,}
pairs. The judge's label changes in {changed} of these, and in {otherwise} of the others.
"""
RANGE = """## Find my range

With J as the person who clicks, five runs, starting at \u03b3 = 2, 4 or 6: the range found, a factor of 2 wide, holds
the centre of the band in {held} of {count} cases.
"""
LIMITS = """## What this does not tell

- Small worlds only: mixtures, and demo models of 32 x 32 pictures. Nothing here was measured on a large model.
- "Below the alarm" is not "fine": most runs that are twice too high raise no alarm.
- "Too low" is never said from one run, and neither is "obeys the prompt".
"""


def percent(value: float) -> str:
    """A share in percent; a dash where there is none."""
    return "\u2013" if value != value else f"{100 * value:.1f} %"


def settings_table(settings: Sequence[Setting]) -> str:
    """The band of every world and sampler."""
    rows = []
    for one in settings:
        sampler, band = SAMPLERS[one.sampler], one.band
        by_l = f"{band_by_l(one).low:.2g} to {band_by_l(one).high:.2g}" if one.trained else "\u2013"
        count = sum(int(cell["count"]) for cell in one.cells[0])
        edges = f"{band.low:.2g} to {band.high:.2g}" + (" (open)" if band.open else "")
        kind = f"{sampler.name} {'simple' if one.flow else sampler.scheduler}"
        rows.append((one.world, kind, sampler.steps, one.group, count, edges, f"{band.centre:.2g}", by_l))
    return table(SETTINGS, rows)


def burn_section(settings: Sequence[Setting], size: int = 4) -> tuple[str, str]:
    """Thresholds, and a row a world."""
    sure, likely, found = burning(settings, size)
    head = "world | 95 % of fine runs below | false | left out | " + " | ".join(f"hits at {t:g}x" for t in TIMES)
    rows = [
        (world, f"{one.limit:.2f}", percent(one.false), percent(one.left_out), *map(percent, one.hits.values()))
        for world, one in found.items()
    ]
    return BURN.format(sure=sure, likely=likely, size=size, near=NEAR), table(head, rows)


def card_rows(found: Sequence[Carded]) -> str:
    """One band against another."""
    rows = [(one.card, one.other, "yes" if one.held else "no", percent(one.false)) for one in found]
    total = ("all", "", percent(share(one.held for one in found)), percent(sum(o.false for o in found) / len(found)))
    return table("card of | held against | covered | too high in vain", [*rows, total])


def page_of(settings: Sequence[Setting], command: str) -> str:
    """The whole page; what was not measured is left out."""
    known, family, half = cards(settings), sisters(settings, "pocket-1"), halved(settings)
    clicked = ranges(settings)
    close, changed, otherwise = (percent(v) for v in (half.same, half.changed, half.otherwise))
    return page(
        OPENING.format(command=command),
        WHY,
        OBJECTIVE,
        "## Worlds",
        settings_table(settings),
        *burn_section(settings),
        *((CARD.format(ratio=RATIO), card_rows(known)) if known else ()),
        *((SISTERS, card_rows(family)) if family else ()),
        HALF.format(same=SAME, close=close, pairs=half.pairs, changed=changed, otherwise=otherwise)
        if half.pairs
        else "",
        RANGE.format(held=sum(clicked), count=len(clicked)) if clicked else "",
        LIMITS,
    )
