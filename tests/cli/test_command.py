import argparse
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module

import pytest
import torch

from guidance_geometry.cli import command
from guidance_geometry.cli.options import COMMANDS
from guidance_geometry.dev.places import HOST, ROOT
from guidance_geometry.files.notes import CLASSIFIER
from guidance_geometry.files.places import file_of_model
from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.files.writing import NotWritten, write_atomically
from guidance_geometry.library.traces import load
from guidance_geometry.measure.levels import LEVELS
from guidance_geometry.sweeps.comfyui import process
from guidance_geometry.sweeps.results import CELLS
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import save
from guidance_geometry.verdict.measured import read_curves

SWEEP_FOLDER = ROOT / "tests" / "fixtures" / "sweep_folder"
PLAN = json.loads((SWEEP_FOLDER / "results.json").read_text())["plan"]


def ran(*words, **options):
    """The command as users call it."""
    return subprocess.run([sys.executable, ROOT, *words], capture_output=True, text=True, **options)


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Words -> exit code, output, errors of a command in this process, called in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def say(name, *words):
        code = import_module(f"guidance_geometry.cli.{name}").main([*map(str, words)])
        return code, *capsys.readouterr()

    return say


@pytest.fixture
def comfyui(tmp_path):
    """A folder that looks like a ComfyUI with this pack."""
    place = tmp_path / "ComfyUI"
    (place / "comfy").mkdir(parents=True)
    (place / "main.py").touch()
    (place / "custom_nodes").mkdir()
    (place / "custom_nodes" / "any-name").symlink_to(ROOT, target_is_directory=True)
    return place


