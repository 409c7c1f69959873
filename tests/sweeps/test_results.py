import csv
import json
import math
import os
import shutil
import time
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance_geometry.cli.page import page_of_sweep
from guidance_geometry.dev.fixtures.hostile_answers import large_picture
from guidance_geometry.files.claims import guard, read_json
from guidance_geometry.sweeps.axes import Axis
from guidance_geometry.sweeps.cells import cells_of
from guidance_geometry.sweeps.measures import KNOWN, MEASURES, measure, spread_of
from guidance_geometry.sweeps.plan import Plan
from guidance_geometry.sweeps.results import Folder, csv_of, read_results
from guidance_geometry.tests.claimed_files import RESULTS, SWEEP
from guidance_geometry.tests.sweeps.plans import NODES, picture, trace_bytes, workflow
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.trace import SCALES


def plan_with(cfg=(1, 2), **more):
    return Plan(workflow(), (Axis("cfg", cfg),), **more)


def cells(plan):
    return cells_of(plan, NODES, {}, "1")


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    return trace_bytes(tmp_path_factory.mktemp("trace"))


@pytest.fixture
def half_done(tmp_path, trace):
    """A folder of two cells, the first of them done."""
    folder = Folder(tmp_path / "study")
    plan = plan_with()
    folder.keep(plan)
    folder.write(cells(plan)[0], trace, picture(0), {"seconds": 0.5}, ["strength"])
    return folder


def test_a_cell_is_done_when_its_row_and_its_trace_are_there(half_done):
    first, second = cells(plan_with())
    assert half_done.missing([first, second]) == [second]
    assert half_done.row(first)["place"] == {"cfg": 1}
    half_done.trace_of(first.id).write_bytes(b"half")
    assert half_done.missing([first]) == [first]
    for left in (b"", b"{}"):
        (half_done.cells / f"{first.id}.json").write_bytes(left)
        assert half_done.row(first) is None


def row_with(folder, cell, **changes):
    file = folder.cells / f"{cell.id}.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    "changes", [{"measures": {"strength": "much"}}, {"id": "another"}, {"measures": {"strength": 10**400}}]
)
def test_an_edited_row_is_set_aside_with_the_reason(half_done, changes):
    first, second = cells(plan_with())
    row_with(half_done, first, **changes)
    assert half_done.missing([first]) == [first]
    (fault,) = half_done.set_aside([first, second]).values()
    assert f"{first.id}.json" in fault
    assert json.loads((half_done.path / "rejected" / f"{first.id}.json").read_text())["error"] == fault
    assert half_done.set_aside([first, second]) == {}, "a cell that is missing has no fault"


@pytest.mark.parametrize(("data", "known"), [(None, True), (b"<html>", True), ("half", False), ("large", False)])
def test_a_picture_that_cannot_be_opened_is_no_result(half_done, data, known):
    first = cells(plan_with())[0]
    if not known:
        row_with(half_done, first, sha256={})
    assert half_done.set_aside([first]) == {}
    place = half_done.picture_of(first.id)
    kinds = {"half": place.read_bytes()[:60], "large": large_picture()}
    place.unlink() if data is None else place.write_bytes(kinds.get(data, data))
    (fault,) = half_done.set_aside([first]).values()
    assert ("picture" in fault or "is not there" in fault, half_done.missing([first])) == (True, [first])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"picture": b"<html>"}, r"picture of 6 bytes, which begins with b'<html>', cannot be opened\."),
        ({"facts": {"verdict": "x" * 30_000}}, r"verdict is a str; .* is needed"),
        ({"trace": b"cut off"}, "safetensors"),
    ],
)
def test_nothing_is_kept_of_a_result_that_cannot_be_read(tmp_path, trace, change, message):
    folder, (first, _) = Folder(tmp_path), cells(plan_with())
    result: dict[str, Any] = {"trace": trace, "picture": picture(0), "facts": {}} | change
    with pytest.raises(ValueError, match=message):
        folder.write(first, **result, names=["strength"])
    assert folder.missing([first]) == [first]


