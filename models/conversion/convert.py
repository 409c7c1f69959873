"""Turn published weights (.pt, .pth, .pkl, .ckpt, .bin) into safetensors.

Nothing in the file is executed: tensors and plain values are read, everything else is left out. A card beside the new
file says what it is, what was kept and dropped, and the licence; docs/converting.md explains it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from ...files.safetensors import read_safetensors, write_safetensors
from ...files.writing import check_place, write_atomically
from ..denoisers.reading import sha256_of
from .card import NOT_STATED, card_of, describe_recognition, metadata_of_facts
from .tables import line
from .unpickling import PICKLE, ZIP, refusal

ROOT = Path(__file__).resolve().parents[2]
START = """
import sys, types
root, *words = sys.argv[1:]
pack = sys.modules["pack"] = types.ModuleType("pack")
pack.__path__ = [root]
from pack.models.conversion.child import main
main(*words)
"""
SECONDS, BYTES_PER_SECOND = 60, 2**22  # of CPU, and those that a large file has besides
MEMORY, MEMORY_PER_BYTE = 2**29, 3
PATIENCE = 5  # a busy machine: seconds of the clock for one of CPU


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
    Raises FileNotFoundError, NotWritten, or ValueError for a file that holds no weights.
    """
    target = target or path.with_suffix(".safetensors")
    card = target.with_suffix(".card.txt")
    check_free(path, [target, card], force)
    check_kind(path)
    with TemporaryDirectory(prefix=".", dir=target.parent, ignore_cleanup_errors=True) as folder:
        read = Path(folder) / target.name
        read_apart(path, read, weights)
        write_converted(read, path, target, card, licence, claims or {})
    return target, card


def check_kind(path: Path) -> None:
    """Raise unless a file is there that may hold weights."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file. Check the name and the folder.")
    with path.open("rb") as file:
        start = file.read(len(ZIP))
    if start != ZIP and not start.startswith(PICKLE):
        raise ValueError(
            f"{path.name} is neither an archive of torch.save nor a pickle of protocol 2 to 5. "
            "Give a .pt, .pth, .ckpt, .bin or .pkl as it was published."
        )


def read_apart(path: Path, target: Path, weights: str | None) -> None:
    """Have a process of its own read a file and write the tensors that are its network's.

    Raises ValueError for a file that is refused, or takes more time or memory than its size explains.
    """
    size = path.stat().st_size
    seconds, memory = SECONDS + size // BYTES_PER_SECOND, MEMORY + MEMORY_PER_BYTE * size
    words = [ROOT, path.resolve(), target.resolve(), weights or "", seconds, memory]
    command = [sys.executable, "-I", "-S", "-c", START, *map(str, words)]
    try:
        ran = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE * seconds, check=False
        )
    except subprocess.TimeoutExpired:
        ran = subprocess.CompletedProcess(command, 1, b"", b"")
    sentence = None if ran.returncode else json.loads(ran.stdout or b"null")
    if ran.returncode:
        last = b"".join(ran.stderr.splitlines()[-1:]).decode(errors="replace")
        sentence = refusal(
            f"cannot be read in {seconds:,} seconds and {memory:,} bytes of memory ({last or ran.returncode})"
        )
    if sentence:
        raise ValueError(f"{path.name}: {sentence}")


def write_converted(read: Path, path: Path, target: Path, card: Path, licence: str, claims: Mapping[str, str]) -> None:
    """Write the tensors that were read, with everything that is known of them, and the card."""
    tensors, metadata = read_safetensors(read)
    settings = {"settings": metadata["settings"]} if "settings" in metadata else {}
    facts = {
        "recognised": line(describe_recognition(target, tensors, {**claims, **metadata_of_facts(settings)})),
        "source": line(path.name),
        "source sha256": sha256_of(path),
        "kept": line(metadata["kept"]),
        "dropped": metadata["dropped"],
        "licence": licence,
        **settings,
    }
    write_safetensors(target, tensors, {**metadata_of_facts(facts), **claims})
    write_atomically(card, [card_of(facts | {key: line(value, 300) for key, value in claims.items()}).encode()])


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
