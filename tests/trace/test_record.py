"""Records for the browser: six digits are enough, a step has its limit, and the fixtures still hold."""

import json
import math
from itertools import pairwise

import pytest
import torch

from guidance_geometry.dev.fixtures import record_fixtures
from guidance_geometry.figures.scene import scene_of
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.choices import Pushes, band, default_step
from guidance_geometry.trace.gram import VECTORS, GramRecord, gram
from guidance_geometry.trace.guidance_effect import EffectiveScale
from guidance_geometry.trace.metrics import METRICS
from guidance_geometry.trace.places import PLACES
from guidance_geometry.trace.record import (
    STEP_BYTES,
    RunFacts,
    facts_of,
    round_digits,
    run_record,
    size_of,
    step_records,
)
from guidance_geometry.trace.trace import nearest_to_median

FACTS = RunFacts("run", 3, "ve", 48, VECTORS, 0.5)


def compact(value):
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def row(batch, seed=0, **changes):
    """Columns of one step of random vectors, six of them, as live recording has them."""
    draws = torch.Generator().manual_seed(seed)
    vectors = {name: torch.randn(batch, 3, 4, 4, generator=draws, dtype=torch.float64) for name in VECTORS}
    levels = {"sigma": 1.23456789, "sigma_next": 0.987654321, "alpha": 1.0, "alpha_next": 1.0, "gamma": 4.56789}
    levels |= {"kappa": 0.1234567, "evals": 2.0, "floor": 1.234567e-7}
    columns = {name: torch.tensor(value) for name, value in levels.items()}
    columns |= {f"m{k}": torch.randn(batch, generator=draws) * 1e-5 for k in ("9", "9a", "10", "11", "11s", "13", "14")}
    columns |= {"K": gram(vectors), "sum": torch.randn(batch, 3, generator=draws)}
    return {name: column.double() for name, column in columns.items()} | changes


