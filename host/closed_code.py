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

from ..samplers.response import Misfit

HOST = tuple(str(Path(comfy.samplers.__file__).parents[1] / name) + os.sep for name in ("comfy", "comfy_extras"))
OURS = tuple(f"{__name__.removesuffix('host.closed_code')}{room}." for room in ("host", "samplers", "guidance"))
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


def _serves_import(frame: FrameType | None) -> bool:
    """Whether a function is called by Python's import, whose hooks serve any module, and which must not be broken off.

    What is imported here the run itself would import.
    """
    while frame is not None and not frame.f_code.co_filename.startswith(HOST):
        if frame.f_globals.get("__name__") == IMPORT:
            return True
        frame = frame.f_back
    return False


@contextmanager
def closed_code() -> Iterator[None]:
    """Raise Misfit in here before the first line of a function of another pack.

    Python calls destructors whenever it collects garbage, those of other packs too, which must not be kept from their
    work: nothing is collected meanwhile.
    """

    def enter(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and not is_closed(frame.f_code, frame.f_globals) and not _serves_import(frame):
            raise Misfit(f"it runs {frame.f_code.co_name}, which is not the host's and may remember its runs")

    if sys.getprofile() is not None:
        raise Misfit("a profiler is at work")
    collects = gc.isenabled()
    gc.disable()
    sys.setprofile(enter)
    try:
        yield
    finally:
        sys.setprofile(None)
        if collects:
            gc.enable()
