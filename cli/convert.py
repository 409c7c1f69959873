"""The command `convert`: published weights as safetensors; nothing in them is run."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from ..models.classifiers.contract import CLAIMS
from ..models.conversion.card import asked_licence
from ..models.conversion.convert import convert
from ..models.networks.imagenet import LABELS
from .options import parse


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
    wanted = parse("convert", words)
    try:
        licence = asked_licence(wanted.licence, input if sys.stdin.isatty() else None)
        claims = statements(wanted.say)
        target, card = convert(wanted.file, wanted.output, wanted.weights, licence, claims, wanted.force)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{card.read_text(encoding='utf-8')}\n{target}\n{card}")
    return 0
