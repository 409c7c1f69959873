"""Where the results of a study are: a folder, or an address that fsspec knows, such as s3://bucket/study."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from ..files.writing import NotWritten, replacing, write_atomically

NO_FSSPEC = "An address such as {} needs fsspec. Run: pip install fsspec, or give a folder."


class Address:
    """A file or folder behind an address, with what a study needs of pathlib.Path.  system: of fsspec."""

    def __init__(self, system: Any, path: str, label: str):
        self.system, self.path, self.label = system, PurePosixPath(path), label.rstrip("/")

    def __truediv__(self, name: str) -> Address:
        return Address(self.system, str(self.path / name), f"{self.label}/{name}")

    def __str__(self) -> str:
        return self.label

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.path.name

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return self.path.suffix

    @property
    def parent(self) -> Address:
        """The folder that the file or folder is in."""
        return Address(self.system, str(self.path.parent), self.label.rpartition("/")[0])

    def exists(self) -> bool:
        """Whether it is there."""
        return self.system.exists(str(self.path))

    def iterdir(self) -> Iterator[Address]:
        """What is in this folder.  Raises OSError."""
        return (self / path.rpartition("/")[2] for path in self.system.ls(str(self.path), detail=False))

    def stat(self) -> SimpleNamespace:
        """What is known of the file: st_size, in bytes.  Raises OSError."""
        return SimpleNamespace(st_size=self.system.size(str(self.path)))

    def read_bytes(self) -> bytes:
        """All of it.  Raises OSError."""
        return self.system.cat_file(str(self.path))

    def read_text(self, encoding: str = "utf-8") -> str:
        """All of it as text.  Raises OSError."""
        return self.read_bytes().decode(encoding)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete it.  Raises OSError."""
        with suppress(*([FileNotFoundError] if missing_ok else [])):
            self.system.rm_file(str(self.path))


Place = Path | Address


def place_at(text: str) -> Place:
    """The folder or the address of a text.  Raises ValueError for an address that nothing here can open."""
    scheme, _, path_text = text.partition("://")
    if not path_text or scheme == "file":
        return Path(path_text or text)
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ValueError(NO_FSSPEC.format(text)) from error
    try:
        system, path = url_to_fs(text)
    except (ImportError, ValueError) as error:
        raise ValueError(f"{text} cannot be opened: {error}. Mend the address, or give a folder.") from error
    return Address(system, path, text)


@contextmanager
def taking_the_place_of(place: Place) -> Iterator[Path]:
    """A new local file, which becomes `place` at the end of the block: all or nothing.  Raises NotWritten."""
    if isinstance(place, Path):
        with replacing(place) as temporary:
            yield temporary
        return
    with tempfile.TemporaryDirectory(prefix="study-") as folder:
        local = Path(folder) / place.name
        yield local
        with local.open("rb") as file:
            write_whole(place, iter(lambda: file.read(2**20), b""))


def write_whole(place: Place, parts: Iterable[bytes]) -> None:
    """Write a file of a sweep under another name in its folder and rename it: all or nothing.  Raises NotWritten."""
    if isinstance(place, Path):
        write_atomically(place, parts, ours=True)
        return
    system, temporary = place.system, str(place.path.with_name(f".{uuid4().hex[:12]}.part"))
    try:
        system.makedirs(str(place.path.parent), exist_ok=True)
        with system.open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
        system.mv(temporary, str(place.path))
    except Exception as error:  # every store has its own errors
        with suppress(Exception):
            system.rm_file(temporary)
        raise NotWritten(f"{place} could not be written: {error}. Check the address and its permissions.") from error


@contextmanager
def local(place: Place) -> Iterator[Path]:
    """A file of this machine with the same content.  Raises OSError."""
    if isinstance(place, Path):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="study-") as folder:
        copy = Path(folder) / place.name
        copy.write_bytes(place.read_bytes())
        yield copy
