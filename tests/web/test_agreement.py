"""Python and the panel's JavaScript find the same numbers in 200 random records, degenerate ones among them."""

import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from guidance_geometry.figures.scene import default_step, scene_of
from guidance_geometry.figures.words import number
from guidance_geometry.tests.random_runs import random_run
from guidance_geometry.trace.effective import EffectiveScale
from guidance_geometry.trace.gram import added, coordinates, frame, named
from guidance_geometry.trace.metrics import METRICS, direction_angle
from guidance_geometry.trace.pushes import contraction, interval, push, shares
from guidance_geometry.trace.record import run_record
from guidance_geometry.trace.trace import PER_STEP, Trace

RUNS = 200
CLOSE = 1e-6
UNDECIDED = 2e-6  # share of |delta|^2 that 6 printed digits leave open: there the panel says collinear, Python may not
OTHERS = (-1.0, 0.0, 1.0, 2.5, 60.0)
IN_BANDS = ("M2", "M7", "M8", "M13", "M19")
OF_SCALE = ("M1", "M3", "M3c", "M16")
SCRIPT = Path(__file__).with_name("numbers.mjs")
POINTS = ("x", "u", "c", "G", "D", "tip")  # of a scene


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """[(record, what Python finds, what JavaScript finds)]"""
    if shutil.which("node") is None:
        pytest.skip("no node on the path")
    runs = [(record, shown(record)) for record in (run_record(random_run(seed)) for seed in range(RUNS))]
    file = tmp_path_factory.mktemp("agreement") / "records.json"
    file.write_text(json.dumps({"runs": runs, "others": OTHERS}, allow_nan=False))
    answer = subprocess.run(["node", str(SCRIPT), str(file)], capture_output=True, text=True, check=True, timeout=120)
    mine = (numbers_of(record, samples) for record, samples in runs)
    return list(zip((record for record, _ in runs), mine, json.loads(answer.stdout), strict=True))


