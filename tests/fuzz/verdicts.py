"""What one prompt's end means: refused, ok, a clear error, or a fault, and whose.

A clear error is one that the pack raised on purpose: the innermost frame stands on a `raise` statement of the pack with
a message. Anything else that came up while the pack was at work is raw. No word of any message is looked at.
"""

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

REFUSED, OK, CLEAR, HOST = "refused", "ok", "clear error", "host's error"
RAW, DEAD, MEMORY, SLOW, CODE = "raw error", "dead worker", "memory", "slow", "code was run"
FAULTS = (RAW, DEAD, MEMORY, SLOW, CODE)
FRAME = re.compile(r'File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)')
CALLER = "process_inputs"  # the host's function that calls a node
CIRCLE = "RecursionError"  # while validating: the host follows wires that run in a circle, and stops anywhere
PLAIN = {"KeyError", "IndexError", "AttributeError", "StopIteration", "AssertionError"}  # these say nothing to a user


class Frame(NamedTuple):
    """One line of a traceback."""

    file: str
    line: int
    function: str


class Verdict(NamedTuple):
    """kind: one of the words above. message: the error's first words, and where it was raised."""

    kind: str
    message: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether it must not happen."""
        return self.kind in FAULTS


def verdict_of_error(error: Mapping[str, Any], root: Path, ours: bool) -> Verdict:
    """The verdict on an exception of a node.

    error: node_type, exception_type, exception_message, traceback. root: the pack's folder, as tracebacks name it.
    ours: whether the node is of the pack
    """
    found = FRAME.finditer("".join(error["traceback"]))
    frames, kind = [Frame(m["file"], int(m["line"]), m["function"]) for m in found], error["exception_type"]
    message = f"{error['node_type']}: {kind}: {error['exception_message'].strip()[:200]} at {frames[-1:]}"
    called = bool(frames) and frames[-1].function == CALLER and ours
    if not called and not any(Path(frame.file).is_relative_to(root) for frame in frames):
        return Verdict(HOST, message)
    return Verdict(CLEAR if kind not in PLAIN and is_meant(frames, root) else RAW, message)


def is_meant(frames: list[Frame], root: Path) -> bool:
    """Whether the innermost frame stands on a `raise` of the pack."""
    last = frames[-1]
    return Path(last.file).is_relative_to(root) and last.line in raising_lines(last.file)


@cache
def raising_lines(file: str) -> frozenset[int]:
    """The lines of a source file on which an exception is made and raised."""
    tree = ast.walk(ast.parse(Path(file).read_text(encoding="utf-8")))
    raised = [node for node in tree if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    return frozenset(line for node in raised for line in range(node.lineno, (node.end_lineno or 0) + 1))
