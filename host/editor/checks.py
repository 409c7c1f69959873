"""The class of all nodes, which holds what comes in against their schemas; and checks of widgets.

The host checks the range of a number that is a widget's value; NaN, words of a combo, and whatever comes over a wire
pass it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

from comfy_api.latest import _io, io

from ...guidance.printing import quote
from .wires import CARRIED, misfit

Check = Callable[[Any], str | None]  # of a widget's value, for a sentence where it cannot be used
KNOWS_COMBOS = hasattr(_io, "get_finalized_class_inputs")  # a newer host: it checks the type COMBO, and hashes types
LONGEST_TEXT = 100_000  # characters of a widget
PACK = "guidance geometry"  # people search for a pack by its name
BURNT = ("burned", "burnt", "overcooked", "deep fried", "oversaturated", "overexposed", "too much contrast")
SAME = {"burn": BURNT}  # a search word -> other words that people type for it


class CheckedNode(io.ComfyNode):
    """A node that runs only with what its schema allows: values of wires, ranges of numbers, words of combos.

    A subclass states its schema: name, category, description, inputs and outputs. inputs: a tuple, or a method where
    what a widget offers may change while the host runs. It writes `execute`; and, for how its widgets belong together,
    `validate_inputs`, which names the widgets that it reads and returns a sentence or None. The host asks it before
    anything runs, when None stands for a value that comes over a wire, and it is asked again before `execute`.
    owner: the class of rules or energies that states name, description and search_words in its place.
    search_words: what people type who look for it, beside its name; SAME adds to them. is_dev_only: nobody has to add
    it by hand.
    checks: of single widgets, name -> what gives a sentence or None.
    unread_inputs: inputs that are passed on whatever they are.

    What the host refuses stands under the widget at fault, but a `validate_inputs` that refuses is shown under every
    widget that it names. So it names as few as it can, and combos are handed to the host as lists, which it checks.
    """

    node_id: ClassVar[str]
    name: ClassVar[str]
    category: ClassVar[str]
    description: ClassVar[str]
    inputs: Any = ()
    outputs: ClassVar[tuple[Any, ...]] = ()
    hidden_inputs: ClassVar[Sequence[Any]] = ()
    is_output_node: ClassVar[bool] = False
    not_idempotent: ClassVar[bool] = False
    is_experimental: ClassVar[bool] = False
    is_dev_only: ClassVar[bool] = False
    search_words: ClassVar[tuple[str, ...]] = ()
    owner: ClassVar[Any] = None
    checks: ClassVar[Mapping[str, Check]] = {}
    unread_inputs: ClassVar[tuple[str, ...]] = ()
    inputs_by_id: ClassVar[Mapping[str, Any]]

    if TYPE_CHECKING:  # the host's own names no input

        @classmethod
        def validate_inputs(cls, *values: Any, **named: Any) -> Any:
            """True, or the sentence of what the widgets it names do not allow."""

        @classmethod
        def execute(cls, *values: Any, **named: Any) -> io.NodeOutput:
            """What comes out of what comes in."""
            ...

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the class states, in the host's form."""
        by: Any = cls.owner or cls
        inputs: Any = cls.inputs() if callable(cls.inputs) else cls.inputs
        hidden: Any = [*cls.hidden_inputs] or None
        return io.Schema(
            node_id=cls.node_id,
            display_name=by.name,
            category=cls.category,
            description=by.description,
            inputs=[*inputs],
            outputs=[*cls.outputs],
            hidden=hidden,
            is_output_node=cls.is_output_node,
            not_idempotent=cls.not_idempotent,
            is_experimental=cls.is_experimental,
        )

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:
        """What the editor is told of the node: editors may know fields that the schema of their host has not yet.

        No category of essentials: editors count a node that has one among their own, not among those of packs.
        """
        info: Any = super().GET_NODE_INFO_V1()
        return info | {"search_aliases": cls.search_aliases(), "dev_only": cls.is_dev_only}

    @classmethod
    def search_aliases(cls) -> list[str]:
        """What an editor's search finds the node by, beside its name: the pack, its own words, its papers."""
        by: Any = cls.owner or cls
        papers = (word for paper in getattr(by, "papers", ()) for word in (paper.title, paper.authors, paper.arxiv))
        words = (word for stated in by.search_words for word in (stated, *SAME.get(stated, ())))
        return [*dict.fromkeys((PACK, *words, *papers))]

    @classmethod
    def INPUT_TYPES(cls, *given, **named) -> Any:
        """The inputs as the host checks them, by category: (kind, settings)."""
        declaration: Any = super().INPUT_TYPES(*given, **named)
        if KNOWS_COMBOS:
            return declaration
        for inputs in (declaration[0] if isinstance(declaration, tuple) else declaration).values():
            for name, (kind, *settings) in inputs.items():
                if str(kind) == "COMBO":
                    inputs[name] = (Options(settings[0]["options"]), *settings)
        return declaration

    def __init_subclass__(cls, **named):
        super().__init_subclass__(**named)
        attributes = vars(cls)
        names_itself = bool(attributes.keys() & {"name", "owner", "define_schema"})
        if names_itself and "inputs_by_id" not in attributes:  # a clone of the host's has it
            cls.node_id = cls.__name__
            widgets_first = sorted(cls.define_schema().inputs, key=lambda declared: declared.get_io_type() in CARRIED)
            cls.inputs_by_id = {declared.id: declared for declared in widgets_first}
            absent = cls.validate_inputs.__func__ is io.ComfyNode.validate_inputs.__func__
            together = None if absent else cls.validate_inputs
            # setattr, as the host's types know both as functions
            setattr(cls, "execute", classmethod(_check_execute(cls.execute.__func__, together)))  # noqa: B010
            checked_names = {*cls.checks, *(signature(together).parameters if together else ())}
            if names := [name for name in cls.inputs_by_id if name in checked_names]:
                setattr(cls, "validate_inputs", classmethod(_validator_of(names, together)))  # noqa: B010


