import math
import re
from functools import cache

import pytest

from guidance_geometry.dev.fixtures import hostile_answers
from guidance_geometry.sweeps import page as pages
from guidance_geometry.sweeps import runs as study_runs
from guidance_geometry.sweeps.axes import Axis
from guidance_geometry.sweeps.cells import cells_of
from guidance_geometry.sweeps.curves import add_diversity, curves, first_view
from guidance_geometry.sweeps.page import pixels_of, study_page, thumbnail
from guidance_geometry.sweeps.pictures import open_picture
from guidance_geometry.sweeps.plan import Plan
from guidance_geometry.sweeps.runs import MOST_CELLS, records_of
from guidance_geometry.tests.sweeps.plans import NODES, picture, rows_of, workflow
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.record import run_record, size_of

AXES = (Axis("cfg", (1, 4)), Axis("rule", ("cfg", "APG")), Axis("seed", (0, 1, 2)))


@pytest.fixture(scope="module")
def cells():
    return cells_of(Plan(workflow(), AXES), NODES, {}, "1")


def test_curves_have_the_means_and_intervals_over_seeds(cells):
    found = {(c["measure"], c["axis"], c["split"]): c for c in curves(rows_of(cells), AXES)}
    split_by = {"cfg": (None, "rule"), "rule": (None, "cfg"), "seed": (None, "cfg", "rule")}
    assert {key[1:] for key in found} == {(axis, split) for axis, splits in split_by.items() for split in splits}
    (plain, apg) = found["strength", "cfg", "rule"]["series"]
    assert (plain["name"], apg["name"]) == ("cfg", "APG")
    first = plain["points"][0]
    assert (first["x"], first["n"], first["mean"]) == (1, 3, pytest.approx(1.1))
    assert first["high"] - first["mean"] == pytest.approx(4.302653 * 0.1 / 3**0.5)
    assert first["mean"] - first["low"] == pytest.approx(4.302653 * 0.1 / 3**0.5)


def test_the_first_curves_are_no_means_over_rules():
    cfg, rule, seed = AXES
    assert first_view(AXES) == {"axis": "cfg", "split": "rule"}
    assert first_view((seed, cfg, rule)) == {"axis": "cfg", "split": "rule"}
    assert first_view((rule, cfg)) == first_view((rule,)) == {"axis": "rule", "split": ""}
    assert first_view((cfg, Axis("rule", tuple("abcdefghi")))) == {"axis": "rule", "split": ""}
    assert first_view((cfg, Axis("rule", ("cfg",)), seed)) == {"axis": "cfg", "split": ""}
    assert first_view((seed,)) == {"axis": "seed", "split": ""}
    assert first_view(()) == {"axis": "", "split": ""}


def test_diversity_is_that_of_the_seeds_at_a_place(cells):
    shades = {cell.id: 100 * (cell.place["cfg"] == 4) * (cell.place["seed"] == 0) for cell in cells}
    shown = {name: pixels_of(thumbnail(picture(shade))) for name, shade in shades.items()}
    told = add_diversity(rows_of(cells), shown.__getitem__)
    found = {row["place"]["cfg"]: row["measures"]["diversity"] for row in told}
    assert found == {1: 0.0, 4: pytest.approx(2 / 3 * 100 / 255, abs=1e-6)}


def test_an_interval_is_of_the_seeds_alone(cells):
    wide = [
        {**row, "measures": {"strength": 10 * row["place"]["cfg"] + row["place"]["seed"]}} for row in rows_of(cells)
    ]
    found = {(c["axis"], c["split"]): c["series"][0]["points"][0] for c in curves(wide, AXES)}
    rule, seed = found["rule", None], found["seed", None]
    assert (rule["mean"], rule["n"], rule["high"]) == (26, 6, pytest.approx(26 + 4.302653 / 3**0.5))
    assert (seed["mean"], seed["n"], math.isnan(seed["low"])) == (25, 4, True)
    uneven = {(c["axis"], c["split"]): c["series"][0]["points"][0] for c in curves(wide[1:], AXES)}
    assert math.isnan(uneven["rule", None]["high"])


