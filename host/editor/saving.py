"""Where the host keeps files, and what a picture carries so that it reopens its workflow."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths
from comfy.cli_args import args
from comfy_api.latest import ui
from torch import Tensor

from ... import files
from ...files.places import MAPPED

if TYPE_CHECKING:
    from ...trace.trace import Trace

IN_MEMORY = 32 << 20  # bytes of captured tensors; more are mapped from a file


def next_path(prefix: str, ending: str, size: tuple[int, int] = (0, 0)) -> Path:
    """The next free <prefix>_00001_<ending> in the output folder; %date% marks and %width% work as in the host."""
    return numbered_path(prefix, folder_paths.get_output_directory(), ending, size)


def numbered_path(prefix: str, root: str, ending: str, size: tuple[int, int] = (0, 0)) -> Path:
    """The next free <prefix>_00001_<ending> below a folder.  Raises NotWritten where none could be made there."""
    try:
        folder, name, counter, _, _ = folder_paths.get_save_image_path(prefix, root, *size)
    except OSError as error:
        raise files.writing.NotWritten(files.writing.unwritten(Path(root) / f"{prefix}{ending}", error)) from error
    path = Path(folder) / f"{name}_{counter:05}_{ending}"
    files.writing.check_place(path)
    return path


def show_or_say(work: Callable[..., dict], *args, texts: Sequence[str] = (), instead: Callable = dict) -> dict:
    """What a node shows of a file that it writes beside its result; or why that could not be written.

    work: writes, and returns what to show. texts: the node's own words. instead: what is shown where the file cannot be
    written, such as a picture in the temp folder. The result stays in the graph either way.
    """
    try:
        shown = work(*args)
    except files.writing.NotWritten as error:
        shown, texts = show_or_say(instead), [*texts, f"Not written: {error}"]
    return {**shown, "text": list(texts)} if texts else shown


def write_by_host(what: str, work: Callable, *args, **named):
    """What a writer of the host gives.  what: names the file where the host's error does not.  Raises NotWritten."""
    try:
        return work(*args, **named)
    except OSError as error:
        raise files.writing.NotWritten(files.writing.unwritten(Path(error.filename or what), error)) from error


def preview(image: Tensor, cls) -> dict:  # [B, H, W, C]
    """A temporary picture for a node to show.  Raises NotWritten."""
    where = Path(folder_paths.get_temp_directory()) / "a preview"
    return write_by_host(str(where), ui.PreviewImage, image, cls=cls).as_dict()


def entry_of(path: Path) -> dict:
    """How the editor asks for a file in the output folder."""
    inside = path.parent.resolve().relative_to(Path(folder_paths.get_output_directory()).resolve())
    return {"filename": path.name, "subfolder": "" if inside == Path() else inside.as_posix(), "type": "output"}


def output_path(saved: dict) -> Path:
    """Where a file lies that the host saved into the output folder."""
    return Path(folder_paths.get_output_directory()) / saved["subfolder"] / saved["filename"]


def metadata_of(cls) -> dict:
    """What to write into a file: prompt, workflow and whatever the editor sent; nothing if the user wants none."""
    if args.disable_metadata or not cls.hidden:
        return {}
    facts = {"prompt": cls.hidden.prompt, **(cls.hidden.extra_pnginfo or {})}
    return {name: value for name, value in facts.items() if value is not None}


def map_tensors(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Tensors, mapped from a file in the host's temp folder if they are large; and why they stay in memory.

    The file goes at once where an open file may be deleted; elsewhere the host empties that folder when it starts.
    """
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    if size <= IN_MEMORY:
        return tensors, ""
    path = Path(folder_paths.get_temp_directory()) / MAPPED.format(uuid.uuid4().hex)
    try:
        return files.writing.write_for_mapping(path, tensors), ""
    except files.writing.NotWritten as fault:
        return tensors, f"the {size >> 20} MB of captured tensors stay in memory: {fault}"


def provenance(cls) -> dict:
    """The workflow that a saved trace can reopen."""
    hidden = cls.hidden
    workflow = (hidden.extra_pnginfo or {}).get("workflow") if hidden else None
    return {"workflow": workflow, "prompt": hidden.prompt if hidden else None}


def add_provenance(cls, trace: Trace) -> Trace:
    """The trace with the workflow that made it, or this one if it knows none; without any if the user wants none."""
    source = {name: trace.header.get(name) for name in ("workflow", "prompt")}
    if args.disable_metadata:
        source = dict.fromkeys(source)
    elif not any(source.values()):
        source = {name: metadata_of(cls).get(name) for name in source}
    return replace(trace, header={**trace.header, **source})
