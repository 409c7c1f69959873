"""For developers: `python3 dev.py demo | serve | test | bench | fuzz | lab | site | page-demo`. Python 3.10 or newer.

`sweep`, `study`, `page`, `report`, `card`, `check` and `convert` are the command guidance-geometry, with a ComfyUI of
this folder. Each command does the set-up that it needs and keeps it in .venv/, .host/ and .cache/.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if sys.version_info[:2] < (3, 10):  # noqa: UP036 - the reader may have called it with an older one
    sys.exit(f"Python 3.10 or newer is needed; this is {sys.version.split()[0]}. Call dev.py with a newer python3.")

ROOT = Path(__file__).resolve().parent
runpy.run_path(str(ROOT / "__main__.py"))["name_the_pack"]()
from guidance_geometry.cli import options as command_line  # noqa: E402
from guidance_geometry.dev import provision  # noqa: E402
from guidance_geometry.dev.templates.layouts import LAYOUTS  # noqa: E402
from guidance_geometry.sweeps.comfyui import process  # noqa: E402

RUN = ROOT / "lab"
PYTEST = ["-ra", "--durations=10", "--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder"]
WEB_TESTS = ROOT / "tests" / "web"
CHECKERS = provision.CACHE / "javascript" / "node_modules"


def prepare(args: argparse.Namespace, further: tuple[Path, ...] = ()) -> tuple[Path, Path]:
    """Set up what a command needs; returns the environment's interpreter and the host's folder.

    further: lists of requirements beside those of the host and the pack.
    """
    host = provision.find_host(args.host, args.comfyui_tag)
    python = provision.venv_python(provision.environment(host))
    provision.install(python, provision.requirements(host, further), args.torch_index)
    return python, host


def run(command: list, **options) -> int:
    """Run a child, in the repository root unless told, and return its exit code; it ends before this process does."""
    child = subprocess.Popen([str(part) for part in command], **{"cwd": ROOT, **options})
    try:
        return child.wait()
    finally:
        process.end(child)


def device(args: argparse.Namespace, python: Path) -> list[str]:
    """Return the host's device options."""
    return ["--cpu"] if args.cpu else process.device_options(python)


def demo(args: argparse.Namespace) -> int:
    """Run the first-look workflow at several guidance scales on its own host and keep the results."""
    # Host and program compute at once: with a thread for every core each, they wait for each other on a busy machine.
    os.environ.setdefault("OMP_NUM_THREADS", str(min(2, os.cpu_count() or 1)))
    python, host = prepare(args)
    provision.CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="demo-", dir=provision.CACHE, ignore_cleanup_errors=True) as base:
        options, pack = process.own_folders(Path(base))
        provision.say("starting ComfyUI")
        log = provision.CACHE / "logs" / "demo-host.log"
        with process.running(python, host, log, options + device(args, python), pack) as live:
            return run([python, RUN, "first_look", "--server", live.address, "--output", ROOT / "output" / "demo"])


def lab(args: argparse.Namespace) -> int:
    """Run a program of lab/ or dev/ by its name; other arguments are passed on."""
    python, host = prepare(args, provision.TESTS)
    os.environ["COMFYUI_PATH"] = str(host)
    return run([python, RUN, args.name, *args.rest])


def run_command(args: argparse.Namespace) -> int:
    """Run a command of guidance-geometry where it was called, with the ComfyUI of this folder."""
    python, host = prepare(args, provision.STUDIES if args.name == "study" else ())
    # ComfyUI and the command compute at once: with a thread for every core each, they wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", str(min(2, os.cpu_count() or 1)))
    named = {word.partition("=")[0] for word in args.rest}
    starts = args.name in ("sweep", "study") and not named & {"--server", "--servers", "--comfyui", "--help", "-h"}
    own = [f"--comfyui={host}", *(["--cpu"] if args.cpu else [])] if starts else []
    return run([python, ROOT, args.name, *args.rest, *own], cwd=Path.cwd())


def serve(args: argparse.Namespace) -> int:
    """Start the editor with the pack in it and wait until Ctrl-C."""
    python, host = prepare(args)
    pack = process.link_pack(host / "custom_nodes")
    options = device(args, python)
    if provision.HOSTS in host.parents:  # an own host keeps its results where a user of this folder looks for them
        (ROOT / "output").mkdir(exist_ok=True)
        options += ["--output-directory", str(ROOT / "output")]
    provision.say("starting ComfyUI")
    provision.CACHE.mkdir(exist_ok=True)
    log = provision.CACHE / "logs" / "serve-host.log"
    with process.running(python, host, log, options, pack, args.port) as live:
        first = LAYOUTS["First look at guidance"].address(pack)
        print(f"\n  {live.address}{first}\n\nCtrl-C ends it. Log: {log}", flush=True)
        return live.process.wait()


