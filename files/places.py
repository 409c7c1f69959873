"""What the pack writes into the folders of a ComfyUI: who writes there and who cleans up take their names from here.

What a user names, such as a figure, the folder of a sweep or a trained classifier, is the user's, and is in no place.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .. import files

FOLDER = "guidance_geometry"  # of the pack, in the temp folder and in that of each user
TAB_FOLDER = f"{FOLDER}/tab"  # a file that an inspector shows has the same name, and must stay
PICKS, SIZES, CURVES = "picks", "sizes", "measured"  # of models, in a user's folder
TRACES, SWEEP = "traces", "sweep"  # in the output folder
TRACE_FORMAT = "guidance-geometry/trace"  # what a file of a trace says of itself
MOST_HEADER = 2**24  # bytes
PLAN, RESULTS = "plan.json", "results.json"  # of a sweep
BESIDE_PLAN = (RESULTS, "results.csv", "results.parquet", "index.html", "report.txt", "sheet.png")
OF_A_CELL = re.compile(r"[0-9a-f]{16}\.(json|png|safetensors)")
ROOTS = ("temp", "user", "output")
MAPPED = "guidance_geometry-{}.safetensors"  # in the temp folder, where an open file cannot be deleted
FILM = "guidance_figure"  # how the name of a figure that only a node shows begins


@dataclass(frozen=True)
class Place:
    """Files of one kind.

    root: one of ROOTS. pattern: below it. what: they are. option: with which what a user asked for goes too. ours:
    whether a file there is one of them.
    """

    root: str
    pattern: str
    what: str
    option: str = ""
    ours: Callable[[Path], bool] = Path.is_file


def is_trace(file: Path) -> bool:
    """Whether the header of a file of tensors says that the pack wrote it."""
    try:
        with file.open("rb") as data:
            size = int.from_bytes(data.read(8), "little")
            header = data.read(size).decode() if size <= MOST_HEADER else "{}"
        return files.claims.json_of(file.name, header, "")["__metadata__"]["gg.format"] == TRACE_FORMAT
    except (OSError, ValueError, LookupError, TypeError):
        return False


def is_of_a_sweep(file: Path) -> bool:
    """Whether a sweep gives a file this name."""
    return file.name in (PLAN, *BESIDE_PLAN) or OF_A_CELL.fullmatch(file.name) is not None


PLACES = (
    Place("temp", f"{FOLDER}/**/*", "records and pictures of runs, for the tab and the inspector"),
    Place("temp", MAPPED.format("*"), "captured steps of large runs"),
    Place("temp", f"{FILM}_*.webp", "animations that a node showed"),
    Place("user", f"*/{FOLDER}/{PICKS}/*", "cfg values that you chose"),
    Place("user", f"*/{FOLDER}/{SIZES}/*", "how large the data of models are"),
    Place("user", f"*/{FOLDER}/{CURVES}/*", "what was measured of models"),
    Place("output", f"{TRACES}/**/*.safetensors", "traces of Save Trace and of sweeps", option=TRACES, ours=is_trace),
    Place("output", f"{SWEEP}/**/*", "the sweep that was given no folder", option="sweeps", ours=is_of_a_sweep),
)


def file_of_model(key: str) -> str:
    """The name of a file that is kept of a model, by what tells the model from others."""
    return f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def files_in(roots: Mapping[str, Path], place: Place) -> Iterator[Path]:
    """The files of a place; none behind a link to another folder, which a user made."""
    root = roots[place.root].resolve()
    for path in sorted(root.glob(place.pattern)):
        if path.is_file() and path.parent.resolve() == path.parent and place.ours(path):
            yield path


def remove(path: Path, root: Path) -> str:
    """Delete a file and the folders of the pack that are empty then; a sentence where it stays."""
    try:
        path.unlink()
    except OSError as error:
        return f"{path} stays ({error.strerror or error})."
    below = [folder for folder in path.parents if folder.is_relative_to(root)]
    with suppress(OSError):  # the first that is not empty
        for folder in below:
            if {FOLDER, TRACES, SWEEP} & {*folder.relative_to(root).parts}:
                folder.rmdir()
    return ""
