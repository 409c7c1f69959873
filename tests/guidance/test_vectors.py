"""Lengths, angles and what networks of every kind output, in whatever precision."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance_geometry.guidance.predictions import PARAMETRISATIONS, Predictions, output_from, x0_from_output
from guidance_geometry.guidance.vectors import angle, cosine, dot, per_item, project, ratio, reject, std
from guidance_geometry.tests.toys import draw

QUICK = settings(deadline=None, derandomize=True, max_examples=50)
SHAPES = [(2, 5), (3, 2, 7), (2, 3, 4, 4), (2, 2, 3, 4, 4)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dot_of_rounded_numbers_is_exact(dtype):
    a, b = draw((2, 4096), 0, dtype), draw((2, 4096), 1, dtype)
    exact = [math.fsum((a[i].double() * b[i].double()).tolist()) for i in range(2)]
    assert (dot(a, b) - torch.tensor(exact, dtype=torch.float64)).abs().max() < 1e-11


def test_std_is_taken_about_the_mean_of_each_item():
    v = torch.tensor([[1.0, 3.0], [7.0, 7.0]], dtype=torch.float16)
    assert std(v).tolist() == [1.0, 0.0]
    assert std(v).dtype == torch.float64


def test_a_ratio_to_nothing_scales_nothing():
    assert ratio(torch.tensor([6.0, 5.0, 0.0]), torch.tensor([3.0, 0.0, 2.0])).tolist() == [2.0, 1.0, 0.0]


@QUICK
@given(shape=st.sampled_from(SHAPES), seed=st.integers(0, 999), size=st.floats(-6, 6))
def test_project_and_reject_split_a_vector_at_a_right_angle(shape, seed, size):
    v, onto = draw(shape, seed), draw(shape, seed + 1) * 10**size
    along, across = project(v, onto), reject(v, onto)
    assert (along + across - v).abs().max() < 1e-14
    assert (cosine(across, onto)).abs().max() < 1e-12
    assert (project(along, onto) - along).abs().max() < 1e-13


def test_nothing_lies_along_a_zero_vector():
    v = draw((2, 3), 0)
    assert torch.equal(project(v, torch.zeros(2, 3)), torch.zeros(2, 3, dtype=torch.float64))
    assert torch.equal(reject(v, torch.zeros(2, 3)), v)


def test_cosine_and_angle_with_a_zero_vector_are_nan():
    zero = torch.zeros(2, 3)
    assert cosine(draw((2, 3), 0), zero).isnan().all()
    assert angle(draw((2, 3), 0), zero).isnan().all()


@pytest.mark.parametrize("turn", [1e-12, 1e-8, 1e-3, 1.0, math.pi / 2, math.pi - 1e-9, math.pi])
def test_angle_is_exact_for_tiny_and_for_straight_angles(turn):
    a = torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[0.5 * math.cos(turn), 0.5 * math.sin(turn)]], dtype=torch.float64)
    assert angle(a, b).item() == pytest.approx(turn, rel=1e-9)


@pytest.mark.parametrize("values", [2.0, torch.tensor(2.0), torch.tensor([2.0]), torch.tensor([2.0, 3.0])], ids=repr)
def test_per_item_multiplies_each_item_by_its_own_number(values):
    like = torch.ones(2, 3, 4, dtype=torch.float16)
    scaled = per_item(values, like) * like
    assert scaled.dtype == torch.float16
    assert scaled[:, 0, 0].tolist() == torch.as_tensor(values).expand(2).tolist()


SIGMA_DATA = 0.5


def level(space, noise):
    """alpha and sigma of sigma / alpha = noise: VE, flow, variance preserving."""
    alpha = {"ve": 1.0, "flow": 1 / (1 + noise), "vp": 1 / (1 + noise**2) ** 0.5}[space]
    return alpha, alpha * noise


def by_definition(kind, x0, eps, sigma, alpha):
    """What a network of each kind is trained to output, from the clean sample and the noise."""
    x = alpha * x0 + sigma * eps
    r = (alpha**2 + sigma**2) ** 0.5
    n, d = sigma / alpha, SIGMA_DATA
    return {
        "epsilon": eps,
        "x0": x0,
        "v": (alpha * eps - sigma * x0) / r,
        "flow": eps - x0,
        "score": -eps / sigma,
        "edm": (x0 - d**2 / (n**2 + d**2) * x / alpha) / (n * d / (n**2 + d**2) ** 0.5),
    }[kind]


@pytest.mark.parametrize("space", ["ve", "flow", "vp"])
@pytest.mark.parametrize("kind", PARAMETRISATIONS)
def test_the_training_target_denoises_to_the_clean_sample(kind, space):
    x0, eps = draw((3, 2, 5), 0), draw((3, 2, 5), 1)
    for noise in (0.01, 0.5, 1.0, 20.0):
        alpha, sigma = level(space, noise)
        target, x = by_definition(kind, x0, eps, sigma, alpha), alpha * x0 + sigma * eps
        assert (x0_from_output(kind, target, x, sigma, alpha, SIGMA_DATA) - x0).abs().max() < 1e-12
        assert (output_from(kind, x0, x, sigma, alpha, SIGMA_DATA) - target).abs().max() < 1e-10


@pytest.mark.parametrize("kind", PARAMETRISATIONS)
def test_every_item_has_its_own_noise_level(kind):
    x, output = draw((3, 2, 4), 0), draw((3, 2, 4), 1)
    sigma, alpha = torch.tensor([0.1, 1.0, 9.0]), torch.tensor([0.9, 0.5, 1.0])
    together = x0_from_output(kind, output, x, sigma, alpha, SIGMA_DATA)
    for i in range(3):
        alone = x0_from_output(kind, output[i : i + 1], x[i : i + 1], sigma[i], alpha[i], SIGMA_DATA)
        assert torch.equal(alone[0], together[i])


def test_half_precision_is_promoted_before_anything_is_subtracted():
    one, half = torch.ones(1), torch.tensor([[2048.0, 1.0]], dtype=torch.float16)
    p = Predictions(x=half, sigma=one, alpha=one, uncond=half, cond=-half)
    assert [v.dtype for v in p.pair] == [torch.float32, torch.float32]
    assert p.delta.dtype == torch.float16
    assert p.delta.tolist() == [[-4096.0, -2.0]]
