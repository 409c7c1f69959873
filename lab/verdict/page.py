"""docs/verdict.md: what the verdict rests on, how often it errs, and what it cannot know."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...dev.places import ROOT
from ...verdict.card import FEATURES as OF_A_BAND
from ...verdict.good_scales import GoodScales
from ..markdown import page, table
from ..pages.pictures import write_pixels
from . import limits
from .batches import FEATURES
from .clicked import STARTS, Found, ranges
from .curves import card_plots
from .drawing import draw_curves
from .evidence import Setting, by_j, by_world, told_apart
from .limits import percent
from .misses import changed_label, uncovered
from .odds import (
    COVERED,
    KINDS,
    RATIO,
    SAME,
    SIZE,
    Carded,
    Halved,
    above,
    cards,
    coverage_of,
    false_of,
    halved,
    least_beyond,
    least_ratio,
    plain,
    sisters,
)
from .pictures import STEM, picture
from .rules import Ruled, Rules, rules_of
from .runs import SAMPLERS
from .twins import RANDOM, Twins, twins
from .twins import SAMPLER as TWINS
from .worlds import World
from .wrong import keeps_silent, worst_case

PAGE = ROOT / "docs" / "verdict.md"
POCKET = "pocket-1"
OPENING = """# How sure the verdict is

