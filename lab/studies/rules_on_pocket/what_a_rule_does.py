"""Write docs/what-a-rule-does.md: what every rule of the pack did, along the difference and across it, in four worlds.

`python lab what_a_rule_does [--processes 2]` measures what nobody did, and writes the page, its two figures
and docs/what-a-rule-does.json: about ten minutes on two cores of their own. What is measured stays in .cache/rules, so
that a stopped command goes on; `--page` sets the numbers that are there.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from ....dev.places import ROOT
from ....figures.canvas import Canvas
from ....trace.portable import jsonable
from ... import markdown
from ...pictures import write_pixels
from .rule_effects import Curve, Interval, Quality, Row, World, worlds
from .rule_figures import Panel, Push, draw_parts, draw_scales
from .rule_runs import GAMMA, HIGH, LEFT_OUT, SLOPPY, measure_all

PAGE, NUMBERS = ROOT / "docs" / "what-a-rule-does.md", ROOT / "docs" / "what-a-rule-does.json"
PARTS, SCALES = (ROOT / "docs" / "figures" / f"rule-{name}.webp" for name in ("parts", "scales"))
DRAWN = "pocket-flow-1"  # the world of the figures
SMALLEST = 0.005  # that is not written as 0.00
NOTHING = 0.005  # of the push: a share across that is none
STEPS_DRAWN = (1, 15)  # early and late, from 0
DRAWN_PART = "AdaptiveProjected"
DRAWN_SCALES = {
    "AdaptiveProjected": "APG",
    "LocationNorm": "CFGNorm",
    "EnergyPreserving": "EP-CFG",
    "Rescale": "Rescale",
    "Skim": "Skimming",
    "Feedback": "FBG",
    "Tangential": "TCFG",
    "Bands": "FDG",
}
TITLES = {
    "pocket-flow-1": "Pocket Flow",
    "pocket-1": "Pocket",
    SLOPPY: "An exact world of sloppy labels",
    "mixture-32": "An exact mixture, 32 dimensions",
}
ABOUT = {
    SLOPPY: "A mixture of twelve Gaussians in 16 dimensions with four labels. The network is the ideal one for labels "
    "of which 30 % are random, and the truth is the mixture with its right labels.",
    "mixture-32": "The network is exact and its labels are right, so there is nothing for guidance to mend.",
}


def drawn_only(world: World) -> World:
    """A world with no other curves than those that are drawn."""
    return replace(world, curves={rule: world.curves[rule] for rule in DRAWN_SCALES if world.name == DRAWN})


def place_of(world: World) -> int:
    """Its place on the page."""
    return list(TITLES).index(world.name)


def numbers_json(found: Sequence[World]) -> str:
    """The numbers as JSON; null is unknown."""
    return json.dumps(jsonable([asdict(one) for one in found]), indent=1) + "\n"


def worlds_of(numbers: Sequence[dict[str, Any]]) -> list[World]:
    """The worlds as they were stored."""
    return [world_of(_read_nulls(one)) for one in numbers]


def world_of(one: dict[str, Any]) -> World:
    """One world as it was stored."""
    plain = {scale: quality_of(quality) for scale, quality in one["plain"].items()}
    curves = {name: Curve(**curve) for name, curve in one["curves"].items()}
    return World(**{**one, "plain": plain, "curves": curves, "rows": tuple(map(row_of, one["rows"]))})


def row_of(row: dict[str, Any]) -> Row:
    """One rule as it was stored."""
    return Row(**{**row, "own": quality_of(row["own"]), "along": quality_of(row["along"])})


def quality_of(quality: dict[str, Any]) -> Quality:
    """How good samples are, as it was stored."""
    return Quality(**quality)


def _read_nulls(value: Any) -> Any:
    """Nan for null, tuples for lists, all the way down."""
    if isinstance(value, dict):
        return {name: _read_nulls(one) for name, one in value.items()}
    if isinstance(value, list):
        return tuple(map(_read_nulls, value))
    return math.nan if value is None else value


TEXT = markdown.passages(__file__)
BY_JUDGE = (
    "L = ln cFD + 20 (1 \u2212 accuracy). The judge, `pocket-judge-1`, never guides; cFD is the Frechet distance, "
    "label by label, between its features of the samples that it recognises and those of real pictures"
)
BY_TRUTH = (
    "a thousand times the energy distance to true samples, divided by the mean distance between these; the estimate "
    "has no bias, so it may fall below 0"
)


def head_of(world: World) -> str:
    """Names of the columns."""
    judged = "L | accuracy | cFD" if has_judge(world) else "distance"
    return (
        f"rule | cfg | effective scale | share across | {judged} | schedule alone: {judged} | beyond the schedule | "
        "against the best plain"
    )


def has_judge(world: World) -> bool:
    """Whether a judge measured it."""
    return math.isfinite(world.rows[0].own.accuracy)


def cells_of(world: World, row: Row) -> list[str]:
    """One rule's row."""
    return [
        row.text,
        f"{row.gamma:g}",
        pair(row.scale, "{:.1f}"),
        pair(row.across, "{:.2f}"),
        *quality_cells(world, row.own),
        *quality_cells(world, row.along),
        gain(row.worth),
        gain(row.beyond),
    ]


