"""The nodes that show a run, in the host's process: pictures, tables and files."""

import csv
import io
import json
import re

import comfy.sd
import pytest
import torch
from comfy.cli_args import args
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngImageFile
from safetensors.torch import save_file

from guidance_geometry.host.trace_pictures import pictures_of
from guidance_geometry.nodes import see, trace_files
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import load, save
from guidance_geometry.trace.trace import Trace

from .queued import queued
from .shown import FIGURE, PROMPT, WORKFLOW, in_a_workflow, ui_of


def test_a_figure_is_an_image_with_a_caption_and_a_preview(trace, output):
    out = see.GGFigure.execute(trace, **FIGURE)
    image, caption = out.args
    assert image.shape == (1, 540, 960, 3)
    assert 0 <= image.min() < image.max() <= 1
    assert "to scale" in caption
    assert ui_of(out)["images"][0]["type"] == "temp"
    assert not list(output.iterdir())


def test_a_transparent_figure_has_alpha(trace, output):
    image = see.GGFigure.execute(trace, **FIGURE | {"theme": "transparent", "size": "column 600"})[0]
    assert image.shape == (1, 760, 600, 4)
    assert image[0, 2, 2, 3] == 0


def test_saved_figures_carry_the_workflow(trace, output):
    node = in_a_workflow(see.GGFigure)
    settings = FIGURE | {"save": "all", "filename_prefix": "figures/step"}
    _, out = (node.execute(trace, **settings) for _ in range(2))
    files = sorted(path.name for path in (output / "figures").iterdir())
    assert files == ["step_00001_.png", "step_00001_.svg", "step_00002_.png", "step_00002_.svg"]
    assert ui_of(out)["images"][0]["filename"] == "step_00002_.png"
    info = PngImageFile(output / "figures" / "step_00001_.png").text
    assert (json.loads(info["workflow"]), json.loads(info["prompt"])) == (WORKFLOW, PROMPT)
    svg = (output / "figures" / "step_00001_.svg").read_text(encoding="utf-8")
    (block,) = re.findall(r"<metadata>\s*<!\[CDATA\[([\s\S]*?)\]\]>\s*</metadata>", svg)
    assert json.loads(block) == {"prompt": PROMPT, "workflow": WORKFLOW}


