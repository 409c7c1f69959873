"""Pictures of the documentation: WebP without anything embedded, and no larger than a clone should carry."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy import ndarray
from PIL import Image

MOST_COLOURS = 16_000  # a drawing has fewer and loses nothing; with more it is a photograph
DRAWING = {"lossless": True, "quality": 90, "method": 6}
GRAIN = 15  # of the values 0 .. 255 of a drawing: half of it is hardly seen, and spares half of the file
PHOTOGRAPH = {"quality": 75, "method": 6}
MOST_FRAMES = 10  # a longer film keeps every second or third, each shown for longer


class Frames(NamedTuple):
    """What a picture shows.  pixels: one array [H, W, 3 or 4] a frame. times: milliseconds, none for a still."""

    pixels: list[ndarray]
    times: list[int]


def write(path: Path, content: bytes, grain: int = GRAIN) -> None:
    """Keep a picture; a file that shows the same already is left alone, so that no history grows by it.

    grain: of a drawing; 1 keeps every value, as pictures with flat colours in a drawing need it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = plain_webp(content, grain)
    if not path.exists() or not same(frames_of(path.read_bytes()), frames_of(plain)):
        path.write_bytes(plain)


def write_pixels(path: Path, pixels) -> None:
    """Keep an array of pixels, or a picture, in the same way."""
    out = BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(out, "PNG")
    write(path, out.getvalue())


def plain_webp(content: bytes, grain: int = GRAIN) -> bytes:
    """Frames and times of a picture as WebP, without EXIF block or text: a drawing to 7 of 255, a photograph nearly."""
    pixels, times = shorten(frames_of(content))
    drawn = colours(*pixels) <= MOST_COLOURS
    first, *rest = (Image.fromarray(round_to_grain(frame, grain) if drawn else frame) for frame in pixels)
    how = DRAWING if drawn else PHOTOGRAPH
    film = {"save_all": True, "append_images": rest, "duration": times, "loop": 0} if rest else {}
    out = BytesIO()
    first.save(out, "WEBP", exif=b"", **film, **how)
    return out.getvalue()


def shorten(film: Frames) -> Frames:
    """At most MOST_FRAMES of a film, the last among them; the whole takes about as long."""
    stride = -(-len(film.pixels) // MOST_FRAMES)
    return Frames(film.pixels[::-stride][::-1], [stride * time for time in film.times[::-stride][::-1]])


def round_to_grain(pixels: ndarray, grain: int = GRAIN) -> ndarray:
    """Values as the nearest multiples of the grain; black and white are two of them."""
    return ((pixels.astype(np.uint16) + grain // 2) // grain * grain).astype(np.uint8)


def frames_of(content: bytes) -> Frames:
    """What a picture shows, frame by frame."""
    with Image.open(BytesIO(content)) as film:
        count, pixels, times = getattr(film, "n_frames", 1), [], []
        for k in range(count):
            film.seek(k)
            pixels.append(np.asarray(film.convert("RGBA" if film.mode == "RGBA" else "RGB")))
            times += [film.info["duration"]] if count > 1 else []
    return Frames(pixels, times)


def colours(*pixels: ndarray) -> int:
    """How many there are in all frames together."""
    return len(np.unique(np.concatenate([frame.reshape(-1, frame.shape[-1]) for frame in pixels]), axis=0))


def same(one: Frames, other: Frames) -> bool:
    """Whether two pictures show the same."""
    alike = len(one.pixels) == len(other.pixels) and one.times == other.times
    return alike and all(map(np.array_equal, one.pixels, other.pixels))
