"""The calibration of the verdict: objectives and bands by hand, worlds that are exact, cells that are kept."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from guidance_geometry.tools.verdict import calibrate, card, cells, evidence, objectives, odds, runs, worlds
from guidance_geometry.trace.card import read_card


def small_mixture():
    return worlds.exact_worlds()["mixture-2"]


def test_band_ends_where_the_objective_crosses_five_quarters_of_its_minimum():
    band = objectives.band_of((1, 2, 4, 8), (3.0, 1.0, 1.0, 2.0))
    assert math.isclose(band.low, 2 ** (1 - 0.25 / 2))
    assert math.isclose(band.high, 4 * 2**0.25)
    assert math.isclose(band.centre, math.sqrt(band.low * band.high))
    assert not band.open
    assert objectives.band_of((1, 2, 4), (3.0, 1.0, 1.1)).open, "its upper edge was not measured"


def test_j_is_two_where_one_scale_is_best_at_both():
    rows = [{"classwise": 2.0, "frechet": 0.5}, {"classwise": 4.0, "frechet": 1.0}]
    assert objectives.objective_j(rows) == [2.0, 4.0]


def test_energy_distance_of_equal_worlds_vanishes_and_of_shifted_ones_does_not():
    x, y = torch.randn(2, 4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert abs(cells.energy_distance(x, y)) <= 5e-3
    assert cells.energy_distance(x, y + 1) >= 0.5


@pytest.mark.parametrize("name", ["mixture-32", "spectral"])
def test_denoising_true_samples_leaves_them_and_averages_to_the_mean(name):
    world = worlds.exact_worlds()[name]
    x0 = world.truth(60, 0)
    predict = world.predictions(0, 60)
    for found in predict(x0, 1e-4):
        assert (found - x0).abs().max() <= 1e-3
    uncond, _ = predict(80 * torch.randn(x0.shape, dtype=x0.dtype), 1e4)
    assert uncond.std(dim=0).max() <= 0.1, "from pure noise every prediction is the mean"


def test_spectral_world_has_the_deviation_that_its_page_states():
    assert abs(worlds.Spectral().sigma_data - 0.4684) <= 1e-3


@pytest.mark.parametrize("flow", [False, True], ids=["ve", "flow"])
@pytest.mark.parametrize("key", runs.SAMPLERS)
def test_samplers_keep_gaussian_noise_at_the_level_they_state(key, flow):
    """Clean data of one point, so that D is exact: the state is alpha' x0 + sigma' eps at every level."""
    sampler, x0, g = runs.SAMPLERS[key], 0.5, torch.Generator().manual_seed(0)
    step, memory = runs.step_of(sampler, flow), runs.Memory()
    levels = [1.0, 0.7, 0.4, 0.1] if flow else [10.0, 4.0, 1.0, 0.1]
    x = (1 - levels[0] if flow else 1.0) * x0 + levels[0] * torch.randn(20_000, generator=g, dtype=torch.float64)
    for sigma, after in pairwise(levels):
        x, size = step(x, torch.full_like(x, x0), sigma, after, memory)
        x = x + size * torch.randn(x.shape, generator=g, dtype=x.dtype)
        assert abs(x.std() / after - 1) <= 0.03
        assert abs(x.mean() - (1 - after if flow else 1.0) * x0) <= 4 * after / 20_000**0.5 + 1e-9


def test_a_blurred_condition_makes_the_same_run_at_a_larger_scale():
    world, sampler = small_mixture(), runs.SAMPLERS["A"]

    class Blurred(worlds.Mixture):
        def predictions(self, first, count):
            exact = super().predictions(first, count)

            def predict(x, sigma):
                uncond, cond = exact(x, sigma)
                return uncond, uncond + (cond - uncond) / 2

            return predict

    sharp, blurred = (
        runs.recorded(one, sampler, gamma, 12, 0)
        for one, gamma in ((world, 2.0), (Blurred("blurred", world.mixture), 4.0))
    )
    assert torch.allclose(sharp[0], blurred[0], atol=1e-9)
    assert torch.allclose(*(runs.features(trace, world.labels, 4, 9) for _, trace in (sharp, blurred)), atol=1e-6)


def test_runs_of_a_smaller_count_are_the_first_of_a_larger_one():
    world, sampler = small_mixture(), runs.SAMPLERS["B"]
    few, many = (runs.recorded(world, sampler, 2.0, count, 0)[0] for count in (50, 70))
    assert torch.equal(few, many[:50])


def made_up(world, overmax, centre=4.0):
    """A setting whose runs have given lengths at three scales: inside the band, and two and four times its centre."""
    held = tuple(({"f4": np.array([[length, 0.0, 0.0, 0.0] for length in lengths])},) for lengths in overmax)
    band = objectives.Band(0.8 * centre, centre, 1.25 * centre)
    return evidence.Setting(world, "A", (centre, 2 * centre, 4 * centre), held, (1.0, 2.0, 3.0), band)


def test_the_alarm_is_set_by_the_world_with_the_longest_fine_runs():
    short = made_up("short", ([1.0] * 20, [1.2] * 20, [1.4] * 20))
    long = made_up("long", ([3.0] * 20, [3.5] * 20, [9.0] * 20))
    sure, likely, found = odds.burning([short, long], 4)
    assert (sure, likely) == (3.0, 2.0)
    assert found["long"].false == 0
    assert found["long"].left_out == 1, "the other world's threshold is too low for it"
    assert found["long"].hits[4.0] == 1
    assert found["short"].hits[4.0] == 0


def test_a_card_holds_what_is_near_and_errs_by_what_lies_above():
    own = objectives.Band(2.0, 3.0, 4.5)
    assert odds.carded(own, objectives.Band(2.5, 3.5, 4.4), ("a", "b")) == odds.Carded("a", "b", True, 0.0)
    far = odds.carded(own, objectives.Band(4.5, 6.0, 9.0), ("a", "c"))
    assert (far.held, far.false) == (False, 1.0)


def test_find_my_range_takes_five_runs_and_follows_the_minimum():
    gammas = tuple(2.0**n for n in range(-1, 5))
    values = tuple(1 + abs(math.log2(gamma / 6)) for gamma in gammas)
    setting = evidence.Setting("w", "A", gammas, (), values, objectives.Band(5, 6, 7))
    for start in (2.0, 4.0, 8.0):
        found, asked = odds.found_range(setting, start)
        assert found.holds(6.0)
        assert asked == 5


def test_a_look_measures_keeps_and_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(card, "QUICK", cells.Plan(("C",), (0,), 20, (1.0, 4.0, 8.0)))
    monkeypatch.setattr("sys.argv", ["card", "pocket-1", "--quick", "--cache", str(tmp_path)])
    card.main()
    found = read_card(tmp_path / "cards" / "pocket-1.guidance.json")
    assert set(found.bands) == {"ode-few"}
    assert found.bands["ode-few"].edges["high"]["overmean"] > found.bands["ode-few"].edges["low"]["overmean"]
    assert "cell 3 of 3" in capsys.readouterr().out
    card.main()
    assert "cell" not in capsys.readouterr().out, "nothing is measured twice"


def test_odds_of_a_small_exact_world_are_written_with_every_field(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "QUICK", {"mixture-2": cells.Plan(("C",), (0,), 24, (0.5, 1.0, 2.0, 8.0))})
    monkeypatch.setattr("sys.argv", ["calibrate", "--quick", "--cache", str(tmp_path)])
    calibrate.main()
    written, stated = (json.loads(path.read_text()) for path in (tmp_path / "odds.json", calibrate.ODDS))
    assert written.keys() == stated.keys()
    assert written["burn"].keys() == stated["burn"].keys()
    assert "mixture-2" in (tmp_path / "verdict.md").read_text()


def test_odds_of_exact_worlds_alone_are_not_written_into_the_pack(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "QUICK", {"mixture-2": cells.Plan(("C",), (0,), 24, (0.5, 1.0, 2.0))})
    monkeypatch.setattr("sys.argv", ["calibrate", "--quick", "--write", "--cache", str(tmp_path)])
    before = calibrate.ODDS.read_bytes()
    with pytest.raises(SystemExit, match="exact and trained worlds together"):
        calibrate.main()
    assert calibrate.ODDS.read_bytes() == before
