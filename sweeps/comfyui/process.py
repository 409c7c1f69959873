"""One ComfyUI as a child process: which one, its Python, a free port, and an end that is certain.

Standard library only: this file is read before anything is installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIRECT = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # never ask a proxy for an address of this machine
SETTINGS = {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
PACK = "guidance-geometry"
IS_THE_PACK = re.compile(rf'^name = "{PACK}"', re.MULTILINE)  # in a pyproject.toml
NAMED, STARTED_BY = "GUIDANCE_GEOMETRY_PYTHON", "GUIDANCE_GEOMETRY_STARTED_BY"  # in the environment
FINDS_TORCH = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
NO_TORCH = "No Python with torch is here. Without it, or absent: {}. Give the Python of your ComfyUI: --python PATH."
STARTED = "{} has no torch, though {} started it for that. Give the Python of your ComfyUI: --python PATH."
NOBODY = "No ComfyUI is there. Give its folder with --comfyui PATH, or start it and give its address with --server URL."
ENDINGS = ("SIGTERM", "SIGHUP", "SIGBREAK")  # of a system, a terminal, a console of Windows
ASK_SECONDS = 60  # of a Python on a cold disk
END_SECONDS = 10  # what a child gets to end by itself
WAIT_SECONDS = 120  # a loaded machine needs 40 s for the very first start


class StartError(RuntimeError):
    """No ComfyUI is there, or it does not start; the message says why, and what to try."""


@dataclass(frozen=True)
class Server:
    """A running host. address: http://127.0.0.1:PORT. log: all that it printed. pack: the pack's folder name there."""

    address: str
    process: subprocess.Popen
    log: Path
    pack: str


def comfyui_at(folder: Path) -> Path:
    """Return a folder as an absolute path.  Raises StartError where it is not that of a ComfyUI."""
    folder = folder.expanduser().resolve()
    if not is_comfyui(folder):
        raise StartError(
            f"{folder} is not a ComfyUI folder: it needs main.py and comfy/. Give the folder that holds both."
        )
    return folder


def is_comfyui(folder: Path) -> bool:
    """Whether this is the folder of a ComfyUI."""
    return (folder / "main.py").is_file() and (folder / "comfy").is_dir()


def find_comfyui(given: str | None = None) -> Path:
    """Return the folder of a ComfyUI: the one given, COMFYUI_PATH, or the one around the pack or the current folder.

    Raises StartError where there is none.
    """
    if folder := comfyui_around(given):
        return folder
    raise StartError(NOBODY)


def comfyui_around(given: str | None = None) -> Path | None:
    """The folder of the ComfyUI that is named, or around this pack; None where there is none.

    Raises StartError where what is named is no ComfyUI.
    """
    if named := given or os.environ.get("COMFYUI_PATH"):
        return comfyui_at(Path(named))
    called = Path(sys.argv[0]).absolute()  # as it was called: the pack may be a link in custom_nodes
    around = (folder for place in (called, ROOT, Path.cwd()) for folder in (place, *place.parents))
    return next(filter(is_comfyui, around), None)


def python_of(comfyui: Path | None) -> Path:
    """Return the Python of a ComfyUI: the one that --python names, else the first with torch of those around it.

    Raises StartError that says where it was looked for.
    """
    named = os.environ.get(NAMED)
    pythons = dict.fromkeys([Path(named).expanduser().absolute()] if named else pythons_around(comfyui))
    for python in pythons:
        if has_torch(python):
            return python
    beside = [interpreter(place) for place in comfyui.parent.glob("*") if is_environment(place)] if comfyui else []
    raise StartError(
        NO_TORCH.format(", ".join(map(str, pythons))) + "".join(f" Perhaps {python}?" for python in beside[:3])
    )


def pythons_around(comfyui: Path | None) -> Iterator[Path]:
    """Where the Python of a ComfyUI may be: in it, this one, in what is active, around it, on the path.

    What else lies beside it is not started: it may be anybody's.
    """
    folder = comfyui or ROOT.parents[1]  # around custom_nodes
    yield from (interpreter(place / name) for place in (folder, folder.parent) for name in ("venv", ".venv"))
    yield folder.parent / "python_embeded" / "python.exe"  # of the portable build
    yield Path(sys.executable)
    yield from (interpreter(Path(os.environ[name])) for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if os.environ.get(name))
    inside = comfyui.glob("*") if comfyui else ()
    yield from map(interpreter, filter(is_environment, (folder, *folder.parents, *inside)))
    yield from (Path(path) for name in ("python3", "python") if (path := shutil.which(name)))


def is_environment(folder: Path) -> bool:
    """Whether a folder is an environment, virtual or of conda, that no other user has made."""
    with suppress(OSError):  # of a folder that this user may not read
        others = os.name != "nt" and folder.stat().st_uid not in (0, os.getuid())
        return not others and any((folder / mark).exists() for mark in ("conda-meta", "pyvenv.cfg"))
    return False


