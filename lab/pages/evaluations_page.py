"""docs/classifier-guidance.md, written from what the measurement found and from nothing else."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ...dev.places import ROOT
from ...guidance.gradients.term import MEASURED
from ..markdown import between, bullets, page, table
from .evaluation_costs import ABOUT, MEMORY, TIMES, file_of
from .evaluations import BATCH, CFG, SEED, Row

PAGE = ROOT / "docs" / "classifier-guidance.md"
RETURN_AT = "131072"  # bytes above which the second measurement's allocator gives memory back at once
Rows = list[tuple[Row, dict[str, float]]]
OPENING = """# Classifier guidance, measured

Written by `python3 dev.py bench classifier_guidance`; every number is from that run. What was measured once is kept in
`.cache/classifier-guidance` (`--again` measures anew). {samples:,} samples a row, seeds {seed}, {next}, ... for every
{batch} of them, labels in turn, fp32, `karras`.

The demo denoiser runs **without a label**. `pocket-noisy-1` (noisy x_t) or `pocket-clean-1` (both x0 evaluations),
trained separately, guides it. Pictures are rounded to 8 bits and judged by `pocket-judge-1`, another network
that never guides. **accuracy**: the judge's first choice is the wanted label; 95 % interval. **Frechet**: distance of
the judge's features to those of all 2,500 validation pictures; it falls with the number of samples, so compare equal
numbers only. **class-wise**: the same within labels. **diversity**: mean distance of two pictures of a label. \u03b3
is the formula's factor, and the scale of the node.
"""
EQUAL = """## The same accuracy by classifier-free guidance

CFG is given the label, which the denoiser learned with 30 % of it wrong. Its \u03b3 is read off between neighbouring
rows of the first table, and Frechet distance and diversity with it: {samples:,} samples and `euler_ancestral` on both
sides.
"""
DEFAULTS = """## What the node suggests

The preset *measured* is \u03b3 = {gammas}; *weak*
is half of it, *strong* twice. For both x0 evaluations that row is close to the best of its sweep in accuracy and in
Frechet distance at once. On noisy x_t a larger \u03b3
still improves both on this small model but costs variety; at 2 it is as accurate as CFG at 2.

With exact models \u03b3 = 1 on noisy x_t is Bayes, and \u03b3 = 1 with x0 alone or x0 + backprop is **not**: the
energy is evaluated at the posterior mean. In the exact toy of `dev/fixtures/exact_toy.py` (four
dimensions, Heun, 80 steps; held by `tests/guidance/test_toy.py`) \u03b3 = 1 on noisy x_t reaches the wanted class in
.903 of the samples, as true samples do (.903); with and without backprop it is .999 and 1.000. The Frechet distances
are 0.0003, 0.419 and 0.432: overconfident, and too narrow. There \u03b3 of 0.3 to 0.5 is right for these two
(`docs/exact-toy.md`). A network's classifier saturates and needs far more, so the suggestions come from these tables
and not from the formula.
"""
TIME = """## Time

Milliseconds per prediction on one CPU core, fp32, the fastest of many; runs with and without guidance alternate.
**classifier**: its own forward and backward, measured separately. **without it**: what guidance adds to a plain
prediction, without the classifier.
"""
MEMORY_WORDS = """## Memory

Megabytes that a guided step takes beyond what is loaded, batch 16, each in a process of its own. **counted**: by the
node, while the first step is made. **measured**: the kernel's high-water mark, with an allocator that returns freed
memory at once. **as it comes**: with glibc's own, which holds some back. That is why the node leaves a fifth of the
free memory.
"""
VERSIONS = """## Classifiers of the transformers library

Tiny networks of every family that is read, saved by one major version and read by the other (`python3 dev.py bench
transformers_versions`): the largest difference between the outputs of the loaded classifiers, and the largest output.
"""


class Found(NamedTuple):
    """What was measured: samples of a row of the table and of the sweep, their rows, and files of other versions."""

    samples: int
    sweep: int
    rows: Rows
    swept: Rows
    answers: list[Path]


def page_of(found: Found) -> str:
    """The whole page."""
    facts = {"samples": found.samples, "seed": SEED, "next": SEED + BATCH, "batch": BATCH}
    gammas = ", ".join(f"{gamma:g} ({evaluation})" for evaluation, gamma in MEASURED.items())
    return page(
        OPENING.format(**facts),
        reached(found.rows),
        f"## Sweep of \u03b3\n\n{found.sweep} samples a row, the first of the same seeds.",
        reached(found.swept),
        EQUAL.format(**facts),
        equal(found.rows),
        DEFAULTS.format(gammas=gammas),
        TIME,
        bullets(f"**{name}**: {words}" for name, words in ABOUT.items()),
        times(),
        MEMORY_WORDS,
        memory(),
        VERSIONS,
        versions(found.answers),
    )


def reached(rows: Rows) -> str:
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


def measured(*what) -> dict[str, float]:
    """What was kept of one measurement."""
    return json.loads(file_of(*what).read_text(encoding="utf-8"))


def times() -> str:
    """Plain, guided, classifier, and the ratios."""
    cells = []
    for model, evaluation, batch in TIMES:
        n = measured("time", model, evaluation, batch)
        plain, guided, alone = n["plain"], n["guided"], n["classifier"]
        ratios = [f"**{guided / plain:.2f}**", f"{(guided - alone) / plain:.2f}"]
        cells.append([model, evaluation, batch, f"{plain:.1f}", f"{guided:.1f}", f"{alone:.1f}", *ratios])
    return table("model | evaluation | batch | plain | guided | classifier | guided / plain | without it", cells)


def memory() -> str:
    """What was counted, and what was measured."""
    cells = []
    for model, evaluation, batch in MEMORY:
        heap = measured("memory", model, evaluation, batch)["measured"]
        n = measured("memory", model, evaluation, batch, RETURN_AT)
        expected, real = n["counted"], n["measured"]
        cells.append([model, evaluation, f"{expected:.0f}", f"{real:.0f}", f"{expected / real:.2f}", f"{heap:.0f}"])
    return table("model | evaluation | counted | measured | counted / measured | as it comes", cells)


def versions(answers: list[Path]) -> str:
    """Families, who saved and who read them, and how far apart the answers are."""
    found = [row for file in answers for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]
    cells = [[kind, saved, read, f"{apart:.0e}", f"{most:.2f}"] for kind, saved, read, apart, most in found]
    return table("family | saved by | read by | difference | largest", cells)
