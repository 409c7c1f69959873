"""Folder types of the host in which this pack's own kinds of models lie."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath, PureWindowsPath

import folder_paths

from ...files.included import included_models, included_weights

CLASSIFIERS = "classifiers"
CONFIG = "config.json"
MARKS = (CONFIG, "model_index.json")  # one of them is in every folder that a library saved a model to


def register_folder(kind: str) -> None:
    """Give the host a folder type that lists safetensors files only."""
    folder_paths.add_model_folder_path(kind, str(Path(folder_paths.models_dir) / kind))
    folder_paths.folder_names_and_paths[kind][1].add(".safetensors")


def model_folders(kind: str) -> dict[str, Path]:
    """Folders of one model each, up to two levels deep, by their names as listed: they end in a slash."""
    folders: dict[str, Path] = {}
    for root in filter(Path.is_dir, map(Path, folder_paths.get_folder_paths(kind))):
        marked = {path.parent for depth in ("*", "*/*") for mark in MARKS for path in root.glob(f"{depth}/{mark}")}
        whole = [path for path in sorted(marked) if path.parent not in marked]
        folders |= {f"{path.relative_to(root).as_posix()}/": path for path in whole}
    return folders


def listed_models(kind: str) -> list[str]:
    """Names a loader offers: the pack's own, then folders and single files in the host's folders of this kind."""
    whole = model_folders(kind)
    files = (name for name in folder_paths.get_filename_list(kind) if name.endswith(".safetensors"))
    single = [name for name in files if not Path(name).as_posix().startswith(tuple(whole))]
    return [*included_models(kind), *whole, *single]


def path_of_model(kind: str, name: str) -> Path:
    """Where a listed model lies.

    A file or a folder may be a link, as everywhere in the host; what lies in a folder may not (`files.folders`).
    """
    path = included_weights(kind, name) or model_folders(kind).get(name)
    return path or Path(folder_paths.get_full_path_or_raise(kind, name))


def is_inside(name: str) -> bool:
    """Whether a name stays below the folder it is looked up in, on any system."""
    windows = PureWindowsPath(name)
    absolute = windows.anchor or PurePosixPath(name).is_absolute()
    return not (absolute or ".." in windows.parts or "\0" in name or "://" in name)


def state_of_files(path: Path) -> str:
    """A mark of the state of a file and the JSON beside it, or of all files in a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path, path.with_suffix(".json")]
    marks = [fingerprint(file) for file in files if file.is_file()]
    return hashlib.sha256(" ".join(marks).encode()).hexdigest()[:16]


def fingerprint(path: Path) -> str:
    """A mark of a file's place and state: the host writes it into saved pictures, so it names no folder."""
    state = path.stat()
    return hashlib.sha256(f"{path} {state.st_mtime_ns} {state.st_size}".encode()).hexdigest()[:16]
