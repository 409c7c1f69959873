import math

import pytest
import torch

from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.spaces import SPACES
from guidance_geometry.tests.toys import FAMILIES, RUN, SHAPES, guide, items, largest_error, output, toy


def inner(a, b):
    return math.fsum((a * b).tolist())


def paper(item, running, gamma, eta, radius, axis):
    """One item of one step of algorithm 1, with its running average; axis replaces c for other spaces."""
    delta = running * min(1, radius / math.sqrt(inner(running, running)))
    along = axis * inner(delta, axis) / inner(axis, axis)
    return item["c"] + (gamma - 1) * (delta - along + eta * along)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("eta", "threshold", "absolute"), [(0.0, 0.0, False), (0.0, 1.5, True), (0.5, 0.2, False), (1.0, 99.0, True)]
)
def test_a_step_is_the_papers(family, space, shape, eta, threshold, absolute):
    p = toy(family, shape)
    radius = threshold * (1 if absolute else math.sqrt(math.prod(shape[1:]))) if threshold else math.inf
    expected = [
        paper(item, item["c"] - item["u"], 6.0, eta, radius, output(space, family, item["c"], item))
        for item in items(p)
    ]
    rule = AdaptiveProjected(eta, threshold, -0.5, absolute, space)
    assert largest_error(guide(rule, p, 6.0), expected) < 1e-12


def test_momentum_runs_over_the_outer_steps_and_belongs_to_the_run():
    chain = Chain((AdaptiveProjected(eta=0.2, threshold=0.3, momentum=-0.6, absolute=True),))
    for _ in range(2):
        state, running = chain.init(RUN), [0, 0]
        for seed in range(4):
            p = toy(seed=seed)
            guided, state = chain.step(state, p, 5.0)
            running = [i["c"] - i["u"] - 0.6 * m for i, m in zip(items(p), running, strict=True)]
            expected = [paper(i, m, 5.0, 0.2, 0.3, i["c"]) for i, m in zip(items(p), running, strict=True)]
            assert largest_error(guided, expected) < 1e-12


def test_neutral_knobs_are_plain_guidance_at_gamma_and_not_at_gamma_plus_one():
    p, rule = toy(), AdaptiveProjected(eta=1.0, threshold=0.0, momentum=0.0)
    assert rule.neutral
    assert torch.equal(guide(rule, p, 4.0), p.uncond + (p.cond - p.uncond) * 4.0)
    loose = AdaptiveProjected(eta=1.0, threshold=1e9, momentum=0.0)
    assert largest_error(guide(loose, p, 4.0), list(p.uncond + (p.cond - p.uncond) * 4.0)) < 1e-14


def test_gamma_one_is_cond_and_not_twice_as_much():
    p = toy()
    assert (guide(AdaptiveProjected(), p, 1.0) - p.cond).abs().max() < 1e-15


def test_a_zero_prediction_has_no_direction_to_project_on():
    p = toy()
    p.cond[:] = 0.0
    assert torch.allclose(guide(AdaptiveProjected(0.0, 0.0, 0.0), p, 3.0), -2.0 * p.uncond)


def test_the_cap_does_not_depend_on_the_resolution():
    small, large = toy(shape=(2, 3, 4, 4)), toy(shape=(2, 3, 64, 64))
    lengths = [
        (guide(AdaptiveProjected(1.0, 0.1, 0.0), p, 2.0) - p.cond).square().mean().sqrt() for p in (small, large)
    ]
    assert lengths == pytest.approx([0.1, 0.1])
