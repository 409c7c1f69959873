"""A denoiser file's own description of itself, every reading checked."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..guidance.files import positive

FORMAT, VERSION = "guidance-geometry/denoiser", "1"


@dataclass(frozen=True)
class Notes:
    """A file's metadata: text under keys that start with `gg.`, every reading checked."""

    file: str
    metadata: Mapping[str, str]

    @property
    def described(self) -> bool:
        """Whether the file says that it is a denoiser of this pack."""
        return self.metadata.get("gg.format") == FORMAT

    def text(self, key: str, default: str | None = None) -> str:
        """The text under gg.<key>; the default where it is absent or nothing is described, an error without one."""
        found = self.metadata.get(f"gg.{key}", default) if self.described else default
        if found is None:
            raise ValueError(f"{self.file}: the metadata key gg.{key} is missing. Write it when you save the file.")
        return found

    def choice(self, key: str, options: Collection[str], default: str | None = None) -> str:
        """One of some words."""
        found = self.text(key, default)
        if found not in options and found != default:
            raise ValueError(f"{self.file}: gg.{key} is {found!r} but must be one of {', '.join(options)}.")
        return found

    def number(self, key: str, default: float) -> float:
        """A positive, finite number."""
        found = self.text(key, str(default))
        value = positive(found)
        if value is None:
            raise ValueError(f"{self.file}: gg.{key} is {found!r} but must be a positive number.")
        return value

    def whole(self, key: str, default: int, multiple: int = 1) -> int:
        """A positive whole number up to a million, divisible by `multiple`."""
        value = self.number(key, default)
        if value % multiple or value > 1e6:
            raise ValueError(f"{self.file}: gg.{key} is {value:g} but must be a whole number divisible by {multiple}.")
        return int(value)

    def json(self, key: str, default: str | None = None) -> Any:
        """A JSON value."""
        found = self.text(key, default)
        try:
            return json.loads(found)
        except (ValueError, RecursionError):
            raise ValueError(f"{self.file}: gg.{key} is no JSON. Write it with json.dumps.") from None