class Options(list):
    """The words of a combo, of which the host takes no other; compared with a type it is COMBO."""

    def __eq__(self, other: object) -> bool:
        return "COMBO" in str(other).split(",")

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]  a type is looked up in tables
        return hash("COMBO")


def _check_execute(execute: Callable, together: Callable | None) -> Callable:
    """An `execute` that raises ValueError for arguments that do not fit; numbers of other libraries become Python's."""

    @wraps(execute)
    def run(cls, *given, **named):
        bound = signature(execute).bind(cls, *given, **named)
        if cls.hidden:
            cls.hidden.extra_pnginfo = named_facts(cls.hidden.extra_pnginfo)
        for name in absent_wires(cls, bound.arguments):
            del bound.arguments[name]
        bound.apply_defaults()
        insist(*misfits(cls, bound.arguments))
        bound.arguments.update({name: plain(value) for name, value in bound.arguments.items()})
        insist(_unfitting(together, bound.arguments))
        return execute(*bound.args, **bound.kwargs)

    return run


def named_facts(given: Any) -> dict[str, Any]:
    """What of a job's `extra_pnginfo`, where anything may stand, can be used: facts by names in Latin-1.

    A workflow is a table.
    """
    facts = given.items() if isinstance(given, Mapping) else ()
    sound = ((name, fact) for name, fact in facts if max(map(ord, name), default=0) < 256)
    return {name: fact for name, fact in sound if name != "workflow" or isinstance(fact, Mapping)}


def _validator_of(names: Iterable[str], together: Callable | None) -> Callable:
    """A `validate_inputs` that is asked about these widgets.

    The host asks also about values that it could not convert itself, and leaves the range of a number to a
    `validate_inputs` that names it; all others it checks itself.
    """
    each = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=None) for name in names]
    form = Signature([Parameter("cls", Parameter.POSITIONAL_OR_KEYWORD), *each])

    def run(cls, *given, **named):
        values = form.bind(cls, *given, **named).arguments
        present = {name: value for name, value in values.items() if value is not None}
        return next(filter(None, misfits(cls, present)), None) or _unfitting(together, values) or True

    run.__signature__ = form  # type: ignore[attr-defined]  by which the host knows what to ask about
    return run


