"""What one prompt's end means: refused, ok, a clear error, or a fault, and whose.

A clear error is one that the pack raised on purpose: the innermost frame stands on a `raise` statement of the pack with
a message. Anything else that came up while the pack was at work is raw. No word of any message is looked at.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .watched import Limits, Observed

REFUSED, OK, CLEAR, RAW, HOST, DEAD, MEMORY, SLOW, CODE = (
    "refused",
    "ok",
    "clear error",
    "raw error",
    "host's error",
    "dead worker",
    "memory",
    "slow",
    "code was run",
)
FAULTS = (RAW, DEAD, MEMORY, SLOW, CODE)
FRAME = re.compile(r'File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)')
CALLER = "process_inputs"  # the host's function that calls a node
CIRCLE = "RecursionError"  # while validating: the host follows wires that run in a circle, and stops anywhere
PLAIN = {"KeyError", "IndexError", "AttributeError", "StopIteration", "AssertionError"}  # these say nothing to a user
LONGEST = 300  # characters of a message that are kept


@dataclass(frozen=True)
class Frame:
    """One line of a traceback."""

    file: str
    line: int
    function: str


@dataclass(frozen=True)
class Verdict:
    """kind: one of the words above. message: the error's first words. place: innermost file, line and function;
    with the innermost one of the pack where that is another.
    """

    kind: str
    message: str = ""
    place: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether it must not happen."""
        return self.kind in FAULTS


class Judge:
    """Judges what was observed.

    root: the pack's folder, as the host names it in tracebacks. ours: whether a node class is of the pack
    """

    def __init__(self, root: Path, ours: Callable[[str], bool], limits: Limits):
        self.root, self.ours, self.limits = root, ours, limits

    def __call__(self, seen: Observed) -> Verdict:
        """The verdict on one prompt."""
        return self._of_host(seen) or self._of_complaints(seen) or self._of_run(seen)

    def _of_host(self, seen: Observed) -> Verdict | None:
        if seen.growth > self.limits.growth:
            return Verdict(MEMORY, f"{seen.growth / 2**30:.1f} GB more")
        if not seen.healthy:
            return self._read_fault(DEAD, "no answer", seen.output)
        if seen.seconds > self.limits.seconds or not seen.has_ended:
            return Verdict(SLOW, f"{seen.seconds:.0f} s")
        return self._read_fault(RAW, seen.silence, seen.output) if seen.silence else None

    def _read_fault(self, kind: str, usual: str, printed: str) -> Verdict:
        """What the last traceback that the host printed says, or the usual words."""
        _, found, tail = printed.rpartition("Traceback (most recent call last):")
        lines = [line for line in tail.splitlines() if line.strip() and not line.startswith(" ")]
        return Verdict(kind, lines[0][:LONGEST] if found and lines else usual, self._place(frames_of(tail)))

    def _of_complaints(self, seen: Observed) -> Verdict | None:
        """Faults of the pack while a prompt was validated; the host reports them as refusals."""
        for facts in (*seen.refusal.get("node_errors", {}).values(), *seen.complaints.values()):
            for reason in facts["errors"]:
                more = reason.get("extra_info", {})
                if "traceback" not in more or more["exception_type"] == CIRCLE:
                    continue
                found = self._error(more | {"node_type": facts["class_type"], "exception_message": reason["details"]})
                if found.kind == RAW:
                    return found
        return None

    def _of_run(self, seen: Observed) -> Verdict:
        if seen.status != 200:
            kind = REFUSED if seen.status == 400 else HOST
            return Verdict(kind, str((seen.refusal.get("error") or {}).get("message", seen.status)))
        if seen.error:
            return self._error(seen.error)
        return Verdict(REFUSED, "in part") if seen.complaints else Verdict(OK)

    def _error(self, said: Mapping[str, Any]) -> Verdict:
        """The verdict on an exception.  said: node_type, exception_type, exception_message, traceback"""
        frames, kind = frames_of("".join(said["traceback"])), said["exception_type"]
        message = f"{said['node_type']}: {kind}: {said['exception_message'].strip()}"[:LONGEST]
        called = bool(frames) and frames[-1].function == CALLER and self.ours(said["node_type"])
        if not (called or any(map(self._is_inside, frames))):
            return Verdict(HOST, message, self._place(frames))
        meant = kind not in PLAIN and self._is_meant(frames[-1])
        return Verdict(CLEAR if meant else RAW, message, self._place(frames))

    def _is_inside(self, frame: Frame) -> bool:
        return Path(frame.file).is_relative_to(self.root)

    def _is_meant(self, frame: Frame) -> bool:
        return self._is_inside(frame) and frame.line in raising_lines(frame.file)

    def _place(self, frames: list[Frame]) -> str:
        if not frames:
            return ""
        last = frames[-1]
        inside = [frame for frame in frames if self._is_inside(frame)]
        via = f" < {self._spot(inside[-1])}" if inside and inside[-1] != last else ""
        return self._spot(last) + via

    def _spot(self, frame: Frame) -> str:
        path = Path(frame.file)
        name = path.relative_to(self.root).as_posix() if self._is_inside(frame) else "/".join(path.parts[-2:])
        return f"{name}:{frame.line} {frame.function}"


def frames_of(traceback: str) -> list[Frame]:
    """The frames of a printed traceback, outermost first."""
    return [Frame(m["file"], int(m["line"]), m["function"]) for m in FRAME.finditer(traceback)]


@cache
def raising_lines(file: str) -> frozenset[int]:
    """The lines of a source file on which an exception is made and raised."""
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    return frozenset(
        line for node in _raises(tree) for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    )


def _raises(tree: ast.AST) -> Iterator[ast.Raise]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield node
