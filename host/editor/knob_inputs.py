"""Nodes from what rules and energies state of their fields: inputs, their values, and what is asked in the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from inspect import Parameter, Signature
from math import inf
from pkgutil import iter_modules
from typing import Any

from comfy_api.latest import io

from ...guidance.knobs import Knob, knobs
from .checks import CheckedNode, number
from .wires import ClassifierWire, EnergyWire

ARGUMENT = Parameter.POSITIONAL_OR_KEYWORD
WIDGETS = {bool: io.Boolean, int: io.Int, float: io.Float, str: io.String}
SOCKETS = {
    "MODEL": io.Model,
    "CONDITIONING": io.Conditioning,
    "IMAGE": io.Image,
    "MASK": io.Mask,
    "GG_CLASSIFIER": ClassifierWire,
    "GG_ENERGY": EnergyWire,
}


def inputs_of(owner: type, later: bool = False) -> list:
    """The inputs of its knobs, in order.  later: those that are optional and come last, or the others."""
    return [input_of(one) for one in knobs(owner).values() if one.later == later]


def input_for(owner: type, field: str) -> Any:
    """The input of one of its fields."""
    return input_of(knobs(owner)[field])


def input_of(one: Knob) -> Any:
    """The input of a knob."""
    if one.socket:
        return SOCKETS[one.socket].Input(one.name, tooltip=one.meaning)
    facts: dict[str, Any] = {"default": one.shown, "optional": one.later, "tooltip": one.meaning}
    if one.choices:
        return io.Combo.Input(one.name, options=list(one.choices), **facts)
    if one.limits and not one.read:
        facts |= dict(zip(("min", "max", "step"), one.limits, strict=False))
    if one.rounding:
        facts["round"] = one.rounding
    if one.multiline:
        facts["multiline"] = True
    return WIDGETS[type(one.shown)].Input(one.name, **facts)


def values_of(owner: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """{field: value} from {input: value}.  Raises ValueError for a text that cannot be read."""
    return {field: one.value(given[one.name]) for field, one in knobs(owner).items() if one.name in given}


def unreadable(owner: type, field: str, one: Knob, text: str) -> str | None:
    """A sentence if a field cannot be made of a text."""
    try:
        value = one.value(text)
    except ValueError as error:
        return str(error)
    low, high = one.limits[:2] or (-inf, inf)
    outside = (number(one.name, each, low, high) for each in value) if one.read else ()
    return next(filter(None, outside), None) or (None if any_socket(owner) else refusal_of(owner, **{field: value}))


def any_socket(owner: type) -> bool:
    """Whether anything comes over a wire, so that the class cannot be made in the queue."""
    return any(one.socket for one in knobs(owner).values())


def fitting(owner: type) -> Callable[..., str | None] | None:
    """A `validate_inputs` about the fields that may not fit together; None where all do."""
    together = {field: one for field, one in knobs(owner).items() if field in owner.together}
    if not together:
        return None

    def validate_inputs(cls, **given: Any) -> str | None:
        return refusal_of(owner, **values_of(owner, given))

    return with_signature(validate_inputs, [Parameter(one.name, ARGUMENT) for one in together.values()])


def refusal_of(rule: Callable[..., Any], *given: Any, **named: Any) -> str | None:
    """The sentence with which a class refuses its fields; None where it takes them, or where one comes over a wire."""
    if None in (*given, *named.values()):
        return None
    try:
        rule(*given, **named)
    except ValueError as reason:
        return str(reason)
    return None


class StatedNode(CheckedNode):
    """A node made of what its `owner` says of itself.

    A subclass may have inputs or an `execute` of its own; without one the node gives what `outcome` makes of them.
    """

    @classmethod
    def outcome(cls, given: dict[str, Any]) -> io.NodeOutput:
        """An object of the class.  given: {input: value}"""
        return io.NodeOutput(cls.owner(**values_of(cls.owner, given)))

    def __init_subclass__(cls, **named):
        owner = vars(cls).get("owner")
        if owner and "inputs" not in vars(cls):
            cls.inputs = (*inputs_of(owner), *inputs_of(owner, later=True))
        if owner and "execute" not in vars(cls):
            declared = cls.inputs

            def execute(cls, *given: Any) -> io.NodeOutput:
                return cls.outcome(dict(zip((one.id for one in declared), given, strict=True)))

            words = {
                field: one for field, one in knobs(owner).items() if isinstance(one.shown, str) and not one.choices
            }
            texts = {field: one for field, one in words.items() if one.read or not any_socket(owner)}
            cls.checks = {one.name: partial(unreadable, owner, field, one) for field, one in texts.items()}
            given = [
                Parameter(one.id, ARGUMENT, default=getattr(one, "default", None) if one.optional else Parameter.empty)
                for one in declared
            ]
            # setattr, as the host's types know both as functions
            setattr(cls, "execute", classmethod(with_signature(execute, given)))  # noqa: B010
            if together := fitting(owner):
                setattr(cls, "validate_inputs", classmethod(together))  # noqa: B010
        super().__init_subclass__(**named)


def nodes_from(
    classes: Mapping[str, type], base: type[StatedNode], package: str, folder: Iterable[str]
) -> dict[str, list]:
    """{file of classes: their nodes}, of classes that state one.

    package, folder: where a file of the same name may have some of these nodes, written by hand.
    """
    files, made = {one.name for one in iter_modules(folder)}, {}
    for one in classes.values():
        place, facts = one.__module__.rpartition(".")[2], {"__module__": base.__module__, "__doc__": one.__doc__}
        if one.node_id:
            written = vars(import_module(f"{package}.{place}")) if place in files else {}
            node = written.get(one.node_id) or type(one.node_id, (base,), facts | {"owner": one})
            made.setdefault(place, []).append(node)
    return made


def with_signature(function: Callable[..., Any], parameters: Iterable[Parameter]) -> Any:
    """The function, which says of itself that these are its arguments, beside its class."""
    function.__signature__ = Signature([Parameter("cls", ARGUMENT), *parameters])  # type: ignore[attr-defined]
    return function
