"""Which tensors of a file are the network's: one table of names, out of everything that a trainer saved with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain, islice
from typing import Any

from ...files.limits import LONGEST_NAME, MOST_TENSORS
from ...guidance.printing import LONE_SURROGATE, class_of, count_of, quote, shorten
from .unpickling import Record, Refused, View, kind_of, refusal

AVERAGES = ("ema", "model_ema", "ema_model", "model_ema1", "ema_state_dict", "state_dict_ema", "params_ema")
RAW = ("state_dict", "model_state_dict", "model", "net", "network", "module", "params", "weights")
ORDER = (*AVERAGES, *RAW)
TRAINERS = ("optimizer", "optimizers", "optimizer_state_dict", "optimizer_states", "optimizer_state", "opt")
DEEPEST = 4  # levels above a table of weights
MOST_TIMES = 2  # bytes written for each that was read: tied weights are written twice
SLACK = 2**20  # of a file that holds next to nothing
LONGEST_TEXT, MOST_SETTINGS, LARGEST_SETTING = 200, 50, 2**63
MOST_WORDS, MOST_ITEMS = 4000, 40  # characters of a fact, entries of a list


@dataclass(frozen=True)
class Table:
    """Tensors by name.  path: where they lie in the file, () for the file itself. owner: the dictionary or module"""

    path: tuple[str, ...]
    owner: dict | Record
    tensors: Mapping[str, View]

    @property
    def where(self) -> str:
        """The path in words."""
        return shorten(".".join(part[: LONGEST_TEXT + 1] for part in self.path), LONGEST_TEXT) or "the file itself"

    @property
    def is_average(self) -> bool:
        """Whether these are a moving average of the weights."""
        return self.rank < len(AVERAGES)

    @property
    def rank(self) -> int:
        """How likely these are the weights to take: 0 is the first to ask."""
        ranks = [ORDER.index(part) for part in self.path if part in ORDER]
        return min(ranks, default=len(ORDER) + bool(self.path))

    def __str__(self) -> str:
        count = count_of(len(self.tensors), "tensor")
        return f"{self.where} ({count}{', an average of the weights' if self.is_average else ''})"


def tables_of(root: Any) -> list[Table]:
    """Every table of tensors in a file, except what an optimizer keeps; one that has two names, under the first."""
    tables: list[Table] = []
    level: list[tuple[tuple[str, ...], Any]] = [((), root)]
    seen = {id(root)}
    for _ in range(DEEPEST):
        inner = []
        for path, owner in level:
            tensors = tensors_of(owner)
            tables += [Table(path, owner, tensors)] if tensors else []
            inner += [((*path, name), value) for name, value in entries(owner, seen)]
        level = inner
    return tables


def entries(owner: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Dictionaries and objects in a dictionary, by name, that were not seen before."""
    for name, value in pairs_of(owner):
        if name not in TRAINERS and isinstance(value, dict | Record) and id(value) not in seen:
            seen.add(id(value))
            yield name, value


def pairs_of(owner: Any) -> Iterator[tuple[str, Any]]:
    """What a dictionary holds under texts, nothing of anything else."""
    if isinstance(owner, dict):
        yield from (pair for pair in owner.items() if isinstance(pair[0], str))


def tensors_of(owner: Any) -> dict[str, View]:
    """The tensors of a dictionary or of a module, by name."""
    pairs = module_tensors(owner) if isinstance(owner, Record) else pairs_of(owner)
    return {name: value for name, value in pairs if isinstance(value, View)}


def module_tensors(module: Record) -> Iterator[tuple[str, View]]:
    """Parameters and lasting buffers of a module and those within it, by the names that its state_dict has."""
    waiting, visits = [("", module)], 0
    while waiting:
        prefix, owner = waiting.pop()
        visits += 1
        if visits > MOST_TENSORS or len(prefix) > LONGEST_NAME:
            raise refusal(f"holds modules in modules, more than {MOST_TENSORS:,} or very deep")
        yield from ((f"{prefix}{name}", tensor) for name, tensor in own_tensors(owner))
        children = [(name, child) for name, child in part(owner, "_modules") if isinstance(child, Record)]
        waiting += [(f"{prefix}{name}.", child) for name, child in reversed(children)]


def own_tensors(module: Record) -> Iterator[tuple[str, View]]:
    """Parameters of a module, and those of its buffers that its state_dict has."""
    fleeting = module.state.get("_non_persistent_buffers_set") if isinstance(module.state, dict) else None
    left_out = fleeting if isinstance(fleeting, set | frozenset) else ()
    lasting = (pair for pair in part(module, "_buffers") if pair[0] not in left_out)
    held = chain(part(module, "_parameters"), lasting)
    yield from ((name, value) for name, value in held if isinstance(value, View))


def part(module: Record, kind: str) -> Iterator[tuple[str, Any]]:
    """One of a module's dictionaries."""
    return pairs_of(module.state.get(kind) if isinstance(module.state, dict) else None)


