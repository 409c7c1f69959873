"""Rules at equal prompt strength, on measures whose truth is known."""

import json
import math

import pytest
import torch

from guidance_geometry.measure.bootstrap import holm, interval_of, p_of, resample
from guidance_geometry.measure.estimates import Estimate
from guidance_geometry.measure.measurement import Measurement
from guidance_geometry.measure.plane import Plane, RuleCurve
from guidance_geometry.tests.plane_worlds import COUNT, VALUES, World, measured, strength_at

EXACT = World(0, noise=0.0)


def test_a_rule_is_read_where_its_strength_is_that_of_plain_guidance():
    rule = EXACT.curve("weak", 0.5, -0.1, evaluations=(40, 40, 42, 44, 46), variety=[Estimate(0.8, 0.7, 0.9)] * 5)
    row = Plane(EXACT.curve("plain"), [rule]).compare(2.0).rows[0]
    assert row.cfg.value == pytest.approx(4)
    assert row.quotient.value == pytest.approx(math.exp(-0.1 * (strength_at(2) - 1)))
    assert row.evaluations == pytest.approx(42)
    assert row.variety == pytest.approx(Estimate(0.8, 0.7, 0.9), rel=0.05)
    between = Plane(EXACT.curve("plain"), [rule]).compare(3.0)
    assert between.rows[0].cfg.value == pytest.approx(9)
    assert between.strength.value == pytest.approx(
        strength_at(3) + float(EXACT.shared[0] @ EXACT.size / EXACT.size.sum())
    )
    assert row.departure.value == pytest.approx(0.3 * 0.4)
    assert row.plain_cfg.value == pytest.approx(2 ** (0.3 / 0.4))


def test_a_rule_that_does_not_reach_the_strength_says_where_it_stays():
    plane = Plane(EXACT.curve("plain"), [EXACT.curve("weak", 0.2), EXACT.curve("strong", 1, values=(8.0, 16.0))])
    assert [row.missing for row in plane.compare(4.0).rows] == ["below", "above"]
    assert all(row.cfg is None and row.p is None and row.verdict == "" for row in plane.compare(4.0).rows)
    assert plane.compare(4.0).groups == [["plain"]]


def test_a_curve_that_turns_is_read_at_its_first_crossing():
    points = [measured([s] * COUNT, [h] * COUNT) for s, h in ((1, 0), (2, 0.2), (1.2, 0.9), (3, 2))]
    plain = RuleCurve("plain", (1.0, 4.0), [measured([s] * COUNT, [s - 1] * COUNT) for s in (1, 1.5)])
    row = Plane(plain, [RuleCurve("turning", (1.0, 2.0, 3.0, 4.0), points)]).compare(4.0).rows[0]
    assert row.ratio.value == pytest.approx(math.exp(0.1))


def test_a_rule_like_plain_guidance_is_not_told_apart_and_a_planted_difference_is():
    trials, wrong, covered, power = 60, 0, 0, 0
    for seed in range(trials):
        same, other, nearer = World(seed).plane(same=0, other=0, nearer=-0.2).compare(6.0).rows
        wrong += bool(same.verdict or other.verdict)
        covered += same.excess.low <= 0 <= same.excess.high
        power += nearer.verdict == "nearer"
    assert wrong <= 8  # of 60 at 5 %: more once in 300
    assert 51 <= covered < trials  # an interval that is never left is too wide
    assert power >= 57


def test_a_straight_line_through_a_bend_tells_no_rules_apart():
    def bent(name, values):
        points = [measured([strength_at(v)] * COUNT, [(strength_at(v) - 1) ** 2] * COUNT) for v in values]
        return RuleCurve(name, values, points)

    here = Plane(bent("plain", VALUES), [bent("between", (1.0, 3.0, 6.0, 12.0))]).compare(4.0)
    assert here.rows[0].quotient.value > 1.01
    assert here.rows[0].quotient.low <= 1 <= here.rows[0].quotient.high
    assert here.groups == [["plain", "between"]]


def test_smoother_than_the_model_itself_is_strange_too():
    lift = -2 * 0.4  # as far below plain cfg 1 as plain guidance is above
    mirrored, smoother = World(1).plane(mirrored=lift, smoother=1.5 * lift).compare(6.0).rows
    assert mirrored.quotient.high < 1
    assert smoother.ratio.value < mirrored.ratio.value
    assert (mirrored.verdict, smoother.verdict) == ("", "farther")


def test_pictures_that_broke_do_not_move_a_row_against_the_others():
    plain, broken = (World(2, noise=0.01).curve(name, 1, 0) for name in ("plain", "broken"))
    few = torch.zeros(COUNT, dtype=torch.float64)
    few[:5] = 1.5
    for i, point in enumerate(broken.points):
        level = point.levels[1]
        factor = (few - 0.1 * (few == 0)).exp() if i else 1.0
        broken.points[i] = Measurement([point.levels[0], level._replace(error=level.error * factor)])
    row = Plane(plain, [broken]).compare(4.0).rows[0]
    assert row.excess.low > 0
    assert row.typical_excess < 0
    assert row.verdict == ""


