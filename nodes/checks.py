"""Checks of widget values: the host lets NaN and any combo string through, so every node states its ranges twice."""

from __future__ import annotations

import math
from collections.abc import Iterable


def number(name: str, value: float | None, low: float, high: float) -> str | None:
    """None if the value is a finite number in [low, high], or comes over a wire (None); else a sentence saying why."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{name} is {value!r}, which is no number. Give one from {low:g} to {high:g}."
    if not math.isfinite(value):
        return f"{name} is {value}, which is no finite number. Give one from {low:g} to {high:g}."
    if not low <= value <= high:
        return f"{name} is {value:g}, outside {low:g} to {high:g}. Give a value in that range."
    return None


def choice(name: str, value: str | None, options: Iterable[str]) -> str | None:
    """None if the value is one of the options, or comes over a wire (None); else a sentence with the options."""
    if value is None or value in (options := list(options)):
        return None
    return f"{name} is {value!r}, which this host does not offer. Choose one of: {', '.join(options)}."


def verdict(*complaints: str | None) -> bool | str:
    """What `validate_inputs` returns: True, or the first complaint."""
    return next((c for c in complaints if c), True)


def insist(*complaints: str | None) -> None:
    """Raise ValueError with the first complaint: values that came over a wire are never checked by the host."""
    for complaint in complaints:
        if complaint:
            raise ValueError(complaint)
