"""How large clean data are in a model's space, sigma_d, where its file does not say so.

Either measured, on pictures sent through the VAE, or by construction: a latent format divides by what makes it 1. The
file of a measurement is JSON: {"format": "guidance-geometry/size", "version": 1, "model": {"key"}, "value",
"pictures"}.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ..files.claims import PAGE, check_claims, number, one_of, read_json, require, text, whole
from ..files.writing import write_atomically
from .sentences import Sentence, say

FORMAT, VERSION = "guidance-geometry/size", 1
LARGEST = 10_000  # bytes
REMEDY = "Measure it again with Guidance Report, or delete the file."
CLAIMS = {
    "format": require(one_of(FORMAT)),
    "version": require(whole(VERSION, VERSION)),
    "model.key": require(text(PAGE)),
    "value": require(number(1e-9, 1e9)),
    "pictures": require(whole(1, 10**9)),
}


@dataclass(frozen=True)
class Size:
    """sigma_d.  pictures: on how many it was measured, 0 if it was not. format: that scales latents to it. key: of the
    model.
    """

    value: float
    pictures: int = 0
    format: str = ""
    key: str = ""

    @property
    def source(self) -> Sentence:
        """How it is known."""
        return say("size.vae", pictures=self.pictures) if self.pictures else say("size.format", format=self.format)


def read_size(path: str | os.PathLike) -> Size:
    """The measurement in a file.  Raises ValueError that says what is damaged, OSError where it cannot be read."""
    path = Path(path)
    claims = read_json(path, REMEDY, LARGEST)
    check_claims(path.name, claims if isinstance(claims, dict) else {}, CLAIMS, REMEDY)
    return Size(float(claims["value"]), claims["pictures"], key=claims["model"]["key"])


def write_size(size: Size, path: str | os.PathLike) -> None:
    """Write a measurement so that `read_size` finds the same, all or nothing.  Raises NotWritten."""
    claims = {"format": FORMAT, "version": VERSION, "model": {"key": size.key}}
    written = json.dumps(claims | {"value": size.value, "pictures": size.pictures}, indent=1, allow_nan=False)
    write_atomically(path, [f"{written}\n".encode()], ours=True)
