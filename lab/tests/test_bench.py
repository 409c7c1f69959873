"""Every measurement can still be started: the code that it measures has moved on since it was last run."""

import importlib
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "lab" / "bench"


@pytest.mark.parametrize("name", sorted(file.stem for file in BENCH.glob("*.py")))
def test_a_measurement_starts(name):
    assert callable(importlib.import_module(f"guidance_geometry.lab.bench.{name}").main)


def test_the_page_of_the_exact_toy_is_what_it_prints(tmp_path, capsys, monkeypatch):
    bench = importlib.import_module("guidance_geometry.lab.bench.exact_toy")
    page = tmp_path / "page.md"
    monkeypatch.setattr(bench, "GAMMAS", (1.0,))
    monkeypatch.setattr(bench, "STEPS", (4, 8))
    monkeypatch.setattr("sys.argv", ["exact_toy", "--samples", "50", "--page", str(page)])
    assert bench.main() == 0
    words = page.read_text(encoding="utf-8")
    assert words in capsys.readouterr().out
    errors = [
        float(line.split("|")[2]) for line in words.splitlines() if line.startswith(("| noisy x_t, ", "| Jacobian"))
    ]
    assert len(errors) == 6
    assert max(errors) <= 1e-9
