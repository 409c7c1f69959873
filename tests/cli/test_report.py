"""`guidance-geometry report` prints what the report says of a file, or why it cannot be read."""

import json
from dataclasses import replace

import pytest
import torch

from guidance_geometry.cli import report as report_trace
from guidance_geometry.library.denoisers import load_denoiser
from guidance_geometry.library.recording import record
from guidance_geometry.library.sampling import karras
from guidance_geometry.tests.claimed_files import SUMS
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import save
from guidance_geometry.trace.trace import model_key
from guidance_geometry.verdict import known
from guidance_geometry.verdict.measured import ModelCurves, measure_curve, write_curves
from guidance_geometry.verdict.picks import Pick, Picks, write_picks
from guidance_geometry.verdict.report import report_of


@pytest.fixture
def printed(monkeypatch, capsys):
    def run(*arguments):
        return report_trace.main([*map(str, arguments)]), *capsys.readouterr()

    return run


def test_a_saved_trace_is_reported_as_text_and_as_json(tmp_path, printed):
    trace = exact_trace(8.0, batch=1, steps=10)
    save(trace, tmp_path / "t.safetensors")
    save(exact_trace(4.0, batch=1, steps=10), tmp_path / "half.safetensors")
    code, text, _ = printed(tmp_path / "t.safetensors")
    assert (code, text) == (0, report_of(trace).text() + "\n")
    assert printed(tmp_path / "t.safetensors", "--language", "zh")[1] == report_of(trace).text("zh") + "\n"
    data = json.loads(printed(tmp_path / "t.safetensors", "--json", "--half", tmp_path / "half.safetensors")[1])
    assert data["headline"]["en"] == text.splitlines()[0]
    assert data["findings"][-1]["id"].startswith("half.")


def test_a_file_that_cannot_be_read_is_named(tmp_path, printed):
    save(exact_trace(8.0, batch=1, steps=10), tmp_path / "t.safetensors")
    (tmp_path / "curves.json").write_text("{}")
    for option in ("--measured", "--picks"):
        code, text, said = printed(tmp_path / "t.safetensors", option, tmp_path / "curves.json")
        assert (code, text, "curves.json" in said) == (1, "", True)
    assert printed(tmp_path / "absent.safetensors")[0] == 1


def test_what_was_given_of_another_model_is_not_used_and_that_is_said(tmp_path, printed):
    trace = exact_trace(8.0, batch=1, steps=10)
    own = replace(trace, header={**trace.header, "model": {"name": "mine", "hash": "ab"}})
    save(own, tmp_path / "t.safetensors")
    for key, against in (("ab", "picks"), ("cd", "nothing")):
        write_picks(Picks("theirs", key, (Pick(3.0, "ode-few", True),)), tmp_path / "p.json")
        told = json.loads(printed(tmp_path / "t.safetensors", "--json", "--picks", tmp_path / "p.json")[1])
        assert told["against"] == against
        assert any("theirs" in str(one["facts"]) for one in told["reasons"]) == (key == "cd")


def test_what_came_with_the_pack_is_found_as_the_library_and_the_host_find_it(host, tmp_path, printed, monkeypatch):
    from guidance_geometry.host.editor.knowledge import make_report

    trace = load_denoiser_run()
    runs = [replace(trace, header={**trace.header, "cfg": cfg, "measured": SUMS}) for cfg in (1.0, 3.0)]
    curves = ModelCurves("pocket-1", model_key(trace.header["model"]), (measure_curve(runs, "cfg", "2026-12-01"),))
    write_curves(curves, tmp_path / "a.measured.json")
    monkeypatch.setattr(known, "CARDS", tmp_path)
    trace.save(tmp_path / "t.safetensors")
    assert trace.report().answer.against == "measured"
    assert printed(tmp_path / "t.safetensors")[1] == trace.report().text() + "\n" == make_report(trace).text() + "\n"


def load_denoiser_run():
    """A short run of the included network, by the library."""
    pocket = load_denoiser()
    start = 80.0 * torch.randn(2, *pocket.shape, generator=torch.Generator().manual_seed(0))
    return record(pocket, karras(12, highest=80.0), cond="robot", gamma=3.0).sample(start)
