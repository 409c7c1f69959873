"""What a file says of itself: for every kind of file one table of fields, each with its type and its largest size.

Files are read in here (`read_json`), and what their content trips further on is told by `guard`.

A field that is absent is nothing wrong unless it is required; one that no table knows is kept, but never deeper than
DEEPEST.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ..guidance.printing import LONE_SURROGATE, quote, reason_of, shorten

LINE, PAGE = 200, 20_000  # characters: of a name, of a note
DEEPEST = 64  # lists within lists; workflows need about ten
LARGEST = 2**24  # bytes of a file of claims
FAULTS = (TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)  # what damaged content brings about
LONGEST_NUMBER = 20  # digits of a whole number; longer ones are read as floats
ABSENT = object()
Made = TypeVar("Made")


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
        return type(value) in (int, float) and low <= value <= high and abs(value) <= sys.float_info.max

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
            yield f".{shorten(str(name), LINE)}", entry, field

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


@contextmanager
def guard(file: str, part: str, remedy: str) -> Iterator[None]:
    """Raise ValueError with file and part in place of a fault that the content brings about while it is read."""
    try:
        yield
    except FAULTS as error:
        raise ValueError(f"{file} is damaged at {part}: {reason_of(error)}. {remedy}") from error


def read_json(path: Any, remedy: str, most: float = LARGEST) -> Any:
    """The JSON value in a file, read as `read_text` does.  Raises ValueError for no JSON, too."""
    return json_of(path.name, read_text(path, remedy, most), remedy)


def read_as(make: Callable[[Any, str], Made], path: Any, part: str, remedy: str, most: float = LARGEST) -> Made:
    """What `make` makes of the JSON value in a file and of its name.  part: of the value, in which faults may be"""
    value = read_json(path, remedy, most)
    with guard(path.name, part, remedy):
        return make(value, path.name)


def read_text(path: Any, remedy: str, most: float = LARGEST) -> str:
    """The text in a file, with or without the mark that some editors write first.

    path: a pathlib.Path, or an address with the same methods. most: bytes.
    Raises OSError where nothing can be read, ValueError for what is no file, too large or no text.
    """
    if isinstance(path, Path) and path.exists() and not path.is_file():
        raise ValueError(f"{path.name} is no file. {remedy}")
    if (size := path.stat().st_size) > most:
        raise ValueError(f"{path.name} has {size:,} bytes; at most {most:,} are read. {remedy}")
    return text_of(path.name, path.read_bytes(), remedy)


def text_of(where: str, written: bytes, remedy: str) -> str:
    """Bytes as text.  Raises ValueError for what is none."""
    try:
        return written.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} is damaged at byte {error.start:,}: it is not text in UTF-8. {remedy}") from error


def json_of(where: str, written: str | bytes, remedy: str) -> Any:
    """A JSON value that can be read again by everything that reads it.  where: file and field, for messages

    Raises ValueError for no JSON, for a name that stands twice in a table, or for lists more than DEEPEST deep.
    """
    written = text_of(where, written, remedy) if isinstance(written, bytes) else written
    try:
        value = json.loads(written, parse_int=_whole_number, object_pairs_hook=_table_of)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not valid JSON ({error}). {remedy}") from error
    if isinstance(value, dict | list) and too_deep(value):
        raise ValueError(f"{where} holds lists more than {DEEPEST} deep. {remedy}")
    return value


def _table_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"{quote(twice)} stands twice in one table")
    return made


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_NUMBER else float(digits)
