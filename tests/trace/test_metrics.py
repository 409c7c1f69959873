from functools import cache
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.extrapolation import predicted_difference
from guidance_geometry.guidance.vectors import rms
from guidance_geometry.tests.oracles import COUNT, ReferenceModel, reference_run
from guidance_geometry.tests.toys import draw
from guidance_geometry.trace import metrics
from guidance_geometry.trace.gram import VECTORS, GramRecord, gram

EULER = """
1  0  0.0125 0.249   0.535 7.8e-05 0.146 0.967   0.014 4.19   0.000 0.00048 -
1  8  0.0603 0.139   0.636 0.0018  0.879 0.457   0.007 0.635  0.000 0.017   0.0873
1 16  0.145  0.00606 0.886 0.01    1     0.0349 -0.018 0.0168 0.000 0.0025  0.177
4  0  0.0499 0.249   2.12  7.8e-05 0.146 0.967   0.014 4.19   0.199 0.00069 -
4  8  0.18   0.105   1.37  0.001   0.972 0.426  -0.111 0.638  0.032 0.018   0.081
4 16  0.471  0.00546 1.39  0.0065  1     0.203  -0.374 0.0172 -0.001 0.0024 0.171
8  0  0.0998 0.249   4.24  7.8e-05 0.146 0.967   0.014 4.21   0.457 0.0013  -
8  8  0.294  0.0883  2.01  0.00065 0.988 0.275  -0.232 0.644  0.020 0.03    0.127
8 16  0.664  0.00488 1.83  0.0023  1     0.24   -0.639 0.018 -0.001 0.0023  0.17
"""
EULER_NAMES = ("M1", "M2", "M3", "1-M4", "M5", "M6c", "M6t", "M7", "M10c", "1-M13", "M14")
DDPM = """
4  0  0.0499 2.12  0.014 7.51   9.67  1.29 0.792 0.791 0.005 -
4  4  0.0986 1.75 -0.060 3.11   3.67  1.18 0.763 0.763 0.043 0.319
4  8  0.177  1.37 -0.127 1.1    1.17  1.06 0.729 0.727 0.044 0.353
4 12  0.31   1.29 -0.243 0.286  0.292 1.02 0.736 0.714 0.026 0.246
4 16  0.497  1.33 -0.416 0.0256 0.05  1.95 0.945 0.89  0.003 0.204
"""
DDPM_NAMES = ("M1", "M3", "M6t", "M7", "M8", "M8r", "M9", "M11", "1-M13", "M14")
W_METRICS = {  # by the formula, from tensors u, c, D and the VE-equivalent displacement
    "M1": lambda u, c, D, a: norm(D - u) / norm(a),
    "M3": lambda u, c, D, a: norm(D) / (0.5 * u[0].numel() ** 0.5),
    "M3c": lambda u, c, D, a: norm(D) / norm(c),
    "M4": lambda u, c, D, a: cos(a, a + c - u),
    "M5": lambda u, c, D, a: cos(u, c),
    "M6c": lambda u, c, D, a: cos(c - u, c),
    "M6t": lambda u, c, D, a: cos(c - u, a),
}


def norm(v):
    return v.double().flatten(1).norm(dim=1)


def cos(v, w):
    return (v.double() * w.double()).flatten(1).sum(dim=1) / (norm(v) * norm(w))


SQUARE_ROOT_OF_ROUNDING = 3e-7  # what is left of a vanishing length that is taken from inner products


def record_of(u, a, delta, other=None, move=None, noise=None):
    return GramRecord(VECTORS, gram(dict(zip(VECTORS, (u, a, delta, other, move, noise), strict=True))))


def with_named(**vectors):
    """A record of tensors under their names; `_1` is the step before: delta_1 is delta-1."""
    named = {name.replace("_", "-"): v for name, v in vectors.items()}
    return GramRecord(tuple(named), gram(named))


def out_of_plane(travel, a, delta):
    return metrics.out_of_plane(with_named(move=travel, noise=None, a=a, delta=delta))


def out_of_span(travel, u, a, delta):
    return metrics.out_of_span(with_named(move=travel, noise=None, u=u, a=a, delta=delta))


def identity_residual(x, x_next, move, noise, sigma):
    rest = x_next - x - move - (0 if noise is None else noise)
    return metrics.identity_residual(rms(rest), rms(x), sigma)


