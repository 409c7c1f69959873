"""The command `guidance-geometry`: sweeps, studies and reports, rules and weights, without the editor.

In the folder of the pack it is `python custom_nodes/guidance-geometry`, after an installation with pip `python -m
guidance_geometry` or `guidance-geometry`. Where this Python has no torch, the one of the ComfyUI around it is taken.
"""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from ..sweeps.comfyui.process import ROOT, StartError, find_comfyui, python_of

COMMANDS = {
    "sweep": "run every combination of settings; write a page, a sheet and tables",
    "study": "run a plan, on this machine, on servers or on a Ray cluster",
    "page": "write a saved trace as one HTML file, or the page of a sweep again",
    "report": "say what a saved trace tells of its cfg, as text or JSON",
    "card": "measure the good scales of a model from a study of it",
    "check": "hold a rule in a Python file against the invariants",
    "convert": "turn published weights into safetensors; nothing in them is run",
    "clean": "list what the pack wrote into a ComfyUI, and remove it",
}
USAGE = "Usage: guidance-geometry COMMAND [options]; COMMAND --help lists the options.\n"


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.  words: of the command line, None for its own. A termination signal unwinds like Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a pipe or an old console of Windows has 256 letters, none of them Greek
            stream.reconfigure(errors="backslashreplace")  # in JSON that is the same letter
    name, *rest = words or sys.argv[1:] or ["--help"]
    listing = "\n".join(f"  {command:8} {what}" for command, what in COMMANDS.items())
    if name in ("--help", "-h"):
        print(f"{__doc__}\n{USAGE}\n{listing}")
        return 0
    if name not in COMMANDS:
        print(f"There is no command {name!r}.\n{USAGE}{listing}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or a ComfyUI that was started would stay behind
    try:
        if find_spec("torch") is None:
            return subprocess.call([str(python_of(find_comfyui())), str(ROOT), name, *rest])
        return import_module(f".{name}", __package__).main(rest)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
