"""What most programs of the laboratory are asked on their command lines."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..dev.places import HOST, ROOT


def parser_of(program: str | None, page: Path | None = None) -> argparse.ArgumentParser:
    """A parser with --host and, where a page can be kept, --write.  program: what its file says of it"""
    parser = argparse.ArgumentParser(description=program, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", type=Path, default=HOST, help="folder of a ComfyUI")
    if page:
        parser.add_argument("--write", action="store_true", help=f"keep what is printed in {page.relative_to(ROOT)}")
    return parser
