"""Pickles read as data, by an interpreter of our own for the few instructions that weights need.

A pickle is a program for a small stack machine. This one imports nothing and calls nothing of the file: names stay
names, and where the program would call one, a table says which plain value takes the place of the result. Every
instruction is charged for what it makes and copies, before it does.
Source of the instructions: PEP 3154, PEP 574 and the documentation of `pickletools`, which lists their codes.
"""

from __future__ import annotations

import pickletools
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..guidance.printing import class_of, quote
from .budget import ENTRY, OBJECT, SLOT, Budget
from .known import EMBEDDED, key, make_object, name_of
from .tape import Tape, damage_error
from .values import Name, Record, refusal

LARGEST_NUMBER, LONGEST_NUMBER = 2**128, 17  # the same in bytes, with its sign
MOST_REMEMBERED = 2_000_000


class Machine:
    """One reading of one pickle.

    budget: of the whole file. outside: what stands for an object that is kept outside the pickle; None where nothing
    may be. inner_storage: the storage in a file within the pickle; None where there may be none.
    """

    def __init__(
        self,
        budget: Budget,
        outside: Callable[[Any], Any] | None = None,
        inner_storage: Callable[[bytes | memoryview], Any] | None = None,
    ):
        self.budget, self.outside, self.inner_storage = budget, outside, inner_storage
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.below = self.deepest = 0  # values under the last mark; values that lay on each other at most

    def run(self, tape: Tape) -> Any:
        """The value that the pickle describes; the tape stands behind it then.

        Raises ValueError for an instruction or a name that weights do not need, for a damaged pickle, and for one that
        takes more than its budget.
        """
        name = ""
        try:
            while name != "STOP":
                self.budget.step()
                name, read, act = instruction(tape)
                act(self, read(tape))
                self.charge_depth()
            return self.stack.pop()
        except (IndexError, KeyError) as error:
            raise damage_error(quote(error.args[0])) from error

    def charge_depth(self) -> None:
        """Charge the places of values that lie on each other, where they were never as many."""
        depth = self.below + len(self.stack)
        if depth > self.deepest:
            self.budget.charge(SLOT * (depth - self.deepest))
            self.deepest = depth

    def take(self, count: int) -> list[Any]:
        """The uppermost values, lowest first."""
        return [self.stack.pop() for _ in range(count)][::-1]

    def since_mark(self) -> list[Any]:
        """Everything above the last mark."""
        items, self.stack = self.stack, self.marks.pop()
        self.below -= len(self.stack)
        return items

    def owner(self, kind: type | tuple[type, ...]) -> Any:
        """The uppermost value, which something is put into."""
        if not isinstance(self.stack[-1], kind):
            raise refusal(f"puts something into a {class_of(self.stack[-1])}")
        return self.stack[-1]


Read = Callable[[Tape], Any]
Act = Callable[[Machine, Any], None]


def instruction(tape: Tape) -> tuple[str, Read, Act]:
    """The next instruction: its name, what reads its argument, what it does.  Raises ValueError for any other"""
    code = tape.number(1)
    if code in INSTRUCTIONS:
        return INSTRUCTIONS[code]
    if code in NAMES:
        raise refusal(f"uses the pickle instruction {NAMES[code]}")
    raise damage_error(f"at position {tape.at - 1}, opcode {code:#04x} unknown")


def push(machine: Machine, value: Any) -> None:
    """A value as it stands in the file."""
    machine.budget.charge(sys.getsizeof(value))
    machine.stack.append(value)


def push_number(machine: Machine, value: int) -> None:
    """A whole number, of a size that can be printed."""
    if abs(value) >= LARGEST_NUMBER:
        raise refusal(f"holds a number of {value.bit_length():,} bits")
    push(machine, value)


def push_made(make: Callable[[], Any]) -> Callable[[Machine, Any], None]:
    """A fresh value."""
    return lambda machine, _: push(machine, make())


