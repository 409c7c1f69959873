"""Traces on disk: saved into the output folder with their workflow, loaded from there or from `input`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import folder_paths
from comfy_api.latest import io

from .. import host
from .. import trace as traces
from ..files.places import TRACES
from ..host.editor.checks import CheckedNode
from ..host.editor.widgets import HIDDEN, SEE, TRACE_IN, TRACE_OUT, bad_prefix, prefix_input
from ..host.models.model_folders import fingerprint

if TYPE_CHECKING:
    from ..trace.trace import Trace


def trace_files() -> dict[str, Path]:
    """Files a trace can be loaded from, by the name that the loader shows: saved ones, then those in `input`."""
    saved, given = Path(folder_paths.get_output_directory()) / TRACES, Path(folder_paths.get_input_directory())
    files = {f"{TRACES}/{path.relative_to(saved).as_posix()}": path for path in _safetensors(saved, "**/")}
    return files | {f"input/{path.name}": path for path in _safetensors(given, "")}


def _safetensors(folder: Path, below: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"{below}*.safetensors") if path.is_file()) if folder.is_dir() else []


class GGSaveTrace(CheckedNode):
    """A trace to a file."""

    checks: ClassVar = {"filename_prefix": bad_prefix}

    name = "Save Trace"
    search_words = ("export run", "safetensors")
    category = SEE
    description = (
        "Writes the trace into output/traces, at most 4 MB, with the workflow that made it: dropped "
        "into the editor, the file opens that workflow."
    )
    is_output_node = True
    inputs = (TRACE_IN, prefix_input("guidance", "the files in output/traces"))
    outputs = (TRACE_OUT, io.String.Output(display_name="path", tooltip="The file that was written."))
    hidden_inputs = HIDDEN

    @classmethod
    def execute(cls, trace: Trace, filename_prefix: str) -> io.NodeOutput:
        path = host.editor.saving.next_path(f"{TRACES}/{filename_prefix}", ".safetensors")
        written = traces.file.save(host.editor.saving.add_provenance(cls, trace), path)
        note = (written.header.get("capture") or {}).get("note")
        return io.NodeOutput(trace, str(path), ui={"text": [f"{path.name}: {note}" if note else path.name]})


def missing(trace_name: str) -> str | None:
    """A sentence with what there is, if no such trace is listed."""
    files = list(trace_files())
    if trace_name in files:
        return None
    there = f"There are: {', '.join(files[:8])}." if files else "There is none yet: save one with Save Trace."
    return f"Trace {trace_name!r} is neither in output/traces nor in input. {there}"


class GGLoadTrace(CheckedNode):
    """A trace from a file."""

    checks: ClassVar = {"trace_name": missing}

    name = "Load Trace"
    search_words = ("import run", "open run")
    category = SEE
    description = "Reads a trace that Save Trace wrote, and checks it. Press R after saving to see new files."
    outputs = (TRACE_OUT,)

    @classmethod
    def inputs(cls):
        return (
            io.Combo.Input(
                "trace_name",
                options=list(trace_files()),
                tooltip="Files in output/traces, then the .safetensors files in input.",
            ),
        )

    @classmethod
    def fingerprint_inputs(cls, trace_name: str | None = None) -> str | None:
        path = trace_files().get(trace_name or "")
        return fingerprint(path) if path else None

    @classmethod
    def execute(cls, trace_name: str) -> io.NodeOutput:
        return io.NodeOutput(traces.file.load(trace_files()[trace_name]))