def direction_memory(delta, delta_next, floor=0.0):
    return metrics.direction_memory(with_named(delta_1=delta, delta=delta_next), delta[0].numel(), floor)


def extrapolation_error(delta, delta_next, levels, before=None):
    """M14 of the second difference from the first and `before`; levels: sigma of the second, the first, and before."""
    record = with_named(delta=delta_next, delta_1=delta, delta_2=before)
    levels = [torch.tensor(float(s), dtype=torch.float64) for s in levels]
    return metrics.extrapolation_error(record, predicted_difference(*levels))


def from_record(metric, record, gamma, alpha=1.0, sigma=1.0, sigma_data=0.5, count=1):
    known: Any = metrics.METRICS[metric]
    given = {"gamma": gamma, "alpha": alpha, "sigma": sigma, "sigma_data": sigma_data, "count": count}
    return known.function(record, **{name: given[name] for name in known.needs})


@cache
def reference(gamma, stochastic):
    model = ReferenceModel()
    return model, list(reference_run(model, gamma, stochastic))


def row_of(model, before, now, after, gamma):
    """All metrics of one step of the reference model, means over its samples."""
    a, delta = now.uncond - now.x, now.cond - now.uncond
    record = record_of(now.uncond, a, delta, None, now.move, now.noise)
    levels = (now.sigma_next, now.sigma, before.sigma if before else torch.nan)
    past = before.cond - before.uncond if before else None
    pixels = [model.pixels(v) for v in (now.guided, now.cond)]
    found = {name: from_record(name, record, gamma, sigma_data=model.data_rms, count=COUNT) for name in
             ("M1", "M2", "M3", "M5", "M6c", "M6t", "M7", "M8", "M8r")}  # fmt: skip
    found |= {
        "1-M4": 2 * (metrics.direction_angle(record) / 2).sin() ** 2,
        "M9": metrics.straightness(with_named(move_1=now.move, move=after.move)),
        "M10c": metrics.saturation_excess(*(metrics.saturation(image) for image in pixels)),
        "M11": out_of_plane(now.travel, a, delta),
        "1-M13": 1 - direction_memory(delta, after.cond - after.uncond),
        "M14": extrapolation_error(delta, after.cond - after.uncond, levels, past),
    }
    return {name: value.mean().item() for name, value in found.items()}


def lines(table):
    return [line.split() for line in table.strip().splitlines()]


def assert_row(words, names, stochastic):
    gamma, i = float(words[0]), int(words[1])
    model, run = reference(gamma, stochastic)
    found = row_of(model, run[i - 1] if i else None, run[i], run[i + 1], gamma)
    for name, word in zip(names, words[2:], strict=True):
        if word != "-":
            rounding = 5e-7 if "e" in word else min(0.005, 0.5 * 10 ** -len(word.partition(".")[2]))
            assert abs(found[name] - float(word)) <= 0.02 * abs(float(word)) + rounding, name


@pytest.mark.parametrize("words", lines(EULER), ids=lambda words: f"gamma{words[0]}-step{words[1]}")
def test_euler_on_the_reference_model_gives_the_known_numbers(words):
    assert_row(words, EULER_NAMES, stochastic=False)


@pytest.mark.parametrize("words", lines(DDPM), ids=lambda words: f"step{words[1]}")
def test_ddpm_on_the_reference_model_gives_the_known_numbers(words):
    assert_row(words, DDPM_NAMES, stochastic=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("gamma", "alpha"), [(-1.0, 1.0), (0.0, 0.3), (3.5, 0.3), (30.0, 1.0)])
@pytest.mark.parametrize("metric", W_METRICS)
def test_the_record_answers_for_any_scale_what_tensors_would(metric, alpha, gamma, dtype):
    x, u, c, other = (draw((3, 4, 50), seed, dtype) for seed in range(4))
    record = record_of(u, u - x, c - u, 0.2 * other)
    guided = u + gamma * (c - u) + 0.2 * other
    expected = W_METRICS[metric](u, c, guided, u - x / alpha)
    found = from_record(metric, record, gamma, alpha, count=200)
    limit = 1e-9 if dtype == torch.float64 else 1e-5
    assert (found - expected).abs().max() < limit * (1 + expected.abs().max())


