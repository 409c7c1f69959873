import math

import pytest
import torch

from guidance_geometry.guidance.rules.spaces import SPACES
from guidance_geometry.guidance.rules.tangential_amplify import TangentialAmplify
from guidance_geometry.tests.toys import FAMILIES, SHAPES, guide, items, largest_error, output, toy, x0_of


def along(v, axis):
    square = math.fsum((axis * axis).tolist())
    return axis * (math.fsum((v * axis).tolist()) / square)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_euler_step_is_amplified_across_the_sample(family, shape):
    p, gamma, eta, ratio = toy(family, shape), 5.0, 1.3, 0.6
    expected = []
    for item in items(p):
        guided = item["u"] + gamma * (item["c"] - item["u"])
        step = (ratio - 1) * (item["x"] - guided)
        radial = along(step, item["x"])
        expected.append(item["x"] + radial + eta * (step - radial))
    found = p.x + (ratio - 1) * (p.x - guide(TangentialAmplify(eta), p, gamma))
    assert largest_error(found, expected) < 1e-12


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_form_for_two_predictions_is_the_papers_in_any_space(family, space):
    p, gamma, align = toy(family), 5.0, 0.4
    expected = []
    for item in items(p):
        o_u, o_c = (output(space, family, item[name], item) for name in "uc")
        residual = o_c - o_u
        tangent = residual - along(residual, item["x"])
        expected.append(x0_of(space, family, o_u + gamma * residual + align * along(o_c, tangent), item))
    assert largest_error(guide(TangentialAmplify(1.0, align), p, gamma), expected) < 1e-12


def test_neutral_knobs_are_plain_guidance():
    p = toy()
    assert TangentialAmplify(1.0).neutral
    assert torch.equal(guide(TangentialAmplify(1.0), p, 4.0), p.uncond + (p.cond - p.uncond) * 4.0)


def test_gamma_one_is_cond_whether_or_not_u_was_evaluated():
    p = toy()
    assert (guide(TangentialAmplify(1.5, 1.0), p, 1.0) - p.cond).abs().max() < 1e-15


def test_at_a_zero_sample_everything_is_across():
    p = toy()
    p.x[:] = 0.0
    assert torch.allclose(guide(TangentialAmplify(1.5), p, 2.0), 1.5 * (2 * p.cond - p.uncond))
