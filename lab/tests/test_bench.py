"""Every measurement can still be started: the code that it measures has moved on since it was last run."""

import importlib
from pathlib import Path

import pytest

from guidance_geometry.lab.markdown import section_in

BENCH = Path(__file__).resolve().parents[2] / "lab" / "bench"


@pytest.mark.parametrize("name", sorted(file.stem for file in BENCH.glob("*.py")))
def test_a_measurement_starts(name):
    assert callable(importlib.import_module(f"guidance_geometry.lab.bench.{name}").main)


@pytest.mark.turn("exact toy")
def test_the_section_of_the_exact_toy_is_what_it_prints(tmp_path, capsys, monkeypatch):
    bench = importlib.import_module("guidance_geometry.lab.bench.exact_toy")
    page = tmp_path / "page.md"
    page.write_text("# A page\n", encoding="utf-8")
    monkeypatch.setattr(bench, "GAMMAS", (1.0,))
    monkeypatch.setattr(bench, "STEPS", (4, 8))
    monkeypatch.setattr("sys.argv", ["exact_toy", "--samples", "50", "--page", str(page)])
    assert bench.main() == 0
    words = section_in(page, bench.HEADING).partition("\n\n")[2]
    assert words in capsys.readouterr().out
    errors = [
        float(line.split("|")[2]) for line in words.splitlines() if line.startswith(("| noisy x_t, ", "| Jacobian"))
    ]
    assert len(errors) == 6
    assert max(errors) <= 1e-9


def test_the_cost_of_watching_is_measured_beside_a_browser(host, monkeypatch):
    device = importlib.import_module("guidance_geometry.lab.bench.device")
    monkeypatch.setattr(device, "SHAPES", {"small": ("SD15", (2, 4, 8, 8)), "a clip": ("WAN21_T2V", (1, 16, 3, 8, 8))})
    with device.host_of_a_browser():
        rows, slow = device.cost_of_a_value(1)
    assert [row[:3] for row in rows] == [["small", "fp32", "512"], ["a clip", "fp32", "3,072"]]
    assert not slow, "so few values are not held to the limit"
    assert all(float(row[k]) < 1e4 for row in rows for k in (4, 6)), rows


def test_a_limit_is_passed_by_the_whole_interval_alone(capsys):
    device = importlib.import_module("guidance_geometry.lab.bench.device")
    pairs = {"holds": (1.0, 1.01), "passed": (1.03, 1.05), "undecided": (1.0, 1.05)}
    for verdict, ratios in pairs.items():
        line, failed = device.ratio_line("a run", [*ratios] * 10, 1.02)
        assert (line.split()[-1], failed) == (verdict, verdict == "passed")
    assert capsys.readouterr().out.count("limit 1.02") == 3
