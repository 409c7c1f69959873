"""Nodes that only look at a run: where they fail, they say so in the place of what they would have shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

import torch
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker
from torch import Tensor

from .. import figures, files, host, trace
from .checks import CheckedNode

FAILED = "{node} shows nothing of this run: {fault}. Save the trace and report the fault; the log has all of it."
SIZE = (960, 540)
MARGIN, TEXT = 60, 18


class ViewNode(CheckedNode):
    """A node of which nothing that was sampled depends.

    A fault of ours in it never stops a job: its pictures and texts say what happened, the trace is passed on, and
    nothing runs on its numbers.
    """

    def __init_subclass__(cls, **named):
        if "execute" in vars(cls) and "inputs_by_id" not in vars(cls):
            setattr(cls, "execute", classmethod(_contain_faults(cls.execute.__func__)))  # noqa: B010  as for CheckedNode
        super().__init_subclass__(**named)


def _contain_faults(execute: Callable) -> Callable:
    @wraps(execute)
    def run(cls, *given, **named) -> io.NodeOutput:
        faults: list[str] = []
        refusals = (ValueError, files.writing.NotWritten, *host.recording.STOPS)  # of the user: they belong on the node
        with trace.faults.keep_out(faults.append, refusals):
            return execute(cls, *given, **named)
        schema = cls.define_schema()
        text = FAILED.format(node=schema.display_name, fault=faults[0])
        arguments = signature(execute).bind(cls, *given, **named).arguments
        return io.NodeOutput(*[_instead(one, text, arguments) for one in schema.outputs], ui={"text": [text]})

    return run


def _instead(output: Any, text: str, arguments: dict) -> Any:
    """What an output gives in the place of what it would have."""
    kind = output.get_io_type()
    if kind == "IMAGE":
        return page_of(text)
    return {"STRING": text, "GUIDANCE_TRACE": arguments.get("trace")}.get(kind) or ExecutionBlocker(text)


def page_of(text: str) -> Tensor:  # -> [1, H, W, 3] in 0 .. 1
    """A picture that says this."""
    canvas = figures.canvas.Canvas(*SIZE, figures.palette.THEMES["light"])
    lines = figures.typeset.wrap_lines(text, TEXT, SIZE[0] - 2 * MARGIN)
    rows = tuple((figures.typeset.Run(line, TEXT, canvas.theme.ink),) for line in lines)
    figures.typeset.set_rows(canvas, rows, (MARGIN, MARGIN), "fault")
    return torch.from_numpy(canvas.png()[..., :3]).float()[None] / 255
