"""What a file says of itself: for every kind of file one table of fields, each with its type and its largest size.

A field that is absent is nothing wrong unless it is required; one that no table knows is kept, but never deeper than
DEEPEST.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ..guidance.printing import LONE_SURROGATE, quote, shorten

LINE, PAGE = 200, 20_000  # characters: of a name, of a note
DEEPEST = 64  # lists within lists; workflows need about ten
LONGEST_NUMBER = 20  # digits of a whole number; longer ones are read as floats
ABSENT = object()


class Field(NamedTuple):
    """What a field may hold.

    fits: whether a value is that. requirement: in words. required: whether it must be there. entries: the entries of a
    value by their names, with the field that each of them is.
    """

    fits: Callable[[Any], bool]
    requirement: str
    required: bool = False
    entries: Callable[[Any], Iterator[tuple[str, Any, Field]]] = lambda value: iter(())


ANYTHING = Field(lambda value: True, "anything")


def text(most: int = LINE) -> Field:
    """A text of bounded length that UTF-8 can hold, as every page and figure must."""

    def fits(value: Any) -> bool:
        return isinstance(value, str) and len(value) <= most and LONE_SURROGATE.search(value) is None

    return Field(fits, f"a text of at most {most:,} characters")


def one_of(*words: str) -> Field:
    """One of some words."""
    return Field(lambda value: isinstance(value, str) and value in words, f"one of {', '.join(words)}")


def number(low: float = -math.inf, high: float = math.inf) -> Field:
    """A finite number in a range."""

    def fits(value: Any) -> bool:
        return type(value) in (int, float) and low <= value <= high and abs(value) < math.inf

    return Field(fits, "a finite number" + ("" if high == math.inf else f" from {low:g} to {high:g}"))


def whole(low: int, high: int) -> Field:
    """A whole number in a range."""
    return Field(lambda value: type(value) is int and low <= value <= high, f"a whole number from {low} to {high}")


def switch() -> Field:
    """True or false."""
    return Field(lambda value: isinstance(value, bool), "true or false")


def several(field: Field, most: int, least: int = 0) -> Field:
    """A list of such values."""

    def fits(value: Any) -> bool:
        return isinstance(value, list) and least <= len(value) <= most and all(map(field.fits, value))

    def entries(value: Any) -> Iterator[tuple[str, Any, Field]]:
        for place, entry in enumerate(value if isinstance(value, list) else ()):
            yield f"[{place}]", entry, field

    size = f"{most}" if least == most else f"at most {most:,}" if not least else f"{least} to {most:,}"
    return Field(fits, f"a list of {size}, each {field.requirement}", entries=entries)


def table(field: Field, most: int) -> Field:
    """Names with such values."""

    def fits(value: Any) -> bool:
        return isinstance(value, dict) and len(value) <= most and all(map(text().fits, value)) and all(
            map(field.fits, value.values())
        )  # fmt: skip

    def entries(value: Any) -> Iterator[tuple[str, Any, Field]]:
        for name, entry in value.items() if isinstance(value, dict) else ():
            yield f".{shorten(name, LINE)}", entry, field

    return Field(fits, f"a table of at most {most:,} names, each with {field.requirement}", entries=entries)


def either(*fields: Field) -> Field:
    """A value of any of these kinds."""
    return Field(lambda value: any(field.fits(value) for field in fields), " or ".join(f.requirement for f in fields))


def maybe(field: Field) -> Field:
    """Such a value, or null where it is not known."""
    return Field(
        lambda value: value is None or field.fits(value), f"null or {field.requirement}", field.required, field.entries
    )


def require(field: Field) -> Field:
    """A field that must be there."""
    return field._replace(required=True)


def check_claims(file: str, claims: Mapping[str, Any], fields: Mapping[str, Field], remedy: str) -> None:
    """Raise ValueError for the first field that is not what its table says.

    file: with the part of it, for messages. fields: by name; `a.b` is field b of the table a. remedy: what to do.
    """
    for name, field in fields.items():
        value = find_claim(claims, name)
        if value is ABSENT and not field.required:
            continue
        if value is ABSENT or not field.fits(value):
            where, value, field = faulty(name, value, field)
            state = "is missing" if value is ABSENT else f"is {quote(value)}"
            raise ValueError(f"{file}: {where} {state}; {field.requirement} is needed. {remedy}")
    if too_deep(claims):
        raise ValueError(f"{file}: it holds lists more than {DEEPEST} deep. {remedy}")


def faulty(name: str, value: Any, field: Field) -> tuple[str, Any, Field]:
    """What is at fault in a value that does not fit, as deep within it as one entry alone is: name, value and field."""
    for inner, entry, kind in field.entries(value):
        if not kind.fits(entry):
            return faulty(name + inner, entry, kind)
    return name, value, field


def find_claim(claims: Any, name: str) -> Any:
    """A field by its dotted name; ABSENT where it is not there."""
    for part in name.split("."):
        if not isinstance(claims, Mapping) or part not in claims:
            return ABSENT
        claims = claims[part]
    return claims


def too_deep(value: Any) -> bool:
    """Whether lists and tables lie more than DEEPEST deep in each other."""
    level = [value]
    for _ in range(DEEPEST):
        within = [each.values() if isinstance(each, Mapping) else each for each in level]
        level = [inner for each in within for inner in each if isinstance(inner, Mapping | list | tuple)]
        if not level:
            return False
    return True


def json_of(where: str, written: str, remedy: str) -> Any:
    """A JSON value that can be read again by everything that reads it.  where: file and field, for messages

    Raises ValueError for no JSON, or for lists more than DEEPEST deep.
    """
    try:
        value = json.loads(written, parse_int=_whole_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not valid JSON ({error}). {remedy}") from error
    if isinstance(value, dict | list) and too_deep(value):
        raise ValueError(f"{where} holds lists more than {DEEPEST} deep. {remedy}")
    return value


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_NUMBER else float(digits)