def checks(python: Path, host: Path) -> list[tuple[str, list, str]]:
    """List the parts of a test run: name, command, and why it is skipped here ('' runs it)."""
    scripts = python.parent
    browser_tests = sorted((ROOT / "tests" / "web").glob("*.test.mjs"))
    no_node = "" if shutil.which("node") else "no node on the path"
    no_checkers = no_node or checkers_trouble()
    return [
        ("ruff check", [scripts / "ruff", "check", "."], ""),
        ("ruff format", [scripts / "ruff", "format", "--check", "."], ""),
        ("comfy-test lint", [scripts / "comfy-test", "lint", "--strict", "."], ""),
        (
            "pyright",
            [scripts / "pyright", "--project", types_of(host), "--pythonpath", python],
            no_node or pyright_trouble(scripts),
        ),
        (
            "node --test",
            ["node", "--test", *browser_tests],
            no_node or ("" if browser_tests else "no tests/web/*.test.mjs"),
        ),
        ("tsc", ["node", CHECKERS / "typescript" / "bin" / "tsc", "--project", WEB_TESTS], no_checkers),
        (
            "eslint",
            ["node", CHECKERS / "eslint" / "bin" / "eslint.js", "--config", WEB_TESTS / "eslint.config.mjs", "."],
            no_checkers,
        ),
        ("site", site_command(python, provision.CACHE / "site"), ""),
        ("start", [python, RUN, "bench.import_time", "--starts", "2", "--busy"], ""),
        ("pytest", [python, "-m", "pytest", *PYTEST], ""),
    ]


def run_checks(parts: list[tuple[str, list, str]]) -> dict[str, tuple[str, bool]]:
    """Run the last part, the tests, and beside it all others, one after another: tests often wait, and these never."""
    *others, tests = parts
    beside = ThreadPoolExecutor(1)
    try:
        ends = {name: beside.submit(run_check, name, command, trouble, True) for name, command, trouble in others}
        last = run_check(*tests)
        return {**{name: end.result() for name, end in ends.items()}, tests[0]: last}
    finally:
        beside.shutdown(cancel_futures=True)


def run_check(name: str, command: list, trouble: str, whole: bool = False) -> tuple[str, bool]:
    """Run one part of a test run; returns its words in the summary, and whether it failed.

    trouble: why it cannot run here. In CI that is a failure: what was not checked has not passed. whole: show what it
    prints when it has ended, in one piece.
    """
    head = f"\n=== {name}{f': not run, {trouble}' if trouble else ''}"
    if trouble:
        print(head, flush=True)
        failed = os.environ.get("CI", "").lower() not in ("", "0", "false")
        return f"{'FAILED' if failed else 'skipped':12} {trouble}", failed
    began = time.monotonic()
    if whole:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            code = run(command, stdout=output, stderr=subprocess.STDOUT)
            output.seek(0)
            print(f"{head}\n{output.read()}", flush=True)
    else:
        print(head, flush=True)
        code = run(command)
    return f"{f'FAILED ({code})' if code else 'passed':12} {time.monotonic() - began:.0f} s", code != 0


def types_of(host: Path) -> Path:
    """Write pyright's settings with the host under test in the place of the packaged one; returns their file."""
    settings, named = provision.CACHE / "pyrightconfig.json", provision.CACHE / "types"
    named.mkdir(parents=True, exist_ok=True)
    if not (pack := named / "guidance_geometry").exists():  # tests import the pack by its name, whatever the folder's
        pack.symlink_to(ROOT, target_is_directory=True)
    paths = {"extends": "../pyproject.toml", "extraPaths": [str(host), str(named)]}
    settings.write_text(json.dumps(paths), encoding="utf-8")
    return settings


def pyright_trouble(scripts: Path) -> str:
    """Say why pyright cannot run: on its first start it fetches its own program, which needs a network."""
    try:
        ready = subprocess.run([scripts / "pyright", "--version"], capture_output=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return "pyright did not start within 300 s"
    return "" if ready.returncode == 0 else "pyright could not fetch its program"


def checkers_trouble() -> str:
    """Install what checks the JavaScript, as tests/web pins it; say why it cannot run ('' if it can)."""
    npm, folder = shutil.which("npm"), CHECKERS.parent
    if npm is None:
        return "no npm on the path"
    pinned, there = WEB_TESTS / "package-lock.json", folder / "package-lock.json"
    if CHECKERS.is_dir() and there.is_file() and there.read_bytes() == pinned.read_bytes():
        return ""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in (WEB_TESTS / "package.json", pinned):
        shutil.copy(file, folder)
    done = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, check=False)
    if done.returncode == 0:
        return ""
    there.unlink()  # what is half there is fetched again
    return "npm could not fetch what tests/web/package-lock.json pins"


