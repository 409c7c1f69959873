"""docs/classifier-guidance.md, written from what the measurement found and from nothing else."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ...dev.places import ROOT
from ...guidance.gradients.term import MEASURED
from ..markdown import between, bullets, folded, page, passages, section_in, table
from .evaluation_costs import ABOUT, MEMORY, TIMES, file_of
from .evaluations import BATCH, CFG, SEED, Row

PAGE = ROOT / "docs" / "classifier-guidance.md"
COMPANY = "Through a VAE, and beside other packs"  # a section that bench gradients measures
TRUTH = "Where the truth is known"  # and one that bench exact_toy does
RETURN_AT = "131072"  # bytes above which the second measurement's allocator gives memory back at once
Rows = list[tuple[Row, dict[str, float]]]
TEXT = passages(__file__)


class Found(NamedTuple):
    """What was measured: samples of a row of the table and of the sweep, their rows, and files of other versions."""

    samples: int
    sweep: int
    rows: Rows
    scales: Rows
    answers: list[Path]


def page_of(found: Found) -> str:
    """The whole page."""
    facts = {"samples": found.samples, "seed": SEED, "next": SEED + BATCH, "batch": BATCH}
    gammas = ", ".join(f"{gamma:g} ({evaluation})" for evaluation, gamma in MEASURED.items())
    return page(
        TEXT["OPENING"].format(**facts),
        reach_table(found.rows),
        folded(
            "More values of \u03b3",
            f"{found.sweep} samples a row, the first of the same seeds.",
            reach_table(found.scales),
        ),
        TEXT["EQUAL"].format(**facts),
        equal(found.rows),
        TEXT["DEFAULTS"].format(gammas=gammas),
        TEXT["TIME"],
        bullets(f"**{name}**: {words}" for name, words in ABOUT.items()),
        times(),
        TEXT["MEMORY"],
        memory(),
        TEXT["VERSIONS"],
        folded("Every family", versions(found.answers)),
        section_in(PAGE, TRUTH),
        section_in(PAGE, COMPANY),
    )


def reach_table(rows: Rows) -> str:
    """Evaluations, scales and what they reach."""
    cells = []
    for row, n in rows:
        accuracy = between(n["accuracy"], n["low"], n["high"])
        distances = [f"{n['frechet']:.2f}", f"{n['classwise']:.2f}", f"{n['diversity']:.3f}"]
        cells.append([row.evaluation, f"{row.gamma:g}", row.sampler, row.steps, accuracy, *distances])
    return table("evaluation | \u03b3 | sampler | steps | accuracy | Frechet | class-wise | diversity", cells)


def equal(rows: Rows) -> str:
    """For the suggested gamma of every evaluation: the gamma at which CFG is as accurate, and what it has there."""
    free = sorted(((n["accuracy"], row.gamma, n) for row, n in rows if row.evaluation == CFG), key=lambda one: one[1])
    cells = []
    for row, n in rows:
        if row.gamma != MEASURED.get(row.evaluation) or row.sampler != "euler_ancestral":
            continue
        ours = [f"{row.evaluation}, \u03b3 {row.gamma:g}, {row.steps} steps", f"{n['accuracy']:.3f}", *pair(n)]
        cells.append([*ours, *as_accurate(free, n["accuracy"])])
    return table("evaluation | accuracy | Frechet | diversity | CFG at \u03b3 | its Frechet | its diversity", cells)


def as_accurate(free: list[tuple[float, float, dict[str, float]]], accuracy: float) -> list[str]:
    """CFG's gamma, Frechet distance and diversity at an accuracy, by a line between neighbouring rows."""
    for (low, gamma, a), (high, gamma_next, b) in pairwise(free):
        if low <= accuracy <= high:
            share = (accuracy - low) / max(high - low, 1e-9)
            there = {name: a[name] + share * (b[name] - a[name]) for name in ("frechet", "diversity")}
            return [f"{gamma + share * (gamma_next - gamma):.2f}", *pair(there)]
    return ["not reached" if accuracy > free[-1][0] else f"below {free[0][1]:g}", "", ""]


def pair(n: dict[str, float]) -> list[str]:
    """Frechet distance and diversity."""
    return [f"{n['frechet']:.2f}", f"{n['diversity']:.3f}"]


def read_measurement(*what) -> dict[str, float]:
    """What was kept of one measurement."""
    return json.loads(file_of(*what).read_text(encoding="utf-8"))


def times() -> str:
    """Plain, guided, classifier, and the ratios."""
    cells = []
    for model, evaluation, batch in TIMES:
        n = read_measurement("time", model, evaluation, batch)
        plain, guided, alone = n["plain"], n["guided"], n["classifier"]
        ratios = [f"**{guided / plain:.2f}**", f"{(guided - alone) / plain:.2f}"]
        cells.append([model, evaluation, batch, f"{plain:.1f}", f"{guided:.1f}", f"{alone:.1f}", *ratios])
    return table("model | evaluation | batch | plain | guided | classifier | guided / plain | without it", cells)


def memory() -> str:
    """What was counted, and what was measured."""
    cells = []
    for model, evaluation, batch in MEMORY:
        heap = read_measurement("memory", model, evaluation, batch)["measured"]
        n = read_measurement("memory", model, evaluation, batch, RETURN_AT)
        expected, real = n["counted"], n["measured"]
        cells.append([model, evaluation, f"{expected:.0f}", f"{real:.0f}", f"{expected / real:.2f}", f"{heap:.0f}"])
    return table("model | evaluation | counted | measured | counted / measured | as it comes", cells)


def versions(answers: list[Path]) -> str:
    """Families, who saved and who read them, and how far apart the answers are."""
    found = [row for file in answers for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]
    cells = [[kind, saved, read, f"{apart:.0e}", f"{most:.2f}"] for kind, saved, read, apart, most in found]
    return table("family | saved by | read by | difference | largest", cells)
