"""A study as one HTML file: the grid of its pictures, curves along every axis, and the workflow of each cell."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from io import BytesIO
from string import Template

import numpy as np
import torch
from torch import Tensor

from ..figures.html import WEB, data_uri, modules, named, packed, script_json
from .axes import Axis
from .cells import Cell
from .curves import curves, is_draw, titles, with_diversity
from .results import Row

PICTURE_BYTES = 3_400_000  # of all pictures: with base64 and the rest a page stays below 5 MB
SIDES, QUALITY = (512, 384, 256, 192, 128, 96, 64, 32), 85
PIXELATED = 96  # pixels below which a picture is kept as it is and shown as squares


def study_page(
    title: str,
    axes: Sequence[Axis],
    cells: Sequence[Cell],
    rows: Sequence[Row],
    pictures: Mapping[str, bytes],
    note: str,
) -> str:
    """The whole file as text.

    rows: of the cells that are done. pictures: files by cell. note: how the cells were run.
    """
    shown = {name: _decoded(data) for name, data in pictures.items()}
    told = with_diversity(rows, shown)
    study = {
        "title": title,
        "note": note,
        "axes": [{"name": axis.name, "values": list(axis.values), "draw": is_draw(axis.name)} for axis in axes],
        "measures": titles(told),
        "rows": [{key: value for key, value in row.items() if key != "trace_bytes"} for row in told],
        "curves": curves(told, axes),
        "pictures": _small(shown),
        "square": max((max(p.shape[:2]) for p in shown.values()), default=0) <= PIXELATED,
    }
    return Template((WEB / "page" / "study.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        note=html.escape(note),
        style=(WEB / "page" / "study.css").read_text(encoding="utf-8"),
        modules=packed(named(modules("study.mjs"))),
        study=script_json(study),
        prompts=packed({cell.id: cell.prompt for cell in cells}),
    )


def _decoded(data: bytes) -> Tensor:  # -> [H, W, 3] in 0 .. 1
    from PIL import Image

    return torch.from_numpy(np.asarray(Image.open(BytesIO(data)).convert("RGB")).copy()).float() / 255


def _small(pictures: Mapping[str, Tensor]) -> dict[str, str]:
    """Pictures as addresses, at the largest side at which all of them fit."""
    for side in SIDES:
        found = {name: _encoded(picture, side) for name, picture in pictures.items()}
        if sum(len(data) for _, data in found.values()) <= PICTURE_BYTES:
            break
    return {name: data_uri(*one) for name, one in found.items()} if pictures else {}


def _encoded(picture: Tensor, side: int) -> tuple[str, bytes]:
    from PIL import Image

    image = Image.fromarray((picture * 255).round().byte().numpy())
    sink = BytesIO()
    if max(image.size) <= min(side, PIXELATED):
        image.save(sink, "PNG", optimize=True)
        return "image/png", sink.getvalue()
    image.thumbnail((side, side))
    image.save(sink, "WEBP", quality=QUALITY)
    return "image/webp", sink.getvalue()
