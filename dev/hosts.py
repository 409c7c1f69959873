"""A ComfyUI of a program's own: this pack is in it, its folders are new, and both are gone when the program ends."""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from ..sweeps.comfyui.process import Server, device_options, own_folders, running
from .places import HOST


class HostFolder:
    """Folders in which one ComfyUI lives after the other, with this Python.

    place: what they lie in, and the logs. cpu: what is measured there is the processor. pack: the pack's name there.
    options: of each start.
    """

    def __init__(self, place: Path, host: Path = HOST, cpu: bool = False):
        self.place, self.host, self.starts = place, host, itertools.count()
        folders, self.pack = own_folders(place)
        self.options = [*folders, *(["--cpu"] if cpu else device_options(Path(sys.executable)))]

    def start(self, port: int = 0) -> AbstractContextManager[Server]:
        """The next one; it ends where the block is left.  port: 0 for any that is free"""
        log = self.place / f"host-{next(self.starts)}.log"
        return running(Path(sys.executable), self.host, log, self.options, self.pack, port)


@contextmanager
def own_host(host: Path = HOST, options: Sequence[str] = (), cpu: bool = False) -> Iterator[Server]:
    """A ComfyUI whose folders lie beside its log, and are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="own-host-", ignore_cleanup_errors=True) as base:
        folder = HostFolder(Path(base), host, cpu)
        folder.options += options
        with folder.start() as server:
            yield server
