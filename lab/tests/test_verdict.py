"""The calibration of the verdict: objectives and bands by hand, worlds that are exact, cells that are kept."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from guidance_geometry.dev.places import ROOT
from guidance_geometry.lab.verdict import (
    batches,
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
    rules,
    runs,
    sampling,
    twins,
    unseen,
    worlds,
    wrong,
)
from guidance_geometry.trace.gram import VECTORS, triangle
from guidance_geometry.verdict.card import Band, Card, read_card
from guidance_geometry.verdict.features import features_of, overshoots, times_as_far
from guidance_geometry.verdict.good_scales import GoodScales, good_scales
from guidance_geometry.verdict.known import Known
from guidance_geometry.verdict.odds import ODDS
from guidance_geometry.verdict.report import Case, answer_of

NOWHERE: dict[str, Any] = {"pocket-1": None}  # the world of runs that are put in its place


def small_mixture() -> Any:
    return worlds.exact_worlds()["mixture-2"]


def test_band_ends_where_the_objective_crosses_five_quarters_of_its_minimum():
    band = good_scales((1, 2, 4, 8), (3.0, 1.0, 1.0, 2.0))
    assert math.isclose(band.low, 2 ** (1 - 0.25 / 2))
    assert math.isclose(band.high, 4 * 2**0.25)
    assert math.isclose(band.centre, math.sqrt(band.low * band.high))
    assert not band.open
    assert good_scales((1, 2, 4), (3.0, 1.0, 1.1)).open, "its upper edge was not measured"


def test_l_counts_a_wrong_picture_once():
    right, wrong = {"recognised": 0.5, "accuracy": 1.0}, {"recognised": 0.5, "accuracy": 0.95}
    values = objectives.objective_l([right, wrong])
    assert math.isclose(math.log(values[1] / values[0]), 20 * 0.05)


def test_j_is_two_where_one_scale_is_best_at_both():
    rows = [{"classwise": 2.0, "frechet": 0.5}, {"classwise": 4.0, "frechet": 1.0}]
    assert objectives.objective_j(rows) == [2.0, 4.0]


def test_energy_distance_of_equal_worlds_vanishes_and_of_shifted_ones_does_not():
    x, y = torch.randn(2, 4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert abs(sampling.energy_distance(x, y)) <= 5e-3
    assert sampling.energy_distance(x, y + 1) >= 0.5


@pytest.mark.parametrize("name", ["mixture-32", "spectral"])
def test_denoising_true_samples_leaves_them_and_averages_to_the_mean(name):
    world: Any = worlds.exact_worlds()[name]
    x0 = world.truth(60, 0)
    predict = world.predictions(0, 60)
    for found in predict(x0, 1e-4):
        assert (found - x0).abs().max() <= 1e-3
    uncond, _ = predict(80 * torch.randn(x0.shape, dtype=x0.dtype), 1e4)
    assert uncond.std(dim=0).max() <= 0.1, "from pure noise every prediction is the mean"


def test_spectral_world_has_the_deviation_that_its_page_states():
    assert abs(worlds.Spectral().sigma_data - 0.4684) <= 1e-3


@pytest.mark.parametrize("flow", [False, True], ids=["ve", "flow"])
@pytest.mark.parametrize("key", card.PLAIN)
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


@pytest.mark.parametrize("name", unseen.made_worlds())
def test_a_run_without_guidance_is_never_called_burnt_where_pictures_differ_in_length(name):
    world = unseen.made_worlds()[name]
    _, trace = runs.record_run(world, runs.SAMPLERS["A"], 1.0, 60, 0)
    steps = {**trace.steps, **wrong.absent_columns(trace.n)}
    for size in (1, 4, 8):
        for own in batches.batches(trace.batch, world.labels, size, 100):
            case = Case.of(
                runs.Trace(trace.header, steps | {"K": trace.steps["K"][:, own]}, trace.stage), Known(), ODDS
            )
            assert not case.burns
            assert case.features.overshoot <= 1


def test_a_good_run_with_a_rule_is_not_said_to_push_further_because_its_picture_is_dark():
    world, facts = unseen.made_worlds()["dark"], {"model": {"name": "dark", "hash": wrong.MARK}}
    _, plain = runs.record_run(world, runs.SAMPLERS["A"], 1.4, 80, 0)  # the top of its band
    top: dict[str, float] = dict(
        zip(batches.ROW, batches.features(plain, world.labels, 1, 80).median(dim=0).values.tolist(), strict=True)
    )
    edges = {"low": {}, "high": {name: top[name] for name in ("overmean", "strength")}}
    known = Known(card=Card("dark", wrong.MARK, 1.0, "data", {"ode": Band(0.9, 1.1, 1.4, 80, "E", edges)}, None, ""))
    _, trace = runs.record_run(world, runs.SAMPLERS["A-rescale"], 1.4, 80, 0)
    rows = batches.features(trace, world.labels, 1, 80)
    times = [min(times_as_far(float(row[1]), float(row[3]), top)) for row in rows]
    assert sum(time > ODDS.rules.further for time in times) >= 8, "both lengths tell how bright its picture is"
    steps = {**trace.steps, **wrong.absent_columns(trace.n)}
    for one in range(trace.batch):
        part = runs.Trace({**trace.header, **facts}, {**steps, "K": trace.steps["K"][:, [one]]}, trace.stage)
        assert answer_of(Case.of(part, known, ODDS)).headline.id in ("head.card.no_further", "head.changed")


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
        runs.record_run(one, sampler, gamma, 12, 0)
        for one, gamma in ((world, 2.0), (Blurred("blurred", world.mixture), 4.0))
    )
    assert torch.allclose(sharp[0], blurred[0], atol=1e-9)
    one, other = (batches.features(trace, world.labels, 4, 9)[:, 1:4] for _, trace in (sharp, blurred))
    assert torch.allclose(one, other, atol=1e-6), "all but overshoot, which tells where gamma is 1"


def test_runs_of_a_smaller_count_are_the_first_of_a_larger_one():
    world, sampler = small_mixture(), runs.SAMPLERS["B"]
    few, many = (runs.record_run(world, sampler, 2.0, count, 0)[0] for count in (50, 70))
    assert torch.equal(few, many[:50])


SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)


def held(lengths, **more):
    """A cell whose runs have these lengths, whatever the size of the batch."""
    rows, count = np.array([[length, 0.0, 0.0, 0.0, length] for length in lengths]), np.array(len(lengths))
    return {"f1": rows, "f4": rows, "f8": rows, "count": count, "recorded": count, **more}


def made_up(world, overshoot, centre=4.0):
    """A setting whose runs have given lengths at three scales: inside the band, and two and four times its centre."""
    cells_of = tuple((held(lengths),) for lengths in overshoot)
    band = GoodScales(0.8 * centre, centre, 1.25 * centre)
    return evidence.Setting(world, "A", (centre, 2 * centre, 4 * centre), cells_of, (1.0, 2.0, 3.0), band)


def judged(values, overshoot=1.0, name="pocket-1", sampler="A", shift=0.0):
    """A setting that a judge measured, at SCALES: ten samples of one pixel, which grow by `shift` a scale."""
    ends = [np.full((10, 3, 1, 1), 0.5 + shift * k) for k in range(len(SCALES))]
    named = [np.arange(10) if k < 4 else np.full(10, 3) for k in range(len(SCALES))]
    cells_of = tuple(
        (held([overshoot * gamma] * 10, ends=end, named=label, f4=np.zeros((0, 5)), f8=np.zeros((0, 5))),)
        for gamma, end, label in zip(SCALES, ends, named, strict=True)
    )
    band = good_scales(SCALES, values)
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
    own = [judged(GOOD, overshoot=0.5, name="a"), judged(GOOD, overshoot=0.52, name="b")]
    sure, likely, _ = odds.burning([*exact, *own], 1)
    assert math.isclose(likely, 4 * 0.51)
    assert likely < sure


def test_without_any_demo_model_the_exact_worlds_set_the_threshold():
    exact = made_up("exact", ([1.0] * 20, [1.2] * 20, [1.4] * 20))
    threshold, false = odds.relatives_out([exact, judged(GOOD, overshoot=2.0)])
    assert (threshold, false) == (3.0, 1.0), "with the widest margin, and its fine runs are 8 times as long"
    assert math.isnan(odds.relatives_out([exact])[1])


def test_an_alarm_that_no_margin_saves_is_published_as_it_is():
    short = made_up("short", ([1.0] * 20, [1.2] * 20, [1.4] * 20))
    long = made_up("long", ([30.0] * 20, [35.0] * 20, [90.0] * 20))
    _, _, found = odds.burning([short, long], 4)
    assert found["long"].left_out == 1
    rows = limits.of_the_alarm(found)
    assert [row.holds for row in rows] == [False]
    assert "long" in rows[0].measured


def test_a_card_holds_what_is_near_and_errs_by_what_lies_above():
    own, near, far = GoodScales(2.0, 3.0, 4.5), judged(GOOD), judged((9.0, 9.0, 9.0, 1.0, 9.0))
    near, far = carded(own, near), carded(own, far)
    assert (near.holds(2.0), near.holds(1.6), near.false(1.0)) == (True, False, 0.0)
    assert near.other.band.high < 4.5
    assert (far.holds(2.0), far.false(1.0), far.false(3.0)) == (False, 1.0, 0.0)


def test_a_card_claims_only_what_holds_for_what_it_was_not_made_of():
    own = GoodScales(3.0, 3.5, 4.0)
    high = [carded(own, judged((9.0, 9.0, 9.0, 1.0, 9.0)))]
    beyond, ratio = odds.least_beyond(high), odds.least_ratio(high)
    assert odds.false_of(high, beyond) <= odds.FALSE < odds.false_of(high, beyond - 0.05)
    assert ratio == odds.RATIOS[-1], "no range that is worth saying holds it"
    assert [row.holds for row in limits.of_cards(high, beyond)] == [False, True]


def lengths(world, sampler, overmean, strength):
    """A setting whose runs have given lengths at three scales, of which the first two are good."""
    rows = [np.array([[1.0, far, 0.0, near, 1.0]] * 10) for far, near in zip(overmean, strength, strict=True)]
    cells_of = tuple(({"f1": row, "f4": row, "f8": row},) for row in rows)
    return evidence.Setting(world, sampler, (2.0, 4.0, 16.0), cells_of, (1.0, 1.0, 9.0), GoodScales(2.0, 2.8, 4.0))


def test_a_run_with_a_rule_goes_further_only_by_both_lengths_and_beyond_what_good_runs_do():
    of_card = lengths("pocket-1", "A", (0.0, 0.0, 1.0), (0.1, 0.1, 0.4))
    near = lengths("pocket-1", "A-rescale", (0.0, math.log(1.1), 1.0), (0.1, 0.11, 0.2))
    far = lengths("pocket-1", "A-apg", (0.0, math.log(1.3), 1.0), (0.5, 0.12, 0.2))
    found = rules.rules_of([of_card, near, far, lengths("other", "A-apg", (0, 0, 0), (0, 0, 0))])
    assert [one.other for one in found.cases] == [near, far], "without a card of its sampler there is no row"
    assert math.isclose(found.margin, 1.1), "with it the threshold of the one holds for the other"
    assert math.isclose(found.further, 1.32)
    assert found.false == 0
    assert [one.hit_rate(found.further) for one in found.cases] == [1.0, 1.0]
    assert [one.hit_rate(2.1) for one in found.cases] == [0.0, 0.0], "the push is only twice as strong"
    assert rules.Rules([]).further == 1.0


def test_a_run_that_is_too_high_and_said_to_push_no_further_is_counted():
    of_card = lengths("pocket-1", "A", (0.0, 0.0, 1.0), (0.1, 0.1, 0.4))
    short = lengths("pocket-1", "A-apg", (0.0, 0.0, -0.1), (0.1, 0.1, 0.1))
    assert rules.rules_of([of_card, short]).miss_rate == 1.0
    assert rules.rules_of([of_card, lengths("pocket-1", "A-apg", (0, 0, 1), (0.1, 0.1, 0.1))]).miss_rate == 0.0


@pytest.mark.parametrize("world", ["mixture-32", "pocket-flow-1"])
@pytest.mark.parametrize("key", ["A-rescale", "A-apg"])
def test_a_rule_guides_what_is_recorded(world, key):
    """D of the record, with what the rule added, is the prediction that a step of Euler goes to."""
    own = (worlds.exact_worlds() | worlds.trained_worlds(ROOT / "assets"))[world]
    sampler = replace(runs.SAMPLERS[key], name="euler", steps=3)
    _, trace = runs.record_run(own, sampler, 4.0, 3, 0)
    plain_ends, _ = runs.record_run(own, replace(sampler, chain=runs.PLAIN), 4.0, 3, 0)
    ends, _ = runs.record_run(own, sampler, 4.0, 3, 0)
    assert (ends - plain_ends).abs().max() > 1e-3
    gap = trace.record.square({"move": 1.0} | {name: -w for name, w in euler_step(trace).items()})
    assert (gap.sqrt() / trace.record.square({"move": 1.0}).sqrt()).max() <= 1e-3


def euler_step(trace):
    """The move of Euler in vectors of the record: (1 - r) (D - x) in VE and in flow, with x = u - a."""
    share = (1 - trace.steps["sigma_next"] / trace.steps["sigma"])[:, None]
    return {"a": share, "delta": share * trace.steps["gamma"][:, None], "D-G": share}


def two_seeds(setting):
    """A Pocket of noise that a judge saw, with two seeds: of odd labels the first misses more as scales grow."""
    g, cells_of = torch.Generator().manual_seed(0), []
    for k in range(len(SCALES)):
        seeds = []
        for seed in (0, 1):
            named = torch.arange(60) % 10
            named[(named % 2 == 1) & (torch.arange(60) < 20 * k * (1 - seed))] = 0
            seeds.append({"judged": torch.randn(60, 64, generator=g).numpy(), "named": named.numpy()})
        cells_of.append(tuple(seeds))
    return replace(setting, cells=tuple(cells_of), real=evidence.real_statistics())


def test_halves_of_seeds_and_of_labels_see_their_own_samples():
    setting = two_seeds(judged(GOOD))
    (first, last), (even, odd) = odds.seeds_of(setting), odds.labels_of(setting)
    wrong_of = {one.part: [round(1 - row["accuracy"], 3) for row in one.rows] for one in (first, last, even, odd)}
    assert wrong_of["first seeds"] == [0.0, 0.167, 0.333, 0.5, 0.5]
    assert wrong_of["last seeds"] == wrong_of["even labels"] == [0.0] * 5
    assert wrong_of["odd labels"] == [0.0, 0.167, 0.333, 0.5, 0.5]
    assert [len(one.cells[0]) for one in (first, last)] == [1, 1]
    kinds = [one.kind for one in odds.cards([setting])]
    assert kinds == ["seed", "seed", "labels", "labels"]
    assert odds.seeds_of(judged(GOOD)) == (), "of one seed there are no halves"
    assert [one.first(3) for one in (first, even, odd)] == [[0, 1, 2], [0, 2, 4], [1, 3, 5]], "shown of each"
    by_other = odds.labels_of(evidence.by_j(setting))[0]
    assert by_other.objective is objectives.objective_j, "parts are judged as the whole is"


def test_a_rule_is_no_other_sampler_of_a_card():
    own, with_rule = judged(GOOD), judged(GOOD, sampler="A-rescale")
    assert odds.alike(own, [own, with_rule, judged(GOOD, sampler="F")])[0].sampler == "F"
    assert len(odds.alike(own, [own, with_rule])) == 0
    assert len(clicked.ranges([with_rule])) == 0, "picks are of cfg alone"


def test_a_card_that_misses_its_sisters_is_no_fault_only_where_nothing_is_said_of_them():
    missed = [carded(GoodScales(0.8, 1.0, 1.2), judged(GOOD), "sister")]
    assert [limits.of_sisters(missed, silent)[0].holds for silent in (True, False)] == [True, False]


def test_the_verdict_keeps_silent_with_a_card_of_other_weights(monkeypatch):
    monkeypatch.setattr(wrong, "own_run", lambda world, setting, gamma: own(gamma))
    found = carded(judged(GOOD).band, judged(GOOD))
    assert wrong.keeps_silent(found, NOWHERE)
    monkeypatch.setattr(wrong, "OTHER", wrong.MARK)
    assert not wrong.keeps_silent(found, NOWHERE)


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
    assert evidence.told_apart(runs_of, "overshoot") == 0.875, "of four pairs three, and one is a draw"
    assert evidence.told_apart(runs_of, "push8") == 0.5
    assert math.isnan(evidence.told_apart([run for run in runs_of if run.fine], "overshoot"))


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
    spread = 1 + labels[:, None] / 10
    features = means[labels] + spread * torch.randn(40_000, 4, generator=g, dtype=torch.float64)
    own = labels % 2 == 1
    found = objectives.statistics_of(features[own], labels[own] // 2)
    told = objectives.half_of(objectives.statistics_of(features, labels), found.within, 1)
    for name in ("mean", "covariance"):
        assert torch.allclose(getattr(told, name), getattr(found, name), atol=0.05), name


def test_the_labels_of_each_half_vary_by_their_own_measure():
    """Held against the deviations of all labels, a half of them would seem bad at every scale."""
    even, odd = (within.trace() for within in evidence.within_halves())
    whole = evidence.real_statistics().within.trace()
    assert abs((even + odd) / 2 - whole) <= 1e-5 * whole
    assert odd >= 1.2 * even


@pytest.mark.parametrize("minimum", [3.0, 4.0, 5.0])
def test_find_my_range_takes_five_runs_and_follows_the_minimum(minimum):
    gammas = tuple(2.0 ** (n / 4) for n in range(21))
    values = tuple(1 + 3 * abs(math.log2(gamma / minimum)) for gamma in gammas)
    band = good_scales(gammas, values)
    setting = evidence.Setting("w", "A", gammas, (), values, band)
    for start in clicked.STARTS:
        found = clicked.found_range(setting, start)
        assert found.holds, (start, found)
        assert found.run_count <= 5
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


@pytest.mark.parametrize("name", ["mixture-2", "pocket-flow-1"])
@pytest.mark.parametrize("size", [1, 4])
def test_a_row_of_a_cell_is_what_the_pack_reads_of_that_batch(name, size):
    world = (worlds.exact_worlds() | worlds.trained_worlds(ROOT / "assets"))[name]
    _, trace = runs.record_run(world, runs.SAMPLERS["A-apg"], 2.0, 40, 0)
    rows = batches.features(trace, world.labels, size, 9)
    for row, own in zip(rows, batches.batches(40, world.labels, size, 9), strict=True):
        one = runs.Trace(trace.header, {**trace.steps, "K": trace.steps["K"][:, own]}, trace.stage)
        found, weak = features_of(one), overshoots(blurred(one, 4.0))
        expected = [*(getattr(found, feature) for feature in batches.FEATURES), float(weak.max())]
        assert row.tolist() == pytest.approx(expected, rel=1e-9)
        assert found.overshoot <= float(weak.max()), "a blur makes it larger"


def blurred(trace, k):
    """The same run as the world gives it whose condition is blurred by k: delta / k at k gamma."""
    scale = torch.tensor([1 / k if name == "delta" else 1.0 for name in VECTORS], dtype=torch.float64)
    products = triangle(trace.record.matrix() * scale * scale[:, None])
    return runs.Trace(trace.header, trace.steps | {"gamma": k * trace.steps["gamma"], "K": products}, trace.stage)


def test_every_kind_of_miss_is_found_with_its_neighbours():
    setting = judged(GOOD)
    alarm: Any = misses.false_alarm([setting], 3.5, 2.0)
    assert (alarm.gammas[alarm.frame], "called burning" in alarm.words) == (4.0, True)
    alarm = misses.false_alarm([setting], 9.0, 2.0)
    assert "perhaps" in alarm.words
    assert misses.false_alarm([setting], 9.0, 5.0) is None
    assert misses.missed_burn([setting], 20.0, 4) is None, "no batch of four is there"
    missed: Any = misses.missed_burn([setting], 20.0, 1)
    assert (missed.gammas, missed.frame) == ((4.0, 8.0, 16.0), 2)
    assert "16" in missed.words
    assert misses.missed_burn([setting], 1.0, 1) is None
    far = carded(GoodScales(0.9, 1.0, 1.1), setting)
    shown: Any = misses.worst_card([far], 1.6)
    assert (shown.gammas, shown.gammas[shown.frame]) == ((1.0, 4.0), 4.0)
    assert misses.worst_card([far], 40.0) is None


def test_the_verdict_is_shown_where_it_is_wrong(monkeypatch):
    setting, low = judged(GOOD), GoodScales(0.8, 1.0, 1.2)
    monkeypatch.setattr(wrong, "own_run", lambda world, setting, gamma: own(gamma))
    worst: Any = wrong.worst_case([carded(low, setting)], 1.5, NOWHERE)
    text, shown = worst
    assert "> cfg 4 is above the good range" in text
    assert "It is wrong" in text
    assert shown.gammas[shown.frame] == 4.0
    assert wrong.worst_case([carded(setting.band, setting)], 1.0, {}) is None
    good = wrong.candidates([carded(GoodScales(3.0, 6.0, 9.0), setting)], 2.0)
    assert [one.gamma for one in good] == [8.0], "called good, and it is not"


def own(gamma):
    """A run of the exact world under the name that the case has."""
    _, trace = runs.record_run(small_mixture(), runs.SAMPLERS["A"], gamma, 4, 0)
    steps = {**trace.steps, **wrong.absent_columns(trace.n)}
    return runs.Trace({**trace.header, "model": {"name": "pocket-1", "hash": wrong.MARK}}, steps, trace.stage)


def test_a_card_has_one_band_for_each_class(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["card", "pocket-1", "--samplers", "A", "F", "--cache", str(tmp_path)])
    with pytest.raises(SystemExit, match="of one class"):
        card.main()


def test_what_is_told_of_rules_and_objectives_is_counted():
    of_card, ruled = (judged_well(sampler) for sampler in ("A", "A-apg"))
    study = page.Study([of_card, ruled], {})
    words = "\n".join(page.rules_section(study.rules))
    assert "more than **1** times" in words
    assert ruled.words in words
    told = page.objective_section(study)
    assert len(told) == 2
    assert [row.holds for row in limits.of_rules(study.rules)] == [True]


def judged_well(sampler):
    """A setting with two seeds of one seen world, and runs of the same lengths at every scale."""
    setting = two_seeds(judged(GOOD, sampler=sampler))
    runs_of = {f"f{size}": np.full((10, 5), 0.1) for size in (1, 4, 8)}
    cells_of = tuple(tuple({**cell, **runs_of, "count": np.array(60)} for cell in seeds) for seeds in setting.cells)
    return replace(setting, cells=cells_of)


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
    for part in ("burn", "card", "rules", "half"):
        assert written[part].keys() == stated[part].keys()
    assert "mixture-2" in (tmp_path / "verdict.md").read_text()


def test_odds_of_exact_worlds_alone_are_not_written_into_the_pack(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "QUICK", {"mixture-2": cells.Plan(("C",), (0,), 24, (0.5, 1.0, 2.0))})
    monkeypatch.setattr("sys.argv", ["calibrate", "--quick", "--write", "--cache", str(tmp_path)])
    before = calibrate.ODDS.read_bytes()
    with pytest.raises(SystemExit, match="exact and trained worlds together"):
        calibrate.main()
    assert calibrate.ODDS.read_bytes() == before
