"""What a study leaves beside its cells, in a folder and at an address, and what it says meanwhile."""

import html
import io
import json
import weakref

import pytest

from guidance_geometry.cli.study import print_report
from guidance_geometry.files.writing import NotWritten
from guidance_geometry.sweeps import page, parquet
from guidance_geometry.sweeps.addresses import local, place_at, write_whole
from guidance_geometry.sweeps.axes import Axis
from guidance_geometry.sweeps.cells import Cell, cells_of
from guidance_geometry.sweeps.plan import Plan
from guidance_geometry.sweeps.progress import Progress
from guidance_geometry.sweeps.results import CELLS, Folder
from guidance_geometry.sweeps.rules import NOTHING
from guidance_geometry.sweeps.summary import write_summary
from guidance_geometry.tests.sweeps.plans import picture, trace_bytes, workflow

WORKFLOW = workflow()
PLAN = Plan(WORKFLOW, (Axis("cfg", (1, 2)),))
WRITTEN = ["report.txt", "results.csv", "results.json", "index.html", "sheet.png"]
FILES = {"plan.json", *WRITTEN}


def filled(folder, plan, tmp_path):
    """The cells of a plan, all of them done."""
    trace, cells = trace_bytes(tmp_path), cells_of(plan, NOTHING, {}, "1")
    folder.keep(plan)
    for seed, cell in enumerate(cells):
        folder.write(cell, trace, picture(seed, side=100), {"seconds": 0.5}, ["strength"])
    return cells


def test_the_page_is_written_with_the_cells_that_are_good(tmp_path, capsys):
    folder = Folder(tmp_path / "study")
    first, second, third = cells = filled(folder, Plan(WORKFLOW, (Axis("cfg", (1, 2, 3)),)), tmp_path)
    (tmp_path / "study" / CELLS / f"{first.id}.png").unlink()
    (tmp_path / "study" / CELLS / f"{second.id}.png").write_bytes(b"<html>")
    assert [row["id"] for row in write_summary(folder, PLAN, cells, "a title", "")] == [third.id]
    assert "set aside: cfg=1: " in capsys.readouterr().err
    assert first.id not in (folder.path / "results.csv").read_text()
    assert (folder.missing(cells), (folder.path / "index.html").exists()) == ([first, second], True)


def test_few_pictures_are_in_memory_at_once_and_the_report_is_told_again(tmp_path, monkeypatch, capsys):
    plan, alive, most = Plan(WORKFLOW, (Axis("cfg", tuple(range(1, 9))),)), set(), []
    folder, real = Folder(tmp_path / "study"), page.thumbnail
    cells = filled(folder, plan, tmp_path)

    def watched(data):
        image = real(data)
        alive.add(id(image))
        weakref.finalize(image, alive.discard, id(image))
        most.append(len(alive))
        return image

    monkeypatch.setattr(page, "thumbnail", watched)
    assert len(write_summary(folder, plan, cells, "A study", "")) == 8
    report = (folder.path / "report.txt").read_text(encoding="utf-8")
    assert report.startswith("8 cells, 1 draw of seeds and prompts.")
    assert html.escape(report) in (folder.path / "index.html").read_text(encoding="utf-8")
    assert (len(most) >= 16, max(most) <= 3) == (True, True), max(most)
    capsys.readouterr()
    assert print_report(str(folder.path)) == 0
    assert capsys.readouterr().out == report


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
    folder.write(first, trace, picture(0), {"seconds": 0.5}, ["strength"])
    assert Folder(address).missing([first, second]) == [second]
    assert Folder(address).widen(Plan(WORKFLOW, (Axis("cfg", (4,)),))).axes[0].values == (1, 2, 4)
    (row,) = write_summary(folder, PLAN, [first, second], "A study", "")
    assert row["measures"]["strength"] == Folder(address).row(first)["measures"]["strength"]
    names = {path.rpartition("/")[2] for path in address.system.find("bucket")}
    assert names == FILES | {f"{first.id}.{end}" for end in ("json", "png", "safetensors")}
    assert len(json.loads((address / "results.json").read_text())["rows"]) == 1


def test_a_write_at_an_address_that_fails_leaves_the_old_file_and_no_other(address):
    write_whole(address / "a", [b"old"])

    def parts():
        yield b"new"
        raise RuntimeError("the store is gone")

    with pytest.raises(NotWritten, match=r"memory://bucket/study/a could not be written: the store is gone\. Check"):
        write_whole(address / "a", parts())
    with local(address / "a") as copy:
        assert (copy.name, copy.read_bytes()) == ("a", b"old")
    assert not copy.exists()
    assert address.system.find("bucket") == ["/bucket/study/a"]
    with pytest.raises(ValueError, match=r"^s3x://bucket cannot be opened: .* Mend the address"):
        place_at("s3x://bucket")


def test_every_value_comes_back_from_parquet(address, tmp_path, monkeypatch):
    arrow = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: it comes with 'ray[data]'")
    monkeypatch.setattr(parquet, "BLOCK", 2)
    rows = [
        {"id": "a", "place": {"cfg": 1, "rule": "cfg", "seed": 2**64 - 1, "robust": True}, "seconds": 2.0},
        {"id": "b", "place": {"cfg": 2.5, "rule": 3, "seed": 0, "robust": None}, "verdict": "fine"},
        {"id": "c", "place": {"cfg": 4, "rule": "APG", "seed": 7, "robust": False}},
    ]
    strength = ({"strength": 0.5}, {"strength": float("nan")}, {})
    rows = [{**row, "measures": measures} for row, measures in zip(rows, strength, strict=True)]
    parquet.write_parquet(tmp_path / "results.parquet", rows)
    assert arrow.read_table(tmp_path / "results.parquet").to_pydict() == {
        "id": ["a", "b", "c"],
        "seconds": [2.0, None, None],
        "verdict": [None, "fine", None],
        "cfg": [1.0, 2.5, 4.0],
        "rule": ["cfg", "3", "APG"],
        "seed": [2**64 - 1, 0, 7],
        "robust": [True, None, False],
        "strength": [0.5, None, None],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["results.parquet"]
    parquet.write_parquet(address / "results.parquet", rows)
    assert (address / "results.parquet").read_bytes() == (tmp_path / "results.parquet").read_bytes()


@pytest.mark.parametrize("is_terminal", [False, True])
def test_every_failure_and_the_end_are_told_and_each_server_is_counted(monkeypatch, is_terminal):
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: is_terminal)
    progress, cell = Progress(100, out), Cell("1", {"cfg": 2, "seed": 0}, {})
    for words, server in [("", "a")] * 60 + [("poisoned", "b")] + [("", "b")] * 39:
        progress.tell(cell, words, server)
    said = out.getvalue().replace("\r", "\n")
    assert said.count("failed: cfg=2 seed=0: poisoned") == 1
    last = [line for line in said.splitlines() if line.strip()][-1]
    assert [words in last for words in ("100/100", "1 failed", "a: 60", "b: 40", "cells/s")] == [True] * 5, last
