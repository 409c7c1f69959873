"""Turn published weights (.pt, .pth, .pkl, .ckpt, .bin) into safetensors: `python3 dev.py convert FILE`.

Nothing in the file is executed: tensors and plain values are read, everything else is refused. A card beside the new
file says what it is, what was kept and dropped, and the licence; docs/converting.md explains it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...classifiers.contract import CLAIMS
from ...denoisers.reading import sha256_of
from ...files.safetensors import write_safetensors
from ...files.writing import check_place, write_atomically
from ...networks.imagenet import LABELS
from .card import NOT_STATED, as_metadata, asked_licence, card_of, line, listed, recognised
from .checkpoints import read_checkpoint
from .options import add_options
from .tables import checked_tensors, chosen, dropped, settings_of, tables_of

MOST_TIMES = 2  # bytes written for each that was read: tied weights are written twice
SLACK = 2**20  # of a file that holds next to nothing


def convert(
    path: Path,
    target: Path | None = None,
    weights: str | None = None,
    licence: str = NOT_STATED,
    said: Mapping[str, str] | None = None,
    force: bool = False,
) -> tuple[Path, Path]:
    """Write the weights of a published file, and their card; returns both places.

    target: default is <name>.safetensors beside the file. weights: the table to take, where there are several.
    said: metadata that the loaders read. force: whether files that are there may go.
    Raises FileNotFoundError, NotWritten, or ValueError for a file that holds anything but weights.
    """
    target = target or path.with_suffix(".safetensors")
    card = target.with_suffix(".card.txt")
    check_free(path, [target, card], force)
    found, budget = read_checkpoint(path)
    try:
        tables = tables_of(found, budget)
        table = chosen(tables, weights)
        views = checked_tensors(table, MOST_TIMES * path.stat().st_size + SLACK, budget)
        tensors = {name: view.tensor() for name, view in views.items()}
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    said = dict(said or {})
    settings = {"settings": json.dumps(found_settings)} if (found_settings := settings_of(table.owner)) else {}
    facts = {
        "recognised": line(recognised(target, tensors, said | as_metadata(settings))),
        "source": line(path.name),
        "source sha256": sha256_of(path),
        "kept": line(str(table)),
        "dropped": listed(dropped(tables, table, found)),
        "licence": licence,
        **settings,
    }
    write_safetensors(target, tensors, as_metadata(facts) | said)
    write_atomically(card, [card_of(facts | {key: line(value, 300) for key, value in said.items()}).encode()])
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


def statements(pairs: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE pairs as metadata; labels=imagenet are its 1,000 names.  Raises ValueError for keys nobody reads"""
    said = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(said) < len(pairs) or set(said) - set(CLAIMS):
        raise ValueError(f"--say takes KEY=VALUE with a key out of {', '.join(CLAIMS)}; got {' '.join(pairs)}.")
    if said.get("labels") == "imagenet":
        said["labels"] = json.dumps(LABELS)
    return {f"gg.{key}": value for key, value in said.items()}


def main(words: Sequence[str] | None = None) -> int:
    """Convert the file that was named and print its card."""
    parser = argparse.ArgumentParser(prog="dev.py convert", description=__doc__)
    add_options(parser)
    wanted = parser.parse_args(words)
    try:
        licence = asked_licence(wanted.licence, input if sys.stdin.isatty() else None)
        said = statements(wanted.say)
        target, card = convert(wanted.file, wanted.output, wanted.weights, licence, said, wanted.force)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{card.read_text(encoding='utf-8')}\n{target}\n{card}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
