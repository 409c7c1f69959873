"""The card of a model: which scales were good, with which samplers, and what runs at the edges look like.

A card is a JSON file; docs/verdict-card.md explains every field. Whatever is wrong with one is said when it is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.claims import PAGE, check_claims, maybe, number, one_of, read_as, require, several, table, text, whole
from ..files.writing import write_atomically
from ..trace.portable import jsonable
from .sampler_class import MEASURED

FORMAT, VERSION = "guidance-geometry/card", 1
LARGEST = 1_000_000  # bytes of a card
MOST_POINTS = 1000
MOST_FEATURES = 100
FEATURES = ("overmean", "push8", "strength")  # of verdict/features.py, at the edges of a band
REMEDY = "Make the card again with guidance-geometry card, or delete the file."
SCALE = number(0, 1e6)
CARD = {
    "format": require(one_of(FORMAT)),
    "version": require(whole(VERSION, VERSION)),
    "model.name": require(text()),
    "model.sha256": require(text(PAGE)),
    "sigma_data.value": require(number(1e-9, 1e9)),
    "sigma_data.source": require(one_of("data", "vae", "latent format")),
    "judge": maybe(text()),
    "date": require(text()),
    "pack": require(text()),
    "command": maybe(text()),
}
BAND = {
    "low": require(SCALE),
    "centre": require(SCALE),
    "high": require(SCALE),
    "sampler": maybe(text()),
    "scheduler": maybe(text()),
    "steps": require(whole(1, 100_000)),
    "seeds": require(several(whole(0, 2**53), 1000, 1)),
    "samples": require(whole(1, 10**9)),
    "objective.name": require(text()),
    "objective.points": require(several(table(number(), 8), MOST_POINTS)),
    "edges": maybe(table(maybe(table(maybe(number()), MOST_FEATURES)), 2)),
}


@dataclass(frozen=True)
class Band:
    """The scales that were good with one class of samplers.

    low, centre, high: 0 < low <= centre <= high. samples: of each scale, over all seeds. objective: its name. edges:
    features of runs at the scales low and high, as in FEATURES; what was not measured is absent.
    """

    low: float
    centre: float
    high: float
    samples: int
    objective: str
    edges: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Card:
    """What was measured of a model.

    name, sha256: of the file of its weights. sigma_data: rms of clean samples in the model's space; source: how it is
    known. bands: by the key of the sampler class. judge: who said which samples are good.
    """

    name: str
    sha256: str
    sigma_data: float
    source: str
    bands: Mapping[str, Band]
    judge: str | None
    date: str


def read_card(path: str | os.PathLike) -> Card:
    """The card in a file.  Raises ValueError that says what is damaged, OSError where it cannot be read."""
    return read_as(card_of, Path(path), "bands", REMEDY, LARGEST)


def write_card(claims: Mapping[str, Any], path: str | os.PathLike) -> Card:
    """Check what a card says, and write it, all or nothing.  Raises ValueError as `read_card`, NotWritten."""
    claims = jsonable(claims)
    card = card_of(claims, Path(path).name)
    write_atomically(path, [(json.dumps(claims, indent=1, allow_nan=False) + "\n").encode()])
    return card


def card_of(claims: Any, file: str) -> Card:
    """What a card says.  Raises ValueError for the first field that is not what docs/verdict-card.md asks for."""
    if not isinstance(claims, Mapping):
        raise ValueError(f"{file}: it is no card; a JSON object is needed. {REMEDY}")
    check_claims(file, claims, CARD, REMEDY)
    bands = claims.get("bands")
    if not isinstance(bands, Mapping) or not bands or not bands.keys() <= {*MEASURED}:
        raise ValueError(f"{file}: bands needs entries, each named one of {', '.join(MEASURED)}. {REMEDY}")
    model, size = claims["model"], claims["sigma_data"]
    bands_by_key = {key: _band(band, f"{file}, bands.{key}") for key, band in bands.items()}
    facts = (model["name"], model["sha256"].lower(), float(size["value"]), size["source"])
    return Card(*facts, bands_by_key, claims.get("judge"), claims["date"])


def _band(claims: Any, where: str) -> Band:
    check_claims(where, claims if isinstance(claims, Mapping) else {}, BAND, REMEDY)
    low, centre, high = (float(claims[name]) for name in ("low", "centre", "high"))
    if not 0 < low <= centre <= high:
        raise ValueError(f"{where}: low {low:g}, centre {centre:g}, high {high:g} are not in order above 0. {REMEDY}")
    stated = claims.get("edges") or {}
    edges = {
        edge: {name: float(value) for name in FEATURES if (value := (stated.get(edge) or {}).get(name)) is not None}
        for edge in ("low", "high")
    }
    samples = claims["samples"] * len(claims["seeds"])
    return Band(low, centre, high, samples, claims["objective"]["name"], edges)
