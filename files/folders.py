"""A folder as a library saves a model: JSON, and safetensors in one or several files. Nothing else in it is opened."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..guidance.printing import quote
from . import claims

MOST_BYTES = 2**20  # of a JSON file; thousands of labels take a tenth
OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".h5")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a small file.  Raises FileNotFoundError, or ValueError for anything else."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing in {path.parent.name}. Fetch the whole folder.")
    value = claims.read_json(path, "Fetch it again.", MOST_BYTES)
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} holds a {type(value).__name__}; a JSON object is needed. Fetch it again.")
    return value


def refuse_links(folder: Path) -> None:
    """Refuse a file that is a link: a library would read what it leads to.

    A snapshot in the cache of a hub is links to the files of the same model, in blobs/ beside snapshots/: it may be.
    """
    here = folder.resolve()
    blobs = here.parents[1] / "blobs" if here.parent.name == "snapshots" else None
    links = (path for path in sorted(folder.rglob("*")) if path.is_symlink())
    link = next((path for path in links if blobs is None or path.resolve().parent != blobs), None)
    if link is not None:
        name = link.relative_to(folder).as_posix()
        raise ValueError(f"{folder.name}/{name} is a link, and links are not followed. Put the file itself there.")


def weight_files(folder: Path, stem: str = "model") -> list[Path]:
    """The safetensors files a folder's weights lie in, each a plain name inside it.  stem: of the file's name

    Raises ValueError for a folder without them, and for an index that leads elsewhere.
    """
    index = folder / f"{stem}.safetensors.index.json"
    if (folder / f"{stem}.safetensors").is_file():
        return [folder / f"{stem}.safetensors"]
    if not index.is_file():
        others = sorted(path.name for path in folder.iterdir() if path.suffix in OTHER_WEIGHTS)
        raise ValueError(
            f"{folder.name}/ holds no {stem}.safetensors ({', '.join(others) or 'no weights at all'}). "
            "Other forms can run code when loaded: fetch the safetensors of the same model."
        )
    places = read_json(index).get("weight_map")
    names = list(places.values()) if isinstance(places, dict) else []
    for name in names or [None]:
        if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+\.safetensors", name):
            raise ValueError(
                f"{index.name}: {quote(name)} is not a plain file name inside {folder.name}/. Fetch it again."
            )
    return [folder / name for name in sorted(set(names))]
