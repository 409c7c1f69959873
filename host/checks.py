"""What an `execute` was given, held against its node's schema; and checks of widgets that the host does not make.

The host checks the range of a number that is a widget's value; NaN, words of a combo, and whatever comes over a wire
pass it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from inspect import signature
from numbers import Integral, Real
from typing import Any

from ..guidance.printing import told
from .wires import CARRIED, misfit

LONGEST_TEXT = 100_000  # characters of a widget


def checked(execute: Callable) -> Callable:
    """An `execute` that runs with arguments its schema allows only.  Raises ValueError for any other.

    Numbers of other libraries become Python's, which can be written into files.
    """
    form = signature(execute)

    @wraps(execute)
    def run(cls, *given, **named):
        bound = form.bind(cls, *given, **named)
        insist(*misfits(cls, bound.arguments))
        bound.arguments.update({name: plain(value) for name, value in bound.arguments.items()})
        return execute(*bound.args, **bound.kwargs)

    return run


def validated(validate: Callable) -> Callable:
    """A `validate_inputs` that is asked about values only that their inputs can hold; None comes over a wire.

    The host asks also about values that it could not convert itself, and leaves the range of a number to a
    `validate_inputs` that names it; all others it checks itself.
    """
    form = signature(validate)

    @wraps(validate)
    def run(cls, *given, **named):
        arguments = form.bind(cls, *given, **named).arguments
        known = {name: value for name, value in arguments.items() if value is not None}
        found = verdict(*misfits(cls, known))
        return validate(cls, *given, **named) if found is True else found

    run.__signature__ = form  # type: ignore[attr-defined]  by which the host knows what to ask about
    return run


def misfits(cls, arguments: Mapping[str, Any]) -> Iterator[str | None]:
    """One sentence for every argument that is not what its input says, widgets first; None for those that are."""
    for declared in sorted(cls.define_schema().inputs, key=lambda declared: declared.get_io_type() in CARRIED):
        value = arguments.get(declared.id)
        absent = value is None and declared.optional and declared.get_io_type() in CARRIED
        if declared.id in arguments and not absent:
            yield value_misfit(declared, value)


def value_misfit(declared, value: Any) -> str | None:
    """A sentence if a value is not of an input's type, or out of its range."""
    kind = declared.get_io_type()
    if kind in ("INT", "FLOAT"):
        return number(declared.id, value, declared.min, declared.max, whole=kind == "INT")
    if kind in ("STRING", "COMBO"):
        return text(declared.id, value)
    if kind == "BOOLEAN":
        return None if isinstance(value, bool) else f"{declared.id} is {told(value)}. Give true or false."
    return misfit(declared.id, kind, value)


def number(name: str, value: Any, low: float, high: float, whole: bool = False) -> str | None:
    """None if the value is a finite number in [low, high], a whole one where that is wanted; else a sentence."""
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{name} is {told(value)}, which is not a number. Give one from {low:g} to {high:g}."
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name} is {value}, which is not a finite number. Give one from {low:g} to {high:g}."
    if not low <= value <= high:
        return f"{name} is {told(value)}, outside {low:g} to {high:g}. Give a value in that range."
    if whole and value != int(value):
        return f"{name} is {value:g}, which is not a whole number. Give one from {low:g} to {high:g}."
    return None


def plain(value: Any) -> Any:
    """A real number of any library, such as NumPy's, as an int or a float; anything else as it is."""
    if type(value) in (bool, int, float) or not isinstance(value, Real):
        return value
    try:
        return int(value) if isinstance(value, Integral) else float(value)
    except Exception:  # noqa: BLE001  any fault of any pack
        return value


def text(name: str, value: Any) -> str | None:
    """None if the value is a text of a length that can be read; else a sentence."""
    if not isinstance(value, str):
        return f"{name} is {told(value)}, which is not text. Write one, or connect a text."
    if len(value) > LONGEST_TEXT:
        return f"{name} has {len(value):,} characters; at most {LONGEST_TEXT:,} are read. Shorten it."
    return None


def choice(name: str, value: str | None, options: Iterable[str]) -> str | None:
    """None if the value is one of the options, or comes over a wire (None); else a sentence with the options."""
    if value is None or value in (options := list(options)):
        return None
    return f"{name} is {told(value)}, which this host does not offer. Choose one of: {', '.join(options)}."


def empty_window(name: str, start: float | None, end: float | None) -> str | None:
    """A sentence if a window ends where it starts, or before; None where one end comes over a wire.  name: of start"""
    if start is None or end is None or start < end:
        return None
    return f"The window {start:g} to {end:g} is empty. Let {name} be the smaller one."


def verdict(*complaints: str | None) -> bool | str:
    """What `validate_inputs` returns: True, or the first complaint."""
    return next((c for c in complaints if c), True)


def insist(*complaints: str | None) -> None:
    """Raise ValueError with the first complaint: values that came over a wire are never checked by the host."""
    for complaint in complaints:
        if complaint:
            raise ValueError(complaint)
