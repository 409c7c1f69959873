"""One script for everything: `python3 dev.py demo | serve | sweep | study | convert | report | test | bench | fuzz`.

Also `check`. Python 3.10 or newer. `story`, `gallery` and `example` make the pictures and numbers of docs/ again. Each
command does the set-up that it needs and keeps it in .venv/, .host/ and .cache/.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if sys.version_info[:2] < (3, 10):  # noqa: UP036 - the reader may have called it with an older one
    sys.exit(f"Python 3.10 or newer is needed; this is {sys.version.split()[0]}. Call dev.py with a newer python3.")

from tools.convert.options import add_options, as_words
from tools.host import provision, server
from tools.places import ROOT

RUN = ROOT / "tools" / "run.py"
PYTEST = ["-ra", "--durations=10", "--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder"]
RULE_FILE = re.compile(r"""((?:[A-Za-z]:)?[^\s,+"'\[\]:=]+\.py):([A-Za-z_]\w*)""")  # in values of axes
NAMED = ("--name", f"own ComfyUI on {platform.node()}")  # in results; its port tells nobody anything
TEMPLATE = ROOT / "example_workflows" / "First look at guidance.json"


def prepare(args: argparse.Namespace, further: tuple[Path, ...] = ()) -> tuple[Path, Path]:
    """Set up what a command needs; returns the environment's interpreter and the host's folder.

    further: lists of requirements beside those of the host and the pack.
    """
    host = provision.find_host(args.host, args.comfyui_tag)
    python = provision.venv_python(provision.environment(host))
    provision.install(python, provision.requirements(host, further), args.torch_index)
    return python, host


def run(command: list, **options) -> int:
    """Run a child in the repository root and return its exit code; if this process ends, the child ends first."""
    child = subprocess.Popen([str(part) for part in command], cwd=ROOT, **options)
    try:
        return child.wait()
    finally:
        provision.end(child)


def device(args: argparse.Namespace, python: Path) -> list[str]:
    """Return the host's device options."""
    return ["--cpu"] if args.cpu else provision.device_options(python)


def on_a_host(args: argparse.Namespace, tool: str, *arguments, further: tuple[Path, ...] = ()) -> int:
    """Run one of tools/ against a host of its own, which ends with it.  further: as for `prepare`"""
    # Host and tool compute at once: with a thread for every core each, they wait for each other on a busy machine.
    os.environ.setdefault("OMP_NUM_THREADS", str(min(2, os.cpu_count() or 1)))
    python, host = prepare(args, further)
    provision.CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{tool}-", dir=provision.CACHE, ignore_cleanup_errors=True) as base:
        options, pack = server.own_folders(Path(base))
        provision.say("starting ComfyUI")
        log = provision.CACHE / "logs" / f"{tool}-host.log"
        with server.running(python, host, log, options + device(args, python), pack) as live:
            return run([python, RUN, tool, "--server", live.address, *arguments])


def demo(args: argparse.Namespace) -> int:
    """Run the first-look workflow at several guidance scales on its own host and keep the results."""
    return on_a_host(args, "first_look", "--output", ROOT / "output" / "demo")


def offer_rules(words: list) -> None:
    """Name the rules in files, FILE:RULE, to the ComfyUI and the tool that start next: no other file is ever run."""
    named = [place for text in map(str, words) for place in RULE_FILE.findall(text)]
    there = [f"{Path(file).resolve()}:{rule}" for file, rule in named if Path(file).is_file()]
    os.environ["GG_RULE_FILES"] = "\n".join(dict.fromkeys(there))


def sweep(args: argparse.Namespace) -> int:
    """Run every combination of settings, write a page, a sheet and tables; other arguments go to tools/run_sweep.py."""
    offer_rules(args.rest)
    if any(one.partition("=")[0] == "--server" for one in args.rest):
        python, _ = prepare(args)
        return run([python, RUN, "run_sweep", *args.rest])
    return on_a_host(args, "run_sweep", *NAMED, *args.rest)


def study(args: argparse.Namespace) -> int:
    """Run a plan, on this machine, on servers or on a Ray cluster; other arguments go to tools/run_study.py."""
    named = {one.partition("=")[0] for one in args.rest}
    offer_rules([args.plan.read_text(encoding="utf-8") if args.plan.is_file() else ""])
    if "--report" in named:
        return run([prepare(args)[0], RUN, "report_study", args.plan, *args.rest])
    if "--servers" in named:
        return run([prepare(args, provision.STUDIES)[0], RUN, "run_study", args.plan, *args.rest])
    if "--ray" in named:
        host = provision.find_host(args.host, args.comfyui_tag).resolve()  # the one that actors start too
        own = ["--host", host, *(["--cpu"] if args.cpu else [])]  # of each actor
        return on_a_host(args, "run_study", args.plan, *own, *args.rest, further=provision.STUDIES)
    folder = ROOT / "output" / args.plan.stem
    return on_a_host(args, "run_sweep", *NAMED, "--plan", args.plan, "--output", folder, *args.rest)


def story(args: argparse.Namespace) -> int:
    """Draw the figures of docs/the-geometry-of-guidance.md, measure its numbers, write the page; needs a Chromium."""
    return on_a_host(args, "story", further=provision.TESTS)


def gallery(args: argparse.Namespace) -> int:
    """Redraw every figure and every view of the inspector for docs/gallery.md; needs a Chromium."""
    return on_a_host(args, "gallery", further=provision.TESTS)


def example(args: argparse.Namespace) -> int:
    """Run the sweep and the study of docs/example-study.md again, and keep their page, sheet and report."""
    return on_a_host(args, "example_study")


def serve(args: argparse.Namespace) -> int:
    """Start the editor with the pack in it and wait until Ctrl-C."""
    python, host = prepare(args)
    pack = provision.link_pack(host / "custom_nodes")
    options = device(args, python)
    if provision.HOSTS in host.parents:  # an own host keeps its results where a user of this folder looks for them
        (ROOT / "output").mkdir(exist_ok=True)
        options += ["--output-directory", str(ROOT / "output")]
    provision.say("starting ComfyUI")
    provision.CACHE.mkdir(exist_ok=True)
    log = provision.CACHE / "logs" / "serve-host.log"
    with (
        tempfile.TemporaryDirectory(prefix="serve-", dir=provision.CACHE, ignore_cleanup_errors=True) as base,
        server.running(python, host, log, options + server.beside(Path(base)), pack, args.port) as live,
        server.addressable(TEMPLATE, Path(base)) as address,
    ):
        print(f"\n  {live.address}{address}\n\nCtrl-C ends it. Log: {log}", flush=True)
        return live.process.wait()


def checks(python: Path, host: Path, matrices: list[str]) -> list[tuple[str, list, str]]:
    """List the parts of a test run: name, command, and why it is skipped here ('' runs it)."""
    scripts = python.parent
    browser_tests = sorted((ROOT / "tests" / "web").glob("*.test.mjs"))
    no_node = "" if shutil.which("node") else "no node on the path"
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
        ("pytest", [python, "-m", "pytest", *PYTEST, *matrices], ""),
    ]