Written by `{command}`; every number is from that run, except those of
the [alarm of burning](#the-alarm-of-burning), which is measured by itself. A verdict compares the scale \u03b3 of a run
(`cfg`) with what is known of the model. This page says what is known, how it was measured, and how often it errs.
"""
LIMITED = """## What it is held to

Each limit, and what was measured. Where a limit is missed, the verdict claims only what the measurement allows.
"""
WHY = """## Why one run cannot know the best \u03b3

Train a network on labels of which {share:.0f} % are random. Ideally trained, it predicts exactly what the world of
sloppy labels asks for, p' = {rest:g} p(x|y) + {random:g} p(x). A second network whose world *is* p' predicts the same.
Their runs agree in every number at every \u03b3. For the first, \u03b3 > 1 repairs the labels; for the second,
\u03b3 = 1 is right. No number of the run tells them apart, so the verdict never says which \u03b3 is best for a model
that nobody measured.

Here are two such worlds: four labels in two dimensions, the same noise, {sampler}. The first network's predictions are
made of those of the clean world, the second's of a mixture with all components of p'. The features of a batch of four
are shown to eight digits; of all batches none differs by more than {apart:.0e}, which is rounding. E is the distance to
the truth of each world (below), least at \u03b3 {first:g} in the first and at \u03b3 {second:g} in the second.
"""
BLUR = """The same holds for a weak condition. c' = u + (c \u2212 u)/k makes the same pictures at k\u03b3 as c at
\u03b3. So every world below also stands for itself blurred by 0.5, 1, 2 and 4, and a feature may count only if a blur
leaves it as it is. `overmean`, `push8` and `strength` do: they use u, D and \u03b3(c \u2212 u). `overshoot` uses c too,
because only c tells where \u03b3 is 1; a blur makes it larger, and its false alarms are counted where it is largest.
"""
OBJECTIVE = """## What counts as good

With a judge (`pocket-judge-1`, which never guides): **L** = ln cFD + 20 (1 \u2212 accuracy). cFD is the class-wise
Frechet distance between the judge's features of the samples that it recognises and those of real pictures. Good are the
scales whose L is at most ln 1.25 above the least; the centre is the geometric mean of the edges. In the exact worlds:
**E** = 0.01 + energy distance to true samples of the class, divided by the mean distance between true samples; good is
up to 1.25 times the least. It is a choice: who asks for diversity wants less.
"""
STEADY = """Beside it stands **J** = cFD / min cFD + FD / min FD of all pictures, class-wise and plain, each divided by
its least value over the scales; good is up to 1.25 times the least. In J a few wrong pictures count in both terms, and
it divides twice by a minimum that is itself a guess. About a card's centre by J, a range of {ratio} (high / low) holds
{by_j} of the held-out centres; by L, {by_l}. L was chosen for that, on these same settings.
"""
SETTINGS = "world | sampler | steps | class | samples | good \u03b3 | centre | by J"
TOLD = """## What the features tell

How often a run at more than twice the centre has more of a feature than a fine run of the same world and sampler
(0.50: chance; batches of {size}), averaged over the samplers. [The formulas](verdict-card.md#a-card). Within one world
a threshold tells more than between worlds, since no two have the same. `overmean`, `push8` and `strength` at the edges
of a band stand on a card; without one only the [alarm](#the-alarm-of-burning) is read.
"""
CURVES = """![calibration of a card](figures/{name})

The share of held-out centres that a range about a card's centre holds, by its width; the broken line is the promise of
{covered:.0f} %, the diamond what is promised.
"""
CARD = """## With a card

A card is made from one part of the measurements and held against another: the other half of the seeds, the other half
of the labels, or another sampler of its class. A run is called too high beyond **{beyond:g}** times the upper end of
the card's band; between the two the verdict says "a little above", and does not decide. *Too high in vain*: share of
the other's good scales, in ln \u03b3, beyond that. *Covered*: a range of so many times high / low about the card's
centre holds the other's centre; the verdict promises **{ratio:g}**, the least with which that holds in {covered:.0f} %
of the cases. Other seeds, labels and samplers count alike, however many there are of each.
"""
RULES = """## With a card and a rule

A rule changes what \u03b3 does: the middle of its good scales lies {times} times as high as the card says. So the
verdict never compares a run with rules by its \u03b3. It compares two lengths, exp(`overmean`) and `strength`, with
those of a run at the top of the card's band. A run *goes further* if both are more than **{further:g}** times as
large, and *no further* if neither is larger; in between the verdict cannot tell. It says that a run pushes further
only if its `overshoot` is a [sign of burning](#the-alarm-of-burning), too. The factor is set like the alarm, so that at
most 5 % of the fine runs of every rule and model go further, with a margin. *In vain*: fine runs that go further, in
batches of the size with the highest share. *Left out*: by the factor that follows from all other rows. *Found*: runs
at more than twice the centre of their own band that go further (batches of {size}); *missed*: that are said to push no
further. The card is made of other seeds.
"""
SISTERS = """## From Pocket's card to its sisters

The same network, fine-tuned on another share of sloppy labels: Pocket's card, as if it were theirs, holds {held} of
their centres in a range of {ratio} (high / low); {false} of their good scales would be called too high. The verdict
makes no use of that: a card counts only for the weights whose hash it names, and for all others the verdict says that
it was not used.
"""
HALF = """## Half the scale, the same noise

d = |x(\u03b3) \u2212 x(\u03b3/2)| / |x(\u03b3)|. Below {same} the subject is said to stay: {close} of {pairs:,}
pairs. The judge's label changes in {changed} of these, and in {otherwise} of the others. Whether eyes see one
picture was not measured: colours and details may differ.
"""
RANGE = """## Find my range

With L as the person who clicks, and nothing known of the model: three scales about cfg {starts}, of which the best
is clicked, and the two that the panel then queues: beyond it where it is the last on its side, else close about it.
Chosen are the best and the next best beside it, if its L is at most ln 1.25 larger. The range that these picks
give holds the centre of the band in {held} of {count} cases.
"""
MISSES = """## Every kind of miss, shown

Each picture shows one run in the framed column, and runs of the same noise at other scales beside it. Below each
picture stands what the judge sees. The cases are the worst that were found, not typical ones.
"""
ABSENT = "Not found among these cells: {names}."
WRONG = """## A case where the verdict is wrong
"""
LIMITS = """## What this does not tell

- Small worlds only: mixtures, and demo models of 32 x 32 pictures. Nothing here was measured on a large model.
- "Below the alarm" is not "fine": most runs that are twice too high raise no alarm.
- "Too low" is never said from one run, and neither is "obeys the prompt".
"""


def objective_section(study: Study) -> tuple[str, ...]:
    """What is good, and how steady that is by either objective."""
    if not study.known:
        return (OBJECTIVE,)
    other = cards([by_j(one) for one in study.settings if one.trained])
    by = {"by_j": percent(coverage_of(other, RATIO)), "by_l": percent(coverage_of(study.known, RATIO))}
    return OBJECTIVE, STEADY.format(ratio=RATIO, **by)


def settings_table(settings: Sequence[Setting]) -> str:
    """The band of every world and sampler."""
    rows = []
    for one in settings:
        sampler, band = SAMPLERS[one.sampler], one.band
        other = _edges(by_j(one).band) if one.trained else "\u2013"
        count = sum(int(cell["count"]) for cell in one.cells[0])
        edges = _edges(band)
        rows.append((one.world, one.kind, sampler.steps, one.group, count, edges, f"{band.centre:.2g}", other))
    return table(SETTINGS, rows)


def _edges(band: GoodScales) -> str:
    return f"{band.low:.2g} to {band.high:.2g}" + (" (open)" if band.open else "")


@dataclass(frozen=True)
class Study:
    """All that the page tells, each part computed once.  worlds: by name, of the settings"""

    settings: Sequence[Setting]
    worlds: Mapping[str, World]

    @cached_property
    def known(self) -> list[Carded]:
        """Cards, each against another part."""
        return cards(self.settings)

    @cached_property
    def family(self) -> list[Carded]:
        """Pocket's card against its sisters."""
        return sisters(self.settings, POCKET)

    @cached_property
    def plain(self) -> list[Setting]:
        """Those that cfg alone guides."""
        return plain(self.settings)

    @cached_property
    def rules(self) -> Rules:
        """Runs with rules against the cards of their samplers."""
        return rules_of(self.settings)

    @cached_property
    def half(self) -> Halved:
        """Pairs at gamma and gamma / 2."""
        return halved(self.settings)

    @cached_property
    def clicked(self) -> list[Found]:
        """Ranges that were found."""
        return ranges(self.settings)

    @cached_property
    def promised(self) -> tuple[float, float]:
        """Of a card: how far beyond its band is too high, and the width of the range that is promised."""
        return least_beyond(self.known), least_ratio(self.known)


def limits_section(study: Study) -> tuple[str, str]:
    """Every limit with what was measured."""
    silent = all(keeps_silent(one, study.worlds) for one in study.family)
    found = [
        *limits.of_cards(study.known, study.promised[0]),
        *limits.of_rules(study.rules),
        *limits.of_ranges(study.clicked),
        *limits.of_half(study.half),
        *limits.of_sisters(study.family, silent),
    ]
    rows = [(one.what, one.limit, one.measured, "yes" if one.holds else "**no**") for one in found]
    return LIMITED, table("what | limit | measured | holds", rows)


def why_section(found: Twins) -> tuple[str, str, str]:
    """Two worlds with the same runs, and different best scales."""
    words = WHY.format(
        share=100 * RANDOM, rest=1 - RANDOM, random=RANDOM, sampler=SAMPLERS[TWINS].name, apart=found.apart,
        first=found.best[0], second=found.best[1],
    )  # fmt: skip
    rows = []
    for k, gamma in enumerate(found.gammas):
        for world in (0, 1):
            told = [f"{found.features[name][k][world]:.8f}" for name in FEATURES]
            rows.append(
                (f"{gamma:g}", ("sloppy labels", "the world is p'")[world], *told, f"{found.energy[k][world]:.3f}")
            )
    return words, table("\u03b3 | world | " + " | ".join(FEATURES) + " | E", rows), BLUR


def features_section(settings: Sequence[Setting]) -> tuple[str, str]:
    """How well each feature tells too high from fine, in every world."""
    rows = []
    for world, own in by_world(settings).items():
        runs = [one.runs(SIZE) for one in own]
        shares = [[told_apart(of_one, name) for of_one in runs] for name in OF_A_BAND]
        rows.append((world, *(_mean(known) for known in shares)))
    return TOLD.format(size=SIZE), table("world | " + " | ".join(OF_A_BAND), rows)


def _mean(values: Sequence[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    return f"{sum(known) / len(known):.2f}" if known else "\u2013"


def curve_of_cards(study: Study, folder: Path) -> str:
    """How often a range about a card's centre holds the centre, by its width."""
    name = f"{STEM}card.webp"
    write_pixels(folder / name, draw_curves(card_plots(study.known, study.promised[1])).png())
    return CURVES.format(name=name, covered=100 * COVERED)


def card_rows(found: Sequence[Carded], beyond: float) -> str:
    """One band against another."""
    rows = [
        (
            one.card,
            one.other.words,
            one.kind,
            _edges(one.band),
            _edges(one.other.band),
            "yes" if one.holds(RATIO) else "no",
            percent(one.false(beyond)),
        )
        for one in found
    ]
    kinds = [kind for kind in (*KINDS, "sister") if any(one.kind == kind for one in found)]
    parts = [(kind, [one for one in found if one.kind == kind]) for kind in kinds]
    total = [
        (f"**all, other {kind}**", "", kind, "", "", percent(coverage_of(own, RATIO)), percent(false_of(own, beyond)))
        for kind, own in parts
    ]
    head = f"card of | held against | other | its band | that band | covered ({RATIO}) | too high in vain"
    return table(head, [*rows, *total])


def card_section(study: Study, folder: Path) -> tuple[str, ...]:
    """Cards against other parts, and Pocket's against its sisters."""
    beyond, ratio = study.promised
    if not study.known:
        return ()
    words = CARD.format(beyond=beyond, ratio=ratio, covered=100 * COVERED)
    found = (words, curve_of_cards(study, folder), card_rows(study.known, beyond))
    if not study.family:
        return found
    held, false = percent(coverage_of(study.family, RATIO)), percent(false_of(study.family, beyond))
    return (*found, SISTERS.format(held=held, ratio=RATIO, false=false), card_rows(study.family, beyond))


def rules_section(rules: Rules) -> tuple[str, ...]:
    """Runs with a rule against the card of their sampler."""
    if not rules.found:
        return ()
    times = [one.other.band.centre / one.card.band.centre for one in rules.found]
    words = RULES.format(times=f"{min(times):.1f} to {max(times):.1f}", size=SIZE, further=rules.further)
    rows = [
        (one.other.words, _edges(one.card.band), _edges(one.other.band), *map(percent, _said(one, rules)))
        for one in rules.found
    ]
    return words, table("runs | band of the card | band with the rule | in vain | left out | found | missed", rows)


def _said(one: Ruled, rules: Rules) -> tuple[float, ...]:
    return above(one.fine, rules.further), rules.left_out(one), one.found(rules.further), one.missed


def half_section(half: Halved) -> str:
    """Half the scale."""
    close, changed, otherwise = (percent(v) for v in (half.same, half.changed, half.otherwise))
    told = {"same": SAME, "close": close, "pairs": half.pairs, "changed": changed, "otherwise": otherwise}
    return HALF.format(**told) if half.pairs else ""


def range_section(clicked: Sequence[Found]) -> str:
    """Find my range."""
    if not clicked:
        return ""
    starts, held = ", ".join(f"{start:g}" for start in STARTS), sum(one.held for one in clicked)
    return RANGE.format(starts=starts, held=held, count=len(clicked))


def misses_section(study: Study, folder: Path) -> tuple[str, ...]:
    """A picture of every kind of miss."""
    found = {
        "a card whose range does not hold the centre": uncovered(study.known, RATIO),
        "a subject that changes": changed_label(study.plain),
    }
    if not study.known:
        return ()
    absent = [name for name, shown in found.items() if shown is None]
    shown = [
        f"**{name[0].upper()}{name[1:]}.** {picture(one, study.worlds, folder)}" for name, one in found.items() if one
    ]
    return (MISSES, *shown, ABSENT.format(names="; ".join(absent)) if absent else "")


def wrong_section(study: Study, folder: Path) -> tuple[str, ...]:
    """The worst case."""
    found = worst_case(study.known, study.promised[0], study.worlds)
    if found is None:
        return ()
    text, shown = found
    return (WRONG, text, picture(shown, study.worlds, folder).partition("\n\n")[2])


def page_of(study: Study, command: str, folder: Path, alarm: str = "") -> str:
    """The whole page; what was not measured is left out.

    folder: for the pictures, beside the page. alarm: the section of what is measured by itself.
    """
    for stale in folder.glob(f"{STEM}*.webp"):
        if stale.name not in alarm:
            stale.unlink()
    return page(
        OPENING.format(command=command),
        *limits_section(study),
        *why_section(twins()),
        *objective_section(study),
        "## Worlds",
        settings_table(study.settings),
        *features_section(study.plain),
        alarm,
        *card_section(study, folder),
        *rules_section(study.rules),
        half_section(study.half),
        range_section(study.clicked),
        *misses_section(study, folder),
        *wrong_section(study, folder),
        LIMITS,
    )