def shown(record):
    """Positions of some of the samples that were sent: the first, the last and one between."""
    last = len(record["steps"][0]["samples"]) - 1
    return sorted({0, last // 2, last})


def test_every_shared_number_is_the_same(found):
    differences = [
        f"{record['run']} {words}" for record, mine, theirs in found for words in compared(mine, theirs, 1.0, "")
    ]
    assert not differences, "\n".join(differences[:40])


def test_the_runs_hold_every_kind_of_step(found):
    records = [record for record, _, _ in found]
    assert {len(record["latent"]["shape"]) for record in records} == {2, 3, 4}
    assert {record["batch"] for record in records} >= {1, 16, 40}
    assert {record["space"] for record in records} == {"ve", "flow"}
    steps = [step for record in records for step in record["steps"]]
    assert {step["gamma"] for step in steps} >= {0, 1, 4, -1, None}
    assert {step["stage"] for step in steps} == {"step", "cond_only"}
    assert any(step["kappa"] is None for step in steps)
    dots = [dict(zip(pairs(step), sample["K"], strict=True)) for step in steps for sample in step["samples"]]
    for case in (
        lambda dot: dot["delta", "delta"] == 0,  # u = c
        lambda dot: dot["a", "a"] == 0,  # u = x
        lambda dot: dot["move", "move"] == 0,  # the step has no length
        lambda dot: dot["noise", "noise"] not in (0, None),
        lambda dot: dot["D-G", "D-G"] not in (0, None),  # a rule
        lambda dot: dot["move", "move"] is None,  # nan
    ):
        assert sum(map(bool, map(case, dots))) >= 10


def test_metrics_have_one_name_and_unit_in_both_languages():
    if shutil.which("node") is None:
        pytest.skip("no node on the path")
    module = SCRIPT.parents[2] / "web" / "lib" / "metrics.mjs"
    code = f"import({json.dumps(module.as_uri())}).then(m => console.log(JSON.stringify(m.NAMES)))"
    answer = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(answer.stdout) == {name: [metric.name, metric.unit] for name, metric in METRICS.items()}


def pairs(step):
    return [(v, w) for i, v in enumerate(step["vectors"]) for w in step["vectors"][i:]]


def compared(mine, theirs, unit, where):
    """Sentences about everything in which two trees of numbers differ."""
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
    return [words for one, other, place in parts for words in compared(one, other, unit, place)]


def numbers_of(record, places):
    """What numbers.mjs finds in a record, computed in Python, for the samples at these places of those sent."""
    trace = trace_of(record)
    columns = columns_of(trace)
    steps = [[of_sample(trace, columns, (i, k)) for k in places] for i in range(trace.n)]
    runs = [of_run(trace, columns, k) for k in places]
    bands = [bands_of(columns["metrics"], step) for step in record["steps"]]
    return {
        "steps": steps,
        "runs": runs,
        "bands": bands,
        "most": max(2.0, 2 * float(trace.steps["gamma"].nan_to_num(0.0).max())),
    }


def bands_of(metrics, step):
    """10th and 90th percentile over the batch, of all samples where the record has them; of fewer than three none."""
    if "percentiles" in step:
        sent = [step["percentiles"][name] for name in IN_BANDS]
        return [[math.nan if value is None else float(value) for value in (low, high)] for low, _, high in sent]
    ends = torch.tensor([0.1, 0.9], dtype=torch.float64)
    found = []
    for name in IN_BANDS:
        values = metrics[name][step["i"]]
        some = int(values.isfinite().sum()) >= 3
        found.append(values.nanquantile(ends).tolist() if some else [math.nan, math.nan])
    return found


def trace_of(record):
    """The run as the record tells it: the numbers and samples that were sent, nothing more."""
    steps = record["steps"]
    columns = {name: numeric([step[name] for step in steps]) for name in PER_STEP}
    columns["K"] = numeric([[sample["K"] for sample in step["samples"]] for step in steps])
    for name, metric in METRICS.items():
        if metric.column:
            columns[metric.column] = numeric([[sample["m"][name] for sample in step["samples"]] for step in steps])
    return Trace(record, columns, [step["stage"] for step in steps])


def numeric(value):
    def filled(item):
        return list(map(filled, item)) if isinstance(item, list) else math.nan if item is None else item

    return torch.tensor(filled(value), dtype=torch.float64)


def columns_of(trace):
    """Everything of all steps and samples, [n, B, ...] each."""
    record, (gamma, kappa, alpha) = trace.record, (trace.steps[name][:, None] for name in ("gamma", "kappa", "alpha"))
    plane, difference = frame(record, gamma), record.square({"delta": 1.0})
    turned = record.combination({"delta": 1.0}, {"a": 1.0}).square() / record.square({"a": 1.0})
    undecided = (difference - turned).clamp(min=0) < UNDECIDED * difference
    noisy = bool((trace.column("M8") > 0).any())
    left = contraction(trace.steps["sigma_next"], trace.steps["alpha_next"], trace.header["sigma_data"], noisy)
    pushed = push(record, gamma, kappa)
    return {
        "dots": [record.combination({v: 1.0}, named("D", gamma)) for v in record.vectors],
        "lengths": [record.square({v: 1.0}).sqrt() * trace.count**-0.5 for v in record.vectors],
        "metrics": {name: trace.column(name) for name in METRICS},
        "angle": direction_angle(record, alpha),
        "points": plane.points,
        "heights": plane.height,
        "flags": [plane.collinear | undecided, plane.same],
        "others": [tried(trace, other) for other in OTHERS],
        "shares": [shares(pushed), shares(pushed * left[:, None])],
    }


def tried(trace, other):
    """What another scale would have done: the panel's what-if."""
    record, size = trace.record, trace.count**-0.5
    gamma, kappa, alpha = (trace.steps[name][:, None] for name in ("gamma", "kappa", "alpha"))
    data = trace.header["sigma_data"]
    given = {"gamma": other, "alpha": alpha, "count": trace.count, "sigma_data": math.nan if data is None else data}
    state, origin = added(named("next"), {"delta": kappa * (other - gamma)}), named("x")
    prediction, step = added(named("G", other), origin, -1.0), added(added(state, {"noise": 1.0}, -1.0), origin, -1.0)
    return {
        "metrics": [METRICS[m].function(record, **{need: given[need] for need in METRICS[m].needs}) for m in OF_SCALE],
        "state": record.square(state).sqrt() * size,
        "shown": coordinates(record, prediction)[0] * size,
        "moved": coordinates(record, step)[0] * size,
    }


def of_sample(trace, columns, at):
    scene = scene_of(trace, *at)
    found = plain({name: columns[name] for name in columns if name != "shares"}, at)
    for other in found["others"]:
        hidden = scene.missing
        other |= {"shown": None} if hidden else {}
        other |= {"moved": None} if hidden or math.isnan(float(trace.steps["kappa"][at[0]])) else {}
    sizes = [abs(v) for place in found["points"].values() for v in place if math.isfinite(v)]
    found["flags"].append(bool(scene.missing))
    return found | {"unit": max([1.0, *sizes]), "scene": None if scene.missing else drawn(scene)}


def drawn(scene):
    across = scene.positions.across
    return {
        "split": across and [*across[1:], *scene.positions.points["along"]],
        "points": {name: list(scene.positions.points[name]) for name in POINTS},
        "noise": scene.positions.noise,
        "other": scene.positions.other,
    }


def plain(value, at):
    """The numbers of one step and sample out of a tree of columns."""
    if isinstance(value, torch.Tensor):
        return value[at].tolist()
    if isinstance(value, dict):
        return {name: plain(item, at) for name, item in value.items()}
    return [plain(item, at) for item in value]


def of_run(trace, columns, k):
    pushed, left = (column[:, k] for column in columns["shares"])
    table = [[number_or_dash(float(column[i, k])) for column in columns["metrics"].values()] for i in range(trace.n)]
    return {
        "step": default_step(trace, k),
        "acts": acts(trace.of_samples(slice(k, k + 1))),
        "shares": [[float(one), float(other)] for one, other in zip(pushed, left, strict=True)],
        "held": held(pushed, left),
        "printed": table,
    }


def acts(alone):
    """What one sample comes to: ends of its effective scale, and the mean share across."""
    acted = EffectiveScale.of(alone)
    return [acted.least, acted.most, acted.across]


def held(pushed, left):
    found = interval(pushed, left)
    return None if found is None else list(found)


def number_or_dash(value):
    """As the panel prints a number: it has a sign for what is unknown."""
    return "\u2013" if not math.isfinite(value) else number(value)
