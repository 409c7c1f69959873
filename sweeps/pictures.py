"""The picture of a cell, opened within bounds: whoever sent it may have sent anything."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP")  # others have readers that start programs
MOST_PIXELS, MOST_SIDE = 2**26, 2**15  # a picture of one line takes decoders longer than its pixels


def open_picture(data: bytes, side: int | None = None) -> Image:
    """A picture, decoded to its end, in RGB.  side: the largest that is needed

    Raises ValueError for what is no picture, is cut off, or has more than MOST_PIXELS.
    """
    from PIL import Image

    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
        if image.width * image.height > MOST_PIXELS or max(image.size) > MOST_SIDE:
            raise ValueError(f"{image.width:,} x {image.height:,} pixels")
        image = image.convert("RGB")
    except Exception as error:  # every decoder has its own
        why = "" if isinstance(error, Image.UnidentifiedImageError) else f": {error}"
        raise ValueError(
            f"Its picture of {len(data):,} bytes, which begins with {data[:12]!r}, cannot be opened{why}. A PNG, JPEG "
            f"or WebP of at most {MOST_PIXELS:,} pixels is needed, and {MOST_SIDE:,} on a side."
        ) from error
    if side:
        image.thumbnail((side, side))
    return image
