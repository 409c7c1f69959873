import math
import re

import pytest
import torch

from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rules.formula import FUNCTIONS, NAMES, Formula
from guidance_geometry.tests.toys import SHAPES, guide, toy


def guided(text, p):
    return guide(Formula(text), p, 4.0)


def dot(a, b):
    return sum(i * j for i, j in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))


def norm(a):
    return math.sqrt(dot(a, a))


MEANINGS = {
    "u + gamma * d": lambda x, u, c, s, a, g: u + g * (c - u),
    "c + (gamma - 1) * (d - proj(d, c))": lambda x, u, c, s, a, g: (
        c + (g - 1) * (c - u - dot(c - u, c) / dot(c, c) * c)
    ),
    "c + (gamma - 1) * rej(d, c)": lambda x, u, c, s, a, g: c + (g - 1) * (c - u - dot(c - u, c) / dot(c, c) * c),
    "c + (gamma - 1) * d * min(1, 2 / norm(d))": lambda x, u, c, s, a, g: (
        c + (g - 1) * (c - u) * min(1, 2 / norm(c - u))
    ),
    "x - sigma * ((x - alpha * u) / sigma + gamma * -d)": lambda x, u, c, s, a, g: (
        x - s * ((x - a * u) / s - g * (c - u))
    ),
    "u + gamma * clamp(d, -0.5, sigma)": lambda x, u, c, s, a, g: u + g * (c - u).clamp(-0.5, s),
    "u * dot(u, c) / norm(c) ** 2 + exp(-abs(d)) + max(c, 0)": lambda x, u, c, s, a, g: (
        u * dot(u, c) / dot(c, c) + (-(c - u).abs()).exp() + c.clamp(min=0)
    ),
    "(u - mean(u)) / std(u) + sqrt(abs(c)) * sign(c) + log(pi)": lambda x, u, c, s, a, g: (
        (u - u.mean()) / math.sqrt(((u - u.mean()) ** 2).mean()) + c.abs().sqrt() * c.sign() + math.log(math.pi)
    ),
    "u + (norm(2) + dot(1, 2) + mean(3) + std(4)) * proj(2, c) + rej(1, c)": lambda x, u, c, s, a, g: (
        u + (2 * math.sqrt(c.numel()) + 2 * c.numel() + 3 - 0.5) * 2 * c.sum() / dot(c, c) * c + 1
    ),
}


@pytest.mark.parametrize("shape", SHAPES, ids=["audio", "image", "video"])
@pytest.mark.parametrize("text", MEANINGS)
def test_a_formula_means_what_it_says_item_by_item(text, shape):
    p = toy("flow", shape)
    found = guided(text, p)
    for b in range(2):
        sigma = p.sigma[b].item()
        expected = MEANINGS[text](p.x[b], p.uncond[b], p.cond[b], sigma, 1 - sigma, 4.0)
        assert (found[b] - expected).abs().max() <= 1e-9 * expected.abs().max()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("__import__('os').system('true')", "__import__"),
        ("u.__class__", "u.__class__"),
        ("u + noise", "'noise'"),
        ("u[0]", "u[0]"),
        ("lambda: u", "lambda"),
        ("norm(a=u) * u", "norm(a=u)"),
        ("u + 'c'", "'c'"),
        ("u + 1e999", "1e999"),
        ("norm + u", "'norm'"),
        ("(u := c)", "'u := c'"),
        ("f'{u}'", "u"),
    ],
)
def test_whatever_is_no_formula_is_refused_with_what_is_allowed(text, named):
    with pytest.raises(ValueError, match=re.escape(named)) as refusal:
        Formula(text)
    if "argument" not in str(refusal.value):
        assert all(name in str(refusal.value) for name in (*NAMES, *FUNCTIONS))


@pytest.mark.parametrize(("text", "nearest"), [("u + gama * d", "gamma"), ("u + sgima * d", "sigma")])
def test_a_misspelt_name_is_told_the_nearest_one(text, nearest):
    with pytest.raises(ValueError, match=rf"^Unknown name '\w+'\. Did you mean '{nearest}'\? Allowed: the names"):
        Formula(text)


@pytest.mark.parametrize("text", ["", "u; c", "u\x00", "(" * 300 + "u" + ")" * 300, "import os"])
def test_what_cannot_be_read_says_so(text):
    with pytest.raises(ValueError, match="cannot be read"):
        Formula(text)


def test_huge_powers_end_at_once():
    assert Formula("u + 0 * 9 ** 9 ** 9 ** 9").text.startswith("D = ")


def test_plain_guidance_is_recognised_and_a_zero_vector_has_no_direction():
    assert Formula().neutral
    assert Formula("u+gamma*d").neutral
    assert not Formula("u + d * gamma").neutral
    p = toy("flow")
    same = Predictions(p.x, p.sigma, p.alpha, p.cond, p.cond)
    assert torch.equal(guided("c + gamma * norm(d) * d / norm(d) + proj(c, d)", same), p.cond)
