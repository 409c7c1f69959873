"""What the pack writes into the folders of a ComfyUI: who writes there and who cleans up take their names from here.

What a user names, such as a figure, the folder of a sweep or a trained classifier, is the user's, and is in no place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FOLDER = "guidance_geometry"  # of the pack, in the temp folder and in that of each user
TAB_FOLDER = f"{FOLDER}/tab"  # a file that an inspector shows has the same name, and must stay
CARDS, PICKS, SIZES = "cards", "picks", "sizes"  # of models, in a user's folder
TRACES = "traces"  # in the output folder
MAPPED = "guidance_geometry-{}.safetensors"  # in the temp folder, where an open file cannot be deleted
FILM = "guidance_figure"  # how the name of a figure that only a node shows begins


@dataclass(frozen=True)
class Place:
    """Files of one kind.  root: temp, user or output. pattern: below it. what: they are. made: by a user's own save"""

    root: str
    pattern: str
    what: str
    made: bool = False


PLACES = (
    Place("temp", f"{FOLDER}/**/*", "records and pictures of runs, for the tab and the inspector"),
    Place("temp", MAPPED.format("*"), "captured steps of large runs"),
    Place("temp", f"{FILM}_*.webp", "animations that a node showed"),
    Place("user", f"*/{FOLDER}/{PICKS}/*", "cfg values that you chose"),
    Place("user", f"*/{FOLDER}/{CARDS}/*", "cards of models"),
    Place("user", f"*/{FOLDER}/{SIZES}/*", "how large the data of models are"),
    Place("output", f"{TRACES}/**/*.safetensors", "traces of Save Trace and of sweeps", made=True),
)


def files_in(roots: Mapping[str, Path], place: Place) -> Iterator[Path]:
    """The files of a place; none behind a link to another folder, which a user made."""
    root = roots[place.root].resolve()
    for path in sorted(root.glob(place.pattern)):
        if path.is_file() and path.parent.resolve() == path.parent:
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
            if {FOLDER, TRACES} & {*folder.relative_to(root).parts}:
                folder.rmdir()
    return ""