@pytest.fixture(scope="module")
def trace():
    return exact_trace(steps=50, batch=2)


@pytest.fixture
def alike(trace, monkeypatch):
    """Many cells have this run: its record of a size is made once."""
    made = cache(lambda limit: run_record(trace.of_samples(slice(1)), limit))
    monkeypatch.setattr(study_runs, "run_record", lambda _, limit: made(limit))
    return trace


def addresses_in(text):
    return re.findall(r"data:image/[a-z]+;base64,[^\"]*", text)


def test_pictures_shrink_until_those_fit_that_the_sample_had_left_out(monkeypatch):
    """Their side is chosen by every second picture, here the small ones; at that side the page would be too large."""
    axes = (Axis("cfg", tuple(range(1, 17))),)
    cells = cells_of(Plan(workflow(), axes), NODES, {}, "1")
    pictures = {cell.id: picture(1, side=200 if number % 2 else 32) for number, cell in enumerate(cells)}
    whole = len(study_page("A study", axes, cells, rows_of(cells), pictures, ""))
    monkeypatch.setattr(pages, "PAGE_BYTES", most := whole - 30_000)
    text = study_page("A study", axes, cells, rows_of(cells), pictures, "")
    assert (len(addresses_in(text)), len(text) <= most) == (16, True)


def test_a_page_without_room_for_its_pictures_has_none(cells, monkeypatch):
    monkeypatch.setattr(pages, "PAGE_BYTES", 3_000)
    noise = picture(1, side=200)
    text = study_page("A study", AXES, cells, rows_of(cells), {cell.id: noise for cell in cells}, "")
    assert (addresses_in(text), cells[0].id in text) == ([], True)


@pytest.mark.parametrize("size", [(9_000, 9_000), (1, 60_000_000)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(size):
    words = f"cannot be opened: {size[0]:,} x {size[1]:,} pixels\\. .* at most 67,108,864 pixels"
    with pytest.raises(ValueError, match=words):
        open_picture(hostile_answers.large_picture(*size))


def test_many_records_keep_fewer_steps_and_too_many_are_left_out(alike):
    names = [str(i) for i in range(200)]
    record = records_of(names, lambda _: alike)["0"]
    assert (size_of(record) < 20_000, 5 < len(record["steps"]) < 50, "left out" in record["notes"][-1]) == (True,) * 3
    assert records_of([str(i) for i in range(MOST_CELLS + 1)], lambda _: alike) == {}


def test_words_of_a_plan_cannot_leave_their_place(cells):
    hostile = "</script><script>alert(1)</script>"
    rows = [{**row, "verdict": hostile} for row in rows_of(cells)]
    text = study_page(hostile, AXES, cells, rows, {}, hostile)
    assert "<script>alert" not in text


CUT = """() => ["#grid", "#rows", ".report", "#curves figure"].flatMap(name => [...document.querySelectorAll(name)])
  .filter(one => one.offsetParent && (one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1
    || one.getBoundingClientRect().right > innerWidth)).map(one => one.id || one.className)"""


@pytest.mark.browser
def test_a_page_prints_whole_on_paper(browser, tmp_path):
    """On a sheet of A4 at 96 pixels an inch, with more columns and rows than a window holds."""
    axes = (Axis("cfg", tuple(range(1, 13))), Axis("seed", tuple(range(12))))
    cells = cells_of(Plan(workflow(), axes), NODES, {}, "1")
    pictures = {cell.id: picture(1, side=64) for cell in cells}
    file = tmp_path / "index.html"
    file.write_text(study_page("A study", axes, cells, rows_of(cells), pictures, "A line. " * 40), encoding="utf-8")
    page = browser.new_page(viewport={"width": 718, "height": 1000})
    page.goto(file.as_uri())
    page.wait_for_selector("#rows td")
    page.emulate_media(media="print")
    assert page.evaluate(CUT) == []
    assert not page.locator("#controls").is_visible()
    page.close()
