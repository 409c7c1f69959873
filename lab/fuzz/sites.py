"""Hosts in folders of their own, jobs done there one after another, and what each makes when nothing disturbs it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ...dev.hosts import HostFolder
from ...sweeps.comfyui.client import Client
from ...sweeps.comfyui.process import Server
from .mixed_jobs import Folder, checksum
from .watched import TRIVIAL

SAY = 15.0  # seconds between two lines of progress


class Site(HostFolder):
    """A host's folder.  checksums: there, by every job when nothing disturbs it"""

    def __init__(self, place: Path, host: Path):
        super().__init__(place, host, cpu=True)
        self.checksums: dict[str, str] = {}

    @contextmanager
    def live(self) -> Iterator[tuple[Server, Client]]:
        """A fresh host there, with a client."""
        with self.start() as server, Client(server.address) as client:
            yield server, client


def forget(client: Client) -> None:
    """Empty the host's cache, which it does at the end of the next prompt."""
    client.post("/free", {"unload_models": True, "free_memory": True})
    client.run(TRIVIAL)


def run_job(client: Client, site: Site, prompt: dict) -> str:
    """Do a job from the start; what it made, as a checksum."""
    return time_job(client, site, prompt)[0]


def time_job(client: Client, site: Site, prompt: dict) -> tuple[str, float]:
    """Do a job from the start; what it made, as a checksum, and its seconds."""
    folder = Folder(site.place)
    forget(client)
    began = time.monotonic()
    client.run(prompt)
    seconds = time.monotonic() - began
    mark = checksum(folder.new())
    folder.clear()
    return mark, seconds


def first_results(client: Client, site: Site, jobs: Mapping[str, dict]) -> dict[str, float]:
    """Do every job twice; keep what it makes, and how long it takes.  Raises RuntimeError where the two differ"""
    seconds = {}
    for name, prompt in jobs.items():
        site.checksums[name] = run_job(client, site, prompt)
        again, seconds[name] = time_job(client, site, prompt)
        if again != site.checksums[name]:
            raise RuntimeError(f"{name} makes something else the second time: nothing can be compared with it")
    return seconds


def progress(count: int, what: str) -> Iterator[int]:
    """Count, and say now and then how far it is."""
    began = spoke = time.monotonic()
    for number in range(count):
        if time.monotonic() - spoke > SAY:
            spoke = time.monotonic()
            print(f"  ... {what}: {number} of {count}, {spoke - began:.0f} s", flush=True)
        yield number
