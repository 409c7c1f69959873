"""The nodes that show a run, in the host's process: pictures, tables and files."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import comfy.sd
import pytest
import torch
from comfy.cli_args import args
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngImageFile
from safetensors.torch import save_file

from guidance_geometry.host.editor import page_file
from guidance_geometry.nodes import see, trace_files
from guidance_geometry.nodes.export_html import GGExportHTML as node
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import load, save
from guidance_geometry.trace.record import run_record

from .queued import queued
from .shown import FIGURE, PROMPT, WORKFLOW, in_a_workflow, ui_of


def test_saved_figures_carry_the_workflow_unless_the_user_wants_none(trace, output, monkeypatch):
    node = in_a_workflow(see.GGFigure)
    settings = FIGURE | {"save": "all", "filename_prefix": "figures/step"}
    _, out = (node.execute(trace, **settings) for _ in range(2))
    files = sorted(path.name for path in (output / "figures").iterdir())
    assert files == ["step_00001_.png", "step_00001_.svg", "step_00002_.png", "step_00002_.svg"]
    assert ui_of(out)["images"][0]["filename"] == "step_00002_.png"
    info = PngImageFile(output / "figures" / "step_00001_.png").text
    assert (json.loads(info["workflow"]), json.loads(info["prompt"])) == (WORKFLOW, PROMPT)
    svg = (output / "figures" / "step_00001_.svg").read_text(encoding="utf-8")
    assert json.dumps(WORKFLOW) in svg
    monkeypatch.setattr(args, "disable_metadata", True)
    node.execute(trace, **settings)
    assert not PngImageFile(output / "figures" / "step_00003_.png").text
    assert "CDATA" not in (output / "figures" / "step_00003_.svg").read_text(encoding="utf-8")
    path = in_a_workflow(trace_files.GGSaveTrace).execute(trace, "run")[1]
    assert load(path).header["workflow"] is None


def test_an_animation_is_a_batch_and_a_file_of_each_form(trace, output):
    node = in_a_workflow(see.GGFigure)
    settings = FIGURE | {"figure": "guidance animated", "save": "all", "filename_prefix": "films/step"}
    out = node.execute(trace, **settings)
    assert out[0].shape == (7, 540, 960, 3)
    assert out[1].count("\n") == 6
    assert ui_of(out)["animated"] == (True,)
    assert ui_of(out)["images"] == [{"filename": "step_00001_.webp", "subfolder": "films", "type": "output"}]
    files = sorted(path.name for path in (output / "films").iterdir())
    assert files == ["step_00001_.png", "step_00001_.svg", "step_00001_.webp", "step_00001_sheet.png"]
    exif = Image.open(output / "films" / "step_00001_.webp").getexif()
    assert exif[0x0110] == "prompt:" + json.dumps(PROMPT)
    assert exif[0x010F] == "workflow:" + json.dumps(WORKFLOW)
    info = PngImageFile(output / "films" / "step_00001_.png").text
    assert (json.loads(info["workflow"]), json.loads(info["prompt"])) == (WORKFLOW, PROMPT)
    assert len([*ImageSequence.Iterator(Image.open(output / "films" / "step_00001_.png"))]) > 1


@pytest.mark.parametrize("prefix", ["../../etc/x", "C:\\x", ""])
def test_a_name_outside_of_the_output_folder_is_refused_before_and_in_the_run(trace, output, prefix):
    settings = FIGURE | {"filename_prefix": prefix}
    assert queued(see.GGFigure, **settings)
    with pytest.raises(ValueError, match="output folder"):
        see.GGFigure.execute(trace, **settings)
    assert not queued(see.GGFigure, **FIGURE)
    assert see.GGFigure.validate_inputs() is True


def test_difference_images_are_four_batches_and_a_note_also_through_the_vae(trace):
    out = see.GGDifferenceImages.execute(trace, steps="all")
    assert [image.shape for image in out.args] == [(12, 32, 32, 3)] * 4
    assert all(0 <= image.min() <= image.max() <= 1 for image in out.args)
    assert "one gain for all" in ui_of(out)["text"][0]
    assert len(ui_of(out)["images"]) == 1, "the node shows them on one page"
    vae = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)}, dtype=torch.float32)
    plain = see.GGDifferenceImages.execute(trace, steps="2", gain=2.0)
    decoded = see.GGDifferenceImages.execute(trace, vae, "2", 2.0)
    assert (plain[1] - decoded[1]).abs().max() < 1e-3
    assert "decode(c) - decode(u)" in ui_of(decoded)["text"][0]


def test_metrics_are_a_table_and_two_files(trace, output):
    passed, table = see.GGMetrics.execute(trace, "runs/numbers", -1).args
    assert passed is trace
    assert "nothing wrong found" in table
    rows = list(csv.DictReader(io.StringIO((output / "runs" / "numbers_00001_.csv").read_text())))
    assert len(rows) == 12
    facts = json.loads((output / "runs" / "numbers_00001_.json").read_text())
    for row, fact in zip(rows, facts["rows"], strict=True):
        expected = float(trace.column("M6t")[int(row["step"]), int(row["sample"])])
        assert float(row["M6t"]) == fact["M6t"] == expected
    assert (rows[0]["M9"], facts["rows"][0]["M9"]) == ("", None)


def test_a_saved_trace_comes_back_with_its_workflow(trace, output):
    out = in_a_workflow(trace_files.GGSaveTrace).execute(trace, "cats/run")
    passed, path = out.args
    assert passed is trace
    assert path == str(output / "traces" / "cats" / "run_00001_.safetensors")
    offered = trace_files.GGLoadTrace.INPUT_TYPES()["required"]["trace_name"][1]["options"]
    assert "traces/cats/run_00001_.safetensors" in offered
    again = trace_files.GGLoadTrace.execute("traces/cats/run_00001_.safetensors")[0]
    assert again.header["workflow"] == WORKFLOW
    assert again.header["prompt"] == PROMPT
    for name, column in trace.steps.items():
        assert torch.equal(again.steps[name].nan_to_num(7.0), column.nan_to_num(7.0))
    for name, tensor in trace.tensors.items():
        assert torch.equal(again.tensors[name], tensor)
    resaved = in_a_workflow(trace_files.GGSaveTrace).execute(again, "again")[1]
    assert load(resaved).header["workflow"] == WORKFLOW


def test_input_traces_are_listed_changes_are_noticed_and_foreign_files_explained(trace, output):
    path, node = output.parent / "input" / "given.safetensors", trace_files.GGLoadTrace
    assert "There is none yet" in node.validate_inputs("traces/x.safetensors")
    assert node.fingerprint_inputs("traces/x.safetensors") is None
    save(trace, path)
    assert node.validate_inputs("input/given.safetensors") is True
    first = node.fingerprint_inputs("input/given.safetensors")
    save(exact_trace(2.0, batch=1, steps=3), path)
    assert node.fingerprint_inputs("input/given.safetensors") != first
    assert node.execute("input/given.safetensors")[0].n == 3
    save_file({"a": torch.zeros(2)}, output.parent / "input" / "weights.safetensors")
    for name, words in (("input/weights.safetensors", r"weights\.safetensors"), ("../../etc/passwd", "neither in")):
        with pytest.raises(ValueError, match=words):
            node.execute(name)


def written(trace, prefix="page", **more):
    """Run the node; returns the file, what the node says, and the data in the page by name."""
    out = in_a_workflow(node).execute(trace, prefix, **more)
    (said,) = ui_of(out)["text"]
    (file,) = ui_of(out)["gg_files"]
    assert said.startswith(file["filename"]), "the name in the words becomes a link"
    return out[0], said, data_of(out[0])


def data_of(path):
    text = Path(path).read_text(encoding="utf-8")
    parts = re.findall(r'<script type="application/json" id="gg-(\w+)">(.*?)</script>', text, re.DOTALL)
    return {name: json.loads(value) for name, value in parts}


def test_the_page_holds_the_record_and_its_pictures(output):
    trace = exact_trace(4.0, batch=2, steps=6)
    path, said, data = written(trace)
    assert path == str(output / "page_00001_.html")
    assert re.fullmatch(r"page_00001_\.html: \d+ kB, 6 of 6 steps, pictures of 6\. Open it in a browser\.", said)
    numbers = run_record(trace)
    assert {name: data["record"][name] for name in numbers} == numbers
    assert {sheet["filename"] for sheet in data["record"]["pictures"]["steps"]} == set(data["sheets"])
    assert all(address.startswith("data:image/jpeg;base64,") for address in data["sheets"].values())


def test_the_workflow_can_be_recovered_unless_the_user_wants_none(output, monkeypatch):
    trace = exact_trace(4.0, batch=1, steps=2, capture=False)
    assert written(trace)[2]["sources"] == {"workflow": WORKFLOW, "prompt": PROMPT}
    own = replace(trace, header={**trace.header, "workflow": {"id": "of the run"}})
    assert written(own)[2]["sources"] == {"workflow": {"id": "of the run"}}
    monkeypatch.setattr(args, "disable_metadata", True)
    assert written(own)[2]["sources"] == {}


def test_steps_beyond_the_budget_are_left_out_and_named(output, monkeypatch):
    monkeypatch.setattr(page_file, "RECORD_BYTES", 6000)
    _, said, data = written(exact_trace(4.0, batch=1, steps=20, capture=False))
    kept = len(data["record"]["steps"])
    assert 2 <= kept < 20
    assert f"{kept} of 20 steps" in said
    assert any("left out" in note for note in data["record"]["notes"])
