"""Measurements still start, and a limit is judged by the whole interval."""

import importlib
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "lab" / "bench"


@pytest.mark.parametrize("name", sorted(file.stem for file in BENCH.glob("*.py") if file.stem != "harness"))
def test_a_measurement_starts(name):
    assert callable(importlib.import_module(f"guidance_geometry.lab.bench.{name}").main)


def test_the_cost_of_watching_is_measured_beside_a_browser(host, monkeypatch):
    device = importlib.import_module("guidance_geometry.lab.bench.device")
    monkeypatch.setattr(device, "SHAPES", {"small": ("SD15", (2, 4, 8, 8)), "a clip": ("WAN21_T2V", (1, 16, 3, 8, 8))})
    with device.host_of_a_browser():
        rows, slow = device.cost_of_a_value(1)
    assert [row[:3] for row in rows] == [["small", "fp32", "512"], ["a clip", "fp32", "3,072"]]
    assert not slow, "so few values are not held to the limit"


def test_a_limit_is_passed_by_the_whole_interval_alone():
    device = importlib.import_module("guidance_geometry.lab.bench.device")
    for verdict, ratios in {"holds": (1.0, 1.01), "passed": (1.03, 1.05), "undecided": (1.0, 1.05)}.items():
        line, failed = device.ratio_line("a run", [*ratios] * 10, 1.02)
        assert (line.split()[-1], failed) == (verdict, verdict == "passed")
