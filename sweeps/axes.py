"""What is varied in a sweep: axes, the words they go by, and how many cells that makes."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from ..guidance.printing import quote

Value = int | float | str | bool
MOST_CELLS = 2_000  # without a confirmation
LARGEST_SWEEP = 100_000  # cells, also with a confirmation
LONGEST_RANGE = 100_000  # values of a range such as 0..3
_RANGE = re.compile(r"(-?\d+)\s*\.\.\s*(-?\d+)")
_PART = re.compile(r'\s*(?:"(?P<quoted>(?:[^"]|"")*)"\s*|(?P<plain>[^,]*))(?:,|$)')
_WHOLE = re.compile(r"[+-]?\d+")


class Word(NamedTuple):
    """What an axis may be called.  kind: of the axis. widgets: what nodes call it. synonyms: what else people do."""

    kind: str
    widgets: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()


RULE, REPEAT = "rule", "repeat"  # a chain of rules; what is added to the seed
WORDS: Mapping[str, Word] = {  # by the word that node, library and command share; others go by their own name
    "cfg": Word("scale", ("cfg",), ("gamma",)),
    "guidance": Word("scale", ("guidance",)),
    "seed": Word("seed", ("seed", "noise_seed")),
    REPEAT: Word("seed"),
    "prompt": Word("prompt", ("text",)),
    "label": Word("label", ("label",)),
    RULE: Word("rule"),
    "sampler": Word("widget", ("sampler_name",)),
}  # the end of the words
CHANCE = ("seed", "prompt", "label")  # kinds of axes along which what differs is chance to a report
SAME = "{} are the same axis. Put all values on one."  # of their names
CALLED = {name: word for word, facts in WORDS.items() for name in (*facts.widgets, *facts.synonyms, word)}


class TooManyCells(ValueError):
    """A sweep is larger than anybody asks for by mistake; the text says how large, and how long it takes."""


@dataclass(frozen=True)
class Axis:
    """A name, and the values it takes.  Raises ValueError where there is none, or one is not finite."""

    name: str
    values: tuple[Value, ...]

    def __post_init__(self):
        if not self.values:
            raise ValueError(f"The axis {self.name} has no value. Write for example: {self.name}: 1, 2, 4")
        if bad := [value for value in self.values if isinstance(value, float) and not math.isfinite(value)]:
            raise ValueError(f"The axis {self.name} has the value {bad[0]}, which is not finite. Give numbers.")

    @property
    def word(self) -> str:
        """The setting that it varies, as everybody calls it: `gamma` is cfg, `4.noise_seed` is seed."""
        return word_of(self.name)

    @property
    def kind(self) -> str:
        """What its values are: scale, seed, prompt, label, rule, knob of an owner, or any other widget."""
        return kind_of(self.name)

    @property
    def text(self) -> str:
        """The axis as a line, which reads back as the same."""
        return f"{self.name}: {', '.join(map(_write_value, self.values))}"


def axes_of(text: str) -> tuple[Axis, ...]:
    """The axes of a text with one line an axis: `cfg: 1, 2, 4`, `seed: 0..3`, `prompt: "a cat, asleep", "a dog"`.

    Empty lines and lines that begin with # are left out. Raises ValueError that says which line, and what to write.
    """
    lines = (line.strip() for line in text.splitlines())
    return distinct(axis_of(line) for line in lines if line and not line.startswith("#"))


def axis_of(line: str) -> Axis:
    """One line.  Raises ValueError where it has no colon or no value."""
    name, colon, values = line.partition(":")
    if not colon or not name.strip():
        raise ValueError(
            f"The line {quote(line)} names no axis. Write its name, a colon and its values, such as cfg: 1, 2, 4."
        )
    return Axis(name.strip(), values_of(values, name.strip()))


def distinct(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """The axes as they are.  Raises ValueError where two have one name, or mean the same, or there is none."""
    each = tuple(axes)
    words = [CALLED.get(axis.name, axis.name) for axis in each]
    if twice := [axis.name for axis, word in zip(each, words, strict=True) if words.count(word) > 1]:
        alike = twice[0] == twice[1]
        raise ValueError(
            f"The axis {twice[0]} is there twice. Put all its values on one line."
            if alike
            else SAME.format(" and ".join(twice))
        )
    if not each:
        raise ValueError("There is no axis. Write at least one line, for example: cfg: 1, 2, 4, 8")
    return each


def values_of(text: str, name: str = "") -> tuple[Value, ...]:
    """The values of a text with commas between them; each once.

    Text in double quotes may hold commas, and stays text whatever it reads as. name: of the axis; one of a prompt has
    nothing but text.
    """
    values: list[Value] = []
    for part in _PART.finditer(text.strip()):
        quoted, plain = part["quoted"], (part["plain"] or "").strip()
        if quoted is not None:
            values.append(quoted.replace('""', '"'))
        elif plain:
            values += [plain] if kind_of(name) == "prompt" else _parse_range(plain)
    return tuple(dict.fromkeys(values))


def _parse_range(text: str) -> list[Value]:
    match = _RANGE.fullmatch(text)
    if not match:
        return [value_of(text)]
    first, last = map(int, match.groups())
    if last < first:
        raise ValueError(f"The range {text} runs downwards. Write the smaller number first: {last}..{first}")
    if (size := last - first + 1) > LONGEST_RANGE:
        raise ValueError(f"The range {text} holds {size:,} values; a range holds {LONGEST_RANGE:,}. Write fewer.")
    return list(range(first, last + 1))


def word_of(name: str) -> str:
    """The setting that an axis or a widget of this name is."""
    last = name.rpartition(".")[2]
    return CALLED.get(last, last)


def kind_of(name: str) -> str:
    """The kind of an axis of this name: scale, seed, prompt, label, rule, knob (of an owner), widget."""
    owned, kind = "." in name, WORDS.get(word_of(name), Word("widget")).kind
    return "knob" if owned and kind in ("widget", "rule") else kind


def is_seed(name: str) -> bool:
    """Whether an axis of this name is one of seeds: along it the same is drawn again."""
    return kind_of(name) == "seed"


def is_chance(name: str) -> bool:
    """Whether what differs along an axis of this name is chance to a report: a seed, a prompt or a label."""
    return kind_of(name) in CHANCE


def value_at(place: Mapping[str, Value], word: str, default: Any = None) -> Any:
    """The value of a setting at a place, by whatever word its axis is called."""
    return next((value for name, value in place.items() if "." not in name and word_of(name) == word), default)


def value_of(text: str, name: str = "") -> Value:
    """A number where it is one, true and false, and else the words.  name: of the axis or widget that takes it"""
    if kind_of(name) == "prompt":
        return text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _WHOLE.fullmatch(text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def _write_value(value: Value) -> str:
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    plain = value_of(value) == value == value.strip() and not _RANGE.fullmatch(value) and not set(value) & set(',"')
    return value if plain and value else '"' + value.replace('"', '""') + '"'


def places(axes: Sequence[Axis]) -> Iterator[dict[str, Value]]:
    """Every cell as its place on the axes; the last axis changes first."""
    for values in product(*(axis.values for axis in axes)):
        yield dict(zip((axis.name for axis in axes), values, strict=True))


def count(axes: Sequence[Axis]) -> int:
    """How many cells that makes."""
    return math.prod(len(axis.values) for axis in axes)


def check_count(cells: int, seconds_each: float, confirmed: bool = False, how: str = "confirm it") -> None:
    """Raise TooManyCells for more cells than anybody wants by mistake, and for more than fit into memory.

    seconds_each: of one cell, about. how: what to do where so many are wanted.
    """
    if cells > LARGEST_SWEEP:
        raise TooManyCells(f"The axes make {cells:,} cells; a sweep has {LARGEST_SWEEP:,} at most. Take fewer values.")
    if cells > MOST_CELLS and not confirmed:
        raise TooManyCells(
            f"The axes make {cells:,} cells, about {duration(cells * seconds_each)} at {seconds_each:.2g} s each; up "
            f"to {MOST_CELLS:,} run without being asked for twice. Take fewer values, or {how}."
        )


def duration(seconds: float) -> str:
    """A time in words: 40 s, 12 min, 3.4 h, 2.1 days."""
    for size, unit in ((86_400, "days"), (3_600, "h")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def suggest(word: str, offers: Iterable[str]) -> str:
    """A sentence with what a word may have meant, or with all there is; `scale` may have meant `Owner.scale`."""
    names, low = {name.lower(): name for name in offers}, word.lower()
    close = [name for name in names if name.endswith(f".{low}")]
    close = close or difflib.get_close_matches(low, names, n=1, cutoff=0.5)
    return f"Did you mean {names[close[0]]}?" if close else f"There are {', '.join(names.values())}."
