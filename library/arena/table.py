"""The result of an arena as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .arena import AT, PAPER, TUNED
from .standing import BETTER, SAME, WORSE

SIGNS = {BETTER: "+", WORSE: "\u2212", SAME: "="}
UNKNOWN = "?"
KEY = (
    "+ better, \u2212 worse, = not told apart. The first two signs: the settings of the paper, beside plain cfg of "
    f"equal prompt strength, that of plain cfg {AT[0]:g} and of {AT[1]:g}; in brackets where the rule does not reach "
    "it. The third: tuned, beside plain cfg that was tuned alike."
)
COLUMNS = (
    "rule", "as", "cfg", "strength", "ratio", "departure", "variety", "evaluations", "scale", "along", "distance",
    "beside plain", "beside well-chosen plain", "beyond its scale", "label right", "class-wise",
)  # fmt: skip


def markdown_table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """Rows under a head."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def overview(result: Mapping[str, Any]) -> str:
    """A line for every rule, and a sign for every verdict."""
    worlds = result["worlds"]
    names = dict.fromkeys(row["rule"] for world in worlds for row in world["rows"])
    rows = ((name, *(signs_of(world, name) for world in worlds)) for name in names)
    return markdown_table(("rule", *(world["world"] for world in worlds)), rows)


def signs_of(world: Mapping[str, Any], rule: str) -> str:
    """The verdicts on a rule in one world."""
    mine = [row for row in world["rows"] if row["rule"] == rule]
    return " ".join(sign_of(row) for row in mine) or "\u2013"


def sign_of(row: Mapping[str, Any]) -> str:
    """The verdict of a row: the published settings beside plain guidance of equal strength, tuned ones beside tuned."""
    beside = row["against_plain" if row["kind"] == PAPER else "against_chosen"]["distance"]
    sign = UNKNOWN if beside["difference"][0] is None else SIGNS[beside["verdict"]]
    return sign if row["reached"] else f"({sign})"


def world_table(world: Mapping[str, Any]) -> str:
    """Every row of one world, those with the least distance first."""
    rows = sorted(world["rows"], key=lambda row: row["distance"][0])
    return markdown_table(COLUMNS, map(cells_of, rows))


def cells_of(row: Mapping[str, Any]) -> list[str]:
    """A row under COLUMNS."""
    role = TUNED if row["at"] is None else f"plain {row['at']:g}" + ("" if row["reached"] else ", nearest")
    numbers = (row[name] for name in ("strength", "ratio"))
    beside = [(row[what] or {}).get("distance") for what in ("against_plain", "against_chosen", "beyond")]
    return [
        row["text"].replace("|", "\\|"),
        role,
        f"{row['cfg']:.3g}",
        *(number(each[0]) for each in numbers),
        signed(row["excess"][0]),
        number(row["variety"][0]),
        number(row["evaluations"], 0),
        number(row["scale"], 1),
        number(row["along"]),
        interval(row["distance"]),
        *map(difference_of, beside),
        number(row["right"][0], 3),
        number(row["classwise"][0], 3),
    ]


def difference_of(beside: Mapping[str, Any] | None) -> str:
    """A difference with its interval, and its verdict where it is told apart."""
    if beside is None or beside["difference"][0] is None:
        return UNKNOWN
    low, high = (signed(value, 3) for value in beside["difference"][1:])
    words = f"{signed(beside['difference'][0], 3)} ({low} to {high})"
    return words if beside["verdict"] == SAME else f"**{words} {beside['verdict']}**"


def interval(estimate: Sequence[float | None]) -> str:
    """A number and where it lies."""
    value, low, high = (number(each, 3) for each in estimate)
    return f"{value} ({low} to {high})"


def number(value: float | None, digits: int = 2) -> str:
    """A number, ? where it is not known."""
    return UNKNOWN if value is None else f"{value:.{digits}f}".replace("-", "\u2212")


def signed(value: float | None, digits: int = 2) -> str:
    """A difference."""
    return UNKNOWN if value is None else f"{value:+.{digits}f}".replace("-", "\u2212")


def plain_table(world: Mapping[str, Any]) -> str:
    """Plain guidance along cfg."""
    names = ("strength", "ratio", "variety", "distance", "right", "classwise")
    rows = ((f"{row['cfg']:g}", *(interval(row[name]) for name in names)) for row in world["plain"])
    return markdown_table(("plain cfg", *names), rows)


def agreement_table(result: Mapping[str, Any]) -> str:
    """On which worlds the model's own measure orders rules as the others do."""
    head = ("world", "at plain", "pairs", "ordered", *(f"by {name}: same, opposite" for name in MEASURES),
            "tau of departure with distance", "of lack of variety")  # fmt: skip
    rows = (
        (
            world["world"],
            f"{one['at']:g}",
            str(one["pairs"]),
            str(one["ordered"]),
            *(f"{one[name]['same']}, {one[name]['opposite']}" for name in MEASURES),
            number(one["distance"]["tau_departure"]),
            number(one["distance"]["tau_variety"]),
        )
        for world in result["worlds"]
        for one in world["agreement"]
    )
    return markdown_table(head, rows)


MEASURES = ("distance", "right", "classwise")


def halves_table(result: Mapping[str, Any]) -> str:
    """Whether two halves of the pictures order the rules alike."""
    head = ("world", "at plain", "Kendall's tau", "pairs", "of pairs told apart", "so many")
    rows = (
        (
            world["world"],
            f"{one['at']:g}",
            number(one["tau"]),
            str(one["pairs"]),
            number(one["told"]),
            str(one["apart"]),
        )
        for world in result["worlds"]
        for one in world["halves"]
    )
    return markdown_table(head, rows)


def document(result: Mapping[str, Any]) -> str:
    """All tables."""
    blocks = [overview(result), KEY]
    for world in result["worlds"]:
        size = f"{world['pictures']} pictures a row, {world['trials']} trials of every rule. Distance: "
        blocks += [f"## {world['world']}", f"{world['about']} {size}{world['distance_is']}.", world_table(world)]
        blocks += [f"{rule} has no row: {why}" for rule, why in world["failed"].items()] + [plain_table(world)]
    blocks += ["## Where the measures agree", agreement_table(result), "## Two halves", halves_table(result)]
    return "\n\n".join(blocks) + "\n"
