"""What a classifier's file says besides its weights: labels and preprocessing, in metadata or a JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ...files.claims import check_claims, either, maybe, number, several, switch, text, whole
from ...files.folders import read_json
from ...files.notes import MOST_LABELS
from .preprocessing import LARGEST_SIDE, Preprocessing

PREPARED = ("size", "mean", "std", "mode", "fit", "cut")
SIDES = either(whole(1, LARGEST_SIDE), several(whole(1, LARGEST_SIDE), 2, 2))
CLAIMS = {  # what a file, or the JSON beside it, may say
    "labels": several(text(), MOST_LABELS),
    "size": SIDES,
    "cut": maybe(SIDES),
    "mean": several(number(), 3, 3),
    "std": several(number(), 3, 3),
    "mode": text(),
    "fit": text(),
    "schedule": text(),
    "features": text(),
    "unit_features": switch(),
    "activation": text(),
    "architecture": text(),
    "noisy": switch(),
}
CORRECT = "Correct it in the file."


@dataclass(frozen=True)
class Contract:
    """Statements about a file.  file: its name, for messages. claims: key -> value, of the keys in CLAIMS"""

    file: str
    claims: Mapping[str, Any]

    def labels(self, count: int, usual: Sequence[str] = ()) -> tuple[str, ...]:
        """The names of the logits: as stated; else the usual ones of a family, if as many; else numbers, unguessed."""
        names = self.claims.get("labels", usual if len(usual) == count else [str(index) for index in range(count)])
        if len(names) != count:
            raise ValueError(f"{self.file}: {len(names)} labels are named but the network has {count} logits.")
        return tuple(names)

    def preprocessing(self, usual: Preprocessing) -> Preprocessing:
        """The family's usual preprocessing, with what the file states in its place.

        A stated size is the one that is shown, and nothing of the image around it is cut away as is usual.
        """
        stated = {key: self.claims[key] for key in PREPARED if key in self.claims}
        try:
            for key in {"size", "cut"} & stated.keys():
                stated[key] = stated[key] and sides_of(stated[key])
            for key in {"mean", "std"} & stated.keys():
                stated[key] = tuple(float(value) for value in stated[key])
            if stated.get("size", usual.shown) != usual.shown or "fit" in stated:
                fit = "crop" if usual.middle else usual.fit
                stated = {"size": usual.shown or usual.size, "fit": fit, "cut": None} | stated
            else:
                stated.pop("size", None)
            return replace(usual, **stated)
        except (TypeError, ValueError) as wrong:
            raise ValueError(f"{self.file}: the preprocessing {stated} is not usable ({wrong}). {CORRECT}") from None


def contract_of(path: Path, metadata: Mapping[str, str]) -> Contract:
    """Statements of a weights file: metadata keys gg.<key>, then those of <name>.json beside it."""
    claims = {key: value_of(metadata[f"gg.{key}"]) for key in CLAIMS if f"gg.{key}" in metadata}
    beside = path.with_suffix(".json")
    if beside.is_file():
        claims |= {key: value for key, value in read_json(beside).items() if key in CLAIMS}
    check_claims(path.name, claims, CLAIMS, CORRECT)
    return Contract(path.name, claims)


def value_of(text: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def sides_of(size: Any) -> tuple[int, int]:
    """(height, width) from a number or a pair."""
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(type(side) is int for side in pair):
        raise ValueError(f"size is {size!r}; a number or [height, width] is needed")
    return pair


def library(name: str, what: str) -> ModuleType:
    """Import torchvision or transformers when a file needs it.  what: that file, for the message.

    Raises ValueError where it is not installed, or does not work with the installed torch.
    """
    try:
        return import_module(name)
    except (ImportError, RuntimeError) as error:
        raise ValueError(
            f"{what} needs {name}, which cannot be used here ({error}). "
            f"Install {name} into ComfyUI's environment, or choose a classifier that comes with this pack."
        ) from error
