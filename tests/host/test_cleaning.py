"""`guidance-geometry clean` removes what the pack wrote into a ComfyUI, here as a run writes it, and nothing else."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import folder_paths
import pytest
import torch

from guidance_geometry.cli.clean import main
from guidance_geometry.dev.places import ROOT
from guidance_geometry.files.places import CURVES, PICKS, SIZES, TAB_FOLDER
from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.host.editor import figure_files, knowledge, panel_record, saving
from guidance_geometry.nodes.trace_files import GGSaveTrace

FOREIGN = ("user/default/comfy.settings.json", "user/default/guidance_geometry/mine.txt", "temp/other/a.png")
FOREIGN += ("temp/b.webp", "output/traces/lora.safetensors", "output/guidance_00001_.png", "elsewhere/own.json")


def files_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


@pytest.fixture
def written(output, tmp_path, monkeypatch, trace):
    """What the pack wrote, and the trace that a user saved; FOREIGN lies around it, a folder of it behind a link."""
    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path / "user"))
    for name in FOREIGN:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}", encoding="utf-8")
    (tmp_path / "user" / "her" / "guidance_geometry").mkdir(parents=True)
    (tmp_path / "user" / "her" / "guidance_geometry" / PICKS).symlink_to(tmp_path / "elsewhere")
    (output / "traces" / "lora.safetensors").unlink()
    write_safetensors(output / "traces" / "lora.safetensors", {"a": torch.zeros(1)}, {})
    before = files_below(tmp_path)
    monkeypatch.setattr(panel_record, "keep_in_use", lambda folder: None)  # the ComfyUI that wrote this has ended
    panel_record.temporary(b"{}", ".json")
    panel_record.temporary(b"{}", ".json", TAB_FOLDER)
    monkeypatch.setattr(saving, "IN_MEMORY", 0)
    with monkeypatch.context() as windows:  # where an open file is not deleted
        windows.setattr(Path, "unlink", lambda path: (_ for _ in ()).throw(PermissionError))
        assert saving.map_tensors({"x": torch.ones(2)})[1] == ""
    film: Any = SimpleNamespace(webp=lambda: b"RIFF")
    figure_files._film_files(None, film, "none", "")
    for kind in (CURVES, PICKS, SIZES):
        place = knowledge.place_of(kind, "a model", "default")
        assert place is not None
        place.parent.mkdir(parents=True)
        place.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(GGSaveTrace, "hidden", None, raising=False)
    GGSaveTrace.execute(trace, "cat/run")
    own = files_below(tmp_path) - before
    assert len(own) == 8
    return own


def clean(folder, *words):
    return main(["--base-directory", str(folder), *words])


@pytest.mark.parametrize("words", [["--dry-run", "--yes"], []])
def test_nothing_goes_without_a_yes(written, tmp_path, monkeypatch, capsys, words):
    asked = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")
    before = files_below(tmp_path)
    assert clean(tmp_path, *words) == 0
    assert files_below(tmp_path) == before
    assert "Nothing was removed." in capsys.readouterr().out
    assert [question.startswith("Remove 7 files, ") for question in asked] == [True] * (not words)


def test_what_the_pack_wrote_goes_and_nothing_else(written, tmp_path, monkeypatch, capsys):
    (saved,) = (name for name in written if name.startswith("output/"))
    shutil.copytree(ROOT / "tests" / "fixtures" / "sweep_folder", tmp_path / "output" / "sweep", dirs_exist_ok=True)
    swept = files_below(tmp_path) - written - {*FOREIGN}
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert clean(tmp_path) == 0
    assert "Removed 7 of 7 files." in capsys.readouterr().out
    assert files_below(tmp_path) == {*FOREIGN, saved, *swept}
    assert not (tmp_path / "temp" / "guidance_geometry").exists()
    assert clean(tmp_path, "--yes", "--traces") == 0
    assert files_below(tmp_path) == {*FOREIGN, *swept}
    assert not (tmp_path / "output" / "traces" / "cat").exists()
    assert clean(tmp_path, "--yes", "--sweeps") == 0
    assert files_below(tmp_path) == {*FOREIGN, "output/sweep/object_info.json"}, "which is of no sweep"
    assert clean(tmp_path, "--yes", "--traces") == 0
    assert "There is nothing to remove" in capsys.readouterr().out


def test_nothing_goes_while_a_comfyui_runs_that_wrote_there(written, tmp_path, monkeypatch, capsys):
    monkeypatch.undo()
    panel_record.keep_in_use(tmp_path / "temp" / "guidance_geometry")
    before = files_below(tmp_path)
    assert clean(tmp_path, "--yes", "--traces") == 1
    assert files_below(tmp_path) == before
    assert "is running. Stop it" in capsys.readouterr().err
    assert clean(tmp_path, "--dry-run") == 0
