"""A trace in a notebook: a table, figures, files."""

import pytest

from guidance_geometry.library.recording import record

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
    report = trace.report()
    assert (report.cfg, report.as_json()["colour"] in {"fine", "above", "unclear", "off"}) == (4.0, True)