@pytest.mark.parametrize("turn", [1e-9, 1e-5, 0.3, 3.0])
def test_the_angle_between_directions_is_exact_when_tiny(turn):
    a, across = draw((1, 4000), 0), draw((1, 4000), 1)
    across = across - a * (a * across).sum() / (a * a).sum()
    rotated = a * torch.tensor(turn).double().cos() + across * a.norm() / across.norm() * torch.tensor(turn).sin()
    delta = -2 * a * (torch.tensor(turn).double() / 2).sin() ** 2 + (rotated - a * torch.tensor(turn).double().cos())
    found = metrics.direction_angle(record_of(draw((1, 4000), 2), a, delta)).item()
    assert found == pytest.approx(turn, rel=1e-6)


def test_the_plane_and_the_span_differ_by_a_step_along_x():
    x, u, c, eps = (draw((2, 3, 40), seed) for seed in range(4))
    travel = -0.1 * x + 0.3 * (u - x)
    assert (out_of_plane(travel, u - x, c - u) > 0.01).all()
    assert (out_of_span(travel, u, u - x, c - u) < SQUARE_ROOT_OF_ROUNDING).all()
    basis = torch.stack([v.flatten(1) for v in (u - x, c - u)], dim=2)
    rest = eps.flatten(1)[..., None] - basis @ torch.linalg.lstsq(basis, eps.flatten(1)[..., None]).solution
    assert (out_of_plane(eps, u - x, c - u) - rest.norm(dim=(1, 2)) / norm(eps)).abs().max() < 1e-12


def test_the_identity_holds_for_a_float32_step_and_sees_a_wrong_split():
    x, move, noise = (draw((2, 3072), seed, torch.float32) for seed in range(3))
    sigma = torch.tensor([2.0, 0.5])
    x_next = x + move + noise
    assert (identity_residual(x, x_next, move, noise, sigma) < 1e-6).all()
    found = identity_residual(x, x_next, move, None, sigma)
    assert (found - norm(noise) / (sigma * 3072**0.5)).abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(2, 3, 50), (2, 3, 6, 6), (2, 3, 2, 5, 5)], ids=str)
def test_saturation_counts_elements_beyond_the_bound(shape):
    values = draw(shape, 0)
    expected = torch.tensor([sum(abs(v) > 1 for v in item.flatten().tolist()) / item.numel() for item in values])
    assert (metrics.saturation(values) - expected).abs().max() < 1e-7
    assert metrics.saturation_excess(metrics.saturation(values), metrics.saturation(values / 4)).min() > 0


def test_the_bound_is_the_quantile_of_every_channel_of_every_item():
    cond = torch.linspace(0, 1, 1001, dtype=torch.float64).expand(2, 3, 1001) * torch.tensor([1.0, -2, 3])[:, None]
    bound = metrics.bound_of(cond * torch.tensor([1.0, 10.0])[:, None, None])
    expected = 0.999 * torch.tensor([[1.0, 2, 3], [10, 20, 30]])[..., None]
    assert (bound - expected).abs().max() < 1e-5
    assert metrics.bound_of(draw((2, 4, 3, 5, 5), 0)).shape == (2, 4, 1, 1, 1)


def test_a_line_in_log_sigma_is_extrapolated_exactly():
    base, slope = draw((1, 20), 0), draw((1, 20), 1)
    levels = torch.tensor([3.0, 2.0, 0.7], dtype=torch.float64)
    deltas = [s * (base + slope * s.log()) for s in levels]
    assert extrapolation_error(deltas[1], deltas[2], (0.7, 2.0, 3.0), deltas[0]).item() < SQUARE_ROOT_OF_ROUNDING
    held = predicted_difference(*(torch.tensor(s, dtype=torch.float64) for s in (0.7, 2.0, torch.nan)))
    assert held["delta-1"].item() == pytest.approx(0.35, rel=1e-15)
    assert held["delta-2"].item() == 0.0


@pytest.mark.parametrize(("dtype", "measured"), [(torch.float16, 2.9e-4), (torch.bfloat16, 2.3e-3)])
def test_the_precision_floor_is_the_rounding_of_the_difference(dtype, measured):
    u, c = draw((1, 60000), 0), draw((1, 60000), 1)
    error = (c.to(dtype).double() - u.to(dtype).double()) - (c - u)
    floor = metrics.precision_floor(1.0, dtype)
    assert floor == pytest.approx(measured, rel=0.03)
    assert error.square().mean().sqrt().item() == pytest.approx(floor, rel=0.05)


