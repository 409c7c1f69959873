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
    return [input_of(knob) for knob in knobs(owner).values() if knob.later == later]


def input_for(owner: type, field: str) -> Any:
    """The input of one of its fields."""
    return input_of(knobs(owner)[field])


def input_of(knob: Knob) -> Any:
    """The input of a knob."""
    if knob.socket:
        return SOCKETS[knob.socket].Input(knob.name, tooltip=knob.meaning)
    facts: dict[str, Any] = {"default": knob.shown, "optional": knob.later, "tooltip": knob.meaning}
    if knob.choices:
        return io.Combo.Input(knob.name, options=list(knob.choices), **facts)
    if knob.limits and not knob.read:
        facts |= dict(zip(("min", "max", "step"), knob.limits, strict=False))
    if knob.rounding:
        facts["round"] = knob.rounding
    if knob.multiline:
        facts["multiline"] = True
    return WIDGETS[type(knob.shown)].Input(knob.name, **facts)


def values_of(owner: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """{field: value} from {input: value}.  Raises ValueError for a text that cannot be read."""
    return {field: knob.value(given[knob.name]) for field, knob in knobs(owner).items() if knob.name in given}


def unreadable(owner: type, field: str, knob: Knob, text: str) -> str | None:
    """A sentence if a field cannot be made of a text."""
    try:
        value = knob.value(text)
    except ValueError as error:
        return str(error)
    low, high = knob.limits[:2] or (-inf, inf)
    outside = (number(knob.name, each, low, high) for each in value) if knob.read else ()
    return next(filter(None, outside), None) or (None if any_socket(owner) else refusal_of(owner, **{field: value}))


def any_socket(owner: type) -> bool:
    """Whether anything comes over a wire, so that the class cannot be made in the queue."""
    return any(knob.socket for knob in knobs(owner).values())


def validator_of(owner: type) -> Callable[..., str | None] | None:
    """A `validate_inputs` about the fields that may not fit together; None where all do."""
    together = {field: knob for field, knob in knobs(owner).items() if field in owner.together}
    if not together:
        return None

    def validate_inputs(cls, **given: Any) -> str | None:
        return refusal_of(owner, **values_of(owner, given))

    return declare_signature(validate_inputs, [Parameter(knob.name, ARGUMENT) for knob in together.values()])


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
                return cls.outcome(dict(zip((socket.id for socket in declared), given, strict=True)))

            texts = {
                field: knob
                for field, knob in knobs(owner).items()
                if isinstance(knob.shown, str) and not knob.choices and (knob.read or not any_socket(owner))
            }
            cls.checks = {knob.name: partial(unreadable, owner, field, knob) for field, knob in texts.items()}
            defaults = [getattr(socket, "default", None) if socket.optional else Parameter.empty for socket in declared]
            parameters = [
                Parameter(socket.id, ARGUMENT, default=default)
                for socket, default in zip(declared, defaults, strict=True)
            ]
            # setattr, as the host's types know both as functions
            setattr(cls, "execute", classmethod(declare_signature(execute, parameters)))  # noqa: B010
            if together := validator_of(owner):
                setattr(cls, "validate_inputs", classmethod(together))  # noqa: B010
        super().__init_subclass__(**named)


def nodes_from(
    classes: Mapping[str, type], base: type[StatedNode], package: str, folder: Iterable[str]
) -> dict[str, list]:
    """{file of classes: their nodes}, of classes that state one.

    package, folder: where a file of the same name may have some of these nodes, written by hand.
    """
    files = {module.name for module in iter_modules(folder)}
    nodes: dict[str, list] = {}
    for owner in classes.values():
        place, facts = owner.__module__.rpartition(".")[2], {"__module__": base.__module__, "__doc__": owner.__doc__}
        if owner.node_id:
            written = vars(import_module(f"{package}.{place}")) if place in files else {}
            node = written.get(owner.node_id) or type(owner.node_id, (base,), facts | {"owner": owner})
            nodes.setdefault(place, []).append(node)
    return nodes


def declare_signature(function: Callable[..., Any], parameters: Iterable[Parameter]) -> Any:
    """The function, which says of itself that these are its arguments, beside its class."""
    function.__signature__ = Signature([Parameter("cls", ARGUMENT), *parameters])  # type: ignore[attr-defined]
    return function
