import pytest

from guidance_geometry.sweeps import parquet as study_parquet
from guidance_geometry.sweeps.addresses import Address, place_at
from guidance_geometry.sweeps.parquet import columns_of, write_parquet

arrow = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: it comes with pip install 'ray[data]'")
ROWS = [
    {"id": "a", "place": {"cfg": 1, "rule": "cfg", "seed": 2**64 - 1}, "measures": {"strength": 0.5}, "seconds": 2.0},
    {"id": "b", "place": {"cfg": 2.5, "rule": 3, "seed": 0}, "measures": {"strength": float("nan")}, "verdict": "fine"},
    {"id": "c", "place": {"cfg": 4, "rule": "APG", "seed": 7}, "measures": {}},
]


def test_every_value_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(study_parquet, "BLOCK", 2)
    write_parquet(tmp_path / "results.parquet", ROWS)
    found = arrow.read_table(tmp_path / "results.parquet").to_pydict()
    assert found == {
        "id": ["a", "b", "c"],
        "seconds": [2.0, None, None],
        "verdict": [None, "fine", None],
        "cfg": [1.0, 2.5, 4.0],
        "rule": ["cfg", "3", "APG"],
        "seed": [2**64 - 1, 0, 7],
        "strength": [0.5, None, None],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["results.parquet"]


def test_an_axis_never_hides_a_fact_or_a_measure():
    row = {"id": "a", "place": {"seconds": 1, "id": 2}, "measures": {"seconds": 3.0}, "server": "x"}
    columns = columns_of([row | {"seconds": 4.0}])
    assert list(columns) == ["id", "server", "seconds", "place.seconds", "place.id", "measures.seconds"]


def test_true_and_false_stay_what_they_are(tmp_path):
    rows = [{**row, "place": {"robust": robust}} for row, robust in zip(ROWS, (True, None, False), strict=True)]
    write_parquet(tmp_path / "results.parquet", rows)
    assert arrow.read_table(tmp_path / "results.parquet")["robust"].to_pylist() == [True, None, False]
    mixed = [{**row, "place": {"robust": robust}} for row, robust in zip(ROWS, (True, 2, False), strict=True)]
    write_parquet(tmp_path / "results.parquet", mixed)
    assert arrow.read_table(tmp_path / "results.parquet")["robust"].to_pylist() == ["True", "2", "False"]


def test_no_rows_are_an_empty_table(tmp_path):
    write_parquet(tmp_path / "results.parquet", [])
    assert arrow.read_table(tmp_path / "results.parquet").num_rows == 0


def test_an_address_takes_it_too():
    place = place_at("memory://parquet/results.parquet")
    assert isinstance(place, Address)
    write_parquet(place, ROWS)
    (copy,) = place.system.find("parquet")
    with place.system.open(copy) as file:
        assert arrow.read_table(file).num_rows == 3
