"""What is shown of a run unless somebody asks for more."""

from dataclasses import replace

import pytest
import torch

from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.choices import Pushes, band, choices_of, default_step, scale_axes


@pytest.fixture(scope="module")
def trace():
    return exact_trace(4.0, batch=2, steps=12, capture=False)


def with_columns(trace, **columns):
    return replace(trace, steps=trace.steps | columns)


def test_the_default_step_is_the_one_with_a_difference_nearest_to_two_fifths(trace):
    assert default_step(trace, 0) == 5
    floor = trace.steps["floor"].clone()
    floor[4:7] = 1.0
    assert default_step(with_columns(trace, floor=floor), 0) in (3, 7)
    assert default_step(trace, 0, [0, 3, 11]) == 3
    assert default_step(with_columns(trace, floor=torch.ones(12)), 0, [0, 11]) == 0


def test_a_band_takes_three_samples():
    values = torch.tensor([[1.0, 2.0, torch.nan, torch.nan], [1.0, 2.0, 3.0, torch.nan]], dtype=torch.float64)
    low, high = band(values)[1].tolist()
    assert band(values)[0].isnan().all()
    assert (low, high) == pytest.approx((1.2, 2.8))
    assert band(torch.zeros(3, 0)).shape == (3, 2)


def test_the_axis_of_scales_holds_zero_one_and_cfg(trace):
    for cfg, high in ((4.0, 4.0), (9.0, 9.0), (None, 4.0)):
        axes = scale_axes(replace(trace, header=trace.header | {"cfg": cfg}))
        assert axes.flatten().tolist() == pytest.approx([0.0, high] * 2, rel=1e-6)
    alone = scale_axes(replace(trace, header=trace.header | {"guider": "Other", "cfg": 9.0}))
    assert alone[:, 1].tolist() == pytest.approx([4.0, 4.0], rel=1e-6)


def test_what_is_left_of_a_push_is_what_later_steps_do_not_take_back(trace):
    pushes = Pushes.of(trace)
    sigma, data = trace.steps["sigma_next"], trace.header["sigma_data"]
    kept = data / (data**2 + sigma**2).sqrt()
    assert torch.allclose(pushes.left, pushes.push * kept[:, None])
    first, last = pushes.window(0) or (1, 0)
    assert first < last


def test_a_sample_is_alone_where_another_acted_otherwise(trace):
    assert choices_of(trace, [0, 1], [0])["alone"] == [False, False]
    other = trace.steps["gamma_eff"] + torch.tensor([0.0, 0.2])
    assert choices_of(with_columns(trace, gamma_eff=other), [1], [0])["alone"] == [True]
