"""Values that nobody should send."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from .catalogue import Slot

WORK = {  # inputs that say how much work is asked for: what is allowed stays small, so that slow means a fault
    "steps": 6,
    "batch_size": 3,
    "width": 64,
    "height": 64,
    "recurrence": 3,
    "draws": 2,
    "views": 2,
    "backward_steps": 3,
    "classes": 7,
    "capture_mb": 300,
}
NUMBERS = (0, -1, 1, 2, 0.5, 1e-9, -1e-9, 1e-300, 1e30, 1e308, -1e308, math.nan, math.inf, -math.inf)
HUGE = (10**19, -(10**19), 10**30, 10**400)
TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "1e999",
    "nan",
    "*",
    ";",
    ";;;\n\n",
    "0;1;2;3;4;5;6;7;8;9",
    "3; robot; ",
    "0-99999999",
    "5-1",
    "..." * 300,
    "(" * 2000,
    "u + gamma *",
    "u" + " + u" * 3000,
    "9" * 400,
    "9" * 5000,
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\x",
    "a/../b",
    "con",
    "name\0name",
    "x" * 300,
    "x" * 100_000,
    "%date%",
    "%s %d {} {0}",
    "\u03b3\u2207\u0301\U0001f600\u202e",
    "\ud800",
    "<b>&amp;</b>",
    "[[1, 2], [3]]",
    "3x32x32x32",
    "1x1x1",
    "0x0x0",
    "3x-1x32",
    "tiny-clip/",
)
NESTED: list = []
for _ in range(60):
    NESTED = [NESTED, 1]
THINGS: tuple[Any, ...] = (
    None,
    True,
    False,
    {},
    {"a": 1},
    {"__value__": []},
    {"__value__": [1, [2, [3]]]},
    {"__value__": NESTED},
    {"__value__": None},
    {"__value__": {"samples": 1}},
    [],
    [1],
    [1, 2, 3],
    [[1, 2], [3, 4]],
)


def other_type(rng: Random, slot: Slot) -> Any:
    """A value of a type that the slot does not take."""
    if slot.kind in ("STRING", "COMBO"):
        return rng.choice((*THINGS, *NUMBERS))
    return rng.choice((*THINGS, *TEXTS))


def extreme(rng: Random, slot: Slot) -> Any:
    """A value of the slot's type at or beyond its ends."""
    if slot.kind == "STRING":
        return rng.choice(TEXTS)
    if slot.kind == "COMBO":
        return rng.choice((*slot.facts["options"], *TEXTS))
    if slot.kind == "BOOLEAN":
        return rng.choice((True, False, 0, 1, 2, "", "no"))
    value = rng.choice((*NUMBERS, *HUGE, *ends(slot)))
    return limit_work(slot, value)


def ends(slot: Slot) -> list[float]:
    """The ends of a range, and what lies just outside."""
    low, high = slot.facts.get("min"), slot.facts.get("max")
    near = 1 if slot.kind == "INT" else 1e-6
    return [v for end, away in ((low, -near), (high, near)) if end is not None for v in (end, end + away)]


def limit_work(slot: Slot, value: Any) -> Any:
    """The same, unless it asks for much work that the slot allows."""
    most = WORK.get(slot.name)
    if most is None or not isinstance(value, int | float) or not most < value <= slot.facts.get("max", math.inf):
        return value
    return most


def plain(rng: Random, slot: Slot) -> Any:
    """A value that the slot allows."""
    if slot.kind == "COMBO":
        return rng.choice(slot.facts["options"] or [""])
    if slot.kind == "BOOLEAN":
        return rng.random() < 0.5
    if slot.kind == "STRING":
        return slot.usual() if rng.random() < 0.7 else rng.choice(TEXTS)
    return number(rng, slot)


def number(rng: Random, slot: Slot) -> float:
    """The default, an end, or a number between."""
    low = slot.facts.get("min", -10)
    high = min(slot.facts.get("max", 10), WORK.get(slot.name, math.inf))
    between = rng.randint(int(low), int(high)) if slot.kind == "INT" else rng.uniform(low, high)
    return rng.choice((slot.usual(), slot.usual(), low, high, between, between))


def anything(rng: Random) -> Any:
    """Any value at all."""
    return rng.choice((*THINGS, *TEXTS, *NUMBERS, *HUGE))