@pytest.mark.parametrize("name", record_fixtures.CASES)
def test_a_fixture_is_the_record_of_its_run(name):
    stored = json.loads((record_fixtures.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    case = record_fixtures.CASES[name]
    record = run_record(record_fixtures.trace_of(case), case.limit)
    assert [step["i"] for step in record["steps"]] == [step["i"] for step in stored["steps"]]
    assert {key: value for key, value in record.items() if key not in ("steps", "notes")}.keys() <= stored.keys()
    for now, then in zip(record["steps"][::20], stored["steps"][::20], strict=True):
        assert now.keys() == then.keys()
        for one, other in zip(now["samples"], then["samples"], strict=True):
            scale = max(abs(value or 0) for value in other["K"])
            assert close(one["K"], other["K"], 1e-5 * max(scale, 1e-300))


def close(found, expected, limit):
    """Whether two JSON values agree: structure exactly, numbers within an absolute and relative limit."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(close(found[key], expected[key], limit) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(close, found, expected, [limit] * len(expected)))
    if isinstance(expected, float | int) and isinstance(found, float | int):
        return math.isclose(found, expected, rel_tol=max(limit, 1e-9), abs_tol=limit)
    return found == expected


def step_record(columns, index=1, stage="step", limit=STEP_BYTES):
    """The record of one step, from its row."""
    rows = {name: column[None] for name, column in columns.items()}
    (found,) = step_records(rows, FACTS, [stage], index, limit)
    return found


@pytest.mark.parametrize("batch", [1, 8, 16, 24, 25, 200])
def test_a_step_stays_below_its_limit(batch):
    record = step_record(row(batch))
    assert len(compact(record)) <= STEP_BYTES
    assert len(record["samples"]) == len(record.get("subset", record["samples"]))
    assert record["samples"]


def test_many_samples_are_thinned_evenly_with_percentiles_of_all():
    columns = row(200)
    record = step_record(columns)
    subset = record["subset"]
    assert (subset[0], subset[-1]) == (0, 199)
    gaps = [b - a for a, b in pairwise(subset)]
    assert max(gaps) - min(gaps) <= 1
    assert record["samples"][1]["K"] == round_digits(columns["K"][subset[1]])
    rows = {name: column[None] for name, column in columns.items()}
    (strength,) = METRICS["M1"].values(GramRecord(VECTORS, rows["K"]), rows, FACTS.count, None)
    expected = [sorted(strength.tolist())[k] for k in (20, 100, 179)]
    assert record["percentiles"]["M1"] == pytest.approx(expected, rel=0.03)


def test_unknown_numbers_are_null_and_missing_columns_unknown():
    columns = row(2, kappa=torch.tensor(math.nan))
    columns["K"][1, 3] = math.nan
    columns["m9"][0] = math.inf
    columns["floor"] = torch.tensor(math.nan)
    del columns["m14"]
    record = json.loads(compact(step_record(columns, 2, "cond_only")))
    assert record["kappa"] is None
    assert record["floor"] is None
    assert record["samples"][1]["K"][3] is None
    assert record["samples"][0]["m"]["M9"] is None
    assert record["samples"][0]["m"]["M14"] is None
    assert (record["v"], record["i"], record["n"], record["stage"], record["evals"]) == (1, 2, 3, "cond_only", 2)
    assert record["vectors"] == list(VECTORS)


def test_a_live_step_equals_the_step_of_the_finished_record():
    trace = exact_trace(steps=3, batch=2, capture=False)
    later = {name: column[1:] for name, column in trace.steps.items()}
    live, *_ = step_records(later, facts_of(trace), trace.stage[1:], 1)
    assert live == run_record(trace)["steps"][1]


def test_a_step_carries_all_that_a_figure_paints():
    trace = exact_trace(steps=4, batch=4, capture=False)
    record = run_record(trace)
    for i, step in enumerate(record["steps"]):
        for b, sample in enumerate(step["samples"]):
            found = dict(zip(step["numbers"], sample["n"], strict=True)) | sample["m"]
            expected = {name: float(trace.column(name)[i, b]) for name in METRICS}
            assert all(close(found[name], value, 1e-5) for name, value in expected.items() if math.isfinite(value))
            place, points = dict(zip(PLACES, sample["at"], strict=True)), scene_of(trace, i, b).positions.points
            assert points["c"] == pytest.approx((place["u"] + place["delta.x"], place["delta.y"]), rel=1e-4)
            assert points["D"] == pytest.approx((place["u"] + place["D.x"], place["D.y"]), rel=1e-4)
            assert points["tip"] == pytest.approx((place["tip.x"], place["tip.y"]), rel=1e-4)
        ends = band(trace.column("M2")[i]).tolist()
        assert step["percentiles"]["p"] == [10, 90]
        assert step["percentiles"]["M2"] == pytest.approx(ends, rel=1e-5)
        assert step["whisker"][0] <= step["whisker"][1]


def test_choices_are_told_for_every_sample_that_is_sent():
    trace = exact_trace(steps=6, batch=26, capture=False)
    record = run_record(trace)
    choices, sent = record["choices"], record["steps"][0]["subset"]
    assert choices["samples"] == sent
    pushes = Pushes.of(trace.record, trace.steps, trace.header["sigma_data"])
    assert choices["step"] == [default_step(trace, b) for b in sent]
    assert choices["window"] == [list(pushes.window(b) or ()) for b in sent]
    one = EffectiveScale.of(trace.of_samples(slice(sent[2], sent[2] + 1)))
    told = [choices[name][2] for name in ("least", "most", "across")]
    assert told == pytest.approx([one.least, one.most, one.across], rel=1e-5, abs=1e-9)
    assert choices["low"][0] <= 0 < max(one.most, 4) <= choices["high"][2] * (1 + 1e-5)
    short = run_record(trace, 60_000)
    assert {*short["choices"]["step"]} <= {step["i"] for step in short["steps"]}


def test_the_sample_nearest_to_the_median_stands_for_all():
    assert nearest_to_median(torch.tensor([torch.nan, 3.0, 1.0, 2.0, 1.0])) == 2
    assert nearest_to_median(torch.full((3,), torch.nan)) == 0
    assert nearest_to_median(torch.tensor([1.0, 2.0, 3.0]), [2, 0]) == 2


def test_a_record_with_a_limit_keeps_its_ends_and_says_what_it_left_out():
    trace = exact_trace(steps=12, batch=2, capture=False)
    whole, short = run_record(trace), run_record(trace, 6000)
    assert size_of(short) <= 6000 < size_of(whole)
    kept = [step["i"] for step in short["steps"]]
    assert (kept[0], kept[-1]) == (0, 11)
    assert f"{12 - len(kept)} of 12 steps left out" in short["notes"][-1]
    assert run_record(trace, 10**6) == whole


def test_numbers_have_six_digits():
    found = round_digits([1.23456789e-8, 2.0, math.nan, -math.inf, 123456789.0])
    assert found == [1.23457e-8, 2, None, None, 123457000]
    assert compact(round_digits(torch.tensor([[0.0, 1 / 3]], dtype=torch.float64))) == "[[0,0.333333]]"


def test_a_tighter_limit_is_kept_too():
    record = step_record(row(16), limit=300)
    assert len(compact(record)) <= 300 or record["samples"] == []
