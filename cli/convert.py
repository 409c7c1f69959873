"""Turn published weights (.pt, .pth, .pkl, .ckpt, .bin) into safetensors: `guidance-geometry convert FILE`.

Nothing in the file is executed: tensors and plain values are read, everything else is refused. A card beside the new
file says what it is, what was kept and dropped, and the licence.
https://github.com/guidance-geometry/comfyui-guidance-geometry/blob/main/docs/converting.md explains it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..classifiers.contract import CLAIMS
from ..conversion.card import asked_licence
from ..conversion.convert import convert
from ..networks.imagenet import LABELS


def options(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser("guidance-geometry convert", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="a .pt, .pth, .pkl, .ckpt or .bin")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="default: beside FILE, with the ending .safetensors"
    )
    parser.add_argument(
        "--licence", metavar="TEXT", help="of the weights, as their authors state it; asked for if absent"
    )
    parser.add_argument(
        "--weights", metavar="NAME", help="which table to take; default: an average (EMA), else the raw one"
    )
    parser.add_argument(
        "--say", action="append", default=[], metavar="KEY=VALUE", help="such as schedule=linear, or labels=imagenet"
    )
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    return parser.parse_args(words)


def statements(pairs: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE pairs as metadata; labels=imagenet are its 1,000 names.  Raises ValueError for keys nobody reads"""
    pairs_of_text = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(pairs_of_text) < len(pairs) or set(pairs_of_text) - set(CLAIMS):
        raise ValueError(f"--say takes KEY=VALUE with a key out of {', '.join(CLAIMS)}; got {' '.join(pairs)}.")
    if pairs_of_text.get("labels") == "imagenet":
        pairs_of_text["labels"] = json.dumps(LABELS)
    return {f"gg.{key}": value for key, value in pairs_of_text.items()}


def main(words: Sequence[str] | None = None) -> int:
    """Convert the file that was named and print its card."""
    wanted = options(words)
    try:
        licence = asked_licence(wanted.licence, input if sys.stdin.isatty() else None)
        claims = statements(wanted.say)
        target, card = convert(wanted.file, wanted.output, wanted.weights, licence, claims, wanted.force)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{card.read_text(encoding='utf-8')}\n{target}\n{card}")
    return 0
