"""The measurement of studies, small: a study that is killed three times."""

import json

import pytest

from guidance_geometry.lab.bench.study import ALONE, broken_files, killed_study
from guidance_geometry.tests.traces import trace_in


@pytest.mark.slow
@pytest.mark.turn("killed study")
def test_a_study_that_is_killed_loses_nothing_and_does_nothing_twice():
    pytest.importorskip("ray", reason="ray is not installed: pip install 'ray[data]'")
    lines, fine = killed_study(cells=40, count=3, seed=2)
    assert fine, "\n".join(lines)
    assert "3 kills (1 of the actor, 1 of the server, 1 of the driver)" in lines[0]
    assert "lost: 0, doubled: 0, tables that differ: 0, set aside: 0, wrong: 0, half files: 0" in lines[1]


@pytest.mark.slow
@pytest.mark.turn("killed sweep")
def test_a_sweep_that_is_killed_with_bad_pictures_among_its_cells_counts_nothing_wrong():
    lines, fine = killed_study(cells=24, count=4, seed=5, kinds=ALONE)
    assert fine, "\n".join(lines)
    assert "4 kills (2 of the server, 2 of the driver)" in lines[0]
    assert "lost: 0, doubled: 0, tables that differ: 0, set aside: 0, wrong: 0, half files: 0" in lines[1]
    assert "; 4 cells were spoilt, 5% of the pictures bad" in lines[1]


def test_files_that_are_cut_off_are_found(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: it comes with pip install 'ray[data]'")
    from pyarrow import parquet

    trace_in(tmp_path)
    (tmp_path / "row.json").write_text(json.dumps({"id": 1}), encoding="utf-8")
    parquet.write_table(arrow.table({"id": [1]}), tmp_path / "results.parquet")
    assert broken_files(tmp_path) == []
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    (tmp_path / ".hidden.part").write_bytes(b"half")
    assert len(broken_files(tmp_path)) == 3
