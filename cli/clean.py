"""List what the pack wrote into the folders of a ComfyUI, and remove it after a yes: `guidance-geometry clean`.

Standard library only: whoever uninstalls may call it with any Python.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..files.locks import InUse, lock
from ..files.places import FOLDER, PLACES, ROOTS, SWEEP, Place, files_in, remove
from ..guidance.printing import count_of
from ..sweeps.comfyui.process import StartError, find_comfyui
from .options import parse

UNITS = ("bytes", "kB", "MB", "GB")


def main(words: Sequence[str] | None = None) -> int:
    """List, ask and remove; 1 where there is no ComfyUI, or where a file stays that was to go."""
    options = parse("clean", words)
    try:
        roots = roots_of(options)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    files = [(file, roots[place.root]) for place in PLACES for file in shown(place, roots, options)]
    if not files:
        print(f"There is nothing to remove in {', '.join(map(str, roots.values()))}.")
        return 0
    if options.dry_run or not (options.yes or confirms(f"Remove {summary(file for file, _ in files)}?")):
        print("Nothing was removed.")
        return 0
    try:
        with free_folder(roots["temp"] / FOLDER), free_folder(roots["output"] / SWEEP):
            return remove_all(files)
    except InUse as error:
        print(f"A ComfyUI or a sweep that uses {error} is running. Stop it, then call again.", file=sys.stderr)
        return 1


@contextmanager
def free_folder(folder: Path) -> Iterator[None]:
    """Keep a folder from what starts now and would write there.  Raises InUse where something runs that does."""
    handle = lock(folder) if folder.is_dir() else None
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def roots_of(options: Namespace) -> dict[str, Path]:
    """The folders of a ComfyUI, from the options with which it is started.  Raises StartError where there is none."""
    given = {root: getattr(options, f"{root}_directory") for root in ROOTS}
    if given["temp"]:
        given["temp"] /= "temp"  # which the host makes there
    roots = {root: folder for root, folder in given.items() if folder}
    if len(roots) < len(ROOTS):
        base = options.base_directory or find_comfyui(options.comfyui)
        roots = {root: base / root for root in ROOTS} | roots
    return {root: roots[root].expanduser().resolve() for root in ROOTS}


def shown(place: Place, roots: dict[str, Path], options: Namespace) -> list[Path]:
    """Say what is in a place; returns the files that go."""
    files = [*files_in(roots, place)]
    stay = place.option and not getattr(options, place.option)
    if files:
        note = f"; they stay unless you add --{place.option}" if stay else ""
        print(f"{summary(files):>22}  {place.root}/{place.pattern}: {place.what}{note}")
    return [] if stay else files


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
