"""Sockets and widgets that several nodes of `guidance geometry/see` share."""

from __future__ import annotations

from comfy_api.latest import io

from .wires import TraceWire

SEE = "guidance geometry/see"
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


def choice_input(name: str, options, tooltip: str) -> io.Combo.Input:
    """A combo whose first option is the default."""
    options = list(options)
    return io.Combo.Input(name, options=options, default=options[0], tooltip=tooltip)


def index_input(name: str, default: int, most: int, tooltip: str) -> io.Int.Input:
    """A number from 0 on, with -1 for the automatic choice."""
    return io.Int.Input(name, default=default, min=-1, max=most, tooltip=tooltip)