def test_what_a_kill_left_is_deleted_once_it_is_old(half_done):
    old, fresh = half_done.cells / ".0123456789ab.part", half_done.path / ".ba9876543210.part"
    for part in (old, fresh):
        part.write_bytes(b"half")
    os.utime(old, (time.time() - 100, time.time() - 100))
    before = {*half_done.path.rglob("*")} - {old}
    half_done.tidy()
    assert {*half_done.path.rglob("*")} == before


def test_an_extended_axis_leaves_what_is_done(half_done):
    wider = half_done.widen(plan_with(cfg=(2, 4)))
    assert wider.axes[0].values == (1, 2, 4)
    assert [cell.place["cfg"] for cell in half_done.missing(cells(wider))] == [2, 4]


def test_another_plan_in_the_folder_is_refused(half_done):
    with pytest.raises(ValueError, match=r"results of another plan.*another workflow"):
        half_done.widen(plan_with(overrides={"steps": 3}))
    with pytest.raises(ValueError, match="They vary cfg, this plan varies steps"):
        half_done.widen(Plan(workflow(), (Axis("steps", (1,)),)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is not there. Give the folder of a sweep"),
        ('{"rows": [{"id": "x"}]}', "place"),
        ('{"rows": [], "plan": {}}', "The plan has no workflow"),
        (
            json.dumps({"rows": [{"id": "x", "place": {}, "measures": {}}], "plan": json.loads(plan_with().text())}),
            "the place of x has no cfg",
        ),
    ],
)
def test_the_folder_of_something_else_is_no_sweep(tmp_path, content, words):
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=words) as caught:
        read_results(tmp_path)
    assert str(tmp_path / "results.json") in str(caught.value)


def test_the_table_holds_axes_and_measures_and_no_formula():
    rows = [
        {"id": "a", "place": {"cfg": 1, "prompt": "=1+1"}, "measures": {"strength": 0.5}, "seconds": 2.0},
        {"id": "b", "place": {"cfg": 2}, "measures": {"strength": None}},
    ]
    first, second = csv.DictReader(csv_of(rows).splitlines())
    assert first == {"id": "a", "cfg": "1", "prompt": "'=1+1", "strength": "0.5", "seconds": "2.0"}
    assert second["strength"] == ""


def test_the_scale_that_acted_is_measured_and_is_empty_where_it_is_unknown():
    """Half of what cfg asks for beyond c is 1 + 7 / 2; what goes aside is no scale."""
    names = ["effective_scale", "across"]
    plain, half, aside = (
        measure(exact_trace(8.0, steps=6, batch=2, capture=False, rule=rule), names)
        for rule in (None, lambda u, c, guided: (c + guided) / 2, lambda u, c, guided: c + (guided - c).flip(-1))
    )
    assert (plain["effective_scale"], half["effective_scale"]) == pytest.approx((8.0, 4.5))
    assert (plain["across"], half["across"]) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert 0.5 < aside["across"] <= 1
    old = exact_trace(8.0, steps=6, batch=2, capture=False)
    old = replace(old, steps={name: column for name, column in old.steps.items() if name not in SCALES})
    row = {"id": "a", "place": {"cfg": 8}, "measures": measure(old, names)}
    assert csv_of([row]) == "id,cfg,effective_scale,across\na,8,,\n"


def test_saturation_is_that_of_the_last_step_and_strength_is_not_that_of_one_step():
    assert all(math.isfinite(value) for value in measure(exact_trace(), list(MEASURES)).values())
    trace = exact_trace(8.0, batch=2, steps=6)
    steps = {name: value.clone() for name, value in trace.steps.items()}
    steps["m10"] = torch.arange(12.0, dtype=torch.float64).reshape(6, 2) / 100
    found = measure(replace(trace, steps=steps), ["saturation", "strength"])
    assert found["saturation"] == pytest.approx(0.105)
    usual = trace.column("M1")
    assert found["strength"] == pytest.approx(float(usual.quantile(0.5, dim=0).mean()))
    steps["gamma"] = torch.cat([steps["gamma"][:-1], torch.tensor([1e4], dtype=torch.float64)])
    burst = replace(trace, steps=steps)
    assert float(burst.column("M1").nanmean()) > 100 * found["strength"]
    assert measure(burst, ["strength"])["strength"] < 2 * found["strength"]


