"""The command line of the converter. Standard library only: dev.py reads it before anything is installed."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Let a parser take what the converter takes."""
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


def as_words(wanted: argparse.Namespace) -> list[str]:
    """The same options for another process, which may run elsewhere."""
    output = wanted.output and wanted.output.resolve()
    pairs = [("--output", output), ("--licence", wanted.licence), ("--weights", wanted.weights)]
    pairs += [("--say", pair) for pair in wanted.say]
    given = [f"{name}={value}" for name, value in pairs if value is not None]
    return [str(wanted.file.resolve()), *given, *(["--force"] if wanted.force else [])]
