import pytest
import torch

from guidance_geometry.guidance.rules.skim import Skim
from guidance_geometry.tests.toys import FAMILIES, SHAPES, guide, items, largest_error, toy


def sign(v):
    return (v > 0) - (v < 0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", SHAPES, ids=["audio", "image", "video"])
@pytest.mark.parametrize(("gamma", "skim"), [(7.0, 3.0), (7.0, 0.0), (2.0, 3.0), (0.0, 3.0)])
def test_elements_that_all_push_one_way_get_the_lower_scale(family, shape, gamma, skim):
    p, expected, skimmed = toy(family, shape), [], 0
    for item in items(p):
        row = []
        for x, u, c in zip(*(item[k].tolist() for k in "xuc"), strict=True):
            guided = u + gamma * (c - u)
            same = sign(c - u) == sign(c) == sign(guided) == sign(guided - x)
            skimmed += same
            row.append(u + min(skim, gamma) * (c - u) if same else guided)
        expected.append(torch.tensor(row, dtype=torch.float64))
    assert largest_error(guide(Skim(skim), p, gamma), expected) <= 1e-6
    assert skimmed > 0 or gamma < skim


def test_scale_one_is_cond_and_an_infinite_scale_is_plain_guidance():
    p = toy()
    assert (guide(Skim(3.0), p, 1.0) - p.cond).abs().max() <= 1e-12 * p.cond.abs().max() * 10
    assert Skim(float("inf")).neutral
    assert torch.equal(guide(Skim(float("inf")), p, 5.0), p.uncond + (p.cond - p.uncond) * 5.0)


def test_nothing_is_written_into_a_prediction():
    p = toy()
    before = [v.clone() for v in (p.x, p.uncond, p.cond)]
    guide(Skim(3.0), p, 7.0)
    assert all(torch.equal(v, old) for v, old in zip((p.x, p.uncond, p.cond), before, strict=True))
