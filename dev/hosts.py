"""A ComfyUI of a program's own: this pack is in it, its folders are new, and both are gone when the program ends."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..sweeps.comfyui.process import Server, device_options, own_folders, running
from .places import HOST


@contextmanager
def own_host(host: Path = HOST, options: Sequence[str] = (), cpu: bool = False) -> Iterator[Server]:
    """Start it with this Python.  cpu: what is measured there is the processor. Its folders lie beside its log."""
    python = Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="own-host-", ignore_cleanup_errors=True) as base:
        folders, pack = own_folders(Path(base))
        device = ["--cpu"] if cpu else device_options(python)
        with running(python, host, Path(base) / "host.log", [*folders, *device, *options], pack) as server:
            yield server
