"""Turn published weights (.pt, .pth, .pkl, .ckpt, .bin) into safetensors.

Nothing in the file is executed: tensors and plain values are read, everything else is refused. A card beside the new
file says what it is, what was kept and dropped, and the licence; docs/converting.md explains it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..denoisers.reading import sha256_of
from ..files.safetensors import write_safetensors
from ..files.writing import check_place, write_atomically
from .card import NOT_STATED, as_metadata, card_of, describe_recognition, line, list_texts
from .checkpoints import read_checkpoint
from .tables import checked_tensors, choose_table, describe_dropped, settings_of, tables_of

MOST_TIMES = 2  # bytes written for each that was read: tied weights are written twice
SLACK = 2**20  # of a file that holds next to nothing


def convert(
    path: Path,
    target: Path | None = None,
    weights: str | None = None,
    licence: str = NOT_STATED,
    claims: Mapping[str, str] | None = None,
    force: bool = False,
) -> tuple[Path, Path]:
    """Write the weights of a published file, and their card; returns both places.

    target: default is <name>.safetensors beside the file. weights: the table to take, where there are several.
    claims: metadata that the loaders read. force: whether files that are there may go.
    Raises FileNotFoundError, NotWritten, or ValueError for a file that holds anything but weights.
    """
    target = target or path.with_suffix(".safetensors")
    card = target.with_suffix(".card.txt")
    check_free(path, [target, card], force)
    checkpoint, budget = read_checkpoint(path)
    try:
        tables = tables_of(checkpoint, budget)
        table = choose_table(tables, weights)
        views = checked_tensors(table, MOST_TIMES * path.stat().st_size + SLACK, budget)
        tensors = {name: view.tensor() for name, view in views.items()}
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    claims = dict(claims or {})
    settings = {"settings": json.dumps(found_settings)} if (found_settings := settings_of(table.owner)) else {}
    facts = {
        "recognised": line(describe_recognition(target, tensors, claims | as_metadata(settings))),
        "source": line(path.name),
        "source sha256": sha256_of(path),
        "kept": line(str(table)),
        "dropped": list_texts(describe_dropped(tables, table, checkpoint)),
        "licence": licence,
        **settings,
    }
    write_safetensors(target, tensors, as_metadata(facts) | claims)
    write_atomically(card, [card_of(facts | {key: line(value, 300) for key, value in claims.items()}).encode()])
    return target, card


def check_free(path: Path, places: list[Path], force: bool) -> None:
    """Raise unless these files may be written: the source is never one of them."""
    for place in places:
        if place.exists() and path.exists() and place.samefile(path):
            raise ValueError(f"{path.name} would be written over itself. Give --output another name.")
        if place.exists() and not force:
            raise ValueError(
                f"{place} exists. Move it away, give --output another name, or write over it with --force."
            )
        check_place(place)
