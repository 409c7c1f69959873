"""What a study leaves beside its cells, in a folder and at an address."""

import html
import io
import json
import math
import weakref

import numpy as np
import pytest
from PIL import Image

from guidance_geometry.cli.study import print_report
from guidance_geometry.sweeps import page, summary
from guidance_geometry.sweeps.addresses import place_at
from guidance_geometry.sweeps.axes import Axis
from guidance_geometry.sweeps.cells import cells_of
from guidance_geometry.sweeps.plan import Plan
from guidance_geometry.sweeps.results import CELLS, Folder
from guidance_geometry.sweeps.rules import NOTHING
from guidance_geometry.sweeps.sheet import caption
from guidance_geometry.sweeps.summary import write_summary
from guidance_geometry.tests.sweeps.plans import trace_bytes, workflow

WORKFLOW = workflow()
PLAN = Plan(WORKFLOW, (Axis("cfg", (1, 2)),))
WRITTEN = ["report.txt", "results.csv", "results.json", "index.html", "sheet.png"]
FILES = {"plan.json", *WRITTEN}


def picture(seed=0, height=100, width=100):
    sink = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(sink, "PNG")
    return sink.getvalue()


def filled(folder, plan, tmp_path):
    """The cells of a plan, all of them done."""
    trace, cells = trace_bytes(tmp_path), cells_of(plan, NOTHING, {}, "1")
    folder.keep(plan)
    for seed, cell in enumerate(cells):
        folder.write(cell, trace, picture(seed), {"seconds": 0.5}, ["strength"])
    return cells


@pytest.mark.parametrize("data", [b"<html>", None], ids=["html", "missing"])
def test_the_page_is_written_with_the_cells_that_are_good(tmp_path, capsys, data):
    folder = Folder(tmp_path / "study")
    cells = filled(folder, PLAN, tmp_path)
    place = tmp_path / "study" / CELLS / f"{cells[0].id}.png"
    place.unlink() if data is None else place.write_bytes(data)
    assert [row["id"] for row in write_summary(folder, PLAN, cells, "a title", "")] == [cells[1].id]
    assert "set aside: cfg=1: " in capsys.readouterr().err
    assert cells[0].id not in (folder.path / "results.csv").read_text()
    assert (folder.missing(cells), (folder.path / "index.html").exists()) == ([cells[0]], True)


def test_few_pictures_are_in_memory_at_once(tmp_path, monkeypatch):
    plan, alive, most = Plan(WORKFLOW, (Axis("cfg", tuple(range(1, 25))),)), set(), []
    cells, real = filled(Folder(tmp_path / "study"), plan, tmp_path), page.thumbnail

    def watched(data):
        image = real(data)
        alive.add(id(image))
        weakref.finalize(image, alive.discard, id(image))
        most.append(len(alive))
        return image

    monkeypatch.setattr(page, "thumbnail", watched)
    assert len(write_summary(Folder(tmp_path / "study"), plan, cells, "A study", "")) == 24
    report = (tmp_path / "study" / "report.txt").read_text(encoding="utf-8")
    assert report.startswith("24 cells, 1 draw of seeds and prompts.")
    assert html.escape(report) in (tmp_path / "study" / "index.html").read_text(encoding="utf-8")
    assert (len(most) >= 48, max(most) <= 3) == (True, True), max(most)


@pytest.fixture
def address():
    """An empty address in memory."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: it comes with pip install 'ray[data]'")
    yield place_at("memory://bucket/study")
    fsspec.filesystem("memory").store.clear()


def test_a_study_resumes_from_an_address_and_leaves_its_files_there(address, tmp_path):
    trace, (first, second) = trace_bytes(tmp_path), cells_of(PLAN, NOTHING, {}, "1")
    folder = Folder(address)
    assert folder.missing([first, second]) == [first, second]
    folder.keep(folder.widen(PLAN))
    folder.reject(first, "once")
    folder.write(first, trace, picture(), {"seconds": 0.5}, ["strength"])
    assert Folder(address).missing([first, second]) == [second]
    assert Folder(address).widen(Plan(WORKFLOW, (Axis("cfg", (4,)),))).axes[0].values == (1, 2, 4)
    rows = write_summary(folder, PLAN, [first, second], "A study", "")
    row = Folder(address).row(first)
    assert row
    assert rows[0]["measures"]["strength"] == row["measures"]["strength"]
    names = {path.rpartition("/")[2] for path in address.system.find("bucket")}
    ends = {f"{first.id}.{end}" for end in ("json", "png", "safetensors")}
    assert names == FILES | ends
    assert len(json.loads((address / "results.json").read_text())["rows"]) == 1


def test_a_report_is_told_again_from_the_folder(tmp_path, capsys):
    folder = Folder(tmp_path / "study")
    write_summary(folder, PLAN, filled(folder, PLAN, tmp_path), "A study", "")
    assert print_report(str(folder.path)) == 0
    again = capsys.readouterr().out
    assert again == (folder.path / "report.txt").read_text(encoding="utf-8")
    assert "cfg (too few draws to tell)" in again


def test_the_sheet_shows_the_first_axis_and_those_that_vary_with_pictures_of_several_sizes(tmp_path, monkeypatch):
    folder, drawn, real = Folder(tmp_path / "study"), [], summary.sheet
    plan = Plan(WORKFLOW, (Axis("cfg", (2,)), Axis("steps", (1, 2)), Axis("label", ("cat",))))
    cells = filled(folder, plan, tmp_path)
    (tmp_path / "study" / CELLS / f"{cells[1].id}.png").write_bytes(picture(1, 60, 120))
    monkeypatch.setattr(summary, "sheet", lambda axes, *given: drawn.append(axes) or real(axes, *given))
    assert len(write_summary(folder, plan, cells, "A study", "")) == 2
    assert drawn == [["cfg", "steps"]]
    assert (folder.path / "sheet.png").exists()
    rows = [{"measures": {"judge": score, "saturation": share}} for score, share in ((-1.0, 0.1), (-2.0, 0.3))]
    assert caption(rows) == "judge -1.50\n20.0% saturated", "a column has the means of its cells"
    assert caption([{"measures": {"judge": None, "saturation": math.nan}}]) == ""
