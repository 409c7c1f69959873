"""Guidance rules at equal prompt strength: the rows of a comparison, as text and for scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from .estimates import Estimate
from .report import NO_QUALITY

BELOW, ABOVE = "below", "above"  # where a curve stays that does not reach a strength
NEARER, FARTHER = "nearer", "farther"  # to plain cfg 1 than plain guidance at equal strength
MISSING = {BELOW: "stays below", ABOVE: "begins above"}
COLUMNS = (
    "rule", "cfg needed", "denoising ratio", "departure", "as plain cfg", "variety", "evaluations", "by scale alone",
    "against plain",
)  # fmt: skip
NOTE = (
    "{} pictures of each value, the same seeds for all. Departure: how many times the denoising ratio lies above or "
    "below that of plain cfg 1. By scale alone: how much of a rule's change plain guidance at its effective scale has. "
    + NO_QUALITY
)


class Row(NamedTuple):
    """A rule where its pictures show the prompt as strongly as plain guidance does at a stated value.

    missing: "" where the rule reaches that strength; else whether its curve stays BELOW it or begins ABOVE it, and then
    all but `explained` is None.
    cfg: which the rule needs. ratio: denoising ratio. quotient: over that of plain guidance.
    departure: |ln ratio - ln ratio of plain cfg 1|. excess: departure minus that of plain guidance.
    typical: departure of the median picture, typical_excess: median of single pictures' departure minus plain's.
    plain_cfg: the greatest value up to which plain guidance departs no farther; None where it never departs so far.
    explained: share of the rule's change of ln ratio, against plain guidance at the same value, that its control has
    as well; None where there is no control, or no change that is sure.
    p: of no excess, adjusted for the number of rules. verdict: NEARER, FARTHER, or "" where they are not told apart.
    """

    name: str
    missing: str = ""
    cfg: Estimate | None = None
    ratio: Estimate | None = None
    quotient: Estimate | None = None
    departure: Estimate | None = None
    excess: Estimate | None = None
    typical: float | None = None
    typical_excess: float | None = None
    plain_cfg: Estimate | None = None
    variety: Estimate | None = None
    evaluations: float | None = None
    explained: Estimate | None = None
    p: float | None = None
    verdict: str = ""

    def as_json(self) -> dict[str, Any]:
        """The numbers for scripts: estimates as [value, low, high]."""
        return {name: ends_of(v) if isinstance(v, Estimate) else v for name, v in self._asdict().items()}


class Pair(NamedTuple):
    """Two rules that are told apart: which departs less, which more, and the adjusted p-value."""

    nearer: str
    farther: str
    p: float


class Comparison(NamedTuple):
    """All rules at the prompt strength of plain guidance at one value.

    strength: that prompt strength. plain: plain guidance there. rows: of the rules, in their order. pairs: who is told
    apart, by Holm's adjustment over the rules against plain guidance, and over the pairs of rules among themselves.
    groups: names, the nearest first; everyone in a later group is told apart from everyone in an earlier one.
    """

    value: float
    strength: Estimate
    plain: Row
    rows: Sequence[Row]
    pairs: Sequence[Pair]
    groups: Sequence[Sequence[str]]

    def as_json(self) -> dict[str, Any]:
        """The numbers for scripts: estimates as [value, low, high]."""
        return {
            "cfg": self.value,
            "prompt_strength": ends_of(self.strength),
            "plain": self.plain.as_json(),
            "rules": [row.as_json() for row in self.rows],
            "pairs": [pair._asdict() for pair in self.pairs],
            "groups": [[*group] for group in self.groups],
        }

    def text(self) -> str:
        """The comparison as a table, and the rules in the order of their departure."""
        rows = [COLUMNS, *(_cells(row) for row in (self.plain, *self.rows))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        head = f"At the prompt strength of plain cfg {self.value:g}, {self.strength.text}:"
        order = "  <  ".join(", ".join(group) for group in self.groups)
        return "\n".join([head, *lines, f"By departure, where told apart: {order}"])


def ends_of(estimate: Estimate) -> list[float | None]:
    """A number and its interval, None for what is not known: JSON has neither nan nor inf."""
    return [v if math.isfinite(v) else None for v in estimate]


def _cells(row: Row) -> list[str]:
    """A row under COLUMNS."""
    explained = row.explained.map(lambda share: 100 * share).text_to(0, " %") if row.explained else ""
    if row.missing:
        return [row.name, MISSING[row.missing], *[""] * (len(COLUMNS) - 4), explained, ""]
    departure = row.departure.exp() if row.departure else None
    estimates = [_cell(each) for each in (row.cfg, row.ratio, departure, row.plain_cfg, row.variety)]
    spent = "" if row.evaluations is None else f"{row.evaluations:.0f}"
    return [row.name, *estimates, spent, explained, "" if row.p is None else row.verdict or "not told apart"]


def _cell(estimate: Estimate | None) -> str:
    """A number with its interval, alone where nothing is open."""
    if estimate is None:
        return ""
    return f"{estimate.value:g}" if estimate.low == estimate.high else estimate.text
