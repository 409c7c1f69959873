"""The turning of the difference: cosines of all pairs, from half-precision tensors and exact lengths, kept on disk."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from guidance_geometry.files.safetensors import write_atomically
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace import directions
from guidance_geometry.trace.directions import with_directions
from guidance_geometry.trace.file import _pack, fit_trace, load, save
from guidance_geometry.trace.gram import VECTORS, gram
from guidance_geometry.trace.record import run_record


def directions_of(trace) -> Any:
    return directions.directions_of(trace)


def turning(share, batch=3, steps=6):
    """A run whose difference, this share of u, turns a little from step to step, and the true cosines."""
    draws = torch.Generator().manual_seed(3)
    trace = exact_trace(4.0, batch=batch, steps=steps)
    u, fresh = (torch.randn(steps, batch, 3, 32, 32, generator=draws, dtype=torch.float64) for _ in range(2))
    delta = share * (fresh[:1] + 0.4 * fresh.cumsum(dim=0))
    zero = torch.zeros_like(u[0])
    K = [gram(dict(zip(VECTORS, (v, v, d, zero, v, zero), strict=True))) for v, d in zip(u, delta, strict=True)]
    tensors = {**trace.tensors, "uncond": u.half(), "cond": (u + delta).half()}
    unit = delta.flatten(2) / delta.flatten(2).norm(dim=2, keepdim=True)
    i, j = torch.triu_indices(steps, steps)
    truth = torch.einsum("ibn,jbn->bij", unit, unit)[:, i, j]
    return replace(trace, steps={**trace.steps, "K": torch.stack(K)}, tensors=tensors), truth


@pytest.mark.parametrize("share", [0.1, 0.01, 0.001])
def test_cosines_are_those_of_the_differences_before_rounding(share):
    trace, truth = turning(share)
    found = directions_of(trace)
    assert found.steps == list(range(6))
    assert (found.cosines - truth).abs().max() <= max(5 * found.error, 1e-6)
    assert 0 < found.error < 1e-4 / share


def test_a_step_without_uncond_is_unknown_and_equal_to_itself_elsewhere():
    found = directions_of(exact_trace(4.0, batch=1, steps=4, skip=(1,))).cosines[0]
    assert found.isnan().tolist() == [False, True, False, False, True, True, True, False, False, False]
    assert found[0] == 1


def test_without_two_captured_steps_there_is_nothing():
    trace = exact_trace(4.0, batch=1, steps=3, capture=False)
    assert directions_of(trace) is None
    assert directions_of(exact_trace(4.0, batch=1, steps=2)).steps == [0, 1]
    assert with_directions(trace) is trace
    assert "directions" not in run_record(trace)


def test_a_saved_trace_keeps_all_pairs_though_its_pictures_are_thinned(tmp_path):
    trace = exact_trace(4.0, batch=8, steps=20)
    save(trace, tmp_path / "t.safetensors")
    again = load(tmp_path / "t.safetensors")
    assert len(again.captured_steps) < 20
    assert torch.equal(directions_of(again).cosines, directions_of(trace).cosines)
    assert directions_of(again).steps == list(range(20))


def test_a_damaged_list_of_steps_is_refused(tmp_path):
    trace = with_directions(exact_trace(4.0, batch=1, steps=3))
    for facts in (None, {"steps": [0, 9, 1], "error": 0.0}, {"steps": [0, 1], "error": 0.0}):
        wrong = replace(trace, header={**trace.header, "directions": facts}, tensors={})
        wrong = replace(wrong, header={**wrong.header, "capture": {"steps": []}})
        file = tmp_path / "t.safetensors"
        write_atomically(file, [_pack(wrong)])
        with pytest.raises(ValueError, match="directions"):
            load(file)


def test_directions_go_before_the_numbers_do():
    trace = with_directions(exact_trace(4.0, batch=8, steps=20))
    assert fit_trace(trace).cross
    assert not fit_trace(trace, len(_pack(replace(trace, tensors={}, cross={}))) + 2000).cross
