"""What a model file says of itself: text under keys that start with `gg.`, every reading checked."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .claims import ANYTHING, LINE, PAGE, check_claims, json_of, several, table, text
from .safetensors import positive

DENOISER, CLASSIFIER, VERSION = "guidance-geometry/denoiser", "guidance-geometry/classifier", "1"
MOST_LABELS = 100_000
LIMITS = {  # the largest value of every number that a file may state
    "image_size": 4096,
    "channels": 4096,
    "timesteps": 100_000,
    "beta_start": 1.0,
    "beta_end": 1.0,
    "beta_power": 10.0,
    "sigma_min": 1e6,
    "sigma_max": 1e6,
    "sigma_data": 1e6,
}
JSON = {"labels": several(text(), MOST_LABELS), "config": table(ANYTHING, 1000)}
LENGTHS = {"licence": PAGE}  # of texts longer than a line
REMEDY = "Write it again when you save the file."


@dataclass(frozen=True)
class Notes:
    """A file's name and metadata."""

    file: str
    metadata: Mapping[str, str]

    @property
    def has_description(self) -> bool:
        """Whether the file says what it is, in the words of this pack."""
        return "gg.format" in self.metadata

    def named(self, word: str) -> bool:
        """Whether the file's name holds a word, with no letter beside it."""
        return re.search(rf"(?<![a-z]){word}(?![a-z])", self.file.casefold()) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """The text under gg.<key>; the default where it is absent or nothing is described, an error without one."""
        value = self.metadata.get(f"gg.{key}", default) if self.has_description else default
        if value is None:
            raise ValueError(f"{self.file}: the metadata key gg.{key} is missing. Write it when you save the file.")
        most = LENGTHS.get(key, LINE)
        if key not in JSON and len(value) > most:
            raise ValueError(f"{self.file}: gg.{key} has {len(value):,} characters; at most {most} are read. {REMEDY}")
        return value

    def choice(self, key: str, options: Collection[str], default: str | None = None) -> str:
        """One of some words."""
        value = self.text(key, default)
        if value not in options and value != default:
            raise ValueError(f"{self.file}: gg.{key} is {value!r} but must be one of {', '.join(options)}.")
        return value

    def number(self, key: str, default: float) -> float:
        """A number above 0, up to its limit."""
        written = self.text(key, str(default))
        value = positive(written)
        if value is None or value > LIMITS[key]:
            most = f"{LIMITS[key]:g}"
            raise ValueError(f"{self.file}: gg.{key} is {written!r} but must be a positive number up to {most}.")
        return value

    def whole(self, key: str, default: int, multiple: int = 1) -> int:
        """A positive whole number up to its limit, divisible by `multiple`."""
        value = self.number(key, default)
        if value % multiple:
            raise ValueError(f"{self.file}: gg.{key} is {value:g} but must be a whole number divisible by {multiple}.")
        return int(value)

    def json(self, key: str, default: str | None = None) -> Any:
        """A JSON value of the kind its key has."""
        value = json_of(f"{self.file}: gg.{key}", self.text(key, default), "Write it with json.dumps.")
        check_claims(self.file, {"gg": {key: value}}, {f"gg.{key}": JSON[key]}, REMEDY)
        return value


def settings_of(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What a pickled network said of itself, as the converter keeps it; nothing where the file says nothing."""
    with suppress(ValueError):
        settings = json_of("gg.settings", metadata.get("gg.settings", "{}"), REMEDY)
        return settings if isinstance(settings, dict) else {}
    return {}