def choose_table(tables: Sequence[Table], wanted: str | None = None) -> Table:
    """The network's weights: a moving average before raw ones, if it has half as many tensors as the largest table.

    wanted: the path of a table, with dots. Raises ValueError where there is none, or several that are alike.
    """
    if not tables:
        raise Refused("it holds no table of tensors. Give the file with the weights, a state_dict().")
    listed = "; ".join(map(str, tables[:10]))
    if wanted is not None:
        match = next((table for table in tables if table.where == wanted), None)
        if match is None:
            raise Refused(f"it has no weights called {quote(wanted)}. It has {listed}.")
        return match
    most = max(len(table.tensors) for table in tables)
    likely = [table for table in tables if 2 * len(table.tensors) >= most]
    first, *others = sorted(likely, key=lambda table: (table.rank, len(table.path)))
    if others and (others[0].rank, len(others[0].path)) == (first.rank, len(first.path)):
        raise Refused(f"it holds several tables of tensors: {listed}. Say which with --weights.")
    return first


def checked_tensors(table: Table, most: int) -> dict[str, View]:
    """The tensors of a table, sorted by name, if a safetensors file can hold them.  most: bytes of all together"""
    size = sum(view.size for view in table.tensors.values())
    if len(table.tensors) > MOST_TENSORS or size > most:
        raise refusal(f"makes {len(table.tensors):,} tensors of {size:,} bytes from a file of {most:,} bytes at most")
    for name in table.tensors:
        if not 0 < len(name) <= LONGEST_NAME or name == "__metadata__" or LONE_SURROGATE.search(name):
            raise refusal(f"holds a tensor called {quote(name)}")
    return dict(sorted(table.tensors.items()))


def describe_dropped(tables: Sequence[Table], table: Table, root: Any) -> Iterator[str]:
    """What is not taken, in words: other tables, what lies beside this one and above it, and a module's source text."""
    yield from (str(other) for other in tables if other is not table)
    taken = {id(other.owner) for other in tables}
    owner = root
    for name in (*table.path, None):
        pairs = owner.items() if isinstance(owner, dict) else ()
        yield from (f"{brief(k)}: {brief(value)}" for k, value in pairs if k != name and not is_table(value, taken))
        owner = owner.get(name) if isinstance(owner, dict) else None
    yield from list_unused(table.owner)


def is_table(value: Any, taken: set[int]) -> bool:
    """Whether a value is a tensor or a table, which is told of elsewhere."""
    return isinstance(value, View) or id(value) in taken


def brief(value: Any) -> str:
    """A key or a value in a few words."""
    if isinstance(value, dict | list | tuple | set) and not isinstance(value, View):
        return f"{'dict' if isinstance(value, dict) else class_of(value)} of {len(value):,}"
    if isinstance(value, bytes):
        return f"data of {len(value):,} bytes"
    name = value.kind if isinstance(value, Record) else kind_of(value)
    return shorten(name or (value if isinstance(value, str) else quote(value)), 60)


def list_unused(owner: dict | Record) -> list[str]:
    """What a module holds besides lasting tensors: source text, which is never run."""
    if not isinstance(owner, Record):
        return []
    texts = [given for given in owner.arguments[:MOST_SETTINGS] if isinstance(given, str)]
    return [f"source text of {shorten(owner.kind, 60)}: {len(text):,} characters, never run" for text in texts]


def settings_of(owner: dict | Record) -> dict[str, Any]:
    """What a module says of itself: its class, what it was made with, its plain attributes."""
    if not isinstance(owner, Record) or not isinstance(owner.state, dict):
        return {}
    made_with = owner.state.get("_init_kwargs")
    before = made_with.items() if isinstance(made_with, dict) else ()
    pairs = chain((pair for pair in before if pair[0] not in owner.state), owner.state.items())
    plain = (pair for pair in pairs if isinstance(pair[0], str) and is_plain(*pair))
    return {"class": owner.kind[:LONGEST_TEXT], **dict(nsmallest(MOST_SETTINGS, plain))}


def is_plain(name: str, value: Any) -> bool:
    """Whether this is a setting: a short text, a finite number, true or false, or a list of numbers."""
    if isinstance(value, list | tuple):
        return len(value) <= MOST_SETTINGS and all(
            type(each) in (int, float) and is_plain(name, each) for each in value
        )
    short = isinstance(value, str) and len(value) <= LONGEST_TEXT and not LONE_SURROGATE.search(value)
    number = isinstance(value, int | float) and math.isfinite(value) and abs(value) < LARGEST_SETTING
    return (short or number) and len(name) <= LONGEST_TEXT and not name.startswith("_") and name != "training"


def list_texts(items: Iterable[str]) -> str:
    """Some texts in one line, the first of them where there are many."""
    remaining = iter(items)
    first = [line(item) for item in islice(remaining, MOST_ITEMS)]
    more = sum(1 for _ in remaining)
    return "; ".join(first) + (f"; and {more:,} more" if more else "") or "nothing"


def line(text: str, most: int = MOST_WORDS) -> str:
    """A text in one line: what a file says may not look like another fact of the card."""
    printable = "".join(letter if letter.isprintable() else " " for letter in shorten(text, most))
    return " ".join(printable.split())
