"""What a model said of its pictures is kept for it, and compared only with runs that were made in the same way."""

import json
import math
from dataclasses import replace
from functools import cache

import pytest
import torch

from guidance_geometry.measure.estimates import Estimate
from guidance_geometry.measure.levels import LEVELS
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.verdict.liked import liked_of, named_by
from guidance_geometry.verdict.measured import ModelCurves, curves_of, measure_curve, read_curves, write_curves
from guidance_geometry.verdict.picks import Pick


@cache
def made(cfg, seed, steps):
    return exact_trace(cfg, steps=steps, batch=2, seed=seed)


def run(cfg, seed=0, ratio=1.0, steps=6, **header):
    """A recorded run whose pictures are so strange to the model."""
    rows = [[ratio, 1.1 * ratio]] * len(LEVELS)
    ones = [[1.0, 1.0]] * len(LEVELS)
    measured = {"evaluations": 8, "sigmas": [*LEVELS], "along": ones, "length": ones, "error": rows, "expected": ones}
    trace = made(cfg, seed, steps)
    return replace(trace, header={**trace.header, "seed": seed, "cfg": cfg, "measured": measured, **header})


def grid(ratios, seeds=(0, 1), **more):
    return [run(cfg, seed, ratio, **more) for cfg, ratio in ratios.items() for seed in seeds]


RATIOS = {1.0: 1.0, 2.0: 1.0, 4.0: 1.44}


def test_runs_of_one_knob_make_a_curve_of_their_seeds_in_one_order():
    runs = grid(RATIOS)
    found = measure_curve(runs[::-1], "cfg", "2026-12-01")
    assert found.curve.values == [1, 2, 4]
    assert (found.pictures, found.name, found.when) == (4, "cfg", "2026-12-01")
    assert found.curve.mark(1.2).value == pytest.approx(2.96, abs=0.01), "(cfg - 1)^2 comes near to all three"
    assert found.curve.variety[0].value == 1
    assert found.curve.variety[2].value < 1, "guidance takes variety from the exact runs, too"
    told = found.as_json()
    assert told["times_as_strange"][2][0] == pytest.approx(1.44)
    gained = [strength - told["prompt_strength"][0][0] for strength, *_ in told["prompt_strength"]]
    assert [one for one, *_ in told["strength_gained"]] == pytest.approx(gained)


def test_a_value_that_has_barely_begun_is_left_out_and_one_that_lacks_a_seed_costs_that_seed():
    runs = [*grid(RATIOS, seeds=(0, 1, 2)), run(8.0, 0, 2.0)]
    assert measure_curve(runs, "cfg", "").curve.values == [1, 2, 4]
    assert measure_curve(runs[:-2], "cfg", "").pictures == 4
    damaged = [run(1.0), run(2.0, measured={"sigmas": [1.0]})]
    for few in (runs[:3], [], [run(1.0, 0), run(2.0, 1)], damaged):
        with pytest.raises(ValueError, match="two values of cfg"):
            measure_curve(few, "cfg", "")


def test_runs_of_another_schedule_make_no_curve_and_are_not_compared_with_one():
    with pytest.raises(ValueError, match="sigmas"):
        measure_curve([*grid({1.0: 1.0}), *grid({2.0: 1.0}, steps=8)], "cfg", "")
    with pytest.raises(ValueError, match="APG > CFG and CFG"):
        measure_curve([*grid({1.0: 1.0}), *grid({2.0: 1.0}, chain="APG > CFG")], "cfg", "")
    found = measure_curve(grid(RATIOS), "cfg", "")
    assert found.is_of(run(13.0).header, "cfg")
    assert found.is_of(run(13.0, chain="CFGGuider").header, "cfg"), "the host's own sampler guides as ours does"
    others = [run(2.0, steps=8), run(2.0, sampler="heun"), run(2.0, chain="APG > CFG"), run(2.0, patches=["FreeU"])]
    assert not any(found.is_of(one.header, "cfg") for one in others)
    assert not found.is_of(run(2.0).header, "guidance")


def test_a_file_says_what_was_written_and_a_new_curve_takes_the_place_of_its_own_alone(tmp_path):
    first, again = (measure_curve(grid(RATIOS), "cfg", when) for when in ("then", "now"))
    other = measure_curve(grid(RATIOS, steps=8), "cfg", "then")
    kept = ModelCurves("m", "ab", (first,)).with_curve(other).with_curve(again)
    write_curves(kept, tmp_path / "m.json")
    found = read_curves(tmp_path / "m.json")
    assert [one.when for one in found.curves] == ["now", "then"]
    assert [one.as_json() for one in found.curves] == [one.as_json() for one in kept.curves]
    assert found.curve_for(run(2.0, steps=8).header, "cfg").when == "then"