def test(args: argparse.Namespace) -> int:
    """Run linters, type checker, JavaScript tests and the whole pytest suite; fails if any part fails."""
    os.environ["PYRIGHT_PYTHON_CACHE_DIR"] = str(provision.CACHE / "pyright")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a hundred processes read what the first has compiled
    python, host = prepare(args, provision.TESTS)
    os.environ["COMFYUI_PATH"] = str(host)
    try:
        provision.unpack_front_ends(python)
    except process.StartError as error:  # its tests say that they are skipped, and in CI they fail
        provision.say(str(error))
    parts = run_checks(checks(python, host))
    summary = [f"  {name:16} {words}" for name, (words, _) in parts.items()]
    print("\n=== summary\n" + "\n".join(summary), flush=True)
    return int(any(failed for _, failed in parts.values()))


def bench(args: argparse.Namespace) -> int:
    """Run the measurements in lab/bench; other arguments are passed on."""
    there = sorted(file for file in (ROOT / "lab" / "bench").glob("*.py") if file.stem != "harness")
    scripts = [script for script in there if script.match(f"{args.name}.py")]
    if not scripts:
        names = ", ".join(script.stem for script in there)
        print(f"No measurement is called {args.name!r}. There are {names}.", file=sys.stderr)
        return 2
    python, host = prepare(args, provision.TESTS)
    os.environ["COMFYUI_PATH"] = str(host)
    return max(run([python, RUN, f"bench.{script.stem}", *args.rest]) for script in scripts)


def fuzz(args: argparse.Namespace) -> int:
    """Try broken prompts, hostile files and a queue of two browsers on many examples; print what came of them."""
    python, host = prepare(args, provision.TESTS)
    os.environ |= {"COMFYUI_PATH": str(host), "GUIDANCE_GEOMETRY_FUZZ_EXAMPLES": str(args.examples)}
    seed = f"--hypothesis-seed={args.seed}"
    return run([python, "-m", "pytest", "-q", "--durations=0", "--durations-min=1", seed, "tests/fuzz", *args.rest])


def site_command(python: Path, folder: Path) -> list:
    """Return the command that builds the site into a folder; a link or an anchor that leads nowhere fails it.

    Not with --quiet: it takes warnings away before `strict` counts them.
    """
    return [python, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]


def site(args: argparse.Namespace) -> int:
    """Build the documentation as a site into output/site."""
    python, _ = prepare(args, provision.TESTS)
    folder = ROOT / "output" / "site"
    if code := run(site_command(python, folder)):
        return code
    print(f"\nOpen {folder / 'index.html'}, or call `.venv/bin/mkdocs serve`, which follows your changes.")
    return 0


def page_demo(args: argparse.Namespace) -> int:
    """Write the page that needs no install, output/guidance.html: a model that runs in the browser, and a lesson."""
    python, _ = prepare(args, provision.TESTS)
    return run([python, RUN, "explain_page"])


WITH_REST = {  # what hands its arguments on: the name that it takes first
    bench: {"nargs": "?", "default": "*", "help": "one script of lab/bench; default: all"},
    lab: {"help": "such as economy; one that there is not lists them"},
    fuzz: None,
}


def add_own_options(command: Callable, sub: argparse.ArgumentParser) -> None:
    """Let a command take what no other does."""
    if command is fuzz:
        sub.add_argument("--examples", type=command_line.whole(1, 10**6), default=1000, help="of each property")
        sub.add_argument("--seed", type=int, default=1, help="the same one tries the same examples")
    if command is serve:
        sub.add_argument("--port", type=command_line.whole(0, 65535), default=0, help="default: any free one")
    if settings := WITH_REST.get(command):
        sub.add_argument("name", **settings)
        sub.add_argument("rest", nargs=argparse.REMAINDER, help="handed to the script; --help lists them")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--host", metavar="PATH", help="an existing ComfyUI (also: the variable COMFYUI_PATH)")
    shared.add_argument("--comfyui-tag", metavar="TAG", help="clone this ComfyUI tag instead of the packaged 0.3.75")
    shared.add_argument(
        "--torch-index",
        metavar="URL",
        default=os.environ.get("GG_TORCH_INDEX"),
        help="where torch comes from (also: GG_TORCH_INDEX)",
    )
    shared.add_argument("--cpu", action="store_true", help="do not use a GPU")
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers()
    for command in (demo, serve, test, bench, fuzz, lab, site, page_demo):
        sub = commands.add_parser(command.__name__.replace("_", "-"), help=command.__doc__, parents=[shared])
        sub.set_defaults(command=command)
        add_own_options(command, sub)
    for name, command in command_line.COMMANDS.items():
        sub = commands.add_parser(name, help=command.what, parents=[shared], add_help=False)
        sub.set_defaults(command=run_command, name=name)
    args, rest = parser.parse_known_args()
    if not hasattr(args, "command"):
        parser.print_help()
        sys.exit(0)
    if rest and args.command not in (run_command, *WITH_REST):
        parser.error(f"unknown: {' '.join(rest)}")
    args.rest = [*getattr(args, "rest", []), *rest]
    return args


def main() -> int:
    """Run one command; a termination signal unwinds like Ctrl-C, so that no host stays behind."""
    process.unwind_on_signals()
    args = arguments()
    try:
        return args.command(args)
    except process.StartError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
