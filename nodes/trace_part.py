"""One part of the record of video and sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..host.editor.checks import CheckedNode, insist
from ..host.editor.widgets import SEE, TRACE_IN
from ..host.editor.wires import TraceWire
from ..trace import MOST_PARTS

if TYPE_CHECKING:
    from ..trace.trace import Trace


class GGTracePart(CheckedNode):
    """The trace of one part."""

    name = "Trace of a Part (video, audio)"
    search_words = ("LTXV", "audio latent")
    category = SEE
    description = (
        "Takes the record of one part out of a trace of video and sound, for any node that reads a "
        "trace. Without this node they read the first part, the video."
    )
    inputs = (
        TRACE_IN,
        io.Int.Input(
            "part",
            default=1,
            min=0,
            max=MOST_PARTS - 1,
            tooltip="Which part, from 0: of video and sound 0 is the video and 1 the sound.",
        ),
    )
    outputs = (
        TraceWire.Output(display_name="trace", tooltip="The record of that part."),
        io.String.Output(display_name="name", tooltip="What the part is called."),
    )

    @classmethod
    def execute(cls, trace: Trace, part: int) -> io.NodeOutput:
        insist(no_such_part(trace.part_names, part))
        name = trace.part_names[part]
        return io.NodeOutput(trace.part(name), name)


def no_such_part(names: list[str], part: int) -> str | None:
    """A complaint about a number beyond the parts that there are."""
    if part < len(names):
        return None
    there = ", ".join(f"{i} ({name})" for i, name in enumerate(names) if name)
    if not there:
        return f"part is {part}, and this trace is of one tensor. Set part to 0, or take a trace of video and sound."
    return f"part is {part}, and this trace has the parts {there}. Choose one of them."
