"""The command `guidance-geometry`: sweeps, studies and reports, rules and weights, without the editor.

In the folder of ComfyUI it is `python custom_nodes/guidance-geometry`, after an installation with pip `python -m
guidance_geometry` or `guidance-geometry`. Where this Python has no torch, the one of the ComfyUI around it is taken,
or the one that --python names.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from ..sweeps.comfyui.process import NAMED, ROOT, StartError, comfyui_around, hand_over, python_of, unwind_on_signals
from .options import COMMANDS, parse

USAGE = "Usage: guidance-geometry COMMAND [options]; COMMAND --help lists the options.\n"
WITHOUT_TORCH = ("clean",)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.  words: of the command line, None for its own. What ends a program unwinds it like Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a pipe or an old console of Windows has 256 letters, none of them Greek
            stream.reconfigure(errors="backslashreplace")  # in JSON that is the same letter
    name, *arguments = words or sys.argv[1:] or ["--help"]
    listing = "\n".join(f"  {name:8} {command.what}" for name, command in COMMANDS.items())
    if name in ("--help", "-h"):
        print(f"{__doc__}\n{USAGE}\n{listing}")
        return 0
    if name not in COMMANDS:
        print(f"There is no command {name!r}.\n{USAGE}{listing}", file=sys.stderr)
        return 2
    unwind_on_signals()
    try:
        code = run(name, arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read it has enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # as one that SIGPIPE ends
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(name: str, words: Sequence[str]) -> int:
    """Run a command here, or with a Python that has what it needs; returns its exit code.  Raises StartError."""
    options = parse(name, words)  # --help and a mistyped option need no torch
    if options.python:
        os.environ[NAMED] = options.python
    if name in WITHOUT_TORCH or find_spec("torch"):
        return import_module(f".{name}", __package__).main(words)
    return hand_over(python_of(comfyui_around(getattr(options, "comfyui", None))), [str(ROOT), name, *words])
