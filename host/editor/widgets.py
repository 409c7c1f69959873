"""Sockets and widgets that several nodes of `guidance geometry/see` share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath

from comfy_api.latest import io

from .wires import TraceWire

SEE = "guidance geometry/see"
LONGEST_PART = 200  # bytes of a part of a prefix: file systems allow 255, and a number and an ending follow
LONGEST = 1000  # bytes of a whole prefix
HIDDEN = [io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo]
TRACE_IN = TraceWire.Input(
    "trace", tooltip="The record of a run, from a sampler with trace, Read Recorded Trace or Load Trace."
)
TRACE_OUT = TraceWire.Output(display_name="trace", tooltip="The trace, passed on.")
VAE_IN = io.Vae.Input(
    "vae",
    optional=True,
    tooltip="Decodes the pictures. Without it they have the colours of ComfyUI's live preview.",
)


def prefix_input(default: str, what: str) -> io.String.Input:
    """The widget for the beginning of a file name."""
    return io.String.Input("filename_prefix", default=default, tooltip=f"Start of the names of {what}.")


def bad_prefix(prefix: str | None) -> str | None:
    """A sentence if a file name prefix leads out of the output folder or names nothing."""
    if prefix is None:
        return None
    if not isinstance(prefix, str):
        return f"filename_prefix is {prefix!r}, which is not text. Write for example runs/cat."
    parts = PureWindowsPath(prefix).parts
    absolute = PurePosixPath(prefix).is_absolute() or PureWindowsPath(prefix).anchor
    if absolute or ".." in parts or not parts:
        return f"filename_prefix is {prefix!r}; a name inside the output folder is needed. Write for example runs/cat."
    if not prefix.isprintable():
        return f"filename_prefix is {prefix!r}, which contains a control character. Write for example runs/cat."
    size = max(len(part.encode(errors="replace")) for part in parts)
    if size > LONGEST_PART or len(prefix.encode(errors="replace")) > LONGEST:
        return (
            f"filename_prefix is {prefix[:24]!r}... with a name of {size} bytes; each name in it may have "
            f"{LONGEST_PART}, all together {LONGEST}. Write a shorter one."
        )
    return None


def choice_input(name: str, options: Iterable[str], tooltip: str) -> io.Combo.Input:
    """A combo whose first option is the default."""
    options = list(options)
    return io.Combo.Input(name, options=options, default=options[0], tooltip=tooltip)


def index_input(name: str, default: int, most: int, tooltip: str) -> io.Int.Input:
    """A number from 0 on, with -1 for the automatic choice."""
    return io.Int.Input(name, default=default, min=-1, max=most, tooltip=tooltip)
