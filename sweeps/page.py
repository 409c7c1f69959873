"""A study as one HTML file: the grid of its pictures, curves along every axis, and the workflow of each cell."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from io import BytesIO
from string import Template
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..figures.html import WEB, data_uri, modules, name_imports, pack_json, script_json
from ..measure.plane import Plane
from .axes import Axis, is_seed
from .cells import Cell
from .curves import curves, first_view, titles
from .pictures import open_picture
from .results import Row

if TYPE_CHECKING:
    from PIL.Image import Image

PAGE_BYTES = 4_900_000  # pictures get what the rest leaves, and never less than a third of it
SIDES, QUALITY = (512, 384, 256, 192, 128, 96, 64, 32), 85
SAMPLED = 8  # pictures by which a side is chosen
PIXELATED = 96  # pixels below which a picture is kept as it is and shown as squares
COMPARED = 128  # pixels of a side at which pictures of two seeds are compared


def study_page(  # noqa: PLR0913 - what a page shows
    title: str,
    axes: Sequence[Axis],
    cells: Sequence[Cell],
    rows: Sequence[Row],
    pictures: Mapping[str, bytes],
    note: str,
    summary: str = "",
    runs: Mapping[str, Mapping] | None = None,
    plane: Plane | None = None,
) -> str:
    """The whole file as text.

    rows: of the cells that are done. pictures: files by cell. note: how the cells were run. summary: what was found.
    runs: the records of the cells. plane: of its rules, where they were measured.
    """
    page_rows = [{**row, "measures": row["measures"] | {"seconds": row.get("seconds")}} for row in rows]
    study = {
        "title": title,
        "note": note,
        "axes": [{"name": axis.name, "values": list(axis.values), "draw": is_seed(axis.name)} for axis in axes],
        "measures": titles(page_rows),
        "rows": [{key: value for key, value in row.items() if key != "trace_bytes"} for row in page_rows],
        "curves": curves(page_rows, axes),
        "first": first_view(axes),
        "runs": bool(runs),
        "plane": plane and plane.as_json(),
        "workflows": any(cell.prompt for cell in cells),
    }
    parts = {
        "title": html.escape(title),
        "note": html.escape(note),
        "summary": html.escape(summary),
        "style": (WEB / "page" / "study.css").read_text(encoding="utf-8"),
        "modules": pack_json(name_imports(modules("study.mjs") | (modules("page-panel.mjs") if runs else {}))),
        "runs": pack_json(runs or {}),
        "prompts": pack_json({cell.id: cell.prompt for cell in cells}),
    }
    text_bytes = sum(map(len, parts.values())) + len(script_json(study))
    room = max(PAGE_BYTES - text_bytes, PAGE_BYTES // 3) * 3 // 4  # of base64
    small, largest = _small(pictures, room)
    page = Template((WEB / "page" / "study.html").read_text(encoding="utf-8"))
    return page.substitute(parts, study=script_json(study | {"pictures": small, "square": largest <= PIXELATED}))


def thumbnail(data: bytes) -> Image:
    """A picture at no more than the largest side that is shown."""
    return open_picture(data, SIDES[0])


def pixels_of(image: Image) -> Tensor:  # -> [H, W, 3] in 0 .. 1
    """A picture as it is compared with that of another seed."""
    small = image.copy()
    small.thumbnail((COMPARED, COMPARED))
    return torch.from_numpy(np.asarray(small).copy()).float() / 255


def _small(pictures: Mapping[str, bytes], room: int) -> tuple[dict[str, str], int]:
    """Pictures as addresses, at the largest side at which all of them fit; and the largest side that one had.

    Never are all open at once. room: bytes of all of them.
    """
    names, largest = list(pictures), 0
    some = names[:: max(1, len(names) // SAMPLED)]
    for side in SIDES:
        share = (
            sum(len(_encode_image(thumbnail(pictures[name]), side)[1]) for name in some)
            * len(names)
            / max(len(some), 1)
        )
        if share > room:
            continue
        thumbnails, left = {}, room
        for name in names:
            kind, data = _encode_image(image := thumbnail(pictures[name]), side)
            left, largest = left - len(data), max(largest, *image.size)
            if left < 0:
                break
            thumbnails[name] = data_uri(kind, data)
        if left >= 0:
            return thumbnails, largest
    return {}, largest


def _encode_image(image: Image, side: int) -> tuple[str, bytes]:
    sink, small = BytesIO(), image.copy()
    if max(image.size) <= min(side, PIXELATED):
        small.save(sink, "PNG", optimize=True)
        return "image/png", sink.getvalue()
    small.thumbnail((side, side))
    small.save(sink, "WEBP", quality=QUALITY)
    return "image/webp", sink.getvalue()
