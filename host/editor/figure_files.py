"""Files of a run: pictures and animations, each of which reopens its workflow, and tables of its numbers."""

from __future__ import annotations

from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ...figures.canvas import Canvas
from ...figures.film import Film
from ...figures.table import as_csv, as_json
from ...files.places import FILM
from ...files.writing import write_atomically
from ...trace.trace import Trace
from .saving import entry_of, metadata_of, next_path, numbered_path, output_path, preview, write_by_host


def image_of(film: Film) -> Tensor:  # -> [k, H, W, 3 or 4] in 0..1
    """The frames as the host's images."""
    pixels = torch.from_numpy(film.frames[..., :3] if film.opaque else film.frames)
    return pixels.float().div_(255)


def image_of_page(canvas: Canvas) -> Tensor:  # -> [1, H, W, 3 or 4] in 0..1
    """A page as the host's image; with alpha where it has no paper."""
    pixels = torch.from_numpy(canvas.png())
    return (pixels if canvas.theme.paper is None else pixels[..., :3])[None].float().div_(255)


def save_figure(cls, film: Film, image: Tensor, save: str, prefix: str) -> dict:
    """Write what was asked for; returns what the node shows: a saved picture, or a temporary one."""
    if len(film.durations) > 1:
        return {"images": [_film_files(cls, film, save, prefix)], "animated": (True,)}
    if save in ("webp", "apng"):
        return {"images": [_animation(cls, film, save, _place(film, prefix))]}
    return {"images": _still_files(cls, film, image, save, prefix)}


def save_tables(trace: Trace, prefix: str) -> dict:
    """Write the numbers of all samples as CSV and JSON; there is nothing to show of them."""
    path = next_path(prefix, ".csv")
    write_atomically(path, [as_csv(trace).encode()])
    write_atomically(path.with_suffix(".json"), [as_json(trace).encode()])
    return {}


def _still_files(cls, film: Film, image: Tensor, save: str, prefix: str) -> list:
    if save in ("png", "all"):
        where = str(Path(folder_paths.get_output_directory()) / f"{prefix}.png")
        files = write_by_host(where, ui.ImageSaveHelper.save_images, image, prefix, io.FolderType.output, cls)
    else:
        files = preview(image, cls)["images"]
    if save in ("svg", "all"):
        path = _place(film, prefix) if save == "svg" else output_path(files[0])
        _write(path.with_suffix(".svg"), film.last.svg(metadata_of(cls)).encode())
    return files


def _film_files(cls, film: Film, save: str, prefix: str) -> dict:
    """An animation is never alone: a sheet of its frames lies beside it."""
    if save == "none":
        path = numbered_path(FILM, folder_paths.get_temp_directory(), ".webp")
        write_atomically(path, [film.webp()])
        return {"filename": path.name, "subfolder": "", "type": "temp"}
    path = _place(film, prefix)
    shown = _write(path.with_name(f"{path.stem}sheet.png"), film.sheet(metadata_of(cls)))
    if save in ("svg", "all"):
        _write(path.with_suffix(".svg"), film.last.svg(metadata_of(cls)).encode())
    for form in ("apng", "webp"):
        if save in (form, "all"):
            shown = _animation(cls, film, form, path)
    return shown


def _animation(cls, film: Film, form: str, path: Path) -> dict:
    data = film.webp(metadata_of(cls)) if form == "webp" else film.apng(metadata_of(cls))
    return _write(path.with_suffix(".webp" if form == "webp" else ".png"), data)


def _place(film: Film, prefix: str) -> Path:
    height, width = film.frames.shape[1:3]
    return next_path(prefix, ".png", (width, height))


def _write(path: Path, data: bytes) -> dict:
    write_atomically(path, [data])
    return entry_of(path)
