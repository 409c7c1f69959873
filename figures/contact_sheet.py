"""One page of pictures: a column per setting, a row per seed, so that only one thing changes along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from .palette import LIGHT
from .typeset import fill_lines

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

MARGIN, GAP, COLUMN_GAP, ROW_NAME_GAP = 36, 6, 18, 12
LEAST = 360  # width of the narrowest page
WIDEST = 2.0  # times the room of a column: what one word, or the name of a row, may take
LINE = 1.35  # line height over font size

Column = tuple[str, Tensor, str]


@dataclass(frozen=True)
class _Style:
    size: int
    bold: bool = False
    colour: str = LIGHT.muted

    def font(self):
        """DejaVu Sans as matplotlib brings it: the same page on every machine."""
        import matplotlib
        from PIL import ImageFont

        name = "DejaVuSans-Bold.ttf" if self.bold else "DejaVuSans.ttf"
        return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), self.size)

    def width(self, words: str) -> int:
        return round(self.font().getlength(words))

    def height(self, lines: int = 1) -> int:
        return round(lines * self.size * LINE)

    def lines(self, words: str, width: float) -> list[str]:
        """The words in lines no wider than `width`; their own line breaks stay, and a word that is wider is cut."""
        return [
            line for paragraph in words.splitlines() for line in [*fill_lines(paragraph, width, self.width)] or [""]
        ]

    def widest(self, words: Sequence[str], most: float) -> int:
        """Room in which no word is cut, up to a width."""
        return round(min(most, max((self.width(word) for line in words for word in line.split()), default=0)))

    def write(self, pen: ImageDraw, at: tuple[float, float], lines: Sequence[str], anchor: str = "lt"):
        for k, line in enumerate(lines):
            pen.text((at[0], at[1] + self.height(k)), line, self.colour, self.font(), anchor=anchor)


TITLE, HEAD, SMALL = _Style(24, bold=True, colour=LIGHT.ink), _Style(19, bold=True, colour=LIGHT.ink), _Style(17)
USUAL, LARGEST = 144, 2.0  # width of a picture up to which words have these sizes; they grow with it to so many times


def _styles(cell: int) -> tuple[_Style, _Style, _Style]:
    """Title, heads and small words for pictures of this width: a page of large ones is seen from further away."""
    times = min(max(cell / USUAL, 1.0), LARGEST)
    title, head, small = (replace(style, size=round(style.size * times)) for style in (TITLE, HEAD, SMALL))
    return title, head, small


def contact_sheet(
    columns: Sequence[Column], *, title: str, scale: int = 4, rows: Sequence[str] = (), note: str = ""
) -> Image:
    """Pictures side by side, each pixel shown as scale x scale pixels.

    columns: (head, images [B, H, W, 3] in 0..1, caption) each; a caption may have several lines. rows: names of the
    rows, left of them. note: words at the foot. Long heads and names go on in further lines, so that pictures stand
    close together.
    """
    from PIL import Image, ImageDraw

    _check(columns, scale)
    cell = (columns[0][1].shape[2] * scale, columns[0][1].shape[1] * scale)
    big, bold, small = _styles(cell[0])
    words, room = [head for head, _, _ in columns], max(cell[0], USUAL)
    pitch = max(cell[0], min(room, max(map(bold.width, words))), bold.widest(words, WIDEST * room)) + COLUMN_GAP
    heads = [bold.lines(head, pitch - COLUMN_GAP // 2) for head in words]
    names = [small.lines(name, WIDEST * room) for name in rows]
    left = MARGIN + (ROW_NAME_GAP + max(small.width(line) for name in names for line in name) if names else 0)
    width = max(left + len(columns) * pitch - COLUMN_GAP + MARGIN, LEAST)
    titles, notes = big.lines(title, width - 2 * MARGIN), small.lines(note, width - 2 * MARGIN)
    captions = [small.lines(words, pitch - COLUMN_GAP // 2) for _, _, words in columns]
    top = MARGIN + big.height(len(titles)) + 16 + bold.height(max(map(len, heads)))
    foot = top + max(len(images) for _, images, _ in columns) * (cell[1] + GAP) - GAP + 10
    below = foot + small.height(max(map(len, captions))) + (16 if notes else 0)
    page = Image.new("RGB", (width, below + small.height(len(notes)) + MARGIN - 10), LIGHT.paper)
    pen = ImageDraw.Draw(page)
    big.write(pen, (MARGIN, MARGIN), titles)
    for row, name in enumerate(names):
        middle = top + row * (cell[1] + GAP) + cell[1] / 2
        small.write(pen, (left - ROW_NAME_GAP, middle - small.height(len(name) - 1) / 2), name, "rm")
    for k, (_, images, _) in enumerate(columns):
        middle = left + k * pitch + (pitch - COLUMN_GAP) // 2
        bold.write(pen, (middle, top - 9 - bold.height(len(heads[k]) - 1)), heads[k], "ms")
        _paste(page, images, cell, (middle - cell[0] // 2, top))
        small.write(pen, (middle, foot), captions[k], "mt")
    small.write(pen, (MARGIN, below), notes)
    return page


def _check(columns: Sequence[Column], scale: int):
    if not columns:
        raise ValueError("A contact sheet needs at least one column of pictures, and there is none. Pass one.")
    if scale < 1:
        raise ValueError(f"scale is {scale}; a whole number from 1 on is needed. 4 shows a pixel as 4 x 4.")
    shapes = sorted({tuple(images.shape[1:]) for _, images, _ in columns})
    if len(shapes) > 1 or len(shapes[0]) != 3 or shapes[0][2] != 3:
        raise ValueError(f"The columns hold pictures of shape {shapes}; all need one and the same [H, W, 3].")


def _paste(page: Image, images: Tensor, cell: tuple[int, int], at: tuple[int, int]):
    from PIL import Image

    pixels = (images.detach().float().cpu().clamp(0, 1) * 255).round().byte().numpy()
    for row, picture in enumerate(pixels):
        large = Image.fromarray(picture).resize(cell, Image.Resampling.NEAREST)
        page.paste(large, (at[0], at[1] + row * (cell[1] + GAP)))
