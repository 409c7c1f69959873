"""The rows of a study as Parquet: a column each for the id, every axis, every measure and every other fact."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from .addresses import Place, taking_the_place_of
from .results import Row

BLOCK = 10_000  # rows that are encoded at once


def write_parquet(place: Place, rows: Sequence[Row]) -> None:
    """Write the file whole or not at all.  Needs pyarrow, which comes with ray[data].  Raises NotWritten."""
    import pyarrow as arrow
    from pyarrow import parquet

    kinds = {name: _kind(arrow, _values(rows, *where)) for name, where in columns_of(rows).items()}
    schema = arrow.schema(list(kinds.items()))
    with taking_the_place_of(place) as file, parquet.ParquetWriter(file, schema) as writer:
        for start in range(0, len(rows), BLOCK):
            some = rows[start : start + BLOCK]
            columns = {name: _encode(_values(some, *where), kinds[name]) for name, where in columns_of(rows).items()}
            writer.write_table(arrow.table(columns, schema))


def columns_of(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """Where every column comes from, (part of a row, name there); an axis or a measure never hides a fact."""
    facts = dict.fromkeys(name for row in rows for name in row if name not in ("place", "measures"))
    columns = {"id": ("", "id"), **{name: ("", name) for name in facts}}
    for part in ("place", "measures"):
        for name in dict.fromkeys(name for row in rows for name in row[part]):
            columns[f"{part}.{name}" if name in columns else name] = (part, name)
    return columns


def _values(rows: Sequence[Row], part: str, name: str) -> Iterator[Any]:
    return ((row[part] if part else row).get(name) for row in rows)


def _kind(arrow: Any, values: Iterator[Any]) -> Any:
    """The narrowest kind that holds every value: true and false, whole numbers, numbers, or words."""
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    if kinds == {int}:
        return arrow.int64() if max(present) < 2**63 else arrow.uint64() if min(present) >= 0 else arrow.string()
    if kinds == {bool}:
        return arrow.bool_()
    return arrow.float64() if kinds and kinds <= {int, float} else arrow.string()


def _encode(values: Iterator[Any], kind: Any) -> list[Any]:
    """Values as a column of a kind holds them; nothing where a number is not known."""
    present = (None if isinstance(value, float) and math.isnan(value) else value for value in values)
    return [str(value) if str(kind) == "string" and value is not None else value for value in present]