def mark(machine: Machine, _: Any) -> None:
    """What follows belongs together."""
    machine.budget.charge(2 * SLOT + sys.getsizeof([]))
    machine.below += len(machine.stack)
    machine.marks.append(machine.stack)
    machine.stack = []


def tuple_of(count: int) -> Callable[[Machine, Any], None]:
    """The uppermost values as a tuple."""
    return lambda machine, _: push(machine, tuple(machine.take(count)))


def marked_tuple(machine: Machine, _: Any) -> None:
    """Everything above the mark as a tuple."""
    items = machine.since_mark()
    machine.budget.charge(SLOT * len(items))
    push(machine, tuple(items))


def marked_frozenset(machine: Machine, _: Any) -> None:
    """Everything above the mark as a set."""
    items = machine.since_mark()
    machine.budget.charge(ENTRY * len(items))
    push(machine, frozenset(map(key, items)))


def append(machine: Machine, _: Any) -> None:
    """One value for the list below it."""
    (item,) = machine.take(1)
    machine.budget.charge(SLOT)
    machine.owner(list).append(item)


def appends(machine: Machine, _: Any) -> None:
    """Everything above the mark for the list below it."""
    items = machine.since_mark()
    machine.budget.charge(SLOT * len(items))
    machine.owner(list).extend(items)


def add_items(machine: Machine, _: Any) -> None:
    """Everything above the mark for the set below it."""
    items = machine.since_mark()
    machine.budget.charge(ENTRY * len(items))
    machine.owner(set).update(map(key, items))


def set_item(machine: Machine, _: Any) -> None:
    """A key and its value for the dictionary below them."""
    name, value = machine.take(2)
    machine.budget.charge(ENTRY)
    machine.owner(dict)[key(name)] = value


