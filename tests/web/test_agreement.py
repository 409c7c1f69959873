"""The panel paints what Python draws, and reckons as Python does, in random records, degenerate ones among them."""

import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from guidance_geometry.figures.scene import scene_of
from guidance_geometry.figures.words import number
from guidance_geometry.tests.random_runs import random_run
from guidance_geometry.trace.choices import default_step
from guidance_geometry.trace.gram import GramRecord, coordinates, plus, point
from guidance_geometry.trace.metrics import METRICS, MOTION, motion_metrics
from guidance_geometry.trace.record import run_record

RUNS = 24
CLOSE = 2e-5  # of what is drawn: six digits each, and sums of them
OTHERS = (-1.0, 0.0, 1.0, 2.5, 60.0)
OF_SCALE = ("M1", "M3", "M3c")
SCRIPT = Path(__file__).with_name("numbers.mjs")
POINTS = ("x", "u", "c", "G", "D", "tip")  # of a scene


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    """What the panel makes of the runs: (names of metrics, [(run, its record, places of samples, numbers)])."""
    if shutil.which("node") is None:
        pytest.skip("no node on the path")
    traces = [random_run(seed) for seed in range(RUNS)]
    runs = [(record, shown(record)) for record in map(run_record, traces)]
    file = tmp_path_factory.mktemp("agreement") / "records.json"
    file.write_text(json.dumps({"runs": runs, "others": OTHERS}, allow_nan=False))
    answer = subprocess.run(["node", str(SCRIPT), str(file)], capture_output=True, text=True, check=True, timeout=120)
    found = json.loads(answer.stdout)
    return found["names"], [
        (trace, *run, theirs) for trace, run, theirs in zip(traces, runs, found["runs"], strict=True)
    ]


def shown(record):
    """Places of some of the samples that were sent: the first, the last and one between."""
    last = len(record["steps"][0]["samples"]) - 1
    return sorted({0, last // 2, last})


def test_metrics_have_one_name_and_unit_in_both_languages(panel):
    assert panel[0] == {name: [metric.name, metric.unit] for name, metric in (METRICS | MOTION).items()}


def test_the_panel_paints_what_python_draws(panel):
    differences = []
    for trace, record, places, theirs in panel[1]:
        mine = numbers_of(trace, record, places)
        differences += [f"{record['run']}{words}" for words in compared(mine, theirs, "")]
    assert not differences, "\n".join(differences[:40])


def compared(mine, theirs, where, unit=1.0):
    """Sentences about everything in which two trees of numbers differ; unit: what a number is measured by."""
    if isinstance(mine, dict):
        unit = mine.get("unit", unit)
        assert {key for key in mine if key != "unit"} == set(theirs), where
        parts = [(mine[key], theirs[key], f"{where} {key}") for key in theirs]
    elif isinstance(mine, list | tuple):
        assert len(mine) == len(theirs), where
        parts = [(one, other, f"{where} {k}") for k, (one, other) in enumerate(zip(mine, theirs, strict=True))]
    elif isinstance(mine, float) and math.isfinite(mine):
        near = theirs is not None and abs(theirs - mine) <= CLOSE * max(abs(mine), unit)
        return [] if near else [f"{where}: {theirs} is not {mine}"]
    else:
        same = theirs is None if isinstance(mine, float) else theirs == mine
        return [] if same else [f"{where}: {theirs} is not {mine}"]
    return [words for one, other, place in parts for words in compared(one, other, place, unit)]


def numbers_of(trace, record, places):
    """What numbers.mjs finds in a record, of the samples at these places of those sent."""
    columns = {name: trace.column(name) for name in METRICS | motion_metrics(trace.steps)}
    samples = [(k, (record["steps"][0].get("subset") or range(trace.batch))[k]) for k in places]
    return {
        "steps": [[of_sample(trace, i, b, record["steps"][i], k) for k, b in samples] for i in range(trace.n)],
        "runs": [of_run(trace, columns, b) for _, b in samples],
        "most": max(2.0, 2 * float(trace.steps["gamma"].nan_to_num(0.0).max())),
    }


def tried(trace, step, k, other):
    """Metrics of another scale, from the six digits that the panel has."""
    numbers = torch.tensor(
        [math.nan if value is None else value for value in step["samples"][k]["K"]], dtype=torch.float64
    )
    data, alpha = trace.header["sigma_data"], math.nan if step["alpha"] is None else step["alpha"]
    given = {"gamma": other, "alpha": alpha, "count": trace.count, "sigma_data": math.nan if data is None else data}
    record = GramRecord(trace.record.vectors, numbers)
    functions = {m: METRICS[m].function for m in OF_SCALE}
    return [float(f(record, **{need: given[need] for need in METRICS[m].needs})) for m, f in functions.items() if f]


def ended(trace, i, b, other):
    """Where the step would have ended at another scale, before its noise."""
    gamma, kappa = (float(trace.steps[name][i]) for name in ("gamma", "kappa"))
    step = plus(plus(point("tip"), {"delta": kappa * (other - gamma)}), point("x"), -1.0)
    record = GramRecord(trace.record.vectors, trace.record.K[i, b])
    return (coordinates(record, step)[0] * trace.count**-0.5).tolist()


def of_sample(trace, i, b, step, k):
    scene = scene_of(trace, i, b)
    still = scene.missing or math.isnan(float(trace.steps["kappa"][i]))
    tries = [(tried(trace, step, k, other), None if still else ended(trace, i, b, other)) for other in OTHERS]
    drawn = None if scene.missing else drawn_of(scene)
    ends = [*((drawn or {}).get("points", {}).values()), *(end for _, end in tries if end)]
    return {
        "unit": max([1.0, *(abs(value) for place in ends for value in place if math.isfinite(value))]),
        "scene": drawn,
        "others": [{"metrics": metrics, "moved": end} for metrics, end in tries],
    }


def drawn_of(scene):
    positions = scene.positions
    return {
        "split": positions.across and [*positions.across[1:], *positions.points["along"]],
        "points": {name: list(positions.points[name]) for name in POINTS},
        "noise": positions.noise,
        "other": positions.other,
    }


def of_run(trace, columns, b):
    sigma = trace.steps["sigma"]
    table = [[printed(float(column[i, b])) for column in columns.values()] for i in range(trace.n)]
    return {"step": default_step(trace, b), "printed": table, "first": 0.0 if len(sigma) > 1 else 0.5}


def printed(value):
    """As the panel prints a number of six digits: it has a sign for what is unknown."""
    return number(float(f"{value:.6g}")) if math.isfinite(value) else "\u2013"
