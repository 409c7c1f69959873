"""Guidance on the demo model: the runs, sheets and tables of docs/the-geometry-of-guidance.md.

Labels at gamma 1 and 4; one label by four methods, and how often a guiding classifier is fooled; a gradient beside
the difference; colours that nobody taught; and the numbers of the step that the figures show. `python lab methods`
takes three minutes of one core.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ... import library as gg
from ...dev.fixtures.classifier_run import ClassifierRun
from ...figures.classifier_curves import beside
from ...figures.contact_sheet import contact_sheet
from ...figures.pull import pull_of
from ...library.traces import Trace
from ...trace.terms import LOG_PROB
from ..markdown import table
from ..pictures import write_pixels
from .runs import FIGURES, METHODS, SAMPLE, STEP, method, pixels, run

JUDGE, GUIDE = f"{LOG_PROB}watch", f"{LOG_PROB}gradient"
PLANET = 4  # the sample whose classifier is fooled
SHOWN = (0, 2, 4, 5, 6, 8, 10, 12)  # steps of the second table
SURE, UNSURE = 0.9, 0.1
COLOURS = {"red": 0xD92626, "green": 0x269940, "blue": 0x264DCC, "yellow": 0xF2CC33}


def sheet(name: str, title: str, runs: dict[str, Tensor], heads: Sequence[str], out: Path) -> None:
    """Write a sheet: runs as rows, their samples as columns."""
    shown = torch.from_numpy(pixels(torch.stack([*runs.values()], dim=1)))
    columns = [(head, shown[k], "") for k, head in enumerate(heads)]
    write_pixels(out / f"story-{name}.webp", contact_sheet(columns, title=title, scale=3, rows=[*runs]))


def two_runs(out: Path) -> str:
    """Draw one noise at gamma 1 and 4, and say how many pictures the judge recognises."""
    runs = {f"\u03b3 = {gamma:g}": run(gamma) for gamma in (1.0, 4.0)}
    ends = {name: one.end for name, one in runs.items()}
    title = "The same noise, without and with guidance"
    sheet("two-runs", title, ends, next(iter(runs.values())).trace.header["labels"], out)
    return "; ".join(f"{name}: {recognised(end)} of {len(end)}" for name, end in ends.items())


def recognised(x0: Tensor) -> int:
    """How many samples show their label, as the judge sees them."""
    labels = torch.arange(len(x0)) % 10
    return int((gg.load_classifier("pocket-judge-1").logits(x0.clamp(-1, 1), 0.0, 1.0).argmax(1) == labels).sum())


def four_methods(out: Path) -> str:
    """Draw one noise by four methods, and say how many pictures the judge recognises."""
    runs = {name: method(name) for name in METHODS}
    ends = {name: one.end for name, one in runs.items()}
    sheet("four-methods", "The same noise, four methods for a label", ends, runs["CFG"].trace.header["labels"], out)
    counts = ", ".join(str(recognised(end)) for end in ends.values())
    return f"recognised: {counts} of 8; {fooled(runs['x0'].trace, out)}"


def fooled(trace: Trace, out: Path) -> str:
    """What both classifiers say of the run that fools the one that guides, drawn."""
    curves = trace.plot("classifier curves", step=STEP, sample=PLANET, theme="light").frames[-1]
    write_pixels(out / "story-judge.webp", curves[..., :3])
    guide, seen = (float(trace.steps[key][-1, PLANET].exp()) for key in (GUIDE, JUDGE))
    return f"of the planet by x0 the guide says {guide:.2f}, the judge {seen:.2f}"


def coloured(out: Path) -> None:
    """Four colours as conditions, alone and with a label."""
    values = [[value >> 16, value >> 8 & 255, value & 255] for value in COLOURS.values()]
    wanted = torch.tensor(values)[..., None, None] / 127.5 - 1
    tint = gg.TintEnergy(wanted.repeat(2, 1, 1, 1), spread=0.1)
    alone = gg.GradientTerm(tint, weight=4.0, evaluation="x0 + backprop")
    beside_label = gg.GradientTerm(tint, weight=50.0, evaluation="x0")
    runs = {
        "a colour alone": run(0.0, (alone,)).end,
        "a robot, and a colour": run(4.0, (beside_label,), cond="robot").end,
    }
    sheet("colours", "Colours that nobody taught", runs, [*COLOURS] * 2, out)


def method_rows(many: dict[str, Trace]) -> Iterator[list[str]]:
    """How often each classifier is convinced, the judge agrees, and one is sure what the other denies."""
    for name, trace in many.items():
        seen = trace.steps[JUDGE][-1].exp()
        guide = trace.steps[GUIDE][-1].exp() if GUIDE in trace.steps else torch.full_like(seen, math.nan)
        shares = (guide > 0.5, seen > 0.5, (guide > SURE) & (seen < UNSURE))
        yield [name, *(f"{float(one.double().mean()):.0%}" for one in shares)]


def agreement_rows(trace: Trace) -> Iterator[list[str]]:
    """The gradient beside the difference: medians over the samples, by noise level."""
    columns = [values.nanmedian(dim=1).values for values in beside(trace) or ()]
    for k in SHOWN:
        cosine, gradient, delta = (float(column[k]) for column in columns)
        yield [f"{float(trace.steps['sigma'][k]):.3g}", f"{cosine:.2f}", f"{gradient:.2g}", f"{delta:.2g}"]


def exact_agreement() -> str:
    """Compare gradient and difference where model and classifier are known exactly: they are one arrow."""
    columns = beside(ClassifierRun(gg.make_mixture((3, 16, 16), classes=3, seed=0), torch.arange(4) % 3, 3.0).trace())
    assert columns is not None, "a run with a gradient"
    cosine, gradient, delta = columns
    known = delta > 1e-6
    return f"cosine {float(cosine[known].min()):.4f}, ratio {float((gradient / delta)[known].max()):.4f}"


def step_numbers(free: Trace, guided: Trace) -> Iterator[str]:
    """What the figures of one step show.  free: by CFG. guided: by the noise-aware classifier"""
    at = (STEP, SAMPLE)
    length = {name: float(free.column(name)[at]) for name in ("M1", "M2", "M7", "M8")}
    yield f"step {length['M7']:.2f} rms, noise {length['M8']:.2f}, {length['M8'] / length['M7']:.0%} of it"
    yield f"difference {length['M1'] / 4:.1%} of the way, {length['M2']:.2f} rms; at gamma 4 {length['M1']:.1%}"
    pull = pull_of(guided, *at)
    cosine, ratio = pull.agreement or (math.nan, math.nan)
    step, push, scale = (
        math.hypot(*pull.scene.positions.points["u"]),
        math.hypot(*pull.gradient),
        pull.scene.facts.gamma,
    )
    yield f"gradient: kappa {pull.kappa:.2f}, push {push:.2f} beside a step of {step:.2f}; at gamma {scale:g} it is"
    yield f"{scale * push / step:.1%} of the step; cosine with the difference {cosine:.2f}, {ratio:.1f} times as long"


def main() -> None:
    """Print the numbers and both tables, and draw the sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=50, help="of the runs behind the tables")
    parser.add_argument("--out", type=Path, default=FIGURES, help="folder of the figures")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(
        two_runs(given.out),
        four_methods(given.out),
        *step_numbers(run(4.0).trace, method("noise-aware").trace),
        sep="\n",
    )
    coloured(given.out)
    many = {name: method(name, given.samples, "numbers").trace for name in METHODS}
    head = "method | its own classifier says so | the judge says so | one is sure, the other denies it"
    print("", table(head, method_rows(many)), sep="\n")
    head = "\u03c3 | cosine of gradient and \u03b4 | gradient, rms | \u03b4, rms"
    print("", table(head, agreement_rows(many["noise-aware"])), f"\nof an exact model: {exact_agreement()}", sep="\n")


if __name__ == "__main__":
    main()
