"""The models that come with the pack; their weights lie in it in an order that packs better.

Of a number in half precision one byte holds sign, exponent and two digits, the other eight digits that are as good as
random. All of the one kind, then all of the other, fill 93 % of the room that the file takes in a zip. At the first use
the file itself is written beside, byte for byte as it was trained. Standard library only.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

ASSETS = Path(__file__).resolve().parents[1] / "assets"
KINDS = ("denoisers", "classifiers")
ENDING = ".safetensors"
PLANES = ".planes"


def included_models(kind: str) -> list[str]:
    """Names of the models of a kind that come with the pack."""
    return [path.name.removesuffix(ENDING + PLANES) for path in sorted((ASSETS / kind).glob(f"*{ENDING}{PLANES}"))]


def included_weights(kind: str, name: str) -> Path | None:
    """The file of an included model, in the temp folder where the pack's cannot be written; None for another name.

    Raises OSError where neither can be.
    """
    if name not in included_models(kind):
        return None
    file = ASSETS / kind / f"{name}{ENDING}"
    if file.is_file():  # a name stands for these weights: others have another number in it
        return file
    data = join_planes(file.with_name(file.name + PLANES).read_bytes())
    elsewhere = Path(tempfile.gettempdir()) / f"guidance-geometry-{hashlib.sha256(data).hexdigest()[:16]}" / file.name
    if elsewhere.is_file() and elsewhere.read_bytes() == data:
        return elsewhere
    with suppress(OSError):
        return _written(file, data)
    return _written(elsewhere, data)


def write_every_model() -> None:
    """Have the file of every included model, for programs that name it by its path."""
    for kind in KINDS:
        for name in included_models(kind):
            included_weights(kind, name)


def split_planes(data: bytes) -> bytes:
    """Every first byte of two, then every second."""
    return data[0::2] + data[1::2]


def join_planes(planes: bytes) -> bytes:
    """The bytes that were split."""
    data, first = bytearray(len(planes)), (len(planes) + 1) // 2
    data[0::2], data[1::2] = planes[:first], planes[first:]
    return bytes(data)


def keep_planes(file: Path) -> None:
    """Write the form in which an included model is kept beside its file."""
    _written(file.with_name(file.name + PLANES), split_planes(file.read_bytes()))


def _written(file: Path, data: bytes) -> Path:
    """The file with this content, whole even if several processes write it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{uuid4().hex[:12]}.part")
    try:
        part.write_bytes(data)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return file