def test_no_difference_is_strength_zero_and_no_direction():
    x, u = draw((2, 10), 0), draw((2, 10), 1)
    record = record_of(u, u - x, u - u)
    assert from_record("M1", record, 7.0).tolist() == [0.0, 0.0]
    assert from_record("M2", record, 7.0, count=10).tolist() == [0.0, 0.0]
    assert from_record("M6c", record, 7.0).isnan().all()
    assert from_record("M6t", record, 7.0).isnan().all()
    assert (from_record("M4", record, 7.0) - 1).abs().max() < 1e-15
    assert extrapolation_error(x, u - u, (1.0, 2.0, torch.nan)).isnan().all()


def test_pure_noise_on_flow_has_no_bend_and_tugs_against_x():
    x, u, c = (draw((2, 40), seed) for seed in range(3))
    record = record_of(u, u - x, c - u)
    assert from_record("M1", record, 4.0, alpha=0.0).tolist() == [0.0, 0.0]
    assert (from_record("M4", record, 4.0, alpha=0.0) - 1).abs().max() < 1e-12
    assert (from_record("M6t", record, 4.0, alpha=0.0) - cos(c - u, -x)).abs().max() < 1e-12


def test_zero_noise_and_a_zero_prediction_are_nan_not_infinite():
    x, c = draw((1, 10), 0), draw((1, 10), 1)
    record = record_of(0 * x, -x, c)
    assert from_record("M2e", record, 2.0, sigma=0.0, count=10).isnan().all()
    assert from_record("M5", record, 2.0).isnan().all()
    gone = record_of(x, x, -x)
    assert from_record("M3c", gone, 2.0).isnan().all()
    assert from_record("M6c", gone, 2.0).isnan().all()
    assert identity_residual(x, x, 0 * x, None, 0.0).isnan().all()


def push_of(gamma, across=0.0, size=1.0):
    """A record of u and c of some difference, and of D at a scale and beside it; and the tensors u, c, D."""
    u, delta, other = draw((3, 2, 9, 9), 1), size * draw((3, 2, 9, 9), 2), draw((3, 2, 9, 9), 3)
    side = other - delta * ((other * delta).flatten(1).sum(1) / delta.square().flatten(1).sum(1))[:, None, None, None]
    guided = u + gamma * delta + across * side
    return u, u + delta, guided, side


@pytest.mark.parametrize("stated", [4.0, 0.0, -1.0], ids=str)
@pytest.mark.parametrize("gamma", [-2.0, 0.0, 1.0, 1.3, 7.5, 30.0])
def test_the_effective_scale_is_what_acted_whatever_was_stated(gamma, stated):
    u, c, guided, _ = push_of(gamma)
    record = record_of(u, u, c - u, guided - (u + stated * (c - u)))
    assert metrics.effective_scale(record, stated).tolist() == pytest.approx([gamma] * 3, rel=1e-12)
    assert metrics.share_across(record, stated).tolist() == [0.0] * 3


def test_what_lies_across_the_difference_is_a_share_of_the_push():
    u, c, guided, side = push_of(3.0, across=0.5)
    record = record_of(u, u, c - u, guided - (u + 5 * (c - u)))
    along, across = 2 * norm(c - u), 0.5 * norm(side)
    assert metrics.effective_scale(record, 5.0).tolist() == pytest.approx([3.0] * 3, rel=1e-12)
    expected = across**2 / (along**2 + across**2)
    assert (metrics.share_across(record, 5.0) - expected).abs().max() < 1e-12


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-8, 3e-7, 1e-6])
def test_where_the_difference_is_rounding_its_scale_is_unknown_and_never_huge(size):
    u, c, guided, _ = push_of(4.0, across=0.3, size=size)
    record = record_of(u, u, c - u, guided - (u + 4 * (c - u)))
    assert metrics.effective_scale(record, 4.0).isnan().all()
    assert metrics.share_across(record, 4.0).isnan().all()


@pytest.mark.parametrize(("shape", "period"), [((4, 128, 128), 1), ((4, 128, 128), 128), ((16, 21, 60, 104), 8)])
def test_the_bound_of_a_large_item_is_that_of_some_of_its_values(shape, period):
    """Also of a picture of stripes: the share of an item beyond is .1 %, to four standard errors."""
    stripes = 1 + (torch.arange(shape[-1]) % period == 0) * 1.0
    values = stripes * draw((1, *shape), 0, torch.float32)
    share = metrics.saturation(values, metrics.bound_of(values)).item()
    assert abs(share - 0.001) < 4 * (0.001 / metrics.MOST_BOUNDING) ** 0.5
