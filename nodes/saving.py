"""Where the host keeps files, and what a picture carries so that it reopens its workflow."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath, PureWindowsPath

import folder_paths
from comfy.cli_args import args

TRACES = "traces"


def bad_prefix(prefix: str | None) -> str | None:
    """A sentence if a file name prefix leads out of the output folder or names nothing."""
    if prefix is None:
        return None
    if not isinstance(prefix, str):
        return f"filename_prefix is {prefix!r}, which is no text. Write for example runs/cat."
    parts = PureWindowsPath(prefix).parts
    absolute = PurePosixPath(prefix).is_absolute() or PureWindowsPath(prefix).anchor
    if absolute or ".." in parts or not parts:
        return f"filename_prefix is {prefix!r}; a name inside the output folder is needed. Write for example runs/cat."
    return None


def next_path(prefix: str, ending: str, size: tuple[int, int] = (0, 0)) -> Path:
    """The next free <prefix>_00001_<ending> in the output folder; %date% marks and %width% work as in the host."""
    folder, name, counter, _, _ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory(), *size)
    return Path(folder) / f"{name}_{counter:05}_{ending}"


def output_path(saved: dict) -> Path:
    """Where a file lies that the host saved into the output folder."""
    return Path(folder_paths.get_output_directory()) / saved["subfolder"] / saved["filename"]


def embedded(cls) -> dict:
    """What to write into a file: prompt, workflow and whatever the editor sent; nothing if the user wants none."""
    if args.disable_metadata or not cls.hidden:
        return {}
    facts = {"prompt": cls.hidden.prompt, **(cls.hidden.extra_pnginfo or {})}
    return {name: value for name, value in facts.items() if value is not None}


def fingerprint(path: Path) -> str:
    """A mark of a file's place and state: the host writes it into saved pictures, so it names no folder."""
    state = path.stat()
    return hashlib.sha256(f"{path} {state.st_mtime_ns} {state.st_size}".encode()).hexdigest()[:16]


def trace_files() -> dict[str, Path]:
    """Files a trace can be loaded from, by the name that the loader shows: saved ones, then those in `input`."""
    saved, given = Path(folder_paths.get_output_directory()) / TRACES, Path(folder_paths.get_input_directory())
    found = {f"{TRACES}/{path.relative_to(saved).as_posix()}": path for path in _safetensors(saved, "**/")}
    return found | {f"input/{path.name}": path for path in _safetensors(given, "")}


def _safetensors(folder: Path, below: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"{below}*.safetensors") if path.is_file()) if folder.is_dir() else []
