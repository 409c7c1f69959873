"""The chains that the page about skipped passes compares, and what is measured of each."""

from __future__ import annotations

from dataclasses import dataclass

from ...guidance.chain import PLAIN, Chain
from ...guidance.presets import PRESETS
from ...guidance.rules.interval import Interval
from ...guidance.rules.reuse import Reuse

PROBE = 100  # samples on which the page tries thresholds of the adaptive stop
FULL = "plain CFG"
PRESET = "faster (interval + reuse)"


def within(start: float, end: float) -> Chain:
    """Guidance in a window of the steps alone."""
    return PLAIN.then(Interval("percent", start, end))


FAMILIES: dict[str, dict[str, Chain]] = {
    "full": {FULL: PLAIN},
    "interval": {f"interval {a:g} .. {b:g}": within(a, b) for a, b in ((0.2, 0.8), (0.05, 0.6), (0.05, 0.4))},
    "line": {f"line, every {k}": PLAIN.then(Reuse(k)) for k in (2, 3, 4)},
    "hold": {f"hold, every {k}": PLAIN.then(Reuse(k, "hold")) for k in (2, 3)},
    "stop": {f"stop at {stop:g}": PLAIN.then(Reuse(1, stop=stop)) for stop in (0.99, 0.99998)},
    "preset": {PRESET: Chain(PRESETS[PRESET].rules)},
    "both": {
        "interval 0.05 .. 0.4, line, every 2": within(0.05, 0.4).then(Reuse(2)),
        "line, every 2, stop at 0.99998": PLAIN.then(Reuse(2, stop=0.99998)),
    },
}
OTHERS = {name: Chain(preset.rules) for name, preset in PRESETS.items() if name not in (FULL, PRESET)}
CHAINS = {name: chain for chains in (*FAMILIES.values(), OTHERS) for name, chain in chains.items()}


@dataclass(frozen=True)
class Row:
    """What one chain cost and gave.  alone: the share of passes had every sample been a batch of its own."""

    chain: str
    text: str
    samples: int
    seed: int
    gamma: float
    passes: float
    alone: float
    accuracy: float
    frechet: float
    classwise: float
    apart: float