def _unfitting(together: Callable | None, values: Mapping[str, Any]) -> str | None:
    """The sentence of a node whose widgets do not belong together."""
    parameters = signature(together).parameters if together else {}
    present = {
        name: values.get(name)
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty or values.get(name) is not None
    }
    return together(**present) if together else None


def absent_wires(cls: type[CheckedNode], arguments: Mapping[str, Any]) -> list[str]:
    """Optional wires that carry None: some callers say so what others leave out; the default holds for both."""
    wires = (declared for declared in cls.inputs_by_id.values() if declared.get_io_type() in CARRIED)
    return [wire.id for wire in wires if wire.optional and arguments.get(wire.id, wire) is None]


def misfits(cls: type[CheckedNode], arguments: Mapping[str, Any]) -> Iterator[str | None]:
    """One sentence for every argument that is not what its input says, widgets first; None for those that are."""
    passed = {*cls.unread_inputs, *absent_wires(cls, arguments)}
    for declared in cls.inputs_by_id.values():
        if declared.id in arguments and declared.id not in passed:
            value, check = arguments[declared.id], cls.checks.get(declared.id)
            yield value_misfit(declared, value) or (check(value) if check else option_misfit(cls, declared, value))


def value_misfit(declared: Any, value: Any) -> str | None:
    """A sentence if a value is not of an input's type, or out of its range."""
    kind = declared.get_io_type()
    if kind in ("INT", "FLOAT"):
        return number(declared.id, value, declared.min, declared.max, whole=kind == "INT")
    if kind in ("STRING", "COMBO"):
        return text(declared.id, value)
    if kind == "BOOLEAN":
        return None if isinstance(value, bool) else f"{declared.id} is {quote(value)}. Give true or false."
    return misfit(declared.id, kind, value)


def option_misfit(cls: type[CheckedNode], declared: Any, value: Any) -> str | None:
    """A sentence if an input is a combo that does not have this option now: other packs may have added some."""
    if declared.get_io_type() != "COMBO" or value in declared.options:
        return None
    now: Any = next(current for current in cls.define_schema().inputs if current.id == declared.id)
    return choice(declared.id, value, now.options)


def number(name: str, value: Any, low: float, high: float, whole: bool = False) -> str | None:
    """None if the value is a finite number in [low, high], a whole one where that is wanted; else a sentence."""
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{name} is {quote(value)}, which is not a number. Give one from {low:g} to {high:g}."
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name} is {value}, which is not a finite number. Give one from {low:g} to {high:g}."
    if not low <= value <= high:
        return f"{name} is {quote(value)}, outside {low:g} to {high:g}. Give a value in that range."
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
        return f"{name} is {quote(value)}, which is not text. Write one, or connect a text."
    if len(value) > LONGEST_TEXT:
        return f"{name} has {len(value):,} characters; at most {LONGEST_TEXT:,} are read. Shorten it."
    return None


def choice(name: str, value: str, options: Iterable[str]) -> str | None:
    """None if the value is one of the options; else a sentence with the options."""
    if value in (options := list(options)):
        return None
    return f"{name} is {quote(value)}, which this host does not offer. Choose one of: {', '.join(options)}."


def empty_window(name: str, start: float | None, end: float | None) -> str | None:
    """A sentence if a window ends where it starts, or before; None where one end comes over a wire.  name: of start"""
    if start is None or end is None or start < end:
        return None
    return f"The window {start:g} to {end:g} is empty. Make {name} the smaller one."


def insist(*complaints: str | None) -> None:
    """Raise ValueError with the first complaint: values that came over a wire are never checked by the host."""
    for complaint in complaints:
        if complaint:
            raise ValueError(complaint)