def has_torch(python: Path) -> bool:
    """Whether a Python finds torch; another one than this is asked, and imports nothing."""
    if python == Path(sys.executable):
        return find_spec("torch") is not None
    try:
        ask = [python, "-c", FINDS_TORCH]
        return subprocess.run(ask, cwd=python.parent, capture_output=True, timeout=ASK_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def hand_over(python: Path, words: Sequence[str]) -> int:
    """Run a command of this pack with another Python, in the place of this process where the system can.

    One that was itself started so starts no third, whatever it finds: a mistake here can never run away. Raises
    StartError.
    """
    if before := os.environ.get(STARTED_BY):
        raise StartError(STARTED.format(sys.executable, before))
    os.environ[STARTED_BY] = sys.executable
    command = [str(python), *words]
    if os.name != "nt":  # whose exec does not keep the caller waiting
        os.execv(python, command)
    return subprocess.call(command)


def holds_the_pack(custom_nodes: Path) -> bool:
    """Whether a copy of this pack is among the custom nodes."""
    named = (file.read_text(encoding="utf-8", errors="replace") for file in custom_nodes.glob("*/pyproject.toml"))
    return any(IS_THE_PACK.search(text) for text in named)


def custom_nodes_below(base: Path) -> tuple[Path, list[str]]:
    """Make a second folder of custom nodes; returns it, and the options with which a host reads it."""
    folder, paths = base / "custom_nodes", base / "paths.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    paths.write_text(json.dumps({PACK: {"custom_nodes": str(folder)}}), encoding="utf-8")  # JSON is YAML
    return folder, ["--extra-model-paths-config", str(paths)]


@contextmanager
def start_comfyui(comfyui: Path, cpu: bool = False) -> Iterator[Server]:
    """Start a user's ComfyUI, with its Python, models and packs; what its jobs write is gone with it.

    cpu: not on its GPU. Raises StartError where it does not start, or has no copy of this pack and cannot get one.
    """
    python = python_of(comfyui)
    with tempfile.TemporaryDirectory(prefix="guidance-geometry-", ignore_cleanup_errors=True) as place:
        base = Path(place)
        options = ["--output-directory", str(base / "output"), "--temp-directory", str(base)]
        options += ["--database-url", f"sqlite:///{(base / 'comfyui.db').as_posix()}"]
        if not holds_the_pack(comfyui / "custom_nodes"):
            folder, more = custom_nodes_below(base)
            link_pack(folder)
            options += more
        options += ["--cpu"] if cpu else device_options(python)
        with running(python, comfyui, base / "comfyui.log", options, PACK) as server:
            yield server


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


def apart() -> dict:
    """Keep Ctrl-C away from the child: the parent ends it in order."""
    return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}


def wait_until_up(server: Server, seconds: float = WAIT_SECONDS) -> None:
    """Return when /system_stats answers; raise StartError with the log's end when the host died or time is up."""
    end_of_patience = time.monotonic() + seconds
    while time.monotonic() < end_of_patience:
        if server.process.poll() is not None:
            raise StartError(refusal(server, f"the host ended with code {server.process.returncode}"))
        try:
            with DIRECT.open(server.address + "/system_stats", timeout=5) as answer:
                json.load(answer)
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError, ValueError):
            time.sleep(0.25)
    raise StartError(refusal(server, f"the host did not answer within {seconds:.0f} s"))


def refusal(server: Server, what: str) -> str:
    """Say what happened, show the end of the log, and name the remedies that help most often."""
    return (
        f"{what}; the end of {server.log}:\n{tail(server.log)}\n\n"
        "What to try: start this ComfyUI by hand and mend what it reports; pass --cpu if a GPU is in use elsewhere. "
        "If it lies in the folder .host of the pack, delete that folder and call again."
    )


def tail(log: Path, lines: int = 25) -> str:
    """Return the last lines of a log file."""
    with log.open(encoding="utf-8", errors="replace") as text:
        return "".join(deque(text, maxlen=lines)).rstrip()


def end(process: subprocess.Popen) -> None:
    """End one process: politely first, by force after 10 s."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def interpreter(environment: Path) -> Path:
    """Return where an environment, virtual or of conda, has its interpreter."""
    if os.name != "nt":
        return environment / "bin" / "python"
    conda = (environment / "conda-meta").is_dir()
    return environment / ("python.exe" if conda else "Scripts/python.exe")


def unwind_on_signals() -> None:
    """Let what ends a program, a closed terminal too, unwind it as Ctrl-C does, once; or what it started would stay."""
    numbers = [getattr(signal, name) for name in ENDINGS if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]  # as nohup wants it

    def unwind(number: int, _: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in numbers:
        signal.signal(number, unwind)


def imports(python: Path, module: str) -> bool:
    """Say whether an interpreter can import a module."""
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def has_gpu_tool() -> bool:
    """Say whether a GPU's command-line tool is on the path: a cheap first look before torch is asked."""
    return any(shutil.which(tool) for tool in ("nvidia-smi", "rocm-smi", "xpu-smi"))


def device_options(python: Path) -> list[str]:
    """Return the host's device options: `--cpu` unless torch sees an accelerator (or this is a Mac)."""
    if sys.platform == "darwin":
        return []
    ask = "import sys, torch; sys.exit(not (torch.cuda.is_available() or torch.xpu.is_available()))"
    seen = has_gpu_tool() and subprocess.run([python, "-c", ask], capture_output=True, check=False).returncode == 0
    return [] if seen else ["--cpu"]


def link_pack(custom_nodes: Path) -> str:
    """Make this repository a custom node of that folder; returns the name it has there. A link that exists is kept."""
    if not (ROOT / "nodes").is_dir():
        raise StartError("This installation has no nodes. Install Guidance Geometry in custom_nodes of ComfyUI.")
    custom_nodes.mkdir(parents=True, exist_ok=True)
    for entry in custom_nodes.iterdir():
        if entry.resolve() == ROOT:
            return entry.name
    link = custom_nodes / PACK
    if link.is_symlink():
        link.unlink()  # it pointed to a place that the repository has left
    if link.exists():
        raise StartError(f"{link} is another copy of this pack. Move it away, so that the host loads this one: {ROOT}")
    if os.name == "nt":
        import _winapi

        _winapi.CreateJunction(str(ROOT), str(link))  # needs no rights, unlike a symbolic link
    else:
        link.symlink_to(ROOT, target_is_directory=True)
    return PACK
