"""Frames in order, as animated WebP or APNG that reopens its workflow, and as one sheet of stills."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files.writing import write_atomically
from ..guidance.printing import count_of
from .order import Artwork

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.PngImagePlugin import PngInfo

STILL_MS = 2000
BUDGET = 3_000_000  # bytes of an animation; above it colours are given up, and never frames
SHEET_CELL, SHEET_GAP = 480, 8  # width of a still on the contact sheet, and the gap around it
MODEL_TAG, MAKE_TAG = 0x0110, 0x010F  # where the host keeps the prompt, and from where downwards the rest


@dataclass(frozen=True, repr=False)
class Film:
    """A figure as frames, one or several; printed, it is its text.

    frames: RGBA pixels, [k, H, W, 4] uint8.
    durations: how long each is shown, in milliseconds; [k].
    captions: of each, [k].
    last: the page of the last frame, for SVG.
    opaque: there is paper behind it, and alpha is 255.
    note: what was left out; empty if nothing was.
    """

    frames: np.ndarray
    durations: tuple[int, ...]
    captions: tuple[str, ...]
    last: Artwork
    opaque: bool
    note: str = ""

    @property
    def caption(self) -> str:
        """All captions, one a line, and what was left out."""
        if len(self.captions) == 1:
            return self.captions[0]
        lines = [f"{k + 1}. {words}" for k, words in enumerate(self.captions)]
        return "\n".join([*lines, self.note] if self.note else lines)

    def __repr__(self) -> str:
        count, height, width = self.frames.shape[:3]
        return f"{self.caption}\n({count_of(count, 'frame')} of {width} x {height}; save(path) writes them)"

    @cached_property
    def pages(self) -> list[Image]:
        """The frames for Pillow, without alpha where there is none."""
        from PIL import Image

        pixels = self.frames[..., :3] if self.opaque else self.frames
        return [Image.fromarray(np.ascontiguousarray(frame)) for frame in pixels]

    def webp(self, embedded: Mapping | None = None) -> bytes:
        """Animated WebP, looping for ever; lossless where 3 MB hold it. embedded: facts to reopen the graph from."""
        exif = _exif(embedded or {})
        exact = self._encode("WEBP", self.pages, exif=exif, lossless=True, quality=20, method=0)
        return exact if len(exact) <= BUDGET else self._encode("WEBP", self.pages, exif=exif, quality=90, method=2)

    def apng(self, embedded: Mapping | None = None) -> bytes:
        """Animated PNG, looping for ever; all colours where 3 MB hold it. embedded: facts to reopen the graph from."""
        info = _png_info(embedded or {})
        exact = self._encode("PNG", self.pages, pnginfo=info, compress_level=6)
        return exact if len(exact) <= BUDGET else self._encode("PNG", self._quantise(), pnginfo=info)

    def sheet(self, embedded: Mapping | None = None) -> bytes:
        """All frames on one PNG, row by row."""
        from PIL import Image

        height, width = self.frames.shape[1:3]
        cell = (SHEET_CELL, round(SHEET_CELL * height / width))
        columns = math.ceil(math.sqrt(len(self.pages)))
        rows = math.ceil(len(self.pages) / columns)
        pitch = (cell[0] + SHEET_GAP, cell[1] + SHEET_GAP)
        paper = "#808080" if self.opaque else (0, 0, 0, 0)
        sheet = Image.new(self.pages[0].mode, (columns * pitch[0] + SHEET_GAP, rows * pitch[1] + SHEET_GAP), paper)
        for k, page in enumerate(self.pages):
            at = (SHEET_GAP + k % columns * pitch[0], SHEET_GAP + k // columns * pitch[1])
            sheet.paste(page.resize(cell, Image.Resampling.LANCZOS), at)
        out = io.BytesIO()
        sheet.save(out, "PNG", pnginfo=_png_info(embedded or {}))
        return out.getvalue()

    def save(self, path: str | os.PathLike) -> None:
        """Write one file, by its ending: .png (of an animation an animated one), .webp or .svg (the last page).

        Raises ValueError for another ending.
        """
        ending = Path(path).suffix
        if ending not in (".png", ".webp", ".svg"):
            raise ValueError(f"{Path(path).name} does not end in .png, .webp or .svg. Give it one of these endings.")
        made = {".png": self.apng, ".webp": self.webp, ".svg": lambda: self.last.svg().encode()}[ending]()
        write_atomically(path, [made])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, bytes | str]:
        """What a notebook shows."""
        shown = {"image/webp": self.webp()} if len(self.durations) > 1 else {"image/png": self.apng()}
        return {**shown, "text/plain": self.caption}

    def _quantise(self) -> list[Image]:
        """The frames with one palette of 256 colours for all of them, as an animated PNG needs it."""
        from PIL import Image

        height, width = self.frames.shape[1:3]
        strip = Image.new(self.pages[0].mode, (width, height * len(self.pages)))
        for k, page in enumerate(self.pages):
            strip.paste(page, (0, k * height))
        if self.opaque:
            some = strip.resize((width // 3, strip.height // 3), Image.Resampling.NEAREST)
            few = strip.quantize(palette=some.quantize(256, Image.Quantize.MEDIANCUT), dither=Image.Dither.NONE)
        else:
            few = strip.quantize(256, Image.Quantize.FASTOCTREE)
        return [few.crop((0, k * height, width, (k + 1) * height)) for k in range(len(self.pages))]

    def _encode(self, form: str, pages: list[Image], **options) -> bytes:
        out = io.BytesIO()
        first, *later = pages
        first.save(out, form, save_all=True, append_images=later, duration=list(self.durations), loop=0, **options)
        return out.getvalue()


def _png_info(embedded: Mapping) -> PngInfo:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, value in embedded.items():
        info.add_text(name, json.dumps(value))
    return info


def _exif(embedded: Mapping) -> bytes:
    from PIL.Image import Exif

    exif, tag = Exif(), MAKE_TAG
    for name, value in embedded.items():
        words = f"{name}:{json.dumps(value)}"
        if name == "prompt":
            exif[MODEL_TAG] = words
        else:
            exif[tag], tag = words, tag - 1
    return exif.tobytes()


def film_of(drawings: Iterable[Artwork], durations: Sequence[int], opaque: bool, note: str = "") -> Film:
    """The drawings as frames, each shown for its ms. note: what was left out."""
    frames, captions, last = [], [], None
    for last in drawings:  # a page is kept as pixels only
        frames.append(last.png())
        captions.append(last.caption)
    if last is None:
        raise ValueError("A film needs at least one drawing, and there is none. Pass one.")
    return Film(np.stack(frames), tuple(durations), tuple(captions), last, opaque, note)


def still_film(drawing: Artwork, opaque: bool) -> Film:
    """A film of one frame."""
    return film_of([drawing], [STILL_MS], opaque)
