"""One ComfyUI server as a child process: a free port, folders of its own, and an end that is certain.

Standard library only: dev.py and the tests use it alike.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .provision import SetUpError, end, link_pack, tail

DIRECT = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # never ask a proxy for an address of this machine
SETTINGS = {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
SHELF = "guidance-geometry-opened"
WAIT_SECONDS = 120  # a loaded machine needs 40 s for the very first start


@dataclass(frozen=True)
class Server:
    """A running host. address: http://127.0.0.1:PORT. log: all that it printed. pack: the pack's folder name there."""

    address: str
    process: subprocess.Popen
    log: Path
    pack: str


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def own_folders(base: Path) -> tuple[list[str], str]:
    """Make the folders of a host that shares nothing with others; returns its options and the pack's folder name."""
    for name in ("input", "output", "temp", "user", "models"):
        (base / name).mkdir(parents=True, exist_ok=True)
    options = ["--base-directory", str(base), "--database-url", f"sqlite:///{(base / 'comfyui.db').as_posix()}"]
    return options, link_pack(base / "custom_nodes")


@contextmanager
def running(python: Path, host: Path, log: Path, options: list[str], pack: str, port: int = 0) -> Iterator[Server]:
    """Start `host`, wait until it answers, and end it (and nothing else) when the block is left, however it is left."""
    port = port or free_port()
    command = [str(python), "main.py", "--listen", "127.0.0.1", "--port", str(port), "--disable-auto-launch", *options]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=host,
            env=os.environ | SETTINGS,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            **apart(),
        )
    server = Server(f"http://127.0.0.1:{port}", process, log, pack)
    try:
        wait_until_up(server)
        yield server
    finally:
        end(process)


def beside(base: Path) -> list[str]:
    """Make a custom node without nodes below `base`, for templates with an address; returns the options for the host.

    The host serves the templates of the custom nodes that are there when it starts.
    """
    shelf = base / "custom_nodes" / SHELF
    (shelf / "example_workflows").mkdir(parents=True, exist_ok=True)
    (shelf / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n", encoding="utf-8")
    paths = base / "paths.yaml"
    paths.write_text(json.dumps({SHELF: {"custom_nodes": str(shelf.parent)}}), encoding="utf-8")
    return ["--extra-model-paths-config", str(paths)]


@contextmanager
def addressable(template: Path, base: Path) -> Iterator[str]:
    """Give a template an address for a while: the editor opens only names of letters, digits, - and _ by theirs.

    base: that of `beside`; a twin of the template lies there as long.
    """
    stem, folder = template.stem.replace(" ", "-"), base / "custom_nodes" / SHELF / "example_workflows"
    there = [file for file in (template, template.with_suffix(".jpg")) if file.exists()]  # the list shows its picture
    twins = [shutil.copyfile(file, folder / f"{stem}{file.suffix}") for file in there]
    try:
        yield f"/?template={stem}&source={SHELF}"
    finally:
        for twin in twins:
            twin.unlink(missing_ok=True)


def apart() -> dict:
    """Keep Ctrl-C away from the child: the parent ends it in order."""
    return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}


def wait_until_up(server: Server, seconds: float = WAIT_SECONDS) -> None:
    """Return when /system_stats answers; raise SetUpError with the log's end when the host died or time is up."""
    end_of_patience = time.monotonic() + seconds
    while time.monotonic() < end_of_patience:
        if server.process.poll() is not None:
            raise SetUpError(refusal(server, f"the host ended with code {server.process.returncode}"))
        try:
            with DIRECT.open(server.address + "/system_stats", timeout=5) as answer:
                json.load(answer)
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError, ValueError):
            time.sleep(0.25)
    raise SetUpError(refusal(server, f"the host did not answer within {seconds:.0f} s"))


def refusal(server: Server, what: str) -> str:
    """Say what happened, show the end of the log, and name the remedies that help most often."""
    return (
        f"{what}; the end of {server.log}:\n{tail(server.log)}\n\n"
        "What to try: delete .venv and .host and call again; pass --cpu if a GPU is in use elsewhere; "
        "with --host, start that ComfyUI by hand once to see whether it comes up alone."
    )
