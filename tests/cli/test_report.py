"""`guidance-geometry report` prints what the report says of a file, or why it cannot be read."""

import json

import pytest
import torch

from guidance_geometry.cli import report as report_trace
from guidance_geometry.library.denoisers import load_denoiser
from guidance_geometry.library.recording import record
from guidance_geometry.library.sampling import karras
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import save
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
    (tmp_path / "card.json").write_text("{}")
    code, text, said = printed(tmp_path / "t.safetensors", "--card", tmp_path / "card.json")
    assert (code, text) == (1, "")
    assert "card.json" in said
    assert printed(tmp_path / "absent.safetensors")[0] == 1


def test_the_included_card_is_found_as_the_library_and_the_host_find_it(host, tmp_path, printed):
    from guidance_geometry.host.knowledge import make_report

    trace = load_denoiser_run()
    trace.save(tmp_path / "t.safetensors")
    assert trace.report().answer.against == "card"
    assert "pocket-1" in trace.report().text()
    assert printed(tmp_path / "t.safetensors")[1] == trace.report().text() + "\n" == make_report(trace).text() + "\n"


def load_denoiser_run():
    """A short run of the included network, by the library."""
    pocket = load_denoiser()
    start = 80.0 * torch.randn(2, *pocket.shape, generator=torch.Generator().manual_seed(0))
    return record(pocket, karras(12, highest=80.0), cond="robot", gamma=3.0).sample(start)