def run_check(name: str, command: list, trouble: str) -> tuple[str, bool]:
    """Run one part of a test run; returns its words in the summary, and whether it failed.

    trouble: why it cannot run here. In CI that is a failure: what was not checked has not passed.
    """
    print(f"\n=== {name}{f': not run, {trouble}' if trouble else ''}", flush=True)
    if trouble:
        failed = os.environ.get("CI", "").lower() not in ("", "0", "false")
        return f"{'FAILED' if failed else 'skipped':12} {trouble}", failed
    began = time.monotonic()
    code = run(command)
    return f"{f'FAILED ({code})' if code else 'passed':12} {time.monotonic() - began:.0f} s", code != 0


def import_time(python: Path) -> str:
    """Return what the bench of the pack's import prints, with its limit; a time on a busy machine fails nothing."""
    done = subprocess.run([python, RUN, "bench.import_time"], cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().rpartition("\n")[2]


def types_of(host: Path) -> Path:
    """Write pyright's settings with the host under test in the place of the packaged one; returns their file."""
    settings = provision.CACHE / "pyrightconfig.json"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(json.dumps({"extends": "../pyproject.toml", "extraPaths": [str(host)]}), encoding="utf-8")
    return settings


def pyright_trouble(scripts: Path) -> str:
    """Say why pyright cannot run: on its first start it fetches its own program, which needs a network."""
    try:
        ready = subprocess.run([scripts / "pyright", "--version"], capture_output=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return "pyright did not start within 300 s"
    return "" if ready.returncode == 0 else "pyright could not fetch its program"


def test(args: argparse.Namespace) -> int:
    """Run linters, type checker, JavaScript tests and the whole pytest suite; fails if any part fails."""
    os.environ["PYRIGHT_PYTHON_CACHE_DIR"] = str(provision.CACHE / "pyright")
    python, host = prepare(args, provision.TESTS)
    os.environ["COMFYUI_PATH"] = str(host)
    try:
        provision.unpack_front_end(python)
    except provision.SetUpError as error:  # its tests say that they are skipped, and in CI they fail
        provision.say(str(error))
    parts = {part[0]: run_check(*part) for part in checks(python, host, args.matrices)}
    summary = [f"  {name:16} {words}" for name, (words, _) in parts.items()]
    print("\n=== summary\n" + "\n".join([*summary, f"  {'import time':16} {import_time(python)}"]), flush=True)
    return int(any(failed for _, failed in parts.values()))


def bench(args: argparse.Namespace) -> int:
    """Run the measurements in tools/bench; other arguments are passed on."""
    there = sorted((ROOT / "tools" / "bench").glob("*.py"))
    scripts = [script for script in there if script.match(f"{args.name}.py")]
    if not scripts:
        names = ", ".join(script.stem for script in there)
        print(f"No measurement is called {args.name!r}. There are {names}.", file=sys.stderr)
        return 2
    python, host = prepare(args, provision.TESTS)
    os.environ["COMFYUI_PATH"] = str(host)
    return max(run([python, RUN, f"bench.{script.stem}", *args.rest]) for script in scripts)


def fuzz(args: argparse.Namespace) -> int:
    """Send broken prompts and hostile files to a host, judge the results; other arguments go to tools/fuzz/run.py."""
    python, host = prepare(args, provision.TESTS)
    os.environ["COMFYUI_PATH"] = str(host)
    return run([python, RUN, "fuzz.run", *args.rest])


def check(args: argparse.Namespace) -> int:
    """Test a guidance rule of any pack, named FILE:RULE, against the invariants; fails if any fails."""
    here = Path(sys.executable)  # where torch is installed, nothing else is needed
    python = here if provision.imports(here, "torch, safetensors") else prepare(args)[0]
    file, colon, rule = args.rule.rpartition(":")
    return run([python, RUN, "check_rule", f"{Path(file).resolve() if file else ''}{colon}{rule}"])


def report(args: argparse.Namespace) -> int:
    """Print what a saved trace says of its cfg; --json, --half, --card, --picks and --language are passed on."""
    python, _ = prepare(args)
    words = [Path(word).resolve() if Path(word).exists() else word for word in (args.trace, *args.rest)]
    return run([python, RUN, "report_trace", *words])


def convert(args: argparse.Namespace) -> int:
    """Turn published weights (.pt, .pth, .pkl, .ckpt, .bin) into safetensors with a card; nothing in them is run."""
    python, _ = prepare(args)
    return run([python, RUN, "convert.convert", *as_words(args)])


def card(args: argparse.Namespace) -> int:
    """Measure the good scales of a demo model; other arguments go to tools/verdict/card.py."""
    python, _ = prepare(args)
    return run([python, RUN, "verdict.card", *args.rest])


def verdict(args: argparse.Namespace) -> int:
    """Measure how often the verdict errs, for verdict/odds.json; other arguments go to tools/verdict/calibrate.py."""
    python, _ = prepare(args)
    return run([python, RUN, "verdict.calibrate", *args.rest])


PASSED_ON = {  # commands that hand arguments to their tool, and which it knows
    fuzz: "--minutes N, --prompts N, --headers N, --model-files N, --answers N, --seed S, --replay FILE, --write",
    sweep: "--cfg 1,2,4 --seeds 4 --rule 'cfg, APG' --axis 'NODE.widget: 1, 2' --workflow FILE --server URL",
    card: "MODEL --quick --samples N --samplers A B --cache FOLDER --out FILE",
    verdict: "--quick --worlds NAMES --stage cells|odds|alarm --cache FOLDER --write",
    study: "--servers URL,URL; or --ray auto --actors N; --output FOLDER; --report prints what was found before",
}


OPERANDS = {
    study: ("plan", {"type": lambda name: Path(name).resolve(), "help": "YAML or JSON"}),
    report: ("trace", {"help": "a file that Save Trace wrote"}),
    check: ("rule", {"metavar": "FILE:RULE", "help": "such as my_rule.py:MyRule"}),
    bench: ("name", {"nargs": "?", "default": "*", "help": "one script of tools/bench; default: all"}),
}
WITH_REST = (report, bench)


def add_own_options(command: Callable, sub: argparse.ArgumentParser) -> None:
    """Let a command take what no other does."""
    sub.epilog = f"Also: {PASSED_ON[command]}" if command in PASSED_ON else None
    if command is test:
        whole = "run every case of the long matrices, not the share of them that this commit draws"
        sub.add_argument("--full", action="append_const", const="--full", default=[], dest="matrices", help=whole)
    if command is serve:
        sub.add_argument("--port", type=int, default=0, help="default: any free one")
    if command is convert:
        add_options(sub)
    if command in OPERANDS:
        name, settings = OPERANDS[command]
        sub.add_argument(name, **settings)
    if command in WITH_REST:
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
    own = (demo, serve, sweep, study, convert, report, card, verdict, test, bench, fuzz, check, story, gallery, example)
    for command in own:
        sub = commands.add_parser(command.__name__, help=command.__doc__, parents=[shared])
        sub.set_defaults(command=command)
        add_own_options(command, sub)
    args, rest = parser.parse_known_args()
    if not hasattr(args, "command"):
        parser.print_help()
        sys.exit(0)
    if rest and args.command not in PASSED_ON:
        parser.error(f"unknown: {' '.join(rest)}")
    args.rest = [*getattr(args, "rest", []), *rest]
    return args


def main() -> int:
    """Run one command; a termination signal unwinds like Ctrl-C, so that no host stays behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args = arguments()
    try:
        return args.command(args)
    except provision.SetUpError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