def test_a_single_broken_picture_is_not_told_apart():
    plain, broken = (World(2, noise=0.01).curve(name, 1, 0) for name in ("plain", "broken"))
    for i, point in enumerate(broken.points):
        level = point.levels[1]
        error = level.error.clone()
        error[3] *= 40
        broken.points[i] = Measurement([point.levels[0], level._replace(error=error)])
    row = Plane(plain, [broken]).compare(4.0).rows[0]
    assert row.quotient.value > 2
    assert row.verdict == ""


def test_what_scale_alone_explains_is_all_half_or_nothing():
    world = World(3, noise=0.005)
    plain, rule = world.curve("plain"), world.curve("rule", 0.5)
    rows = {
        name: Plane(plain, [rule], {"rule": control}).compare(8.0).rows[0].explained
        for name, control in (("all", world.curve("c", 0.5)), ("half", world.curve("c", 0.75)), ("none", plain))
    }
    for name, share in (("all", 1), ("half", 0.5), ("none", 0)):
        assert rows[name].low - 0.01 <= share <= rows[name].high + 0.01
        assert rows[name].high - rows[name].low < 0.3
    noisy = World(8)
    unchanged = Plane(noisy.curve("plain"), [noisy.curve("rule")], {"rule": rule}).compare(8.0).rows[0]
    assert unchanged.explained is None


def test_rules_stand_in_groups_that_are_told_apart():
    here = World(4).plane(near=-0.3, like=-0.3, far=0.4).compare(6.0)
    assert [sorted(group) for group in here.groups] == [["like", "near"], ["plain"], ["far"]]
    assert {(pair.nearer, pair.farther) for pair in here.pairs} >= {
        ("near", "plain"),
        ("plain", "far"),
        ("like", "far"),
    }
    assert all(pair.p < 0.05 for pair in here.pairs)


def test_holm_adjusts_by_what_is_left():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


@pytest.mark.parametrize("count", [10, 40])
def test_intervals_of_a_mean_are_students_and_agree_with_p(count):
    values = torch.randn(count, generator=torch.Generator().manual_seed(5), dtype=torch.float64) + 0.5
    drawn = (resample(count, 20_000) @ values) / count
    low, high = interval_of(drawn, count)[1:]
    from scipy.stats import t, ttest_1samp

    reach = float(t.ppf(0.975, count - 1) * values.std() / math.sqrt(count))
    assert (low, high) == pytest.approx((float(values.mean()) - reach, float(values.mean()) + reach), abs=0.12 * reach)
    assert p_of(drawn, count) == pytest.approx(ttest_1samp(values, 0).pvalue, rel=0.25)
    for edge, inside in ((low - 1e-6, False), (low + 1e-6, True)):
        assert (p_of(drawn - edge, count) >= 0.05) == inside


def test_numbers_keep_to_their_schema_and_the_table_has_every_rule():
    from jsonschema import Draft202012Validator

    from guidance_geometry.tests.project import ROOT
    from guidance_geometry.tests.report_schema import closed

    world = World(6)
    rule = world.curve("rule", 0.8, evaluations=[40] * 5, variety=[Estimate(0.8, 0.7, 0.9)] * 5)
    plane = Plane(world.curve("plain"), [rule, world.curve("weak", 0.3)], {"rule": world.curve("c", 0.8)})
    schema = json.loads((ROOT / "docs" / "plane.schema.json").read_text(encoding="utf-8"))
    told = json.loads(json.dumps(plane.as_json(), allow_nan=False))
    assert [error.message for error in Draft202012Validator(closed(schema)).iter_errors(told)] == []
    assert [here["cfg"] for here in told["comparisons"]] == [2, 4, 8, 16]
    table = repr(plane)
    assert table.count("rule  ") >= 4
    assert "stays below" in table
    assert "no measure of quality" in table


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: Plane(w.curve("plain", values=(2.0, 4.0)), []), "cfg 1"),
        (lambda w: Plane(w.curve("a"), [w.curve("a")]), "two rules are called a"),
        (lambda w: Plane(w.curve("a"), [], {"b": w.curve("b")}), "control of b"),
        (lambda w: Plane(World(0, 1).curve("a"), []), "two seeds"),
        (lambda w: Plane(w.curve("a"), [World(0, 5).curve("b")]), "same seeds"),
        (lambda w: w.curve("a", values=(2.0, 1.0)), "rising"),
        (lambda w: w.curve("a", evaluations=[1]), "1 numbers of evaluations for 5 values"),
        (lambda w: Plane(w.curve("a"), []).compare(20), "1 to 16"),
    ],
)
def test_what_cannot_be_compared_says_why(make, message):
    with pytest.raises(ValueError, match=f"(?i){message}"):
        make(World(0))