def read_as_the_editor_does(data):
    """Workflow and prompt of a dropped file, by the rules of the editor: chunk names, EXIF words, metadata blocks."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return png_texts(data)
    if data[:4] == b"RIFF":
        return webp_words(data)
    (block,) = re.findall(rb"<metadata>\s*<!\[CDATA\[([\s\S]*?)\]\]>\s*</metadata>", data)
    return json.loads(block)


def png_texts(data):
    """Every tEXt, iTXt or comf chunk as key, NUL, JSON."""
    found, at = {}, 8
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind in (b"tEXt", b"iTXt", b"comf"):
            key, _, words = data[at + 8 : at + 8 + size].partition(b"\0")
            found[key.decode()] = json.loads(words)
        at += 12 + size
    return found


def webp_words(data):
    """ASCII entries of the first EXIF directory; what stands before the first colon is the name."""
    found, at = {}, 12
    while at < len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind == b"EXIF":
            found |= exif_words(data[at + 8 : at + 8 + size].removeprefix(b"Exif\0\0"))
        at += 8 + size + size % 2
    return found


def exif_words(tiff):
    order = "little" if tiff[:2] == b"II" else "big"
    number = lambda start, size: int.from_bytes(tiff[start : start + size], order)  # noqa: E731
    first, found = number(4, 4), {}
    for k in range(number(first, 2)):
        entry = first + 2 + 12 * k
        if number(entry + 2, 2) == 2:
            size, place = number(entry + 4, 4), number(entry + 8, 4)
            name, _, words = tiff[place : place + size].rstrip(b"\0").decode().partition(":")
            found[name] = json.loads(words)
    return found


@pytest.mark.parametrize("figure", ["step plane", "filmstrip", "classifier animated"])
def test_every_saved_file_reopens_its_workflow_in_the_editor(trace, output, figure):
    in_a_workflow(see.GGFigure).execute(trace, **FIGURE | {"figure": figure, "save": "all"})
    for form in ("webp", "apng"):
        in_a_workflow(see.GGFigure).execute(trace, **FIGURE | {"figure": figure, "save": form})
    files = list(output.iterdir())
    assert {path.suffix for path in files} == {".png", ".svg", ".webp"}
    for path in files:
        assert read_as_the_editor_does(path.read_bytes()) == {"prompt": PROMPT, "workflow": WORKFLOW}, path.name


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
    for name in ("step_00001_.png", "step_00001_sheet.png"):
        info = PngImageFile(output / "films" / name).text
        assert (json.loads(info["workflow"]), json.loads(info["prompt"])) == (WORKFLOW, PROMPT)
    assert len([*ImageSequence.Iterator(Image.open(output / "films" / "step_00001_.png"))]) > 1
    node.execute(trace, **settings | {"save": "png"})
    assert (output / "films" / "step_00002_sheet.png").exists()
    assert not (output / "films" / "step_00002_.webp").exists()


def test_an_unsaved_animation_plays_on_the_node(trace, output):
    out = see.GGFigure.execute(trace, **FIGURE | {"figure": "sampling animated", "theme": "transparent"})
    assert out[0].shape == (6, 540, 960, 4)
    (shown,) = ui_of(out)["images"]
    assert shown["type"] == "temp"
    assert (output.parent / "temp" / shown["subfolder"] / shown["filename"]).exists()
    assert not list(output.iterdir())


@pytest.mark.parametrize(("save", "name"), [("webp", "figure_00001_.webp"), ("apng", "figure_00001_.png")])
def test_a_still_may_be_saved_in_the_forms_of_an_animation(trace, output, save, name):
    out = in_a_workflow(see.GGFigure).execute(trace, **FIGURE | {"figure": "filmstrip", "save": save})
    assert [path.name for path in output.iterdir()] == [name]
    assert ui_of(out)["images"][0]["filename"] == name
    assert "animated" not in ui_of(out)


def test_a_photo_of_ones_own_is_noised(trace, output):
    photo = torch.zeros(1, 64, 80, 3)
    photo[..., 0] = 1.0
    settings = FIGURE | {"figure": "noise levels"}
    image, caption = see.GGFigure.execute(trace, **settings, image=photo).args
    assert "your picture" in caption
    red = (image[0, ..., :3] == torch.tensor([1.0, 0.0, 0.0])).all(dim=-1)
    assert red.sum() > 64 * 80, "the photo itself, before noise"


def test_no_workflow_is_written_where_the_user_wants_none(trace, output, monkeypatch):
    monkeypatch.setattr(args, "disable_metadata", True)
    in_a_workflow(see.GGFigure).execute(trace, **FIGURE | {"save": "all"})
    assert not PngImageFile(output / "figure_00001_.png").text
    assert "CDATA" not in (output / "figure_00001_.svg").read_text(encoding="utf-8")
    path = in_a_workflow(trace_files.GGSaveTrace).execute(trace, "run")[1]
    assert load(path).header["workflow"] is None


@pytest.mark.parametrize(
    ("widget", "value", "sentence"),
    [
        ("theme", "pink", "Choose one of: light"),
        ("filename_prefix", "../../etc/x", "inside the output folder"),
        ("filename_prefix", "/etc/x", "inside the output folder"),
        ("filename_prefix", "C:\\x", "inside the output folder"),
        ("filename_prefix", "", "inside the output folder"),
    ],
)
def test_unusable_widgets_are_refused_before_and_in_the_run(trace, output, widget, value, sentence):
    settings = FIGURE | {widget: value}
    assert queued(see.GGFigure, **settings)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        see.GGFigure.execute(trace, **settings)
    assert not queued(see.GGFigure, **FIGURE)
    assert see.GGFigure.validate_inputs() is True


def test_difference_images_are_four_batches_and_a_note(trace):
    out = see.GGDifferenceImages.execute(trace, steps="all")
    assert [image.shape for image in out.args] == [(12, 32, 32, 3)] * 4
    assert all(0 <= image.min() <= image.max() <= 1 for image in out.args)
    assert "one gain for all" in ui_of(out)["text"][0]
    assert len(ui_of(out)["images"]) == 1, "the node shows them on one page"


def test_difference_images_go_through_the_vae(trace):
    vae = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)}, dtype=torch.float32)
    plain = see.GGDifferenceImages.execute(trace, steps="2", gain=2.0)
    decoded = see.GGDifferenceImages.execute(trace, vae, "2", 2.0)
    assert (plain[1] - decoded[1]).abs().max() < 1e-3
    assert "decode(c) - decode(u)" in ui_of(decoded)["text"][0]


def test_latents_of_the_host_have_their_own_colours(trace):
    latent = trace.header | {"latent": {"shape": [4, 8, 8], "format": "SD15"}}
    pictures = pictures_of(Trace(latent, trace.steps, trace.stage))
    assert pictures.factors is not None
    assert pictures.factors.shape == (4, 3)
    assert pictures.image(torch.zeros(1, 4, 8, 8)).shape == (1, 8, 8, 3)


def test_a_trace_without_pictures_says_what_to_do():
    bare = exact_trace(4.0, batch=1, steps=3, capture=False)
    out = see.GGDifferenceImages.execute(bare)
    assert "Set capture to pictures and run again" in ui_of(out)["text"][0]
    assert all(image.shape == (1, 540, 960, 3) for image in out.args)
    assert queued(see.GGDifferenceImages, gain=-1.0) == ["Value -1.0 smaller than min of 0.0: gain"]


def test_metrics_are_a_table_and_two_files(trace, output):
    out = see.GGMetrics.execute(trace, "runs/numbers", -1)
    passed, table = out.args
    assert passed is trace
    assert ui_of(out)["text"] == [table]
    assert "guidance strength" in table
    assert "nothing wrong found" in table
    rows = list(csv.DictReader(io.StringIO((output / "runs" / "numbers_00001_.csv").read_text())))
    assert len(rows) == 12
    facts = json.loads((output / "runs" / "numbers_00001_.json").read_text())
    for row, fact in zip(rows, facts["rows"], strict=True):
        step, sample = int(row["step"]), int(row["sample"])
        for name in ("M1", "M6t", "M7"):
            expected = float(trace.column(name)[step, sample])
            assert float(row[name]) == fact[name] == expected
    assert rows[0]["M9"] == ""
    assert facts["rows"][0]["M9"] is None
    assert facts["metrics"]["M1"]["name"] == "guidance strength"
    see.GGMetrics.execute(trace, "runs/numbers", 1)
    assert (output / "runs" / "numbers_00002_.json").exists()


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


def test_input_traces_are_listed_and_changes_are_noticed(trace, output):
    path = output.parent / "input" / "given.safetensors"
    save(trace, path)
    assert trace_files.GGLoadTrace.validate_inputs("input/given.safetensors") is True
    first = trace_files.GGLoadTrace.fingerprint_inputs("input/given.safetensors")
    save(exact_trace(2.0, batch=1, steps=3), path)
    assert trace_files.GGLoadTrace.fingerprint_inputs("input/given.safetensors") != first
    assert trace_files.GGLoadTrace.execute("input/given.safetensors")[0].n == 3


def test_a_missing_or_foreign_file_is_explained(output):
    assert "There is none yet" in trace_files.GGLoadTrace.validate_inputs("traces/x.safetensors")
    save_file({"a": torch.zeros(2)}, output.parent / "input" / "weights.safetensors")
    with pytest.raises(ValueError, match=r"weights\.safetensors"):
        trace_files.GGLoadTrace.execute("input/weights.safetensors")
    with pytest.raises(ValueError, match="neither in output/traces nor in input"):
        trace_files.GGLoadTrace.execute("../../etc/passwd")
    assert trace_files.GGLoadTrace.fingerprint_inputs("traces/x.safetensors") is None
