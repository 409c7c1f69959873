"""List what the pack wrote into the folders of a ComfyUI, and remove it after a yes: `guidance-geometry clean`.

That is everything but what you saved under a name of your own. Traces in output/traces go with --traces alone. If your
ComfyUI is started with other folders than its own, give the same options here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..files.places import PLACES, Place, files_in, remove
from ..files.safetensors import read_header
from ..guidance.printing import count_of
from ..sweeps.comfyui.process import StartError, find_comfyui
from ..trace.file import FORMAT

ROOTS = ("temp", "user", "output")
UNITS = ("bytes", "kB", "MB", "GB")


def main(words: Sequence[str] | None = None) -> int:
    """List, ask and remove; 1 where there is no ComfyUI, or where a file stays that was to go."""
    options = parsed_options(words)
    try:
        roots = roots_of(options)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    files = [(file, roots[place.root]) for place in PLACES for file in shown(place, roots, options.traces)]
    if not files:
        print(f"There is nothing to remove in {', '.join(map(str, roots.values()))}.")
        return 0
    if options.dry_run or not (options.yes or confirms(f"Remove {summary(file for file, _ in files)}?")):
        print("Nothing was removed.")
        return 0
    return remove_all(files)


def parsed_options(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("guidance-geometry clean", description=__doc__)
    parser.add_argument("--comfyui", metavar="PATH", help="folder of the ComfyUI; default: the one around the pack")
    parser.add_argument("--base-directory", type=Path, metavar="PATH", help="as your ComfyUI is started with")
    for root in ROOTS:
        parser.add_argument(f"--{root}-directory", type=Path, metavar="PATH", help="as your ComfyUI is started with")
    parser.add_argument("--traces", action="store_true", help="remove the traces in output/traces, too")
    parser.add_argument("--dry-run", action="store_true", help="list only")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args(words)


def roots_of(options: argparse.Namespace) -> dict[str, Path]:
    """The folders of a ComfyUI, from the options with which it is started.  Raises StartError where there is none."""
    given = {root: getattr(options, f"{root}_directory") for root in ROOTS}
    if given["temp"]:
        given["temp"] /= "temp"  # which the host makes there
    roots = {root: folder for root, folder in given.items() if folder}
    if len(roots) < len(ROOTS):
        base = options.base_directory or find_comfyui(options.comfyui)
        roots = {root: base / root for root in ROOTS} | roots
    return {root: roots[root].expanduser().resolve() for root in ROOTS}


def shown(place: Place, roots: dict[str, Path], made: bool) -> list[Path]:
    """Say what is in a place; returns the files that go.  made: whether a user's own go, too"""
    files = [file for file in files_in(roots, place) if not place.made or is_trace(file)]
    stay = place.made and not made
    if files:
        note = "; they stay unless you add --traces" if stay else ""
        print(f"{summary(files):>22}  {place.root}/{place.pattern}: {place.what}{note}")
    return [] if stay else files


def is_trace(file: Path) -> bool:
    """Whether the pack wrote a file of tensors."""
    try:
        return read_header(file)[1].get("gg.format") == FORMAT
    except (ValueError, OSError):
        return False


def summary(files: Iterable[Path]) -> str:
    """How many files, and their size."""
    sizes = [file.lstat().st_size for file in files]
    size, unit = float(sum(sizes)), 0
    while size >= 1000 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{count_of(len(sizes), 'file')}, {size:.{1 if unit else 0}f} {UNITS[unit]}"


def confirms(question: str) -> bool:
    """Whether whoever called says yes; nobody does where no input is."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def remove_all(files: Sequence[tuple[Path, Path]]) -> int:
    """Remove files, each below a root; name what stays."""
    stayed = [reason for file, root in files if (reason := remove(file, root))]
    for reason in stayed:
        print(f"{reason} Stop ComfyUI, then call again.", file=sys.stderr)
    print(f"Removed {len(files) - len(stayed)} of {count_of(len(files), 'file')}.")
    return int(bool(stayed))
