"""The record of a run as the panel asks for it: in its node's output, or in files of the host's temp folder."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import folder_paths
from comfy.sd import VAE

from ...files.locks import lock
from ...files.places import FOLDER
from ...files.writing import NotWritten, write_atomically
from ...trace.faults import NothingToShow, keep_out
from ...trace.record import fitting_steps, round_digits, run_record, size_of
from ...trace.trace import PART, Trace
from ..models.trace_pictures import pictures_of
from .jobs import who_queued
from .knowledge import make_report
from .thumbnails import mixable, thumbnails

IN_MESSAGE = 64_000  # bytes of a record that travels inside the node's output; a larger one becomes a file
READERS: dict[str, set[str]] = defaultdict(set)  # file of a record -> the users whose jobs made it
Keep = Callable[[bytes, str], dict]  # content, ending -> how the panel asks for it


def keep_pictures(trace: Trace, vae: VAE | None, pictures: int, keep: Keep | None = None) -> dict:
    """What the panel needs for its pictures: a file for each step, and their layout; or a note why there are none.

    keep: puts a file somewhere and says how to ask for it; None: into the host's temp folder.
    """
    if pictures == 0:
        return {"note": "No pictures were asked for: set pictures above 0."}
    try:
        sheets = thumbnails(trace, pictures_of(trace, vae), pictures)
    except NothingToShow as reason:
        return {"note": str(reason)}
    try:
        files = [{"i": step, **(keep or temporary)(data, ".jpg")} for step, data in sheets.files.items()]
    except NotWritten as error:
        return {"note": f"The pictures are not shown: {error}"}
    layout = ("kinds", "samples", "size", "gain", "clipped", "scale", "note")
    return {name: round_digits(getattr(sheets, name)) for name in layout} | {"steps": files}


def record_with_parts(
    trace: Trace, vae: VAE | None, pictures: int, keep: Keep | None = None, report: dict | None = None
) -> dict:
    """The record of a run with its pictures; of several parts that of the first, and the others by name in "parts".

    report: as `report_on` makes it; None: with the picks of whoever queued the running job.
    """
    verdict = report_on(trace) if report is None else report
    record = run_record(trace) | {"pictures": keep_pictures_and_mix(trace, vae, pictures, keep)} | verdict
    others = {name: _record_of_part(trace.part(name), vae, pictures, keep) for name in trace.parts}
    return record | ({"parts": others} if others else {})


def report_on(trace: Trace, user: str | None = None) -> dict:
    """The report on a run, in "report": nothing there where a fault of ours kept it from being made."""
    facts: dict = {}
    with keep_out(lambda fault: None):
        facts["report"] = make_report(trace, user=user).as_json()
    return facts


def _record_of_part(trace: Trace, vae: VAE | None, pictures: int, keep: Keep | None) -> dict:
    own_vae = vae if getattr(vae, "latent_channels", None) == trace.latent_shape[0] else None
    if pictures_of(trace, own_vae).can_show(trace.latent_shape):
        shown = keep_pictures_and_mix(trace, own_vae, pictures, keep)
    else:
        shown = {"note": f"This part ({trace.header[PART]}) has no pictures."}
    return run_record(trace) | {"pictures": shown}


def keep_pictures_and_mix(trace: Trace, vae: VAE | None, pictures: int, keep: Keep | None) -> dict:
    """The pictures, and beside them what the panel mixes at other scales."""
    layout, mix = keep_pictures(trace, vae, pictures, keep), {}
    with keep_out(lambda fault: None):
        mix = mixable(trace, layout, keep or temporary)
    return layout | mix


def portable(record: dict, keep: Keep | None = None) -> dict:
    """The record itself, or the file that holds it if it is too large for the node's output."""
    data = json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
    if len(data) <= IN_MESSAGE:
        return record
    head = {name: record.get(name) for name in ("v", "run", "workflow_id")}
    try:
        return head | {"file": (keep or _keep_for_user)(data, ".json")}
    except NotWritten as error:
        return thin_record(record, f"Not all steps are shown: {error}")


def _keep_for_user(data: bytes, ending: str) -> dict:
    """Keep a file until the host starts anew, for whoever queued the running job alone."""
    place = temporary(data, ending)
    READERS[place["filename"]].add(who_queued())
    return place


def thin_record(record: dict, why: str) -> dict:
    """The record with as many of its steps, evenly, as travel inside the node's output; a matrix of all has no room."""
    alone = {name: fact for name, fact in record.items() if name not in ("parts", "directions")}
    header = alone | {"steps": [], "notes": [*record["notes"], why]}
    return header | {"steps": fitting_steps(record["steps"], IN_MESSAGE - size_of(header))}


def temporary_folder(subfolder: str = FOLDER) -> Path:
    """Where files are kept until the host starts anew."""
    return Path(folder_paths.get_temp_directory()) / subfolder


def keep_in_use(folder: Path) -> None:
    """Let `guidance-geometry clean` know, for as long as this process runs, that somebody reads these files."""
    with suppress(OSError):  # then it does not know
        _lock_once(folder, folder.stat().st_ino)


@cache
def _lock_once(folder: Path, _inode: int) -> int:
    return lock(folder, shared=True)


def temporary(data: bytes, ending: str, subfolder: str = FOLDER) -> dict:
    """Write a file into the host's temp folder, which goes with the host; returns how its view route names it."""
    name = hashlib.sha256(data).hexdigest()[:20] + ending  # a name for this content: no browser shows an older one
    folder = temporary_folder(subfolder)
    write_atomically(folder / name, [data], lasting=False, ours=True)
    keep_in_use(temporary_folder())
    return {"filename": name, "subfolder": subfolder, "type": "temp"}
