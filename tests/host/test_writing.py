"""Finished work is never lost at writing: names are checked before it, and what cannot be written leaves the result."""

import errno
import inspect
import io
import os
import re
from pathlib import Path

import PIL.Image
import pytest
import safetensors.torch
import torch

from guidance_geometry.extension import every_node
from guidance_geometry.files.writing import NotWritten, check_place, write_atomically
from guidance_geometry.host.editor.panel_record import IN_MESSAGE
from guidance_geometry.nodes import compare, export_html, see, trace_files
from guidance_geometry.nodes.inspector import GGInspector
from guidance_geometry.nodes.train_classifier import GGTrainNoisyClassifier
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.record import size_of

from .runs import guided, ksampler
from .shown import FIGURE, in_a_workflow, ui_of

LONG = "n" * 201
FREE = "The disk is full: free some space, then queue again."


@pytest.fixture(scope="module")
def trace():
    return exact_trace(4.0, batch=2, steps=3)


@pytest.fixture
def full(monkeypatch):
    """A disk without room, whoever writes: the pack, the host through Pillow, safetensors."""

    def none(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def none_either(*_, **__):
        raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    class NoRoom(io.FileIO):
        write = writelines = none

    encode, opened = PIL.Image.Image.save, Path.open

    def nothing_on_disk(image, place, *more, **named):
        return none() if isinstance(place, str | os.PathLike) else encode(image, place, *more, **named)

    def without_room(path, mode="r", *more, **named):
        return NoRoom(path, mode) if mode == "xb" else opened(path, mode, *more, **named)

    def fill():
        monkeypatch.setattr(Path, "open", without_room)
        monkeypatch.setattr(PIL.Image.Image, "save", nothing_on_disk)
        monkeypatch.setattr(safetensors.torch, "save_file", none_either)

    return fill


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_that_cannot_be_written_is_named_with_the_reason_and_the_remedy(tmp_path, full):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    cases = {
        tmp_path / ("n" * 300): "shorter",
        tmp_path / "file" / "name": "A file stands where a folder is needed",
        tmp_path / "folder": "A folder has that name",
    }
    for path, remedy in cases.items():
        with pytest.raises(NotWritten, match=rf"^{path.name} could not be written to .*{remedy}"):
            write_atomically(path, [b"new"])
    full()
    with pytest.raises(NotWritten, match=rf"No space left on device\)\. {FREE}"):
        write_atomically(tmp_path / "file", [b"new"])
    assert [path.read_bytes() for path in files_in(tmp_path)] == [b"old"], "the old file alone is left"


@pytest.mark.parametrize(("name", "size", "words"), [("name", 1 << 60, "bytes are needed"), ("n" * 300, 1, "too long")])
def test_a_place_is_checked_for_its_name_and_its_size(tmp_path, name, size, words):
    (tmp_path / "old").write_bytes(b"old")
    check_place(tmp_path / "old", 1000)
    with pytest.raises(NotWritten, match=words):
        check_place(tmp_path / name, size)
    assert [path.read_bytes() for path in files_in(tmp_path)] == [b"old"]


PREFIXED = ["GGFigure", "GGMetrics", "GGSaveTrace", "GGExportHTML", "GGTrainNoisyClassifier"]


@pytest.mark.parametrize("node", PREFIXED)
def test_a_name_that_no_file_could_have_is_refused_before_any_work(host, node):
    found = next(one for one in every_node() if one.__name__ == node)
    values = dict.fromkeys(inspect.signature(found.validate_inputs).parameters)
    for prefix in (f"runs/{LONG}", "\u00e9" * 101, "runs/" * 300, "a\0b"):
        assert "filename_prefix is " in str(found.validate_inputs(**values | {"filename_prefix": prefix}))
    assert found.validate_inputs(**values | {"filename_prefix": "n" * 200}) is True


def test_a_full_temp_folder_costs_a_run_nothing_but_memory(labelled, empty_latent, output, full, monkeypatch):
    monkeypatch.setattr("guidance_geometry.host.editor.saving.IN_MEMORY", 100)
    full()
    out, _, trace = guided(*labelled["ve"], empty_latent("ve"), "euler", capture="tensors")
    assert torch.equal(out["samples"], ksampler(*labelled["ve"], empty_latent("ve"), "euler"))
    assert trace.require_tensor("cond", 0).isfinite().all()
    assert re.search(rf"stay in memory: guidance_geometry-.*{FREE}", trace.header["capture"]["note"])
    assert not files_in(output.parent / "temp")


@pytest.mark.parametrize(("save", "film"), [("none", False), ("all", True)])
def test_a_figure_comes_out_though_its_file_cannot_be_written(output, trace, full, save, film):
    asked = FIGURE | {"save": save, "size": "column 600"} | ({"figure": "sampling animated"} if film else {})
    full()
    out = see.GGFigure.execute(trace, **asked)
    assert out[0].isfinite().all()
    assert out[1]
    (said,) = ui_of(out)["text"]
    assert said.startswith("Not written: ")
    assert said.endswith(FREE)


def test_tables_and_comparisons_come_out_though_their_files_cannot_be_written(output, trace, full):
    full()
    out = see.GGMetrics.execute(trace, "metrics", -1)
    assert out[0] is trace
    assert ui_of(out)["text"][0] == out[1]
    compared = compare.GGCompareTraces.execute(trace, trace, -1, "light")
    assert compared[0].isfinite().all()
    assert FREE in ui_of(out)["text"][1]
    assert FREE in ui_of(compared)["text"][1]


def test_what_is_nothing_but_a_file_is_an_error_that_names_the_remedy(output, trace, full):
    full()
    for write in (trace_files.GGSaveTrace.execute, in_a_workflow(export_html.GGExportHTML).execute):
        with pytest.raises(NotWritten, match=FREE):
            write(trace, "fine")


def test_the_inspector_shows_what_fits_when_the_temp_folder_is_full(output, full):
    full()
    trace = exact_trace(4.0, batch=8, steps=40)
    (record,) = ui_of(GGInspector.execute(trace))["gg_record"]
    assert 1 < len(record["steps"]) < 40
    assert size_of(record) <= IN_MESSAGE
    assert FREE in record["notes"][-1]
    assert FREE in record["pictures"]["note"]


def trained(model):
    latent = {"samples": torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))}
    return GGTrainNoisyClassifier.execute(model, "a; b", 2, 4, 1e-3, 8, True, 0, "noisy", latent=latent)


def test_a_trained_classifier_comes_out_though_its_file_cannot_be_written(labelled, output, full):
    full()
    out = trained(labelled["ve"][0])
    classifier, curve, about = out.args
    assert classifier.labels == ("a", "b")
    assert curve.isfinite().all()
    assert FREE in about
    assert "accuracy on" in about
    assert len(ui_of(out)["text"]) == 2, "the curve could not be shown either"
