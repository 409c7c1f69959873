"""At which plain scale a run stands: weighed by what its steps push, the median sample's, unknown where it is."""

import math
from dataclasses import replace

import pytest
import torch

from guidance_geometry.tests.edited_runs import with_columns
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.guidance_effect import EffectiveScale, rounding, tells
from guidance_geometry.trace.trace import SCALES

UNKNOWN = EffectiveScale()


def acting(trace, scales, across=None):
    """The same run, had its steps and samples acted at these scales."""
    scales = torch.as_tensor(scales, dtype=torch.float64).reshape(trace.n, -1).expand(trace.n, trace.batch)
    across = torch.zeros(trace.n) if across is None else torch.as_tensor(across)
    return with_columns(trace, gamma_eff=scales, across=across.double()[:, None].expand(trace.n, trace.batch))


def same(found, other):
    """Whether two scales agree in everything, what is unknown too."""
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(*map(vars_of, (found, other)), strict=True))


def vars_of(found):
    return [getattr(found, name) for name in EffectiveScale.__dataclass_fields__]


@pytest.fixture(scope="module")
def run():
    return exact_trace(4.0, steps=10, batch=3, capture=False)


def weighed(trace, values, sample):
    """sum of |kappa| |delta| v over sum of |kappa| |delta|, one number after the other."""
    square = trace.record.dot("delta", "delta")
    weights = [abs(float(trace.steps["kappa"][i])) * math.sqrt(float(square[i, sample])) for i in range(trace.n)]
    return sum(w * float(v) for w, v in zip(weights, values, strict=True)) / sum(weights)


def test_steps_count_by_what_they_push(run):
    scales, across = torch.linspace(1, 7, run.n).double(), torch.linspace(0.9, 0.1, run.n).double()
    found = EffectiveScale.of(acting(run, scales, across))
    for value, values in ((found.scale, scales), (found.across, across)):
        assert value == pytest.approx(sorted(weighed(run, values, b) for b in range(3))[1], rel=1e-12)
        assert abs(value - float(values.mean())) > 0.05  # an equal weight for each step would give that


def test_plain_guidance_stands_at_its_cfg(run):
    found = EffectiveScale.of(run)
    assert found.steady
    assert found.along
    assert vars_of(found)[:7] == pytest.approx([4.0] * 7, rel=1e-6)
    assert found.across == pytest.approx(0.0, abs=1e-9)


def test_a_run_begins_at_one_scale_and_ends_at_another(run):
    found = EffectiveScale.of(acting(run, [2.0] * 3 + [5.0] + [9.0] * 6))
    assert (found.early, found.late, found.least, found.most) == pytest.approx((2.0, 9.0, 2.0, 9.0))
    assert 2 < found.scale < 9
    assert not found.steady
    nearly = EffectiveScale(scale=4.0, least=3.93, most=4.07, across=0.02)
    assert (nearly.steady, nearly.along) == (True, True)
    others = replace(nearly, least=3.9), replace(nearly, most=4.1), replace(nearly, across=0.021)
    assert [(one.steady, one.along) for one in others] == [(False, True), (False, True), (True, False)]


def test_samples_are_summed_up_by_their_median_and_a_band():
    run = exact_trace(4.0, steps=12, batch=11, capture=False)
    found = EffectiveScale.of(acting(run, torch.arange(11.0).repeat(12, 1)))
    assert (found.low, found.scale, found.high) == pytest.approx((1.0, 5.0, 9.0))
    assert (found.early, found.late) == pytest.approx((5.0, 5.0))


def test_a_step_that_hardly_pushes_tells_nothing_of_the_run(run):
    kappa = run.steps["kappa"].clone()
    kappa[0], kappa[-4:] = 1e-9, 1e-9
    found = EffectiveScale.of(acting(with_columns(run, kappa=kappa), [900.0] + [2.0] * 2 + [3.0] * 3 + [-900.0] * 4))
    assert (found.least, found.most) == (2.0, 3.0)
    assert (found.early, found.late) == pytest.approx((2.0, 3.0))
    assert 2 < found.scale < 3


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        ((2.0, 2.0, 100.0, 9.0), (True, True, True, False)),
        ((2.0,) * 4, (True, True, False, False)),
        ((1.0,) * 4, (True, True, False, False)),
    ],
)
def test_a_step_of_little_weight_tells_where_its_scale_pushes_more_than_others(scales, expected):
    weights = torch.tensor([1.0, 1.0, 0.05, 0.0])
    assert tells(torch.tensor(scales), weights).tolist() == list(expected)


def test_all_that_is_told_of_steps_is_of_the_median_sample(run):
    """Medians over the samples, each for itself, may be of three samples that never were together."""
    scales = torch.stack([torch.linspace(2, 4, run.n), torch.linspace(9, 1, run.n), torch.full((run.n,), 8.0)], dim=1)
    whole = with_columns(run, gamma_eff=scales.double(), across=scales.double() / 10)
    found, alone = EffectiveScale.of(whole), [EffectiveScale.of(whole.of_samples(slice(b, b + 1))) for b in range(3)]
    middle = sorted(alone, key=lambda one: one.scale)[1]
    assert replace(found, low=0, high=0, scale=0) == replace(middle, low=0, high=0, scale=0)
    assert found.scale == pytest.approx(middle.scale)
    assert found.least <= found.scale <= found.most


def test_where_nobody_knows_how_far_the_sampler_follows_an_euler_step_stands_for_it(run):
    """The exact run is one: its own kappa is 1 - sigma' / sigma, for a flow model too."""
    for trace in (run, exact_trace(4.0, steps=10, batch=3, capture=False, space="flow")):
        rising = acting(trace, torch.linspace(1, 7, trace.n))
        unseen = with_columns(rising, kappa=torch.full_like(trace.steps["kappa"], torch.nan))
        assert vars_of(EffectiveScale.of(unseen)) == pytest.approx(vars_of(EffectiveScale.of(rising)), rel=1e-9)


def test_what_is_unknown_stays_unknown(run):
    nan = torch.full((run.n, run.batch), torch.nan, dtype=torch.float64)
    bare = replace(run, steps={name: v for name, v in run.steps.items() if name not in SCALES})
    empty = replace(run, steps={name: v[:0] for name, v in run.steps.items()}, stage=[])
    still = with_columns(run, kappa=torch.zeros_like(run.steps["kappa"]))
    nobody = run.of_samples(slice(0, 0))
    for trace in (with_columns(run, gamma_eff=nan, across=nan), bare, empty, nobody, still):
        assert same(EffectiveScale.of(trace), UNKNOWN)
    assert UNKNOWN.steady
    assert UNKNOWN.along


def test_a_difference_may_be_rounding_up_to_its_floor_in_every_element(run):
    """Ten floors of 3e-8, of u and of gamma c."""
    assert rounding(run).flatten().tolist() == pytest.approx([10 * 5 * 3e-8 * 3072**0.5] * run.n)