def quality_cells(world: World, quality: Quality) -> list[str]:
    """How good samples are."""
    value = around(quality.value)
    return [value, f"{quality.accuracy:.3f}", f"{quality.classwise:.2f}"] if has_judge(world) else [value]


def pair(values: tuple[float, float], form: str) -> str:
    """Early and late."""
    early, late = (form.format(value).replace("-", "\u2212") if math.isfinite(value) else "?" for value in values)
    return early if early == late else f"{early} .. {late}"


def around(interval: Interval) -> str:
    """A number and its interval."""
    return "{:.2f} ({:.2f} to {:.2f})".format(*interval).replace("-", "\u2212")


def gain(interval: Interval) -> str:
    """A difference with its interval, in bold where that does not hold 0."""
    words = "{:+.2f} ({:+.2f} to {:+.2f})".format(*interval).replace("-", "\u2212").replace("+0.00", "0.00")
    return f"**{words}**" if sign(interval) else words


def section_of(world: World) -> list[str]:
    """One world's heading, its facts and its table, the best first."""
    rows = sorted(world.rows, key=lambda row: row.own.value[0])
    unit = BY_JUDGE if has_judge(world) else BY_TRUTH
    plain = ", ".join(f"{scale}: {around(quality.value)}" for scale, quality in world.plain.items())
    return [
        f"## {TITLES[world.name]}",
        f"{ABOUT.get(world.name, '')} {world.sampler} steps, {world.samples} samples a row. Less is better: {unit}. "
        f"Plain guidance at {plain}. The best of these is {world.best:g}.".strip(),
        markdown.bullets(readings(world)),
        markdown.folded(
            "Every rule, the best first", markdown.table(head_of(world), [cells_of(world, row) for row in rows])
        ),
    ]


def readings(world: World) -> list[str]:
    """What the intervals of a world bear out, counted."""
    better, worse = ([row for row in world.rows if sign(row.worth) == way] for way in (1, -1))
    above, below = ([row for row in world.rows if sign(row.beyond) == way] for way in (1, -1))
    return [
        f"What a rule does beyond its schedule helps in {names(better)}, and it harms in {names(worse)}. The others "
        "are a schedule, or nobody can tell.",
        f"Better than the best plain scale: {names(above)}. Worse: {names(below)}.",
    ]


