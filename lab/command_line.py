"""What most programs of the laboratory are asked on their command lines."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..dev.places import HOST


def parser_of(program: str | None) -> argparse.ArgumentParser:
    """A parser with --host.  program: what its file says of it"""
    parser = argparse.ArgumentParser(description=program, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", type=Path, default=HOST, help="folder of a ComfyUI")
    return parser
