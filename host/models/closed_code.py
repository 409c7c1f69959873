"""The code that a dry run may enter: the host's, ours, Python's, and the libraries that the host's samplers use.

What another pack's code remembers may lie anywhere, so it could not be put back. Python therefore asks before every
function begins, and a function of anybody else's ends the dry run before its first line.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import comfy.samplers

from ...samplers.response import Misfit

ROOT = Path(comfy.samplers.__file__).parents[1]
HOST = tuple(  # the host takes its extras from where its folder really lies
    str(root / name) + os.sep for root in (ROOT, ROOT.resolve()) for name in ("comfy", "comfy_extras")
)
OURS = tuple(f"{__name__.removesuffix('host.models.closed_code')}{room}." for room in ("host", "samplers", "guidance"))
LIBRARIES = {"numpy", "scipy", "torch", "torchsde", "tqdm", "trampoline", "typing_extensions"}
IMPORT = "importlib._bootstrap"
TABLES = "namedtuple_"  # begins the name under which Python makes a named tuple's code


def is_hosts_own(function: Any) -> bool:
    """Whether a function is the host's, by the file of its code: a name and a module are copied by whoever wraps it."""
    while isinstance(function, FunctionType) and _is_of_library(function.__globals__):
        function = getattr(function, "__wrapped__", None)  # such as by torch.no_grad
    return isinstance(function, FunctionType) and function.__code__.co_filename.startswith(HOST)


def is_closed(code: CodeType, names: Mapping[str, Any]) -> bool:
    """Whether code remembers nothing that a dry run could change.  names: its globals"""
    ours = str(names.get("__name__")).startswith((TABLES, *OURS))
    return ours or code.co_filename.startswith(HOST) or _is_of_library(names)


def _is_of_library(names: Mapping[str, Any]) -> bool:
    """Whether these are the globals of Python's own modules, or of a library that the host's samplers use."""
    return str(names.get("__name__")).partition(".")[0] in LIBRARIES | sys.stdlib_module_names


def _may_not_end(frame: FrameType | None) -> bool:
    """Whether a function serves what must not be broken off: a destructor, or Python's import with its hooks.

    Any module may be imported, and what is imported here the run itself would import.
    """
    while frame is not None and not frame.f_code.co_filename.startswith(HOST):
        if frame.f_code.co_name == "__del__" or frame.f_globals.get("__name__") == IMPORT:
            return True
        frame = frame.f_back
    return False


@contextmanager
def closed_code() -> Iterator[None]:
    """Raise Misfit in here before the first line of a function of another pack, or else in the end.

    Where Python itself calls a function, as it does when a weak reference dies, it drops what is raised, and `enter`
    with it. Destructors must not be kept from their work, so none is called by the way: no garbage is collected.
    """
    refusals = []

    def enter(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and not is_closed(frame.f_code, frame.f_globals) and not _may_not_end(frame):
            refusals.append(f"it runs {frame.f_code.co_name}, which is not the host's and may remember its runs")
            raise Misfit(refusals[0])

    if sys.getprofile() is not None:
        raise Misfit("a profiler is at work")
    collects = gc.isenabled()
    gc.disable()
    sys.setprofile(enter)
    try:
        yield
        if sys.getprofile() is not enter:
            refusals.append("not all of it could be followed")
    finally:
        sys.setprofile(None)
        if collects:
            gc.enable()
        if refusals:
            raise Misfit(refusals[0])
