"""Pickles read as data, by an interpreter of our own for the few instructions that weights need.

A pickle is a program for a small stack machine. This one imports nothing and calls nothing of the file: names stay
names, and where the program would call one, a table says which plain value takes the place of the result.
Source of the instructions: PEP 3154, PEP 574 and the documentation of `pickletools`, whose parser reads them.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ...guidance.printing import class_of, shortened, told
from .known import EMBEDDED, key, made, name_of
from .values import Name, Record, refusal

MOST_INSTRUCTIONS = 2_000_000  # 1000 tensors with their optimizer take about 100,000
LARGEST_NUMBER = 2**128


class Stream(Protocol):
    """What a pickle is read from; a read past its end gives what there is."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        ...

    def readline(self) -> bytes:
        """The bytes up to the next line break."""
        ...

    def tell(self) -> int:
        """How many bytes were read."""
        ...


class Machine:
    """One reading of one pickle.

    outside: what stands for an object that is kept outside the pickle; None where nothing may be.
    embedded: the storage in a file within the pickle; None where there may be none.
    """

    def __init__(self, outside: Callable[[Any], Any] | None = None, embedded: Callable[[bytes], Any] | None = None):
        self.outside, self.embedded = outside, embedded
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: Stream) -> Any:
        """The value that the pickle describes; the stream stands behind it then.

        Raises ValueError for an instruction or a name that weights do not need, and for a damaged pickle.
        """
        try:
            for count, (code, argument) in enumerate(instructions(stream)):
                if code not in STEPS:
                    raise refusal(f"uses the pickle instruction {code}")
                if count > MOST_INSTRUCTIONS:
                    raise refusal(f"has more than {MOST_INSTRUCTIONS:,} pickle instructions")
                STEPS[code](self, argument)
            return self.stack.pop()
        except (IndexError, KeyError) as error:
            raise damaged(told(error.args[0])) from error

    def take(self, count: int) -> list[Any]:
        """The uppermost values, lowest first."""
        return [self.stack.pop() for _ in range(count)][::-1]

    def since_mark(self) -> list[Any]:
        """Everything above the last mark."""
        items, self.stack = self.stack, self.marked.pop()
        return items

    def owner(self, kind: type | tuple[type, ...]) -> Any:
        """The uppermost value, which something is put into."""
        if not isinstance(self.stack[-1], kind):
            raise refusal(f"puts something into a {class_of(self.stack[-1])}")
        return self.stack[-1]


def instructions(stream: Stream) -> Iterator[tuple[str, Any]]:
    """Names and arguments of the instructions up to the end of one pickle."""
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            yield opcode.name, argument
    except ValueError as error:
        raise damaged(str(error).partition(";")[0]) from error


def damaged(why: str) -> ValueError:
    """The error for what is no pickle, or not a whole one."""
    return ValueError(f"its pickle is damaged ({shortened(why, 200)}). Fetch the file again.")


def push(machine: Machine, value: Any) -> None:
    """A value as it stands in the file."""
    machine.stack.append(value)


def push_number(machine: Machine, value: int) -> None:
    """A whole number, of a size that can be printed."""
    if abs(value) >= LARGEST_NUMBER:
        raise refusal(f"holds a number of {value.bit_length():,} bits")
    machine.stack.append(value)


def push_made(make: Callable[[], Any]) -> Callable[[Machine, Any], None]:
    """A fresh value."""
    return lambda machine, _: machine.stack.append(make())


def mark(machine: Machine, _: Any) -> None:
    """What follows belongs together."""
    machine.marked.append(machine.stack)
    machine.stack = []


def tuple_of(count: int) -> Callable[[Machine, Any], None]:
    """The uppermost values as a tuple."""
    return lambda machine, _: machine.stack.append(tuple(machine.take(count)))


def marked_tuple(machine: Machine, _: Any) -> None:
    """Everything above the mark as a tuple."""
    items = machine.since_mark()
    machine.stack.append(tuple(items))


def marked_frozenset(machine: Machine, _: Any) -> None:
    """Everything above the mark as a set."""
    items = machine.since_mark()
    machine.stack.append(frozenset(map(key, items)))


