import math

import pytest
import torch

from guidance_geometry.guidance.predictions import PARAMETRISATIONS, output_from
from guidance_geometry.models.denoisers.conversion import input_scale, network_input, to_x0
from guidance_geometry.models.denoisers.schedules import (
    SCHEDULES,
    Levels,
    coordinates,
    index_of,
    network_time,
    table,
)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_tables_rise_and_are_finite(schedule):
    levels = table(schedule)
    assert levels.shape == (1000,)
    assert levels.dtype == torch.float64
    assert levels.isfinite().all()
    assert (levels.diff() > 0).all()


def test_vp_linear_is_the_product_of_its_betas():
    signal, wanted = 1.0, []
    for i in range(1000):
        signal *= 1 - (1e-4 + (0.02 - 1e-4) * i / 999)
        wanted.append(math.sqrt((1 - signal) / signal))
    assert table("vp_linear").tolist() == pytest.approx(wanted, rel=1e-9)


def test_vp_cosine_signal_follows_the_cosine():
    levels = table("vp_cosine")
    signal = 1 / (1 + levels**2)
    start = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    for i in (0, 10, 500, 900):
        wanted = math.cos(((i + 1) / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 / start
        assert float(signal[i]) == pytest.approx(wanted, rel=1e-9)
    assert float((signal[1:] / signal[:-1]).min()) == pytest.approx(0.001, rel=1e-6), "never all of it is lost"


def test_edm_is_even_in_the_logarithm_and_flow_ends_at_pure_noise():
    levels = table("edm", Levels(sigma_min=0.01, sigma_max=10))
    assert float(levels[0]) == pytest.approx(0.01)
    assert float(levels[-1]) == pytest.approx(10)
    assert levels.log().diff().std() < 1e-9
    assert float(table("flow")[-1]) == 1
    assert float(table("flow", Levels(timesteps=10))[0]) == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", ["vp_linear", "vp_cosine"])
def test_a_level_of_the_table_has_its_own_index(schedule):
    levels = table(schedule)
    logs, at = levels.log(), coordinates(schedule, levels)
    assert (index_of(logs, levels) - torch.arange(1000)).abs().max() < 1e-8
    between = (0.25 * logs[10] + 0.75 * logs[11]).exp()
    assert float(index_of(logs, between)) == pytest.approx(10.75)
    assert index_of(logs, torch.tensor([0.0, 1e-9, 1e9], dtype=torch.float64)).tolist() == [0, 0, 999]
    assert (at.alpha**2 + at.sigma**2 - 1).abs().max() < 1e-12, "the variance is kept"
    assert torch.equal(at.scale, at.alpha)


@pytest.mark.parametrize(
    ("time", "schedule", "wanted"),
    [("log_sigma", "edm", math.log(0.4) / 4), ("log_sigma", "flow", math.log(0.4 / 0.6) / 4), ("sigma", "flow", 0.4)],
)
def test_the_network_is_told_the_level(time, schedule, wanted):
    assert float(network_time(time, schedule, torch.tensor([0.4]))) == pytest.approx(wanted, rel=1e-6)
    assert network_time(time, schedule, torch.tensor([1.0])).isfinite().all()


@pytest.mark.parametrize(
    ("numbers", "word"),
    [({"timesteps": 1}, "timesteps"), ({"beta_start": 0.5}, "rise"), ({"sigma_max": 0.001}, "rising")],
)
def test_impossible_levels_are_refused(numbers, word):
    with pytest.raises(ValueError, match=word):
        Levels(**numbers)


@pytest.mark.parametrize("kind", PARAMETRISATIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_parametrisation_says_the_same_x0(kind, schedule):
    """The network's output is written down in its own coordinates and read back from the sampler's x."""
    generator = torch.Generator().manual_seed(1)
    x0, eps = torch.randn(2, 3, 4, 5, 6, generator=generator, dtype=torch.float64)
    sigma = torch.tensor([0.05, 0.3, 0.9], dtype=torch.float64)
    at = coordinates(schedule, sigma)
    mine = at.alpha[:, None, None, None] * x0 + at.sigma[:, None, None, None] * eps
    x = mine / at.scale[:, None, None, None]
    output = output_from(kind, x0, mine, at.sigma, at.alpha, 0.6)
    assert (to_x0(kind, schedule, output, x, sigma, 0.6) - x0).abs().max() < 1e-11
    one = torch.ones(1, 2, 2, 2)
    assert to_x0(kind, "flow", 0.9 * one, one, torch.ones(1), 0.6).isfinite().all(), "at pure noise"


@pytest.mark.parametrize(
    ("kind", "schedule", "sigma", "wanted"),
    [
        ("epsilon", "vp_linear", 2.0, 1 / math.sqrt(5)),
        ("edm", "edm", 2.0, 1 / math.sqrt(4.36)),
        ("x0", "edm", 2.0, 1 / math.sqrt(4.36)),
        ("flow", "flow", 0.7, 1.0),
        ("edm", "flow", 1.0, 1.0),
        ("edm", "flow", 0.5, 1 / math.sqrt(0.25 + 0.09)),
    ],
)
def test_inputs_are_scaled_as_trained(kind, schedule, sigma, wanted):
    level = torch.tensor([sigma])
    assert float(input_scale(kind, schedule, level, 0.6)) == pytest.approx(wanted, rel=1e-6)
    assert torch.equal(
        network_input(kind, schedule, torch.ones(1, 2), level, 0.6)[0, :1], input_scale(kind, schedule, level, 0.6)
    )


@pytest.mark.parametrize(("kind", "schedule"), [("edm", "vp_linear"), ("epsilon", "edm")])
def test_a_scaled_input_needs_sigma_data(kind, schedule):
    with pytest.raises(ValueError, match=f"kind {kind} on {schedule} needs sigma_data"):
        input_scale(kind, schedule, torch.ones(1), None)