def set_items(machine: Machine, _: Any) -> None:
    """Everything above the mark, in pairs, for the dictionary below it."""
    items = machine.since_mark()
    if len(items) % 2:
        raise damage_error("a key without a value")
    machine.budget.charge(ENTRY * (len(items) // 2))
    each = iter(items)
    machine.owner(dict).update((key(name), value) for name, value in zip(each, each, strict=True))


def put(machine: Machine, index: int | None) -> None:
    """Remember the uppermost value, under a number or the next one."""
    index = len(machine.memo) if index is None else index
    if not 0 <= index <= MOST_REMEMBERED:
        raise refusal(f"remembers a value under the number {index:,}")
    machine.budget.charge(0 if index in machine.memo else ENTRY)
    machine.memo[index] = machine.stack[-1]


def get(machine: Machine, index: int) -> None:
    """A value that was remembered."""
    machine.stack.append(machine.memo[index])


def push_name(machine: Machine, words: Sequence[str]) -> None:
    """A name that stands in the file."""
    machine.budget.charge(OBJECT)
    module, name = words
    machine.stack.append(name_of(module, name))


def stacked_name(machine: Machine, _: Any) -> None:
    """A name whose two parts lie on the stack."""
    push_name(machine, machine.take(2))


def call(machine: Machine, _: Any) -> None:
    """What takes the place of a call, or of a new object."""
    called, arguments = machine.take(2)
    if isinstance(called, Name) and called.text == EMBEDDED and machine.inner_storage:
        machine.stack.append(machine.inner_storage(content_of(arguments)))
    else:
        machine.stack.append(make_object(called, arguments, machine.budget))


def content_of(arguments: Any) -> bytes | memoryview:
    """The bytes of a file within the pickle."""
    if not isinstance(arguments, tuple) or len(arguments) != 1 or type(arguments[0]) not in (bytes, memoryview):
        raise refusal(f"reads a file within itself from {quote(arguments)}")
    return arguments[0]


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


def absent(_: Tape) -> None:
    """An instruction without an argument."""


def of_size(size: int, read: Callable[[Tape, int], Any]) -> Read:
    """What reads an argument whose length stands before it, in `size` bytes."""
    return lambda tape: read(tape, tape.number(size))


def whole(size: int, signed: bool = False) -> Read:
    """What reads a whole number of so many bytes."""
    return lambda tape: tape.number(size, signed)


def long_number(tape: Tape, size: int) -> int:
    """A whole number of any length that is not absurd."""
    if size > LONGEST_NUMBER:
        raise refusal(f"holds a number of {8 * size:,} bits")
    return tape.number(size, signed=True)


def fraction(tape: Tape) -> float:
    """A number of float64, highest byte first."""
    return struct.unpack(">d", tape.take(8))[0]


def letters(tape: Tape, size: int) -> str | memoryview:
    """What Python 2 called a text: a byte is a letter."""
    held = tape.bytes(size)
    return held.decode("latin-1") if isinstance(held, bytes) else held


def written_number(tape: Tape) -> int:
    """A whole number in digits, up to the end of its line."""
    digits = tape.line()
    if not digits.isdecimal() or len(digits) > LONGEST_NUMBER:
        raise damage_error(f"{quote(digits)} is no number")
    return int(digits)


def two_lines(tape: Tape) -> tuple[str, str]:
    """A name: its module in one line, the rest in the next."""
    return tape.line(), tape.line()


STEPS: dict[str, tuple[Read, Act]] = {
    "PROTO": (whole(1), nothing),
    "FRAME": (whole(8), nothing),
    "STOP": (absent, nothing),
    "BININT": (whole(4, signed=True), push_number),
    "BININT1": (whole(1), push_number),
    "BININT2": (whole(2), push_number),
    "LONG1": (of_size(1, long_number), push_number),
    "LONG4": (of_size(4, long_number), push_number),
    "BINFLOAT": (fraction, push),
    "SHORT_BINUNICODE": (of_size(1, Tape.text), push),
    "BINUNICODE": (of_size(4, Tape.text), push),
    "BINUNICODE8": (of_size(8, Tape.text), push),
    "SHORT_BINSTRING": (of_size(1, letters), push),
    "BINSTRING": (of_size(4, letters), push),
    "SHORT_BINBYTES": (of_size(1, Tape.bytes), push),
    "BINBYTES": (of_size(4, Tape.bytes), push),
    "BINBYTES8": (of_size(8, Tape.bytes), push),
    "BYTEARRAY8": (of_size(8, Tape.bytes), push),
    "PUT": (written_number, put),
    "BINPUT": (whole(1), put),
    "LONG_BINPUT": (whole(4), put),
    "MEMOIZE": (absent, put),
    "GET": (written_number, get),
    "BINGET": (whole(1), get),
    "LONG_BINGET": (whole(4), get),
    "NONE": (absent, push_made(lambda: None)),
    "NEWTRUE": (absent, push_made(lambda: True)),
    "NEWFALSE": (absent, push_made(lambda: False)),
    "EMPTY_TUPLE": (absent, push_made(tuple)),
    "EMPTY_LIST": (absent, push_made(list)),
    "EMPTY_DICT": (absent, push_made(dict)),
    "EMPTY_SET": (absent, push_made(set)),
    "MARK": (absent, mark),
    "TUPLE1": (absent, tuple_of(1)),
    "TUPLE2": (absent, tuple_of(2)),
    "TUPLE3": (absent, tuple_of(3)),
    "TUPLE": (absent, marked_tuple),
    "FROZENSET": (absent, marked_frozenset),
    "APPEND": (absent, append),
    "APPENDS": (absent, appends),
    "ADDITEMS": (absent, add_items),
    "SETITEM": (absent, set_item),
    "SETITEMS": (absent, set_items),
    "GLOBAL": (two_lines, push_name),
    "STACK_GLOBAL": (absent, stacked_name),
    "REDUCE": (absent, call),
    "NEWOBJ": (absent, call),
    "BUILD": (absent, build),
    "BINPERSID": (absent, outside),
}
NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
INSTRUCTIONS = {code: (name, *STEPS[name]) for code, name in NAMES.items() if name in STEPS}