def test_the_pack_s_folder_is_the_command(tmp_path):
    done = ran(cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert ran("sweeep", cwd=tmp_path).returncode == 2


def test_what_is_printed_survives_an_encoding_that_lacks_its_letters(monkeypatch):
    """A pipe of Windows, or an old console: letters that it lacks are escaped, in JSON and in words."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", out)
    said = ["\u03b3 \u4f60\u597d", json.dumps({"\u03b3": 1}, ensure_ascii=False)]
    report = import_module("guidance_geometry.cli.report")
    monkeypatch.setattr(report, "main", lambda rest: print("\n".join(said)) or 0)  # noqa: T201
    assert command.main(["report", "a file"]) == 0
    out.flush()
    words, data = out.buffer.getvalue().decode("cp1252").splitlines()
    assert words == r"\u03b3 \u4f60\u597d"
    assert json.loads(data) == {"\u03b3": 1}


def test_a_comfyui_is_found_from_within_or_must_be_named(comfyui, tmp_path, monkeypatch):
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.chdir(comfyui / "custom_nodes")
    monkeypatch.setattr(sys, "argv", ["/elsewhere/guidance-geometry"])
    assert process.find_comfyui() == process.find_comfyui(str(comfyui)) == comfyui
    assert process.holds_the_pack(comfyui / "custom_nodes")
    assert not process.holds_the_pack(comfyui)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "ROOT", tmp_path)
    with pytest.raises(process.StartError, match="--comfyui PATH"):
        process.find_comfyui()
    with pytest.raises(process.StartError, match=r"main\.py"):
        process.find_comfyui(str(tmp_path))


@pytest.mark.slow
def test_a_sweep_starts_the_comfyui_and_ends_it(tmp_path):
    if not HOST.is_dir():
        pytest.skip("no ComfyUI host: run `python3 dev.py test`, or set COMFYUI_PATH")
    words = ["--comfyui", HOST, "--cpu", "--cfg", "2", "--set", "steps=2"]
    free = {name: value for name, value in os.environ.items() if name != "COMFYUI_PATH"}
    done = ran("sweep", *words, cwd=tmp_path, env=free)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 cells are in output/sweep" in done.stdout
    assert (tmp_path / "output" / "sweep" / "index.html").is_file()
    assert [one.name for one in tmp_path.iterdir()] == ["output"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_what_ends_a_command_ends_the_comfyui_that_it_started(tmp_path, comfyui):
    told = tmp_path / "pid"
    program = f"import os, pathlib, time\npathlib.Path({str(told)!r}).write_text(str(os.getpid()))\ntime.sleep(60)\n"
    (comfyui / "main.py").write_text(program, encoding="ascii")
    words = [sys.executable, ROOT, "sweep", "--comfyui", comfyui, "--cpu", "--cfg", "1"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        while not (told.exists() and told.read_text()):
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def test_the_page_of_a_saved_trace_shows_its_run(tmp_path, said):
    save(exact_trace(), tmp_path / "run.safetensors")
    assert said("page", tmp_path / "run.safetensors") == (0, f"{tmp_path / 'run.html'}\n", "")
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert [word in page for word in ('"headline"', "holds no pictures")] == [True, True]


def test_the_page_of_a_sweep_is_written_again(tmp_path, said):
    shutil.copytree(SWEEP_FOLDER, tmp_path / "swept")
    (tmp_path / "swept" / "index.html").unlink(missing_ok=True)
    rows = json.loads((tmp_path / "swept" / "results.json").read_text())["rows"]
    _, out, errors = said("page", tmp_path / "swept")
    assert out == f"{len(rows)} of {len(rows)} cells: {tmp_path / 'swept' / 'index.html'}\n", errors
    assert json.loads((tmp_path / "swept" / "results.json").read_text())["rows"] == rows


def swept(folder, ratios, seeds=(0, 1), strength=1.0, **header):
    """The folder of a sweep whose pictures the model found so strange, by cfg."""
    cells, rows = folder / CELLS, []
    cells.mkdir(parents=True)
    for cfg, ratio in ratios.items():
        trace = exact_trace(gamma=cfg, batch=2, steps=8, capture=False)
        sums = {"length": [1.0, 1.0], "along": [strength] * 2, "expected": [1.0, 1.0], "error": [ratio, 1.1 * ratio]}
        measured = {"evaluations": 8, "sigmas": [*LEVELS], **{name: [row] * len(LEVELS) for name, row in sums.items()}}
        for seed in seeds:
            name = f"{len(rows):016x}"
            facts = {"model": {"hash": "A" * 64, "file": "mine.safetensors"}, "seed": seed, "measured": measured}
            save(replace(trace, header={**trace.header, **facts, **header}), cells / f"{name}.safetensors")
            rows.append({"id": name, "place": {"cfg": cfg, "seed": seed}, "measures": {"denoising_ratio": ratio}})
    plan = PLAN | {"axes": {"cfg": list(ratios), "seed": list(seeds)}}
    (folder / "results.json").write_text(json.dumps({"plan": plan, "rows": rows}))
    return folder


BENDS = {cfg: 1 + (cfg - 1) ** 2 / 90 for cfg in (1.0, 2.0, 4.0, 8.0)}


def test_a_card_holds_the_curve_of_a_sweep_and_places_its_runs(tmp_path, said):
    study = swept(tmp_path / "study", BENDS, seeds=range(12))
    code, out, errors = said("card", study)
    assert code == 0, errors
    assert file_of_model("a" * 64) in out, "where ComfyUI looks for it"
    (curve,) = read_curves(tmp_path / "mine.measured.json").curves
    assert (curve.pictures, curve.each, curve.curve.points[0].count) == (24, 2, 12)
    assert [f"cfg {value:g}: " in out for value in curve.curve.values] == [True] * 4
    last = study / CELLS / f"{4 * 12 - 1:016x}.safetensors"
    told = json.loads(said("report", last, "--json", "--measured", tmp_path / "mine.measured.json")[1])
    assert (told["against"], told["colour"]) == ("measured", "above")
    assert told["curve"]["seen"][0] == pytest.approx(7), "1.4 times as strange"


@pytest.mark.parametrize(
    ("ratios", "more", "words"),
    [
        ({1.0: 1.0, 2.0: 1.0}, {}, "higher"),
        ({1.0: 1.0}, {}, "two values"),
        ({2.0: 1.0, 4.0: 1.2}, {}, "cfg 1"),
        (BENDS, {"measured": None}, "--measures"),
        (BENDS, {"model": {"name": "m"}}, "no file of weights"),
        (BENDS, {"strength": 2.0}, "does not apply"),
    ],
)
def test_a_sweep_that_does_not_tell_makes_no_card(tmp_path, said, ratios, more, words):
    code, _, errors = said("card", swept(tmp_path / "study", ratios, **more))
    assert (code, words in errors) == (1, True), errors
    assert not [*tmp_path.glob("*.json")]


FOREIGN = {
    "trace.safetensors": lambda place: save(exact_trace(steps=4), place),
    "workflow.json": lambda place: place.write_text(json.dumps(PLAN["workflow"])),
    "model.safetensors": lambda place: write_safetensors(place, {"a": torch.zeros(1)}, {}),
    "trained.safetensors": lambda place: write_safetensors(place, {"a": torch.zeros(1)}, {"gg.format": CLASSIFIER}),
    "weights.pt": lambda place: torch.save({"a": torch.zeros(1)}, place),
    "picture.png": lambda place: write_atomically(place, [b"\x89PNG\r\n\x1a\n"]),
    "study/results.json": lambda place: swept(place.parent, BENDS),
    "site/index.html": lambda place: write_atomically(place, [b"<!doctype html>mine"]),
}
REPLACING = [
    ("page", "trace.safetensors", "--output", "picture.png"),
    ("card", "study", "--output", "workflow.json"),
    ("convert", "weights.pt", "--licence", "mine", "--force", "--output", "picture.png"),
    ("sweep", "--server", "http://127.0.0.1:9", "--cfg", "1", "--output", "site"),
]


@pytest.mark.parametrize("words", REPLACING)
def test_a_command_replaces_neither_what_it_reads_nor_a_file_of_another_kind(tmp_path, said, words):
    for name, write in FOREIGN.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, _, errors = said(*words)
    assert code, "it is an error"
    assert (errors.count("\n"), words[-1] in errors) == (1, True), errors
    assert {path: path.read_bytes() for path in before} == before
    assert len([*tmp_path.rglob("*.part")]) == 0


def test_the_library_replaces_no_model_by_a_trace_and_no_trace_by_a_figure(tmp_path):
    for name in ("model.safetensors", "trained.safetensors", "trace.safetensors"):
        FOREIGN[name](tmp_path / name)
    trace = load(tmp_path / "trace.safetensors")
    for name in ("model.safetensors", "trained.safetensors"):
        with pytest.raises(NotWritten, match="a file of tensors"):
            trace.save(tmp_path / name)
    trace.save(tmp_path / "trace.safetensors")
    (tmp_path / "trace.safetensors").rename(tmp_path / "trace.png")
    with pytest.raises(NotWritten, match="a trace"):
        trace.plot("step plane", step=1).save(tmp_path / "trace.png")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["sweep", "--cfg", "1", "--timeout", "nan"], "--timeout"),
        (["sweep", "--cfg", "1", "--seeds", "99999999"], "--seeds"),
    ],
)
def test_an_option_takes_a_number_of_its_range_alone(capsys, words, option):
    with pytest.raises(SystemExit, match="2"):
        command.main(words)
    assert f"argument {option}: {words[-1]!r} is no " in capsys.readouterr().err


CALL = re.compile(rf"(?:guidance-geometry`?|dev\.py) ({'|'.join(COMMANDS)})\b([^\n`#|]*)")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "web" / "docs").rglob("*.md")]
ROWS = (("study", "docs/sweeps.md", "## A study"), ("clean", "docs/command.md", "## Uninstall"))


def test_the_pages_name_options_that_there_are():
    texts = [page.read_text(encoding="utf-8") for page in PAGES if page.name != "CHANGELOG.md"]
    words = [call for text in texts for call in CALL.findall(text)]
    for name, page, heading in ROWS:
        section = (ROOT / page).read_text(encoding="utf-8").split(heading)[1].split("\n### ")[0]
        words += [(name, span) for span in re.findall(r"`([^`\n]*)`", section)]
    named = {(name, option) for name, span in words for option in re.findall(r"--[a-z-]*[a-z]", span)}
    assert len(named) > 20
    for name, option in sorted(named):
        parser = argparse.ArgumentParser()
        COMMANDS[name].add(parser)
        assert option in {"--python", *parser._option_string_actions}, name
