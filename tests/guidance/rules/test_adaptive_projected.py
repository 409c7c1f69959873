import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("family", FAMILIES)
def test_momentum_adds_up_x0_differences_in_every_space(family, space):
    chain = Chain((AdaptiveProjected(0.2, 0.0, -0.6, space=space),))
    state, running = chain.init(RUN), [0, 0]
    for seed in range(3):
        p = toy(family, seed=seed)
        guided, state = chain.step(state, p, 5.0)
        running = [i["c"] - i["u"] - 0.6 * m for i, m in zip(items(p), running, strict=True)]
        expected = [
            paper(i, m, 5.0, 0.2, math.inf, output(space, family, i["c"], i))
            for i, m in zip(items(p), running, strict=True)
        ]
        assert largest_error(guided, expected) < 1e-12


def test_the_cap_does_not_depend_on_the_resolution():
    small, large = toy(shape=(2, 3, 4, 4)), toy(shape=(2, 3, 64, 64))
    lengths = [
        (guide(AdaptiveProjected(1.0, 0.1, 0.0), p, 2.0) - p.cond).square().mean().sqrt() for p in (small, large)
    ]
    assert lengths == pytest.approx([0.1, 0.1])


def parts_of(shape, part):
    """Indices of the elements that share a length and a direction, as places in an item's row."""
    places = torch.arange(math.prod(shape[1:])).reshape(shape[1:])
    if part == "channel":
        return [places[c].flatten() for c in range(shape[1])]
    if part == "frame" and len(shape) == 5:
        return [places[:, t].flatten() for t in range(shape[2])]
    return [places.flatten()]


@given(st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_every_part_has_its_own_length_and_direction(data):
    family, space, shape = (data.draw(st.sampled_from(options)) for options in (FAMILIES, [*SPACES], SHAPES))
    part = data.draw(st.sampled_from(["sample", "channel", "frame"]))
    eta, threshold, absolute = data.draw(st.sampled_from([(0.0, 0.0, False), (0.3, 0.4, True), (0.5, 0.2, False)]))
    p, gamma, expected = toy(family, shape), 6.0, []
    for item in items(p):
        axis, row = output(space, family, item["c"], item), torch.zeros_like(item["c"])
        for at in parts_of(shape, part):
            own = {name: item[name][at] for name in ("u", "c")}
            radius = threshold * (1 if absolute else math.sqrt(len(at))) if threshold else math.inf
            row[at] = paper(own, own["c"] - own["u"], gamma, eta, radius, axis[at])
        expected.append(row)
    rule = AdaptiveProjected(eta, threshold, -0.5, absolute, space, part)
    assert largest_error(guide(rule, p, gamma), expected) < 1e-12
