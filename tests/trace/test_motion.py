"""Motion of a film: the shares against numpy, in the columns, the file, the record and a sweep."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from guidance_geometry.figures.table import as_csv
from guidance_geometry.sweeps.measures import measure
from guidance_geometry.tests.two_parts import PACKED, steps, two_parts
from guidance_geometry.trace.accumulator import Accumulator, Capture
from guidance_geometry.trace.file import load, save
from guidance_geometry.trace.metrics import MOTION, share_of_motion
from guidance_geometry.trace.record import run_record
from guidance_geometry.trace.rows import Setting

NAMES = ("motion_of_difference", "motion_of_push")


def by_hand(v):
    v = v.double().numpy()
    moving = v - v.mean(axis=2, keepdims=True)
    return (moving**2).sum(axis=(1, 2, 3, 4)) / (v**2).sum(axis=(1, 2, 3, 4))


def test_the_share_is_that_of_the_change_from_frame_to_frame():
    draws = torch.Generator().manual_seed(3)
    still, noise = torch.randn(2, 3, 1, 4, 5, generator=draws), torch.randn(2, 3, 40, 4, 5, generator=draws)
    film = still + 0.3 * noise
    assert np.allclose(share_of_motion(film), by_hand(film), atol=1e-7)
    assert torch.allclose(share_of_motion(noise), torch.full((2,), 39 / 40, dtype=torch.float64), atol=0.01)
    assert share_of_motion(still.expand(-1, -1, 40, -1, -1)).abs().max() < 1e-12
    assert share_of_motion(torch.zeros(2, 3, 4, 5, 5)).isnan().all()
    assert share_of_motion((1e4 * film).half()).isfinite().all()


def test_a_film_has_both_shares_and_its_sound_has_none():
    trace = two_parts()
    for i, step in enumerate(steps()):
        seen = step.evaluation.parts[0]
        for name, v in zip(NAMES, (seen.cond - seen.uncond, seen.denoised - seen.cond), strict=True):
            assert np.allclose(trace.steps[name][i], by_hand(v), atol=1e-6)
    assert tuple(trace.column("M20").shape) == (len(steps()), 2)
    assert trace.metrics.keys() >= MOTION.keys()
    for part in trace.parts.values():
        assert not part.metrics.keys() & MOTION.keys()
        assert part.column("M20").isnan().all()
    assert {"M20", "M20p"} <= set(as_csv(trace).partition("\n")[0].split(","))
    mean = trace.column("M20").mean()
    assert measure(trace, NAMES)["motion_of_difference"] == pytest.approx(float(mean))


def test_the_record_and_the_file_carry_them_and_files_without_them_still_load(tmp_path):
    trace = two_parts()
    record = run_record(trace)
    assert record["steps"][1]["samples"][0]["m"]["M20"] == pytest.approx(float(trace.column("M20")[1, 0]), rel=1e-5)
    save(trace, tmp_path / "film.safetensors")
    assert torch.equal(load(tmp_path / "film.safetensors").column("M20p"), trace.column("M20p"))
    old = replace(trace, steps={name: v for name, v in trace.steps.items() if name not in NAMES})
    save(old, tmp_path / "old.safetensors")
    loaded = load(tmp_path / "old.safetensors")
    assert loaded.column("M20").isnan().all()
    assert "M20" not in run_record(loaded)["steps"][0]["samples"][0]["m"]


def test_a_fault_leaves_the_later_steps_unknown():
    accumulator = Accumulator(Setting(flow=True), Capture("numbers"))
    for step in steps():
        accumulator.enter(step.split(PACKED)[0])
    accumulator.settle()
    accumulator._note_fault("of this test")
    accumulator.fault_levels.append(accumulator.rows.pop().levels)
    columns = accumulator.columns()
    for name in NAMES:
        assert columns[name][:-1].isfinite().all()
        assert columns[name][-1].isnan().all()
