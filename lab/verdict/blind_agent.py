"""How many runs an agent without eyes needs until its cfg is good: it starts anywhere, and reads reports alone.

`python lab blind_agent` prints it for both demo models, and `--write` keeps it in docs/agents/SKILL.md. What the agent
does is docs/agents/next_value.py. Beside it stand two that are told after every run on which side of the good range it
was, which no agent is: one halves the interval that is left, in ln cfg, the other draws again. Good is what the
model's card says of this class of samplers.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import runpy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from ...dev.places import ROOT
from ...library.denoisers import NetworkDenoiser, load_denoiser
from ...library.recording import record
from ...library.sampling import karras
from ...trace.trace import Trace
from ...verdict.card import Card
from ...verdict.known import Known, included_card
from ...verdict.report import report_of
from ..markdown import put_section, table

MODELS = ("pocket-1", "pocket-flow-1")
LEAST, MOST = 1.0, 30.0  # cfg at which an agent may start, evenly in ln cfg
FEW, MANY = 3, 1000  # runs that the agent may make, and the others
STEPS, SAMPLES, CLASS = 10, 4, "ode-few"
SKILL, HEADING = ROOT / "docs" / "agents" / "SKILL.md", "How well this works"
next_value: Callable[[dict], float | None] = runpy.run_path(str(SKILL.with_name("next_value.py")))["next_value"]
Ask = Callable[[float], float | None]  # cfg of a run -> that of the next, None to stop


@dataclass(frozen=True)
class Subject:
    """A demo model in a few steps.  known: whether its reports are made with its card"""

    denoiser: NetworkDenoiser
    known: bool = True

    @property
    def card(self) -> Card:
        """The card of its weights."""
        facts: dict[str, Any] = self.denoiser.facts
        card = included_card(facts["model"])
        if card is None:
            raise LookupError(f"{facts['model']['name']} has no card.")
        return card

    @property
    def band(self) -> tuple[float, float]:
        """The good cfg."""
        band = self.card.bands[CLASS]
        return band.low, band.high

    def report(self, cfg: float) -> dict[str, Any]:
        """The JSON of the report on a run."""
        report = report_of(sample(self.denoiser, cfg), Known(card=self.card if self.known else None))
        return json.loads(json.dumps(report.as_json(), allow_nan=False))


@cache
def sample(denoiser: NetworkDenoiser, cfg: float) -> Trace:
    """A run at a cfg, a label for each sample, always from the same noise."""
    flow = denoiser.facts["space"] == "flow"
    levels = [1 - i / STEPS for i in range(STEPS + 1)] if flow else karras(STEPS, highest=80.0)
    noise = torch.randn(SAMPLES, *denoiser.shape, generator=torch.Generator().manual_seed(0))
    recording = record(denoiser, levels, cond=list(range(SAMPLES)), gamma=cfg, capture="numbers")
    return recording.sample(levels[0] * noise)


def trail(ask: Ask, start: float, most: int) -> list[float]:
    """Every cfg of a run, until nothing is to be changed, or it was tried before."""
    tried = [start]
    while len(tried) < most and (value := ask(tried[-1])) is not None and value not in tried:
        tried.append(value)
    return tried


def reader(subject: Subject) -> Ask:
    """An agent that reads reports."""
    return cache(lambda cfg: next_value(subject.report(cfg)))


def bisection(band: tuple[float, float]) -> Ask:
    """An agent that is told the side, and halves what is left."""
    ends = [LEAST, MOST]

    def ask(cfg: float) -> float | None:
        if is_good(cfg, band):
            return None
        ends[cfg > band[1]] = cfg
        return math.sqrt(ends[0] * ends[1])

    return ask


def drawing(band: tuple[float, float], draws: random.Random) -> Ask:
    """An agent that draws until it is told that it is inside."""
    return lambda cfg: None if is_good(cfg, band) else draw(draws)


def draw(draws: random.Random) -> float:
    """A cfg, evenly in ln cfg, as a widget shows it."""
    return round(math.exp(draws.uniform(math.log(LEAST), math.log(MOST))), 1)


def is_good(cfg: float, band: tuple[float, float]) -> bool:
    """Whether a cfg lies in the good range."""
    return band[0] <= cfg <= band[1]


@dataclass(frozen=True)
class Row:
    """How one agent did with one model, from every start.  trails: every cfg of its runs"""

    model: str
    agent: str
    band: tuple[float, float]
    trails: list[list[float]]

    @property
    def reached(self) -> list[bool]:
        """Whether each ended inside within so many runs as the reader may make."""
        return [len(one) <= FEW and is_good(one[-1], self.band) for one in self.trails]

    @property
    def runs(self) -> float:
        """The mean."""
        return sum(map(len, self.trails)) / len(self.trails)

    @property
    def cells(self) -> tuple[str, ...]:
        """For the table."""
        share = f"{sum(self.reached)} of {len(self.trails)}"
        return self.model, self.agent, f"{self.runs:.1f}", str(max(map(len, self.trails))), share


def measure(model: str, starts: Sequence[float], seed: int = 0) -> list[Row]:
    """Every agent with one model, from these starts."""
    denoiser = load_denoiser(model)
    subject, stranger, draws = Subject(denoiser), Subject(denoiser, known=False), random.Random(seed)
    band, own, blind = subject.band, reader(subject), reader(stranger)
    agents: dict[str, tuple[Callable[[], Ask], int]] = {
        "reads the report": (lambda: own, FEW),
        "reads it, model unknown": (lambda: blind, FEW),
        "bisection, told the side": (lambda: bisection(band), MANY),
        "random, told when inside": (lambda: drawing(band, draws), MANY),
    }
    return [
        Row(model, name, band, [trail(begin(), start, most) for start in starts])
        for name, (begin, most) in agents.items()
    ]


def words_of(rows: Sequence[Row], starts: int) -> str:
    """The rows as a section says them."""
    about = (
        f"`python lab blind_agent`: {starts} starts for each demo model, cfg {LEAST:g} to {MOST:g}, evenly in ln cfg; "
        f"{STEPS} steps, {SAMPLES} samples. The agent is `next_value.py`. It may make {FEW} runs, and knows nothing "
        "but the report. The other two are told after every run whether cfg is good, which you never are. Good is the "
        "range of the model's card, by which its reports advise, too: this measures the way there, not the card, whose "
        "odds are in the report. *Model unknown*: the same runs, reported without the card."
    )
    head = f"model | agent | runs, mean | most | good within {FEW} runs"
    return f"{about}\n\n{table(head, (row.cells for row in rows))}"


def main() -> None:
    """Measure, print, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=20, help="for each model")
    parser.add_argument("--write", action="store_true", help=f"keep it in {SKILL.relative_to(ROOT)}")
    options = parser.parse_args()
    draws = random.Random(1)
    starts = [draw(draws) for _ in range(options.starts)]
    words = words_of([row for model in MODELS for row in measure(model, starts)], options.starts)
    print(words)
    if options.write:
        put_section(SKILL, HEADING, words)


if __name__ == "__main__":
    main()
