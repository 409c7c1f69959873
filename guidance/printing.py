"""Texts of objects that may come from anywhere: they never raise, and are never longer than a page.

A host prints whatever lay on a failed node's wires, and a fault while it prints ends its worker.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

LONGEST = 2000  # characters
LONGEST_TOLD, LARGEST_TOLD = 200, 10**20  # of a value that a message repeats
LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which UTF-8 cannot hold
Owner = TypeVar("Owner")


def total(say: Callable[[Owner], str]) -> Callable[[Owner], str]:
    """Make a function that never raises: where it gives no text, the type of its object and the reason."""

    def describe(thing: Owner) -> str:
        return _text(thing, say)

    describe.__doc__ = say.__doc__  # and no more: there are hundreds
    return describe


class Printed:
    """What travels on a wire: `text`, `__repr__` and `__str__` of every subclass give a text, whatever they hold.

    A dataclass writes no `__repr__` over one that stands in its class, so every class gets its own.
    """

    def __init_subclass__(cls, **named: Any):
        super().__init_subclass__(**named)
        for name in {"__repr__", "__str__"} & vars(cls).keys():
            setattr(cls, name, total(vars(cls)[name]))
        cls.__repr__ = cls.__repr__  # its own is total by now, the one that it inherits was before
        if isinstance(own := vars(cls).get("text"), property) and own.fget:
            cls.text = property(total(own.fget), doc=own.__doc__)

    @total
    def __repr__(self) -> str:
        return f"{class_of(self)}({text_of(self)})"


def text_of(thing: Any) -> str:
    """The `text` of a rule or an energy of any pack; the name of its class where it has none."""
    return _text(thing, lambda thing: getattr(thing, "text", class_of(thing)))


def class_and_knobs(thing: Any, *left_out: str) -> str:
    """The name of its class and its fields, for what has no text of its own."""
    names = [each.name for each in fields(thing) if each.name not in left_out] if is_dataclass(thing) else []
    return f"{class_of(thing)} {', '.join(f'{name} {quote(getattr(thing, name))}' for name in names)}".strip()


def safe_text(thing: Any) -> str:
    """What the host would print of it."""
    return _text(thing, repr)


class Words(str):
    """A number or a text in a sentence; in a template `{name:one|many}` gives the word that goes with its number."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        """Itself, or one of two words."""
        one, _, many = spec.partition("|")
        return str(self) if not spec else one if self == "1" else many


def count_of(count: int, word: str) -> str:
    """So many of something, in the singular where there is one: "1 step", "2,000 steps"."""
    return f"{{0}} {{0:{word}|{word}s}}".format(Words(f"{count:,}"))


def quote(value: Any) -> str:
    """A value as messages name it: short, whatever it is."""
    return _text(value, _brief)


def class_of(thing: Any) -> str:
    """The name of its class, past whatever a class of classes says of its own names."""
    return type.__dict__["__name__"].__get__(type(thing))


def _brief(value: Any) -> str:
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < LARGEST_TOLD):
        return f"{value:g}" if isinstance(value, float) else str(value)
    short = isinstance(value, str) and len(value) <= LONGEST_TOLD
    return repr(value) if short or value is None else f"a {class_of(value)}"


def words_of(thing: Any) -> str:
    """The `str` of an object, of a fault its message; empty where that raises."""
    try:
        return str(thing)
    except Exception:  # noqa: BLE001  any object of any pack
        return ""


def nth(step: int) -> int:
    """The number of a step as people count, from 1; traces, files and inputs count from 0."""
    return step + 1


def shorten(text: str, most: int = LONGEST) -> str:
    """At most so many characters that UTF-8 can hold, the last three of them dots where something is left out."""
    return LONE_SURROGATE.sub("\ufffd", text if len(text) <= most else f"{text[: most - 3]}...")


def _text(thing: Owner, say: Callable[[Owner], str]) -> str:
    try:
        text = say(thing)
        if isinstance(text, str):
            return shorten(str.__str__(text))  # of a subclass only its characters
        reason = f"its text is a {class_of(text)}"
    except Exception as error:  # noqa: BLE001  any fault of any pack
        reason = reason_of(error)
    return shorten(f"{class_of(thing)} without a text: {reason}")


def reason_of(error: Exception) -> str:
    """The class of a fault and its words."""
    return ": ".join(part for part in (class_of(error), words_of(error)) if part)
