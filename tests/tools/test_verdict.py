"""The calibration of the verdict: objectives and bands by hand, worlds that are exact, cells that are kept."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from guidance_geometry.tools.verdict import (
    calibrate,
    card,
    cells,
    clicked,
    evidence,
    limits,
    misses,
    objectives,
    odds,
    page,
    runs,
    twins,
    worlds,
    wrong,
)
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


SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)


def held(lengths, **more):
    """A cell whose runs have these lengths, whatever the size of the batch."""
    rows = np.array([[length, 0.0, 0.0, 0.0] for length in lengths])
    return {"f1": rows, "f4": rows, "f8": rows, "count": np.array(len(lengths)), **more}


def made_up(world, overmax, centre=4.0):
    """A setting whose runs have given lengths at three scales: inside the band, and two and four times its centre."""
    cells_of = tuple((held(lengths),) for lengths in overmax)
    band = objectives.Band(0.8 * centre, centre, 1.25 * centre)
    return evidence.Setting(world, "A", (centre, 2 * centre, 4 * centre), cells_of, (1.0, 2.0, 3.0), band)


def judged(values, overmax=1.0, name="pocket-1", sampler="A", shift=0.0):
    """A setting that a judge measured, at SCALES: ten samples of one pixel, which grow by `shift` a scale."""
    ends = [np.full((10, 3, 1, 1), 0.5 + shift * k) for k in range(len(SCALES))]
    named = [np.arange(10) if k < 4 else np.full(10, 3) for k in range(len(SCALES))]
    cells_of = tuple(
        (held([overmax * gamma] * 10, ends=end, named=label, f4=np.zeros((0, 4)), f8=np.zeros((0, 4))),)
        for gamma, end, label in zip(SCALES, ends, named, strict=True)
    )
    band = objectives.band_of(SCALES, values)
    rows = tuple({"classwise": value, "frechet": value, "accuracy": 1.0, "recognised": value} for value in values)
    return evidence.Setting(name, sampler, SCALES, cells_of, tuple(values), band, rows)


GOOD = (9.0, 3.0, 1.0, 3.0, 9.0)


def carded(band, other, kind="seed"):
    return odds.Carded("a card", band, other, kind)


def test_the_alarm_is_set_by_the_world_with_the_longest_fine_runs_and_holds_in_every_world_left_out():
    short = made_up("short", ([1.0] * 20, [1.2] * 20, [1.4] * 20))
    long = made_up("long", ([1.25] * 20, [3.5] * 20, [9.0] * 20))
    sure, likely, found = odds.burning([short, long], 4)
    assert math.isclose(sure, 1.25 * 1.25), "a fine run of the long world is 1.25 times as long as any of the short one"
    assert math.isclose(likely, 1.125)
    assert found["long"].left_out == found["long"].false == 0
    assert found["long"].hits[4.0] == 1
    assert found["short"].hits[4.0] == 0


def test_a_sign_is_set_by_the_demo_models_since_exact_worlds_hardly_burn():
    exact = [made_up(f"exact {n}", ([1.0] * 20, [1.2] * 20, [1.4] * 20)) for n in range(3)]
    own = [judged(GOOD, overmax=0.5, name="a"), judged(GOOD, overmax=0.52, name="b")]
    sure, likely, _ = odds.burning([*exact, *own], 1)
    assert math.isclose(likely, 4 * 0.51)
    assert likely < sure


def test_without_any_demo_model_the_exact_worlds_set_the_threshold():
    exact = made_up("exact", ([1.0] * 20, [1.2] * 20, [1.4] * 20))
    threshold, false = odds.relatives_out([exact, judged(GOOD, overmax=2.0)])
    assert (threshold, false) == (3.0, 1.0), "with the widest margin, and its fine runs are 8 times as long"
    assert math.isnan(odds.relatives_out([exact])[1])


def test_an_alarm_that_no_margin_saves_is_published_as_it_is():
    short = made_up("short", ([1.0] * 20, [1.2] * 20, [1.4] * 20))
    long = made_up("long", ([30.0] * 20, [35.0] * 20, [90.0] * 20))
    _, _, found = odds.burning([short, long], 4)
    assert found["long"].left_out == 1
    rows = limits.limits_of([], 1.0, found, [], odds.Halved(math.nan, math.nan, math.nan, 0), [])
    assert [row.holds for row in rows] == [False]
    assert "long" in rows[0].measured


def test_a_card_holds_what_is_near_and_errs_by_what_lies_above():
    own, near, far = objectives.Band(2.0, 3.0, 4.5), judged(GOOD), judged((9.0, 9.0, 9.0, 1.0, 9.0))
    near, far = carded(own, near), carded(own, far)
    assert (near.holds(2.0), near.holds(1.6), near.false(1.0)) == (True, False, 0.0)
    assert near.other.band.high < 4.5
    assert (far.holds(2.0), far.false(1.0), far.false(3.0)) == (False, 1.0, 0.0)


def test_a_card_claims_only_what_holds_for_what_it_was_not_made_of():
    own = objectives.Band(3.0, 3.5, 4.0)
    high = [carded(own, judged((9.0, 9.0, 9.0, 1.0, 9.0)))]
    beyond, ratio = odds.least_beyond(high), odds.least_ratio(high)
    assert odds.false_of(high, beyond) <= odds.FALSE < odds.false_of(high, beyond - 0.05)
    assert ratio == odds.RATIOS[-1], "no range that is worth saying holds it"
    rows = limits.limits_of(high, beyond, {"w": odds.WorldOdds(1, 0, 0, {})}, [], odds.halved([]), [])
    assert [row.holds for row in rows] == [False, True, True]


def test_a_kind_of_difference_counts_alike_however_many_cases_it_has():
    band = judged(GOOD).band
    known = [carded(band, judged(GOOD), "labels")] * 3 + [carded(band, judged((9.0, 9.0, 9.0, 1.0, 9.0)))]
    assert odds.coverage_of(known, 1.6) == 0.5
    assert odds.false_of(known, 1.0) == 0.5
    assert math.isnan(odds.coverage_of([], 1.6))


def test_a_feature_that_rises_tells_every_pair_apart_and_one_that_does_not_tells_half():
    setting = made_up("w", ([1.0, 2.0], [3.0, 3.0], [2.0, 9.0]))
    runs_of = setting.runs(4)
    high = [run for run in runs_of if run.too_high]
    assert {run.times for run in high} == {4.0}, "twice the centre is not more than twice"
    assert evidence.told_apart(runs_of, "overmax") == 0.875, "of four pairs three, and one is a draw"
    assert evidence.told_apart(runs_of, "push8") == 0.5
    assert math.isnan(evidence.told_apart([run for run in runs_of if run.fine], "overmax"))


def test_every_other_label_is_counted_anew():
    features = torch.arange(40.0)[:, None].expand(40, 4)
    seen = objectives.Seen(features, torch.arange(40) % 10).half(1)
    assert seen.features[:, 0].tolist() == list(range(1, 40, 2))
    assert torch.equal(seen.named, seen.labels)
    wrong_half = objectives.Seen(features, torch.zeros(40, dtype=torch.long)).half(1)
    assert (wrong_half.named == -1).all(), "a name of the other half is no name of this one"


def test_statistics_of_half_of_the_labels_are_those_of_their_pictures():
    g = torch.Generator().manual_seed(0)
    means = 3 * torch.randn(10, 4, generator=g, dtype=torch.float64)
    labels = torch.arange(40_000) % 10
    features = means[labels] + torch.randn(40_000, 4, generator=g, dtype=torch.float64)
    own = labels % 2 == 1
    told = objectives.half_of(objectives.statistics_of(features, labels), 1)
    found = objectives.statistics_of(features[own], labels[own] // 2)
    for name in ("mean", "covariance", "class_means", "within"):
        assert torch.allclose(getattr(told, name), getattr(found, name), atol=0.05), name


@pytest.mark.parametrize("minimum", [3.0, 4.0, 5.0])
def test_find_my_range_takes_five_runs_and_follows_the_minimum(minimum):
    gammas = tuple(2.0 ** (n / 4) for n in range(21))
    values = tuple(1 + 3 * abs(math.log2(gamma / minimum)) for gamma in gammas)
    band = objectives.band_of(gammas, values)
    setting = evidence.Setting("w", "A", gammas, (), values, band)
    for start in clicked.STARTS:
        found = clicked.found_range(setting, start)
        assert found.held, (start, found)
        assert found.asked <= 5
        assert found.high / found.low <= 2.02


def test_the_range_is_looked_for_where_the_panel_looks():
    words = (page.ROOT / "web" / "lib" / "find-range.mjs").read_text(encoding="utf-8")
    assert f"const CLOSE = {clicked.CLOSE:g};" in words
    assert f"const FAR = {clicked.FAR:g};" in words


def test_two_worlds_give_the_same_run_and_have_different_best_scales():
    found = twins.twins(400, (1.0, 1.4))
    assert found.apart <= 1e-6
    assert found.best == (1.4, 1.0)
    assert found.energy[0][0] >= 2 * found.energy[0][1]


def test_the_batch_behind_a_row_of_features_is_found():
    world = small_mixture()
    _, trace = runs.recorded(world, runs.SAMPLERS["C"], 2.0, 40, 0)
    wide = runs.Trace(trace.header, trace.steps, trace.stage)
    rows = runs.features(wide, 10, 4, cells.MOST)
    for place in range(len(rows)):
        chosen = list(misses.samples_of(place, 40, 4))
        own = runs.Trace(trace.header, trace.steps | {"K": trace.steps["K"][:, chosen]}, trace.stage)
        assert math.isclose(runs.features_of(own).overmax, float(rows[place, 0]))


def test_every_kind_of_miss_is_found_with_its_neighbours():
    setting = judged(GOOD)
    alarm = misses.false_alarm([setting], 3.5, 2.0)
    assert (alarm.gammas[alarm.framed], "called burning" in alarm.words) == (4.0, True)
    assert "perhaps" in misses.false_alarm([setting], 9.0, 2.0).words
    assert misses.false_alarm([setting], 9.0, 5.0) is None
    missed = misses.missed_burn([setting], 20.0, 4)
    assert missed is None, "no batch of four is there"
    missed = misses.missed_burn([setting], 20.0, 1)
    assert (missed.gammas, missed.framed) == ((4.0, 8.0, 16.0), 2)
    assert "16" in missed.words
    assert misses.missed_burn([setting], 1.0, 1) is None
    far = carded(objectives.Band(0.9, 1.0, 1.1), setting)
    shown = misses.uncovered([far], 1.6)
    assert (shown.gammas, shown.gammas[shown.framed]) == ((1.0, 4.0), 4.0)
    assert misses.uncovered([far], 40.0) is None
    changed = misses.changed_label([setting])
    assert changed.gammas == (8.0, 16.0)
    assert changed.named == ((0, 3),)


def test_the_verdict_is_shown_where_it_is_wrong(monkeypatch):
    setting, low = judged(GOOD), objectives.Band(0.8, 1.0, 1.2)
    monkeypatch.setattr(wrong, "own_run", lambda world, setting, gamma: own(gamma))
    text, shown = wrong.worst_case([carded(low, setting)], 1.5, {"pocket-1": None})
    assert "> cfg 4 is above the good range of pocket-1" in text
    assert "It is wrong" in text
    assert shown.gammas[shown.framed] == 4.0
    assert wrong.worst_case([carded(setting.band, setting)], 1.0, {}) is None
    good = wrong.candidates([carded(objectives.Band(3.0, 6.0, 9.0), setting)], 2.0)
    assert [one.gamma for one in good] == [8.0], "called good, and it is not"


def own(gamma):
    """A run of the exact world under the name that the case has."""
    _, trace = runs.recorded(small_mixture(), runs.SAMPLERS["A"], gamma, 4, 0)
    steps = trace.steps | {"floor": torch.zeros(trace.n), "evals": torch.full((trace.n,), 2.0)}
    return runs.Trace(trace.header | {"model": {"name": "pocket-1", "hash": wrong.MARK}}, steps, trace.stage)


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