# two-sided 95 % points of Student's t as tables print them
@pytest.mark.parametrize(("count", "t"), [(2, 12.706), (3, 4.303), (6, 2.571), (1001, 1.962)])
def test_an_interval_of_few_is_that_of_student(count, t):
    values = [(-1.0) ** k for k in range(count)]
    found, mean = spread_of(values), fmean(values)
    half = t * stdev(values) / math.sqrt(count)
    assert (found.low, found.high) == (pytest.approx(mean - half, rel=1e-3), pytest.approx(mean + half, rel=1e-3))


@given(st.data())
@settings(max_examples=50, derandomize=True)
def test_an_interval_holds_the_mean_and_only_what_is_possible(data):
    measure = data.draw(st.sampled_from(list(KNOWN.values())))
    low, high = (max(min(end, 1e6), -1e6) for end in measure.within)
    values = data.draw(st.lists(st.floats(low, high), min_size=2, max_size=6))
    found = spread_of(values, measure.within)
    close = 1e-9 * max(map(abs, values)) + 1e-30  # below, squares vanish
    assert low - close <= measure.within[0] or found.low >= measure.within[0]
    assert measure.within[0] <= found.low <= found.mean + close
    assert found.mean - close <= found.high <= measure.within[1]


@pytest.mark.parametrize("fault", [TypeError, KeyError, OverflowError, RecursionError, AttributeError])
def test_a_fault_of_the_content_is_told_with_the_file_and_the_place(fault):
    words = rf"^a\.json is damaged at bands: {fault.__name__}: '?x'?\. Mend it\.$"
    with pytest.raises(ValueError, match=words), guard("a.json", "bands", "Mend it."):
        raise fault("x")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe{", r"a\.json is damaged at byte 0: it is not text in UTF-8"),
        (b'{"a": 1, "a": 2}', r"'a' stands twice in one table"),
        (b"[" * 5000 + b"]" * 5000, r"a\.json "),
        (b" " * 2**25, "at most 16,777,216 are read"),
    ],
    ids=["bytes", "twice", "deep", "long"],
)
def test_what_is_no_json_is_said(tmp_path, content, words):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_json(tmp_path / "a.json", "Mend it.")


def test_the_mark_that_editors_write_first_is_no_part_of_a_file_and_a_device_is_no_file(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a.json", "Mend it.") == [1]
    os.mkfifo(tmp_path / "b.json")
    for path in (tmp_path / "b.json", tmp_path):
        with pytest.raises(ValueError, match="is no file"):
            read_json(path, "Mend it.")


@pytest.mark.parametrize("name", ["../../victim", "..", "/etc/passwd", "a/b", "", "a\0b"])
def test_a_row_leads_nowhere_outside_of_its_folder(tmp_path, name):
    victim = tmp_path / "victim.json"
    victim.write_text("{}")
    sweep = shutil.copytree(SWEEP, tmp_path / "a")
    (sweep / "results.json").write_text(json.dumps({**RESULTS, "rows": [RESULTS["rows"][0] | {"id": name}]}))
    with pytest.raises(ValueError, match=r"results\.json: id is "):
        page_of_sweep(str(sweep))
    assert victim.read_text() == "{}"


def test_the_rows_of_other_plans_stand_beside_and_a_damaged_one_does_not(half_done):
    first, _ = cells(plan_with())
    (other,) = half_done.rows_beside([])
    assert (other["id"], other["place"]) == (first.id, {"cfg": 1})
    assert half_done.rows_beside([first]) == []
    half_done.trace_of(first.id).unlink()
    assert half_done.rows_beside([]) == []
