"""Measurements still start, and a limit is judged by the whole interval."""

import importlib
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "lab" / "bench"


@pytest.mark.parametrize("name", sorted(file.stem for file in BENCH.glob("*.py") if file.stem != "harness"))
def test_a_measurement_starts(name):
    assert callable(importlib.import_module(f"guidance_geometry.lab.bench.{name}").main)


def test_a_limit_is_passed_by_the_whole_interval_alone():
    device = importlib.import_module("guidance_geometry.lab.bench.device")
    for verdict, ratios in {"holds": (1.0, 1.01), "passed": (1.03, 1.05), "undecided": (1.0, 1.05)}.items():
        line, failed = device.ratio_line("a run", [*ratios] * 10, 1.02)
        assert (line.split()[-1], failed) == (verdict, verdict == "passed")
