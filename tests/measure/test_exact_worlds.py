"""On exact mixtures the measure is what its formulas say: 1 for what the model draws, 0 without the prompt."""

import math
from itertools import product

import pytest
import torch

from guidance_geometry import library as gg
from guidance_geometry.measure.curve import Curve
from guidance_geometry.measure.estimates import (
    denoising_ratio,
    likelier_without,
    prompt_strength,
    ratio_of,
    strength_of_each,
    variety,
)
from guidance_geometry.measure.gate import gate_of
from guidance_geometry.measure.levels import LEVELS, Answer, Level, query_levels
from guidance_geometry.measure.measurement import Measurement
from guidance_geometry.measure.report import PictureReport

SHAPE, CLASSES, COUNT = (2, 12, 12), 4, 24
WORLD = gg.make_mixture(SHAPE, CLASSES, seed=0)
LABELS = torch.arange(COUNT) % CLASSES


def draw(label, seed, count=COUNT):
    return WORLD.sample(count, label, torch.Generator().manual_seed(seed)).float()


def measured(x, label=LABELS, denoiser=None, **more):
    return gg.measure(denoiser or gg.ExactDenoiser(WORLD), x, label.tolist(), draws=2, **more)


def within(estimate, value, errors=1.6):
    """Whether a value lies within so many times the interval, which alone is missed once in twenty."""
    return abs(estimate.value - value) <= errors * (estimate.high - estimate.low) / 2


@pytest.mark.parametrize("flow", [False, True])
def test_what_the_model_draws_by_itself_has_strength_and_ratio_1_and_passes(flow):
    found = measured(draw(LABELS, 1), denoiser=gg.ExactDenoiser(WORLD, flow=flow))
    assert within(found.strength, 1)
    assert within(found.ratio, 1)
    assert found.ratio.high / found.ratio.low < 1.1
    assert all(within(ratio_of(level), 1, 2.5) for level in found.levels)
    assert found.gate.applies


def test_what_it_draws_without_the_prompt_has_strength_0_whatever_the_prompt():
    found = measured(draw(None, 2))
    assert within(found.strength, 0)
    assert found.strength.high < 0.5


def test_pictures_without_the_prompt_are_counted():
    with_it, without = (WORLD.sample(16, one, torch.Generator().manual_seed(3)).float() for one in (LABELS[:16], None))
    few = torch.cat([without[:3], with_it[3:]])
    others = [likelier_without(measured(x, LABELS[:16]).levels) for x in (with_it, few, without)]
    assert others[0] <= 2
    assert others[0] < others[1] < others[2]


def test_of_another_prompt_the_strength_is_negative_and_each_picture_says_so():
    x = draw(LABELS, 3)
    right, wrong = measured(x), measured(x, (LABELS + 1) % CLASSES)
    assert wrong.strength.high < right.strength.low
    assert (strength_of_each(right.levels) > strength_of_each(wrong.levels)).double().mean() > 0.9


def test_intervals_hold_what_they_should_as_often_as_they_say():
    hits = []
    for seed in range(60):
        found = measured(draw(LABELS[:8], seed, 8), LABELS[:8])
        hits += [[found.strength.low <= 1 <= found.strength.high, found.ratio.low <= 1 <= found.ratio.high]]
    shares = torch.tensor(hits).double().mean(dim=0)
    assert (shares >= 0.88).all(), shares


def test_noise_makes_pictures_stranger_and_a_blur_less_strange():
    x = draw(LABELS, 4)
    noisy, smooth = measured(x + 0.1 * torch.randn_like(x)), measured(WORLD.denoised(x, 0.3, 1.0, LABELS).float())
    assert noisy.times_as_strange_as(measured(x)).low > 1
    assert smooth.times_as_strange_as(measured(x)).high < 1


def test_pairs_of_one_seed_are_told_apart_where_each_alone_is_not():
    x = draw(LABELS, 5)
    a, b = measured(x), measured(1.05 * x)
    times = a.times_as_strange_as(b)
    assert times.value == pytest.approx(a.ratio.value / b.ratio.value)
    assert times.high / times.low < a.ratio.high / a.ratio.low


def test_a_weight_counts_what_it_covers_alone():
    x, weight = draw(LABELS, 6), torch.zeros(1, *SHAPE)
    weight[..., :6] = 1
    whole, left, right = (measured(x, weight=one) for one in (None, weight, 1 - weight))
    for all_of_it, part, rest in zip(whole.levels, left.levels, right.levels, strict=True):
        for sums in zip(all_of_it[1:], part[1:], rest[1:], strict=True):
            assert torch.allclose(sums[0], sums[1] + sums[2], equal_nan=True)
    assert within(left.ratio, 1)