@pytest.mark.parametrize(("rows", "left"), [(16, 10), (5, 5), (4, 3), (1, 1)])
def test_pictures_in_groups_say_the_same_and_there_are_no_more_than_was_asked(rows, left):
    whole = measure_curve(grid(RATIOS, seeds=range(5)), "cfg", "")
    small = whole.in_groups(rows)
    assert small.curve.points[0].count == left
    assert small.pictures == left * small.each <= whole.pictures
    ends = [curve.times_at(4.0) for curve in (whole.curve, small.curve)]
    assert ends[1].value == pytest.approx(ends[0].value, rel=0.05)
    again = small.in_groups(rows)
    assert (again.pictures, again.each) == (small.pictures, small.each)


@pytest.mark.parametrize(
    "damage",
    [
        lambda claims: claims.pop("curves"),
        lambda claims: claims["curves"][0].pop("values"),
        lambda claims: claims["curves"][0]["values"].reverse(),
        lambda claims: claims["curves"][0]["measured"].pop(),
        lambda claims: claims["curves"][0]["measured"][0]["error"].pop(),
        lambda claims: claims["curves"][0]["measured"][1].update(error="x"),
        lambda claims: claims["curves"][0]["measured"][1].update(evaluations=[1]),
        lambda claims: claims["curves"][0]["measured"][0].update(sigmas=[None] * len(LEVELS)),
        lambda claims: claims["curves"][0]["measured"][0].update(sigmas=[9.0] * len(LEVELS)),
        lambda claims: claims["curves"][0].update(setting=7),
        lambda claims: claims["curves"].append(5),
    ],
)
def test_a_damaged_file_is_told_from_a_whole_one(damage):
    claims = json.loads(json.dumps(ModelCurves("m", "ab", (measure_curve(grid(RATIOS), "cfg", ""),)).as_claims()))
    assert curves_of(claims, "a.json").key == "ab"
    damage(claims)
    with pytest.raises(ValueError, match=r"a\.json"):
        curves_of(claims, "a.json")


def rising(values=(1.0, 2.0, 4.0, 8.0), seeds=(0, 1)):
    """A curve whose prompt strength is 1 at the first value, and grows by one half from each to the next."""
    made = [run(cfg, seed) for cfg in values for seed in seeds]
    for i, trace in enumerate(made):
        strength = 1 + i // len(seeds) / 2
        trace.header["measured"]["along"] = [[strength - 0.1, strength + 0.1]] * len(LEVELS)
    return measure_curve(made, "cfg", "")


def tried(*pairs):
    return [Pick(cfg, "ode", good) for cfg, good in pairs]


def test_liked_pictures_name_the_value_whose_pictures_show_the_prompt_as_strongly():
    found = liked_of(rising(), tried((2.0, True), (4.0, True), (8.0, False)))
    assert found.values == (2.0, 4.0)
    assert found.strength.value == pytest.approx(1.75)
    assert found.value.value == pytest.approx(8**0.5)
    assert 2 <= found.value.low < found.value.value < found.value.high <= 4, "between the liked ones"
    assert liked_of(rising(), tried((4.0, True))).value.value == pytest.approx(4)
    assert liked_of(rising(), tried((3.0, True), (8.0, False))) is None, "nothing was measured there"
    assert liked_of(rising(), [Pick(4.0, "ode", True, by="CLIP")]) is None, "a judge is no person"


def test_no_liked_picture_names_a_rejected_value_or_one_beyond_it():
    between = liked_of(rising(), tried((2.0, True), (8.0, True), (4.0, False)))
    assert between.value.value in (2.0, 8.0)
    alike = liked_of(measure_curve(grid({1.0: 1.0, 2.0: 1.0, 8.0: 1.0}), "cfg", ""), tried((2.0, True), (8.0, True)))
    assert (alike.by, alike.value.value) == ("middle", pytest.approx(4)), "their pictures show the prompt alike"
    own = named_by(rising(), Estimate(2.2, 2.0, 9.0), tried((2.0, True), (4.0, False)), (2.0, 3.0))
    assert own.value[:2] == (3.0, 3.0)
    assert math.isnan(own.value.high), "beyond what was measured"
    assert math.isnan(named_by(rising(), Estimate(9.0, 8.0, 10.0), [], None).value.value)


def test_numbers_that_are_not_known_are_null_for_a_browser():
    one = measure_curve(grid(RATIOS, seeds=(0,)), "cfg", "")
    lone = measure_curve([replace(trace, tensors={}) for trace in grid(RATIOS, seeds=(0,))], "cfg", "")
    assert lone.as_json()["variety"] == []
    assert json.dumps(one.as_json(), allow_nan=False)
    assert torch.isfinite(torch.tensor(one.as_json()["denoising_ratio"])).all()
