"""Where an agent without eyes ends, on a model of which nothing came with the pack: it reads reports alone.

It starts at any cfg and does what docs/agents/next_value.py says: alone, and after the model was asked about pictures
at the values that the same file names. `python lab blind_agent` prints, for both demo models, how many of its runs are
above *first seen*, and how many of the finished pictures the judge recognises, which the agent never asks. `--write`
keeps the table in docs/agents/SKILL.md.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import runpy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from ... import library as gg
from ...dev.places import ROOT
from ...measure.curve import VISIBLE
from ...trace.trace import MEASURED, Trace
from ...verdict.known import Known
from ...verdict.measured import MeasuredCurve, ModelCurves, measure_curve
from ...verdict.picks import CFG
from ...verdict.report import report_of
from ..markdown import put_section, table
from .judging import named
from .own_measure import MODELS, labels_of, pictures_of

LEAST, MOST = 1.5, 30.0  # cfg at which an agent may start, evenly in ln cfg
RUNS = 3  # that it may make
STEPS, SAMPLES, DRAWS = 10, 40, 1
SKILL, HEADING = ROOT / "docs" / "agents" / "SKILL.md", "How well this works"
RULE: dict[str, Callable[[dict], Any]] = runpy.run_path(str(SKILL.with_name("next_value.py")))
AGENTS = (("reads reports", False), ("measures the model first", True))
HEAD = "model | agent | runs, mean | above *first seen*: before | after | judge right: before | after"


@dataclass
class Subject:
    """A demo model whose included numbers nobody reads."""

    name: str

    def __post_init__(self):
        self.denoiser = gg.load_denoiser(self.name)
        self.made: dict[float, tuple[Trace, float]] = {}

    def run(self, cfg: float) -> tuple[Trace, float]:
        """A measured run, a label for each sample, always from the same noise; and how many show their label."""
        if cfg not in self.made:
            flow = self.denoiser.facts["space"] == "flow"
            levels = [1 - i / STEPS for i in range(STEPS + 1)] if flow else gg.karras(STEPS, highest=80.0)
            noise = torch.randn(SAMPLES, *self.denoiser.shape, generator=torch.Generator().manual_seed(0))
            recording = gg.record(self.denoiser, levels, cond=labels_of(noise), gamma=cfg, capture="numbers")
            trace = recording.sample(levels[0] * noise)
            said = gg.measure(self.denoiser, recording.end, labels_of(recording.end), draws=DRAWS)
            right = named(pictures_of(self.denoiser, recording.end)) == torch.tensor(labels_of(noise))
            self.made[cfg] = (
                replace(trace, header={**trace.header, MEASURED: said.sums()}),
                float(right.double().mean()),
            )
        return self.made[cfg]

    def curve(self, values: Sequence[float]) -> MeasuredCurve:
        """What the model says along these values."""
        return measure_curve([self.run(value)[0] for value in values], CFG, "")

    @cached_property
    def seen(self) -> float:
        """The value from which on a change is seen, over all that can be asked."""
        mark = self.curve([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 16.0, 22.0, 30.0]).curve.mark(VISIBLE)
        return mark.value if mark else math.inf

    def report(self, cfg: float, measured: bool) -> dict[str, Any]:
        """The JSON of the report on a run; of a model that nobody measured, first ask it if that is allowed."""
        own = report_of(self.run(cfg)[0], Known()).as_json()
        if measured and (values := RULE["values_to_measure"](own)):
            curves = ModelCurves(self.name, "", (self.curve([float(value) for value in values]),))
            own = report_of(self.run(cfg)[0], Known(curves=(curves,))).as_json()
        return json.loads(json.dumps(own, allow_nan=False))

    def trail(self, start: float, measured: bool) -> list[float]:
        """Every cfg of an agent, until nothing is to be changed, or it was tried before."""
        tried = [start]
        while len(tried) < RUNS:
            value = RULE["next_value"](self.report(tried[-1], measured))
            if value is None or value in tried:
                break
            tried.append(float(value))
        return tried

    def row(self, words: str, starts: Sequence[float], measured: bool) -> tuple[str, ...]:
        """How an agent did, from every start."""
        trails = [self.trail(start, measured) for start in starts]
        ends = [[trail[k] for trail in trails] for k in (0, -1)]
        above = [f"{sum(cfg > self.seen for cfg in some)} of {len(starts)}" for some in ends]
        right = [f"{math.fsum(self.run(cfg)[1] for cfg in some) / len(some):.0%}" for some in ends]
        return self.name, words, f"{sum(map(len, trails)) / len(trails):.1f}", *above, *right


def main() -> None:
    """Measure, print, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=20, help="for each model")
    parser.add_argument("--write", action="store_true", help=f"keep it in {SKILL.relative_to(ROOT)}")
    options = parser.parse_args()
    torch.set_num_threads(1)
    draws = random.Random(1)
    starts = [round(math.exp(draws.uniform(math.log(LEAST), math.log(MOST))), 1) for _ in range(options.starts)]
    with torch.no_grad():
        rows = [one.row(words, starts, measured) for one in map(Subject, MODELS) for words, measured in AGENTS]
    words = (
        f"`python lab blind_agent`: {options.starts} starts for each demo model, cfg {LEAST:g} to {MOST:g}, evenly in "
        f"ln cfg; {STEPS} Euler steps, {SAMPLES} samples. The agent is `next_value.py`; it may make {RUNS} runs beside "
        "those that measure, and nothing of what came with the pack is known to it. *First seen* is of the curve of "
        "the same model. The judge is a classifier that the agent never asks."
    )
    blocks = (words, table(HEAD, rows))
    print("\n\n".join(blocks))
    if options.write:
        put_section(SKILL, HEADING, *blocks)


if __name__ == "__main__":
    main()
