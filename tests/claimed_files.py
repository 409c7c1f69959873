"""Sound files of claims, and how the pack reads them: plans, curves, picks, sizes and the rows of a sweep."""

import json
import shutil

from guidance_geometry.measure.levels import LEVELS, Level
from guidance_geometry.sweeps.cells import Cell, cells_of
from guidance_geometry.sweeps.plan import read_plan
from guidance_geometry.sweeps.results import Folder
from guidance_geometry.sweeps.rules import Nodes, RuleNode
from guidance_geometry.tests.project import ROOT
from guidance_geometry.verdict.picks import Pick, Picks

FIRST_LOOK = json.loads((ROOT / "sweeps" / "comfyui" / "first_look.json").read_text(encoding="utf-8"))
NODES = Nodes([RuleNode("GGAdaptiveProjected", "APG (Adaptive Projected Guidance)", {"eta": 0.0})], ("GGLabelEnergy",))
SWEEP = ROOT / "tests" / "fixtures" / "sweep_folder"
CELL = next((SWEEP / "cells").glob("*.json"))
RESULTS = json.loads((SWEEP / "results.json").read_text(encoding="utf-8"))
A_PLAN = {"workflow": FIRST_LOOK, "axes": {"cfg": [1, 2], "rule": "cfg"}, "overrides": {"steps": 3}, "repeats": 2,
          "measures": ["strength"], "judge": "none", "rules": {"a.py:b": "c"}}  # fmt: skip
SUMS = {"evaluations": 8, "sigmas": [*LEVELS], **{name: [[1.0, 1.1]] * len(LEVELS) for name in Level._fields[1:]}}
A_CURVE = {"knob": "cfg", "name": "cfg", "when": "2026-11-27", "beside": "CFG", "each": 2, "values": [1, 4],
           "setting": {"size": [4, 8, 8], "reading": None, "sampler": "euler", "sigmas": [1.0, 0.0], "options": None},
           "measured": [SUMS, SUMS], "variety": [[1, None, None], None]}  # fmt: skip
SOME_CURVES = {"format": "guidance-geometry/measured", "version": 1, "model": {"name": "a", "key": "ab"},
               "curves": [A_CURVE]}  # fmt: skip
A_SIZE = {"format": "guidance-geometry/size", "version": 1, "model": {"key": "a"}, "value": 1.0, "pictures": 8}
SOME_PICKS = Picks("a", "ab", (Pick(3.0, "ode", True, when="2026-11-27"),)).as_json()


def read_whole_plan(file):
    """Every cell of a plan."""
    cells_of(read_plan(file), NODES, {}, "1")


def sweep_with(file, name):
    """A sweep's folder in which a file has this content."""
    sweep = file.parent / "sweep"
    shutil.rmtree(sweep, ignore_errors=True)
    shutil.copytree(SWEEP, sweep)
    (sweep / name).write_bytes(file.read_bytes())
    return sweep


def read_row(file):
    """One cell of a sweep."""
    Folder(sweep_with(file, f"cells/{CELL.name}")).row(Cell(CELL.stem, {}, {}))
