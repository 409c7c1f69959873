"""What stands for the objects of a pickle that are no plain values: they hold what they were given and do nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..guidance.printing import shorten


@dataclass(frozen=True, slots=True)
class Name:
    """What a pickle calls by its name.  text: module.name"""

    text: str


@dataclass(eq=False, slots=True)
class Record:
    """An object that was not made: what its class is called, what it was called with, and its state."""

    kind: str
    arguments: tuple = ()
    state: Any = None


def refusal(what: str) -> ValueError:
    """The error for a file that holds more than weights.  what: a verb and its object"""
    return ValueError(
        f"it {shorten(what, 300)}. Only tensors and plain values are read, and nothing is ever run: look for the "
        "weights as safetensors, or for a state_dict alone."
    )