def summary(found: Sequence[World]) -> list[str]:
    """What the worlds show together, counted."""
    rows = [row for world in found for row in world.rows]
    above = [f"{short(row)} ({TITLES[world.name]})" for world in found for row in world.rows if sign(row.beyond) > 0]
    helps, harms = ({row.rule: row for row in rows if sign(row.worth) == way} for way in (1, -1))
    reached = {rule: max(finite(row.across) for row in rows if row.rule == rule) for rule in {row.rule for row in rows}}
    still = {row.rule: row for row in rows if reached[row.rule] < NOTHING}
    return [
        f"Better than the best plain scale of its world, beyond doubt, of {len(rows)} rows: "
        f"{', '.join(above) or 'none'}.",
        "What these rules do beyond their schedule helps in one world and harms in another: "
        f"{names(row for rule, row in helps.items() if rule in harms)}.",
        f"It helps in some worlds and harms in none: {names(row for rule, row in helps.items() if rule not in harms)}.",
        f"It harms in some worlds and helps in none: {names(row for rule, row in harms.items() if rule not in helps)}.",
        f"These have no part across in any world: {names(still.values())}. They change the scale, and reuse also the "
        "difference. (Only steps with both predictions count.)",
    ]


def finite(values: Iterable[float]) -> float:
    """The largest of those that are known."""
    return max((value for value in values if math.isfinite(value)), default=0.0)


def sign(interval: Interval) -> int:
    """1 where all of it is above 0 in two digits, -1 below, else 0."""
    _, low, high = interval
    return (low >= SMALLEST) - (high <= -SMALLEST)


def names(rows: Iterable[Row]) -> str:
    """Rules by the first word of their phrase."""
    return ", ".join(short(row) for row in rows) or "none"


def short(row: Row) -> str:
    """A rule's name."""
    return DRAWN_SCALES.get(row.rule) or SHORT.get(row.rule) or row.text.split(" ")[0].strip(",")


SHORT = {
    "DynamicThreshold": "thresholding",
    "Interval": "the interval",
    "Negative": "a negative label",
    "PowerLaw": "the power law",
    "Reuse": "reuse",
    "ScaleSchedule": "the rising schedule",
}


def page(found: Sequence[World]) -> str:
    """The whole page."""
    left = markdown.bullets(f"{name}: {why}." for name, why in sorted(LEFT_OUT.items()))
    return markdown.page(
        TEXT["IDEA"],
        f"![The push of APG, early and late, taken apart](figures/{PARTS.name})",
        TEXT["READ_PARTS"],
        f"![Effective scale and share across of eight rules](figures/{SCALES.name})",
        TEXT["READ_SCALES"],
        "## Every rule, and its control",
        TEXT["METHOD"].format(HIGH=HIGH, GAMMA=GAMMA),
        "What the four worlds show together:",
        markdown.bullets(summary(found)),
        TEXT["COLUMNS"],
        *(block for world in found for block in section_of(world)),
        "## What this does not say",
        TEXT["NOT_SAID"],
        "## Rules that are not here",
        left,
    )


def drawings(found: Sequence[World]) -> tuple[Canvas, Canvas]:
    """Both figures."""
    world = next(one for one in found if one.name == DRAWN)
    gammas, curve = {row.rule: row.gamma for row in world.rows}, world.curves[DRAWN_PART]
    pushes = [
        Push(f"APG, {when}: step {i + 1} of {len(curve.scale)}", gammas[DRAWN_PART], curve.scale[i], curve.across[i])
        for when, i in zip(("early", "late"), STEPS_DRAWN, strict=True)
    ]
    panels = [
        Panel(f"{title}, cfg {gammas[rule]:g}", gammas[rule], *vars(world.curves[rule]).values())
        for rule, title in DRAWN_SCALES.items()
    ]
    return draw_parts(pushes), draw_scales(panels)


def main() -> None:
    """Measure, and write the page, its numbers and its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2, help="that measure at once")
    parser.add_argument("--page", action="store_true", help="only set the numbers that are there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.page:
        measure_all(options.processes)
        NUMBERS.write_text(numbers_json(sorted(map(drawn_only, worlds()), key=place_of)), encoding="utf-8")
    found = worlds_of(json.loads(NUMBERS.read_text(encoding="utf-8")))
    for path, canvas in zip((PARTS, SCALES), drawings(found), strict=True):
        write_pixels(path, canvas.png())
    markdown.write(PAGE, page(found))


if __name__ == "__main__":
    main()