def append(machine: Machine, _: Any) -> None:
    """One value for the list below it."""
    (item,) = machine.take(1)
    machine.owner(list).append(item)


def appends(machine: Machine, _: Any) -> None:
    """Everything above the mark for the list below it."""
    items = machine.since_mark()
    machine.owner(list).extend(items)


def add_items(machine: Machine, _: Any) -> None:
    """Everything above the mark for the set below it."""
    items = machine.since_mark()
    machine.owner(set).update(map(key, items))


def set_item(machine: Machine, _: Any) -> None:
    """A key and its value for the dictionary below them."""
    name, value = machine.take(2)
    machine.owner(dict)[key(name)] = value


def set_items(machine: Machine, _: Any) -> None:
    """Everything above the mark, in pairs, for the dictionary below it."""
    items = machine.since_mark()
    if len(items) % 2:
        raise damaged("a key without a value")
    machine.owner(dict).update((key(name), value) for name, value in zip(items[::2], items[1::2], strict=True))


def put(machine: Machine, index: int | None) -> None:
    """Remember the uppermost value, under a number or the next one."""
    index = len(machine.memo) if index is None else index
    if index > MOST_INSTRUCTIONS:
        raise refusal(f"remembers a value under the number {index:,}")
    machine.memo[index] = machine.stack[-1]


def get(machine: Machine, index: int) -> None:
    """A value that was remembered."""
    machine.stack.append(machine.memo[index])


def named(machine: Machine, words: str) -> None:
    """A name that stands in the file."""
    machine.stack.append(name_of(*words.split(" ", 1)))


def stacked_name(machine: Machine, _: Any) -> None:
    """A name whose two parts lie on the stack."""
    machine.stack.append(name_of(*machine.take(2)))


def call(machine: Machine, _: Any) -> None:
    """What takes the place of a call, or of a new object."""
    called, arguments = machine.take(2)
    if isinstance(called, Name) and called.text == EMBEDDED and machine.embedded:
        machine.stack.append(machine.embedded(*contents(arguments)))
    else:
        machine.stack.append(made(called, arguments))


def contents(arguments: Any) -> tuple[bytes]:
    """The bytes of a file within the pickle."""
    if not isinstance(arguments, tuple) or [*map(type, arguments)] != [bytes]:
        raise refusal(f"reads a file within itself from {told(arguments)}")
    return arguments


def build(machine: Machine, _: Any) -> None:
    """The state of the object below it. What a dictionary has besides its entries is left out."""
    (state,) = machine.take(1)
    owner = machine.owner((Record, dict))
    if isinstance(owner, Record):
        owner.state = state


def outside(machine: Machine, _: Any) -> None:
    """What stands for an object that is kept outside the pickle."""
    (named_by,) = machine.take(1)
    if machine.outside is None:
        raise refusal("refers to something outside itself")
    machine.stack.append(machine.outside(named_by))


def nothing(machine: Machine, _: Any) -> None:
    """Said to the parser alone."""


STEPS: dict[str, Callable[[Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), nothing),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "LONG4"), push_number),
    **dict.fromkeys(("BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), push),
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), push),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), get),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), call),
    "NONE": push_made(lambda: None),
    "NEWTRUE": push_made(lambda: True),
    "NEWFALSE": push_made(lambda: False),
    "EMPTY_TUPLE": push_made(tuple),
    "EMPTY_LIST": push_made(list),
    "EMPTY_DICT": push_made(dict),
    "EMPTY_SET": push_made(set),
    "MARK": mark,
    "TUPLE1": tuple_of(1),
    "TUPLE2": tuple_of(2),
    "TUPLE3": tuple_of(3),
    "TUPLE": marked_tuple,
    "FROZENSET": marked_frozenset,
    "APPEND": append,
    "APPENDS": appends,
    "ADDITEMS": add_items,
    "SETITEM": set_item,
    "SETITEMS": set_items,
    "GLOBAL": named,
    "STACK_GLOBAL": stacked_name,
    "BUILD": build,
    "BINPERSID": outside,
}
