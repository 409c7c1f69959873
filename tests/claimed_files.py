"""Sound files of claims, and how the pack reads them: plans, cards, picks, sizes and the rows of a sweep."""

import json
import shutil

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
A_BAND = {"low": 2.5, "centre": 3.5, "high": 5.4, "steps": 20, "seeds": [7, 8], "samples": 2000, "sampler": "euler",
          "objective": {"name": "J", "points": [{"gamma": 2, "value": 6.1}]},
          "edges": {"low": {"overmean": 0.05, "push8": None}, "high": {"strength": 0.06}}}  # fmt: skip
A_CARD = {"format": "guidance-geometry/card", "version": 1, "model": {"name": "a", "sha256": "AB12"}, "pack": "0.1.0",
          "sigma_data": {"value": 0.6, "source": "data"}, "bands": {"ode": A_BAND}, "date": "2026-11-27"}  # fmt: skip
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
