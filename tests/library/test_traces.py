"""A trace in a notebook: a table, figures, files."""

import pytest
import torch

from guidance_geometry.library.recording import record
from guidance_geometry.library.traces import Trace, load, require

from .worlds import DENOISER, SIGMAS, noise


@pytest.fixture(scope="module")
def trace():
    return record(DENOISER, SIGMAS, cond=1).sample(noise(), "ddpm")


def test_the_table_has_a_row_a_step_and_sample(trace):
    pytest.importorskip("pandas")
    table = trace.to_pandas()
    assert len(table) == trace.n * trace.batch
    assert list(table.columns[:4]) == ["step", "sample", "stage", "sigma"]
    row = table[(table.step == 5) & (table["sample"] == 1)].iloc[0]
    assert float(trace.column("M1")[5, 1]) == row.M1
    assert row.sigma == SIGMAS[5]
    assert {*trace.metrics} <= {*table.columns}


def test_a_figure_shows_itself_and_is_written(trace, tmp_path):
    film = trace.plot("step plane", step=5, sample=1, theme="dark")
    assert "step 6 of 8" in film.caption
    assert film._repr_mimebundle_()["image/png"].startswith(b"\x89PNG")
    for name, start in {"a.png": b"\x89PNG", "a.svg": b"<?xml", "a.webp": b"RIFF"}.items():
        film.save(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    with pytest.raises(ValueError, match=r"a.gif does not end in .png, .webp or .svg"):
        film.save(tmp_path / "a.gif")
    with pytest.raises(ValueError, match="Unknown figure"):
        trace.plot("stepplane")
    with pytest.raises(TypeError, match=r"plot takes no steps\. Give it step, sample"):
        trace.plot("step plane", steps=5)


def test_a_trace_is_read_as_it_was_written(trace, tmp_path):
    written = trace.save(tmp_path / "run.safetensors")
    found = load(tmp_path / "run.safetensors")
    assert isinstance(written, Trace)
    assert torch.allclose(found.column("M6t"), trace.column("M6t"), rtol=0, atol=0, equal_nan=True)
    assert torch.equal(found.tensors["end"], trace.tensors["end"])


def test_a_trace_reports_on_its_run(trace):
    report = trace.report()
    assert len(report.answer.headline.text("en").split()) <= 25
    assert report.cfg == 4.0
    assert report.as_json()["colour"] in {"fine", "above", "unclear", "off"}


def test_what_is_printed_reads_as_words(trace):
    report, film = trace.report(), trace.plot("step plane", step=5)
    assert repr(report) == str(report) == report.text()
    assert repr(film).splitlines()[-1] == "(1 frame of 960 x 540; save(path) writes them)"
    assert repr(film).startswith(film.caption)
    assert repr(trace).startswith("Trace of ")
    assert "8 steps, 2 samples: to_pandas(), plot(), report(), save(path)" in repr(trace)
    assert "as the trace of the run says" in str(report)
    assert not any(word in f"{report}{film}{trace}" for word in ("tensor(", "array(", "Sentence("))


def test_a_missing_package_is_named_with_its_extra():
    with pytest.raises(ImportError, match=r"This needs no_such_package: pip install '.\[pandas\]'"):
        require("no_such_package", "pandas")
