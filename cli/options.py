"""The command line: every command with its options, read before anything that needs torch is imported."""

from __future__ import annotations

import argparse
import inspect
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..files.places import PLACES, ROOTS, SWEEP
from ..sweeps.axes import LONGEST_RANGE
from ..verdict.sentences import LANGUAGES

RUNS_AT = "http://127.0.0.1:8188"  # where ComfyUI is, unless it was told another port
OUTPUT = Path("output")  # of results, in the current folder
LONGEST_WAIT = 30 * 86_400.0  # s
MOST_ACTORS, MOST_AT_ONCE = 10_000, 10_000


def number(low: float, high: float) -> Callable[[str], float]:
    """A type of options: a finite number in a range."""
    return _number(float, "number", low, high)


def whole(low: int, high: int) -> Callable[[str], int]:
    """A type of options: a whole number in a range."""
    return _number(int, "whole number", low, high)


def _number(kind: Callable, what: str, low: float, high: float) -> Callable:
    def read(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is no {what} from {low:,} to {high:,}. Give one.")
        return value

    return read


def parse(name: str, words: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command; exits where they are wrong, and with --help.  words: None for the command line's own"""
    add = COMMANDS[name].add
    parser = argparse.ArgumentParser(
        f"guidance-geometry {name}",
        description=inspect.getdoc(add),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add(parser)
    parser.add_argument("--python", metavar="PATH", help="the Python of your ComfyUI; default: found beside it")
    return parser.parse_args(words)


def _add_server(parser: argparse.ArgumentParser) -> None:
    """What says which ComfyUI runs a command."""
    parser.add_argument("--server", metavar="URL", help=f"a running ComfyUI with this pack; default: {RUNS_AT}")
    parser.add_argument("--comfyui", metavar="PATH", help="folder of a ComfyUI to start; default: the one around here")
    parser.add_argument("--cpu", action="store_true", help="a ComfyUI that is started uses no GPU")
    parser.add_argument("--name", default="", help="what the results call the ComfyUI; default: its address")


def _add_patience(parser: argparse.ArgumentParser) -> None:
    """How long a cell may take, and how many there may be."""
    seconds = number(0.001, LONGEST_WAIT)
    parser.add_argument("--timeout", type=seconds, default=300.0, help="seconds of a cell, after which it has failed")
    parser.add_argument("--yes", action="store_true", help="also for more than 2,000 cells")


def sweep(parser: argparse.ArgumentParser) -> None:
    """Every combination of settings on a ComfyUI, and a page, a sheet and tables of it.

        guidance-geometry sweep --cfg 1,2,4,6,8 --seeds 4 --rule "cfg, APG" --axis "steps: 10, 20"

    What is done is kept in the output folder: the same command again runs only what is missing, and so do more values.
    Without --server it asks the ComfyUI that runs at http://127.0.0.1:8188. Where none does, or with --comfyui, it
    starts one from the folder around it, with its models, and ends it afterwards.
    """
    add = parser.add_argument
    _add_server(parser)
    add("--output", default=str(OUTPUT / SWEEP), help="folder of the results, or an address that fsspec knows")
    add("--plan", type=Path, help="a plan in YAML or JSON, in place of the options below")
    add("--workflow", type=Path, help="a workflow in API form; default: the first look, one robot")
    add("--cfg", help="values, such as 1,2,4,8")
    add("--seeds", type=whole(1, LONGEST_RANGE), help="how many, from 0")
    what = "with --plan: the rules in files, FILE:RULE, that it may run"
    add("--rule", help=f'chains of rules, such as "cfg, APG, TCFG + Rescale CFG"; {what}')
    add("--axis", action="append", default=[], help='any other, such as "4.steps: 10, 20"')
    add("--set", action="append", default=[], metavar="WIDGET=VALUE", help="of every cell")
    add("--measures", metavar="NAMES", help="what is measured, with commas; default: the usual five")
    add("--judge", default="", help="the energy node that scores every cell, or none; default: what the workflow "
        "measures with, or its only energy")  # fmt: skip
    add("--rerun", type=Path, help="marks saved on the page: run those cells again")
    _add_patience(parser)


def study(parser: argparse.ArgumentParser) -> None:
    """A plan on one ComfyUI, on several servers or on a Ray cluster: the folder and the page are those of a sweep.

        guidance-geometry study plan.yaml
        guidance-geometry study plan.yaml --servers http://a:8188,http://b:8188
        guidance-geometry study plan.yaml --ray auto --actors 8

    Ray Data hands the cells to actors, restarts those that die and tries their cells again. A cell that fails is tried
    again in a second pass, by whichever actor is free, and then set aside with its error. A server that is gone fails
    no cell: its actor takes another server, and what it was at is run again there.
    """
    add = parser.add_argument
    add("plan", type=Path, help="YAML or JSON")
    add("--servers", default="", help="addresses with commas; each gets an actor")
    _add_server(parser)
    add("--ray", help="address of a cluster, auto for the one that is there, or local (default)")
    add("--actors", type=whole(1, MOST_ACTORS), default=1, help="with --ray: how many, each with a ComfyUI of its own")
    add("--batch", type=whole(1, MOST_AT_ONCE), default=1, help="cells that an actor takes at once: 20 for 50 ms each")
    add("--rule", default="", help="the rules in files, FILE:RULE, that the plan may run")
    add("--output", help="folder that all machines see, or an address such as s3://bucket/study; "
        "default: output/<plan>")  # fmt: skip
    _add_patience(parser)
    add("--report", action="store_true", help="print what was found before; nothing runs")


def page(parser: argparse.ArgumentParser) -> None:
    """A saved trace as one HTML file that explains itself, or the page of a sweep or a study again.

    guidance-geometry page output/traces/run_00001_.safetensors
    guidance-geometry page output/sweep
    """
    parser.add_argument("source", help="a file that Save Trace wrote, or the folder or address of a sweep")
    parser.add_argument("--output", type=Path, help="of a trace: the file to write; default: beside it, .html")


def report(parser: argparse.ArgumentParser) -> None:
    """The report on a saved trace, as text or JSON: `guidance-geometry report TRACE`.

    Needs no ComfyUI. The run is compared with what was measured of its model, where that is included or given, and with
    picks where they are given. Every field: https://github.com/guidance-geometry/comfyui-guidance-geometry/blob/main/docs/report.md
    """
    parser.add_argument("trace", type=Path, help="a file that Save Trace wrote")
    parser.add_argument("--json", action="store_true", help="as JSON, for scripts and agents")
    parser.add_argument("--half", type=Path, metavar="TRACE", help="a run at half the cfg, same seed")
    parser.add_argument("--measured", type=Path, metavar="FILE", help="what was measured of the model, by `card`")
    parser.add_argument("--picks", type=Path, metavar="FILE", help="what was chosen of this model")
    parser.add_argument("--language", choices=LANGUAGES, default=LANGUAGES[0])


def card(parser: argparse.ArgumentParser) -> None:
    """What a model says of its own pictures along cfg, from a sweep of it, as one file.

        guidance-geometry sweep --workflow mine.json --cfg 1,1.5,2.5,4,6,9,14 --seeds 8 \\
            --measures prompt_strength,denoising_ratio --output output/mine
        guidance-geometry card output/mine

    It says where ComfyUI looks for it. There, or handed to `guidance-geometry report --measured`, it places later runs
    of this model, sampler, schedule and size on the curve.
    https://github.com/guidance-geometry/comfyui-guidance-geometry/blob/main/docs/own-measure.md
    """
    parser.add_argument("study", help="folder or address of a sweep over cfg and seeds")
    parser.add_argument("--output", type=Path, help="default: MODEL.measured.json in the current folder")


def check(parser: argparse.ArgumentParser) -> None:
    """Hold a rule against the invariants: `guidance-geometry check FILE:RULE` prints a table, and fails with it.

    FILE is a Python file, RULE the name in it of a rule: a function rule(u, c, x, gamma, sigma), an object with `init`
    and `step`, a rule or chain of this pack, or a class or function that makes one of these without arguments. Nothing
    of this pack has to be imported there. What does not fit is told once, with a rule that works. Any of them may have
    `claims`, a set of what else it promises; of a function it is an attribute.
    """
    parser.add_argument("rule", metavar="FILE:RULE")


def arena(parser: argparse.ArgumentParser) -> None:
    """Hold rules against plain guidance where it is known, or judged, how good samples are.

        guidance-geometry arena my_rule.py:MyRule
        guidance-geometry arena APG "TCFG + Rescale CFG" --worlds exact,pocket-flow-1

    RULE is FILE:RULE, a rule of the pack by any of its names, several with +, cfg, or `every` for all of the pack. Each
    is compared with plain cfg at the prompt strength of plain cfg 4 and 8, and tuned with plain cfg that was tuned
    alike. What is done is kept in the output folder: the same command again runs only what is missing.
    https://github.com/guidance-geometry/comfyui-guidance-geometry/blob/main/docs/which-rule.md explains it.
    """
    add = parser.add_argument
    add("rules", metavar="RULE", nargs="+")
    add("--worlds", default="", metavar="NAMES", help="with commas; default: all. An unknown name lists them")
    add("--seeds", type=whole(4, 10_000), help="start noises of each label; default: 6")
    add("--trials", type=whole(0, 10_000), help="of every rule, when it is tuned; 0: none is; default: 12")
    add("--quick", action="store_true", help="4 seeds and no tuning, to see that a rule runs")
    add("--output", type=Path, default=OUTPUT / "arena", help="folder of the results; default: output/arena")


def convert(parser: argparse.ArgumentParser) -> None:
    """Turn published weights (.pt, .pth, .pkl, .ckpt, .bin) into safetensors: `guidance-geometry convert FILE`.

    Nothing in the file is executed: tensors and plain values are read, everything else is refused. A card beside the
    new file says what it is, what was kept and dropped, and the licence.
    https://github.com/guidance-geometry/comfyui-guidance-geometry/blob/main/docs/converting.md explains it.
    """
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="a .pt, .pth, .pkl, .ckpt or .bin")
    add("--output", type=Path, metavar="FILE", help="default: beside FILE, with the ending .safetensors")
    add("--licence", metavar="TEXT", help="of the weights, as their authors state it; asked for if absent")
    add("--weights", metavar="NAME", help="which table to take; default: an average (EMA), else the raw one")
    add("--say", action="append", default=[], metavar="KEY=VALUE", help="such as schedule=linear, or labels=imagenet")
    add("--force", action="store_true", help="write over files that are there")


def clean(parser: argparse.ArgumentParser) -> None:
    """List what the pack wrote into the folders of a ComfyUI, and remove it after a yes: `guidance-geometry clean`.

    That is everything but what you saved under a name of your own. What you asked the pack for goes only with the
    option that names it. If your ComfyUI is started with other folders than its own, give the same options here.
    """
    add = parser.add_argument
    add("--comfyui", metavar="PATH", help="folder of the ComfyUI; default: the one around the pack")
    add("--base-directory", type=Path, metavar="PATH", help="as your ComfyUI is started with")
    for root in ROOTS:
        add(f"--{root}-directory", type=Path, metavar="PATH", help="as your ComfyUI is started with")
    for place in PLACES:
        if place.option:
            add(f"--{place.option}", action="store_true", help=f"remove {place.what}, too")
    add("--dry-run", action="store_true", help="list only")
    add("--yes", action="store_true", help="do not ask")


class Command(NamedTuple):
    """A command.  what: it does. add: its options, with a docstring that --help shows."""

    what: str
    add: Callable[[argparse.ArgumentParser], None]


COMMANDS = {
    "sweep": Command("run every combination of settings; write a page, a sheet and tables", sweep),
    "study": Command("run a plan, on this machine, on servers or on a Ray cluster", study),
    "page": Command("write a saved trace as one HTML file, or the page of a sweep again", page),
    "report": Command("say what a saved trace tells of its cfg, as text or JSON", report),
    "card": Command("write what a model says of its own pictures along cfg, from a sweep of it", card),
    "check": Command("hold a rule in a Python file against the invariants", check),
    "arena": Command("hold rules against plain cfg where it is known how good samples are", arena),
    "convert": Command("turn published weights into safetensors; nothing in them is run", convert),
    "clean": Command("list what the pack wrote into a ComfyUI, and remove it", clean),
}
