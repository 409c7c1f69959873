"""Folder types of the host in which this pack's own kinds of models lie."""

from __future__ import annotations

from pathlib import Path

import folder_paths

ASSETS = Path(__file__).resolve().parents[1] / "assets"


def register_folder(kind: str) -> None:
    """Give the host a folder type that lists safetensors files only."""
    folder_paths.add_model_folder_path(kind, str(Path(folder_paths.models_dir) / kind))
    folder_paths.folder_names_and_paths[kind][1].add(".safetensors")


def embedded_files(kind: str) -> dict[str, Path]:
    """Models of a kind that come with the pack, by their names without the ending."""
    return {path.stem: path for path in sorted((ASSETS / kind).glob("*.safetensors"))}


def listed_files(kind: str) -> list[str]:
    """Names of the safetensors files in the host's folders of this kind."""
    return [name for name in folder_paths.get_filename_list(kind) if name.endswith(".safetensors")]