def test_parts_of_a_nested_latent_are_measured_by_themselves():
    from guidance_geometry.guidance.parts import Packed

    x = draw(LABELS, 7)
    packing = Packed((SHAPE, SHAPE))
    both = packing.join([x, x + 3])

    def predict(y, sigma, with_uncond):
        answers = [WORLD.denoised(part, sigma, 1.0, label) for label in (LABELS, None) for part in packing.split(y)]
        return Answer(packing.join(answers[:2]), packing.join(answers[2:]) if with_uncond else None)

    first, second = query_levels(predict, both, WORLD.rms, draws=1, packing=packing)
    assert within(denoising_ratio(first), 1)
    assert denoising_ratio(second).low > 2


def test_only_levels_above_a_bound_ask_for_both_predictions():
    asked = []

    def predict(y, sigma, both):
        asked.append((round(sigma / WORLD.rms, 6), both))
        return Answer(WORLD.denoised(y, sigma, 1.0, LABELS), WORLD.denoised(y, sigma) if both else None)

    (levels,) = query_levels(predict, draw(LABELS, 8), WORLD.rms, draws=1)
    assert asked == [(level, level >= 0.8) for level in LEVELS for _ in range(2)]
    assert [level.sigma for level in levels] == [*LEVELS]
    assert levels[-1].along.isnan().all()
    assert math.isfinite(prompt_strength(levels).value)


def test_variety_is_1_for_equal_sets_and_falls_with_them():
    x = draw(LABELS, 9)
    middle = torch.stack([x[label == LABELS].mean(dim=0) for label in range(CLASSES)])[LABELS]
    assert variety(x, x, LABELS.tolist()) == pytest.approx((1, 1, 1))
    assert variety((x + middle) / 2, x, LABELS.tolist()) == pytest.approx((0.5, 0.5, 0.5), rel=1e-4)
    assert math.isnan(variety(x[:4], x[:4], [0, 1, 2, 3]).value), "no two of one prompt"


def guided(scale, seed=11, count=16):
    labels, exact = LABELS[:count].tolist(), gg.ExactDenoiser(WORLD)
    noise = torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed))

    def denoise(x, sigma):
        u, c = exact(x, sigma), exact(x, sigma, labels)
        return u + scale * (c - u)

    return gg.measure(exact, gg.sample(denoise, 20 * noise, gg.karras(40)), labels, draws=2)


def test_guidance_shows_the_prompt_more():
    strengths = [guided(scale).strength for scale in (0.0, 1.0, 4.0, 16.0)]
    assert [one.value for one in strengths] == sorted(one.value for one in strengths)
    assert strengths[0].high < strengths[1].value < strengths[3].low


def test_a_small_gain_of_strength_is_told_on_the_same_seeds_where_each_alone_is_not():
    less, more = guided(1.0), guided(1.5)
    assert less.strength.high > more.strength.low, "each alone tells nothing"
    curve = Curve((1.0, 1.5), [less, more])
    assert curve.least == 1.5
    gained = curve.gained_at(1.0)
    assert gained.value == pytest.approx(less.strength.value - more.strength.value)
    assert gained.high < 0


def at(ratio, count=12, strength=1.0):
    """Answers about pictures of which each is about so strange."""
    spread = torch.linspace(0.9, 1.1, count, dtype=torch.float64)
    return Measurement([Level(sigma, strength * spread, spread, ratio * spread, spread) for sigma in LEVELS])


VALUES = (1.0, 1.5, 2.5, 4.0, 6.0, 9.0, 14.0)


def rising(a, b, values=VALUES, odd=()):
    """A curve whose ratio is 0.9 (1 + a d + b d^2), d = value - 1, times what is odd at each value."""
    ratios = [0.9 * (1 + a * (value - 1) + b * (value - 1) ** 2) for value in values]
    return Curve(values, [at(ratio * times) for ratio, times in zip(ratios, odd or [1.0] * 7, strict=False)], (), 1.0)


@pytest.mark.parametrize(("a", "b"), [(0.0, 0.005), (0.05, 0.0), (0.02, 0.01)])
def test_a_mark_is_where_the_ratio_has_risen_so_much_whatever_values_were_asked(a, b):
    for values, times in product((VALUES, (1.0, 2.5, 14.0), VALUES[1:]), (1.1, 1.4)):
        mark = rising(a, b, values).mark(times)
        d = mark.value - 1
        assert a * d + b * d**2 == pytest.approx(times - 1)
        assert mark.low == pytest.approx(mark.high), "every picture says the same"
    assert rising(a, b, (1.0, 1.1)).mark(1.1) is None, "beyond what was measured"


def test_chance_at_one_value_hardly_moves_the_marks():
    for i in range(len(VALUES)):
        for times in (1.1, 1.4):
            mark = rising(0.0, 0.005, odd=[0.95 if i == j else 1.0 for j in range(len(VALUES))]).mark(times)
            assert mark.value == pytest.approx(rising(0.0, 0.005).mark(times).value, rel=0.15)


def test_a_curve_that_falls_or_stays_has_no_mark_and_a_knob_without_an_unguided_value_begins_at_its_least():
    assert Curve((1.0, 2.0), [at(1.3), at(1.0)]).mark(1.1) is None
    assert Curve((1.0, 2.0), [at(1.3), at(1.0)], (), 1.0).mark(1.1) is None
    assert Curve((1.0, 2.0, 4.0), [at(1.0)] * 3, (), 1.0).mark(1.1) is None
    assert Curve((-1.0, 0.0, 1.0, 2.0), [at(ratio) for ratio in (1.3, 1.0, 1.1, 1.4)]).mark(1.1).value == pytest.approx(
        1
    )


