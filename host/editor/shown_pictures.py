"""The pictures that a node of a finished job showed or saved: files in the host's own folders, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch
from torch import Tensor

from ...verdict.alike import SEEN
from .jobs import text_or_none, within

MOST_PICTURES = 64  # of one node, which are read
KEPT = 2 * SEEN  # pixels of the longer side that are kept of a picture


def shown_pictures(queue: Any, job: str, node: str) -> Tensor | None:  # -> [B, 3, H, W] in 0 .. 1
    """The pictures of one node of a job, smaller where they are large.

    None where it showed none, where they are gone, and where they differ in size.
    """
    outputs = queue.get_history(prompt_id=job, map_function=lambda entry: entry["outputs"])
    shown = within(outputs, job, node, "images")
    if not isinstance(shown, list) or not 0 < len(shown) <= MOST_PICTURES:
        return None
    try:
        files = [_file_of(entry) for entry in shown]
        pictures = [_read(file) for file in files if file is not None]
    except (OSError, ValueError):  # no name of a file, no picture, a damaged one, one of too many pixels
        return None
    if len(pictures) < len(files):
        return None
    return torch.stack(pictures) if len({picture.shape for picture in pictures}) == 1 else None


def _file_of(shown: Any) -> Path | None:
    """The file that a node names; None for one that is not in the folder it names: any pack may have written that."""
    kind, folder, name = (text_or_none(within(shown, key)) for key in ("type", "subfolder", "filename"))
    root = folder_paths.get_directory_by_type(kind) if kind else None
    file = Path(root, folder or "", name).resolve() if root and name else None
    return file if root and file and file.is_relative_to(Path(root).resolve()) and file.is_file() else None


def _read(file: Path) -> Tensor:  # -> [3, H, W] in 0 .. 1
    from PIL import Image

    try:
        with Image.open(file) as image:
            image.thumbnail((KEPT, KEPT), Image.Resampling.BOX)
            values = np.asarray(image.convert("RGB"), dtype=np.float32)
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    return torch.from_numpy(values / 255).movedim(-1, 0)
