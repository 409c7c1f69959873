"""Nodes that only look at a run: what they cannot show they say, in the place of what they would have shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker
from torch import Tensor

from ... import figures, files, host, trace
from .checks import CheckedNode

FAILED = "{node} shows nothing of this run: {fault}. Save the trace and report the fault; the log has all of it."
SIZE = (960, 540)
MARGIN, TEXT, LINES = 60, 18, 15


class ViewNode(CheckedNode):
    """A node of which nothing that was sampled depends.

    What it cannot show never stops a job, nor does a fault of ours: its pictures and texts say what happened, the trace
    is passed on, and nothing runs on its numbers. What a wire carries must still be what its input says.
    """

    def __init_subclass__(cls, **named):
        if "execute" in vars(cls) and "inputs_by_id" not in vars(cls):
            setattr(cls, "execute", classmethod(_contain_faults(cls.execute.__func__)))  # noqa: B010  as for CheckedNode
        super().__init_subclass__(**named)


def _contain_faults(execute: Callable) -> Callable:
    @wraps(execute)
    def run(cls, *given, **named) -> io.NodeOutput:
        faults: list[str] = []
        try:
            with trace.faults.keep_out(
                faults.append, (ValueError, files.writing.NotWritten, *host.models.adapter.STOPS)
            ):
                return execute(cls, *given, **named)
            text = FAILED.format(node=cls.name, fault=faults[0])
        except ValueError as refusal:  # a sentence for the user: of what the run lacks, or of a widget
            text = str(refusal)
        return _say_instead(cls, text, signature(execute).bind(cls, *given, **named).arguments)

    return run


def _say_instead(cls: type[ViewNode], text: str, arguments: dict) -> io.NodeOutput:
    """The words in every place where the node would have shown something."""
    outputs, page = cls.define_schema().outputs, page_of(text)
    has_pictures = any(output.get_io_type() == "IMAGE" for output in outputs)
    shown = (
        host.editor.saving.show_or_say(host.editor.saving.preview, page, cls, texts=[text])
        if has_pictures
        else {"text": [text]}
    )
    return io.NodeOutput(*[_instead(output, text, page, arguments) for output in outputs], ui=shown)


def _instead(output: Any, text: str, page: Tensor, arguments: dict) -> Any:
    """What an output gives in the place of what it would have."""
    kind = output.get_io_type()
    if kind == "IMAGE":
        return page
    return {"STRING": text, "GUIDANCE_TRACE": arguments.get("trace")}.get(kind) or ExecutionBlocker(text)


def page_of(text: str) -> Tensor:  # -> [1, H, W, 3] in 0 .. 1
    """A picture that says this."""
    canvas = figures.canvas.Canvas(*SIZE, figures.palette.THEMES["light"])
    lines = figures.typeset.few_lines(text, TEXT, SIZE[0] - 2 * MARGIN, LINES)
    rows = tuple((figures.typeset.Run(line, TEXT, canvas.theme.ink),) for line in lines)
    figures.typeset.set_rows(canvas, rows, (MARGIN, MARGIN), "fault")
    return host.editor.figure_files.image_of_page(canvas)