def test_a_value_at_which_no_error_is_expected_is_beyond_all_measure():
    blown = at(3.0)
    blown.levels[-1] = blown.levels[-1]._replace(expected=-blown.levels[-1].expected)
    curve = Curve((1.0, 2.0, 4.0, 8.0), [at(1.0), at(1.2), blown, blown], (), 1.0)
    assert (curve.least, curve.times_at(2.0).value, curve.times_at(4.0).value) == (1, pytest.approx(1.2), math.inf)
    assert curve.mark(1.1).value == pytest.approx(1 + 0.5**0.5)
    assert curve.mark(1.4).value == pytest.approx(1 + 2**0.5)
    marks = [Curve((1.0, 4.0), [at(1.0), blown], (), 1.0).mark(times) for times in (1.1, 1.4)]
    assert [(mark.value, math.isnan(mark.low)) for mark in marks] == [(1.0, True)] * 2, "somewhere between"


def test_a_curve_says_how_strange_a_value_is_and_which_one_shows_the_prompt_so_strongly():
    curve = Curve((1.0, 2.0, 4.0), [at(ratio) for ratio in (1.2, 1.0, 1.44)])
    assert curve.least == 2
    assert [curve.times_at(value).value for value in (1, 2, 8**0.5, 4, 9)] == pytest.approx([1.2, 1, 1.2, 1.44, 1.44])
    shown = Curve((0.0, 1.0, 2.0), [at(1.0, strength=strength) for strength in (0.5, 1.0, 3.0)])
    assert [shown.value_of(strength) for strength in (0.2, 0.75, 2.0, 3.1)] == [0, 0.5, 1.5, None]
    assert shown.mark(1.1) is None


def test_a_few_pictures_do_not_refuse_a_model_and_do_not_pass_it_either():
    steady, shaky = at(2.0, 8), at(2.0, 8)
    last = shaky.levels[-1]
    shaky.levels[-1] = last._replace(error=last.error * torch.tensor([0.1] * 7 + [7.3]))
    assert (steady.gate.why, steady.gate.sure) == ("strange", True)
    shaky.levels[:-1] = [level._replace(error=level.expected) for level in shaky.levels[:-1]]
    assert (shaky.gate.why, shaky.gate.sure, shaky.gate.applies) == ("strange", False, False)
    assert "Measure more pictures" in PictureReport(shaky, shaky).text()


def test_a_model_that_is_asked_without_a_negative_has_no_strength_and_is_told_by_its_ratio():
    x = draw(LABELS, 7)
    asked = [level._replace(along=0 * level.along, length=0 * level.length) for level in measured(x).levels]
    assert math.isnan(Measurement(asked).strength.value)
    assert gate_of(asked).applies
    stranger = [level._replace(error=3 * level.error) for level in asked]
    assert gate_of(stranger).why == "strange"


def test_what_was_made_in_another_way_is_not_compared():
    x = draw(LABELS, 12)
    few, many = (measured(x, setting={"steps": steps}) for steps in (6, 50))
    with pytest.raises(ValueError, match="steps is 6 here and 50"):
        few.times_as_strange_as(many)
    with pytest.raises(ValueError, match="same seeds"):
        measured(x[:4], LABELS[:4]).times_as_strange_as(measured(x))
    with pytest.raises(ValueError, match="rising"):
        Curve((2.0, 1.0), [few, few])
    with pytest.raises(ValueError, match="sigma_data"):
        gg.measure(lambda y, s, c: y, x, 0)


def wrong_way(change):
    exact = gg.ExactDenoiser(WORLD)
    return lambda y, sigma, label: change(exact, y, sigma, label)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d, y, s, c: 2 * y - d(y, s, c), {"trace", "strange"}),  # of the other sign
        (lambda d, y, s, c: d(y, 1.6 * s, c), {"smooth", "strange"}),  # its noise level read too high
        (lambda d, y, s, c: d(y, s, None) + 3 * (d(y, s, c) - d(y, s, None)), {"strength", "strange"}),  # distilled
    ],
)
def test_the_gate_refuses_a_model_that_is_read_wrongly(change, why):
    denoiser, x = wrong_way(change), draw(LABELS, 13)
    assert gg.measure(denoiser, x, LABELS.tolist(), sigma_data=WORLD.rms, draws=2).gate.why in why


def test_a_single_picture_has_numbers_and_no_interval():
    found = measured(draw(LABELS[:1], 14, 1), LABELS[:1])
    assert math.isfinite(found.ratio.value)
    assert math.isnan(found.ratio.low)
    assert gate_of(found.levels) is not None
    assert "not sure" in repr(found)
    assert Measurement(found.levels).as_json()["pictures"] == 1
