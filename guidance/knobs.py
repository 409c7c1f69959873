"""What a rule or an energy states of itself, once: papers, and for every field its range, step and meaning.

Nodes, tooltips, translations, help pages and lists of rules are made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

Value = TypeVar("Value")
PLACE = "knob"  # in the metadata of a field
NO_WIDGET = {"without": "widget"}  # metadata of a field that nobody sets by hand


class Paper(NamedTuple):
    """Where a rule comes from; as a text, how it is cited."""

    authors: str
    arxiv: str
    title: str

    @property
    def number(self) -> str:
        """Where it is found."""
        return f"arXiv {self.arxiv}"

    def __str__(self) -> str:
        return f"{self.authors}, {self.number}"


class Stated:
    """What a class says of itself, the source of its node and of every page about it.

    node_id: the node's, which saved workflows know; empty for what has no node of its own. name: by which people know
    it. description: in a sentence or two. papers: where it comes from. search_words: what else people type who look for
    it. maturity: stable ones are those that artists are shown first. together: fields whose values may not fit each
    other, which the class refuses, asked before a run.
    """

    node_id: ClassVar[str] = ""
    name: ClassVar[str] = ""
    description: ClassVar[str] = ""
    papers: ClassVar[tuple[Paper, ...]] = ()
    search_words: ClassVar[tuple[str, ...]] = ()
    maturity: ClassVar[Literal["stable", "experimental"]] = "experimental"
    together: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class Knob:
    """How a field is set by hand.

    meaning: for people: what it does, and what its ends do. limits: of a number the smallest and the largest, and, if
    it is no whole one, the step of its widget. off: the value at which a rule without another effect changes nothing.
    rounding: of the widget. choices: the words of which it is one; or
    words, and the value that each stands for. read: makes the value of a text and the input's name; raises ValueError.
    multiline: a text may have several lines. socket: the type of the wire that carries it, for what is no widget; then
    `read` makes the value of what it carries. answers: what a network on that wire must tell.
    Of the node's input, where it differs from the field: its name, and the value that it shows at first. later: the
    input is optional and comes last. main: of a rule's numbers the one that says how strongly it acts, which is the
    first to try.
    """

    meaning: str
    limits: tuple[float, ...] = ()
    off: Any = None
    rounding: float | None = None
    choices: Sequence[str] | Mapping[str, Any] = ()
    read: Callable[..., Any] | None = None
    multiline: bool = False
    socket: str = ""
    answers: str = ""
    name: str = ""
    shown: Any = None
    later: bool = False
    main: bool = False

    def value(self, given: Any) -> Any:
        """The field's value from the input's.  Raises ValueError for a text that cannot be read."""
        if isinstance(self.choices, Mapping):
            return self.choices[given]
        if self.read is None:
            return given
        return self.read(given) if self.socket else self.read(given, self.name)


def knob(default: Value, meaning: str, **more: Any) -> Value:
    """A field of a dataclass that is set by hand; the rest as in `Knob`."""
    return field(default=default, metadata={PLACE: Knob(meaning, **more)})


def socket(kind: str, meaning: str, **more: Any) -> Any:
    """A field of a dataclass that comes over a wire of this type, and has no default; the rest as in `Knob`."""
    return field(metadata={PLACE: Knob(meaning, socket=kind, **more)})


@cache
def knobs(owner: type) -> Mapping[str, Knob]:
    """What a class of rules or energies states of its fields: {field: knob}, each with its name and what it shows."""
    by_field = {}
    for one in fields(owner):
        if PLACE in one.metadata:
            stated = one.metadata[PLACE]
            words = stated.choices.items() if isinstance(stated.choices, Mapping) else ()
            usual = None if one.default is MISSING else next((w for w, v in words if v == one.default), one.default)
            shown = usual if stated.shown is None else stated.shown
            by_field[one.name] = replace(stated, name=stated.name or one.name, shown=shown)
    return by_field


def main_knob(owner: type) -> tuple[str, Knob] | None:
    """The field that says how strongly a rule acts, and what is stated of it; None for a rule without one."""
    return next((item for item in knobs(owner).items() if item[1].main), None)


def widget_of(one: Field) -> str:
    """The widget that takes a field's own values; empty where none does."""
    stated = one.metadata.get(PLACE, Knob(""))
    own = "" if stated.read or isinstance(stated.choices, Mapping) else stated.name
    return "" if one.metadata == NO_WIDGET else own or one.name


def refuse_unlisted(owner: Any) -> None:
    """Raise ValueError for a field whose value is none of its choices."""
    for name, stated in knobs(type(owner)).items():
        choices = stated.choices
        allowed = choices.values() if isinstance(choices, Mapping) else choices
        value = getattr(owner, name)
        if allowed and value not in allowed:
            words = ", ".join(map(str, allowed))
            raise ValueError(f"{name.replace('_', ' ').capitalize()} {value!r} is unknown. Use one of {words}.")
