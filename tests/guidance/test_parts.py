"""Packed samples of several parts, and a chain that acts on each of them alone."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.chain import Chain, Runner
from guidance_geometry.guidance.parts import Packed
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.feedback import Feedback
from guidance_geometry.guidance.rules.location_norm import LocationNorm
from guidance_geometry.guidance.rules.part_scale import PartScale
from guidance_geometry.guidance.run import Run

SHAPES = ((3, 2, 4, 5), (2, 6, 3), (7,))
RUN = Run((1.0, 0.6, 0.3, 0.0), flow=True)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def predictions(packed, seed) -> Any:
    count = sum(map(len, (torch.zeros(shape).flatten() for shape in packed.shapes)))
    x, u, c = (draw(2, 1, count, seed=3 * seed + i) for i in range(3))
    return Predictions(x, torch.full((2,), 0.6), torch.full((2,), 0.4), u, c)


@pytest.mark.parametrize(
    ("shapes", "names"), [(SHAPES[:2], ("video", "audio")), (((8192, 16), (1, 5)), ("part 0", "part 1"))]
)
def test_parts_have_names(shapes, names):
    assert Packed(shapes).names == names


@pytest.mark.parametrize("count", [2, 3])
def test_parts_are_views_and_joined_they_are_the_whole(count):
    packed = Packed(SHAPES[:count])
    v = predictions(packed, 0).x
    parts = packed.split(v)
    assert [tuple(part.shape) for part in parts] == [(2, *shape) for shape in SHAPES[:count]]
    assert torch.equal(packed.join(parts), v)
    assert all(part.untyped_storage().data_ptr() == v.untyped_storage().data_ptr() for part in parts)
    assert sum(packed.shares) == pytest.approx(1)


def evaluate(runner, p, sigma, first=True):
    runner.begin(sigma, first)
    runner.needs(3.0)
    return runner.guide(p)


@pytest.mark.parametrize("rule", [AdaptiveProjected(threshold=0.1), LocationNorm(1.0, False, "x0"), Feedback()])
def test_a_chain_acts_on_each_part_as_if_it_were_alone(rule):
    packed, chain = Packed(SHAPES[:2]), Chain((PartScale(1.0, 2.0), rule))
    whole, own = Runner(chain, RUN, packed), [chain.init(replace(RUN, part=i)) for i in range(2)]
    for step, sigma in enumerate(RUN.sigmas[:-1]):
        p = predictions(packed, step)
        guided, again = evaluate(whole, p, sigma), evaluate(whole, p, 0.9 * sigma, first=False)
        for i, gamma in enumerate((3.0, 5.0)):
            pair = (packed.split(p.uncond)[i], packed.split(p.cond)[i])
            alone = Predictions(packed.split(p.x)[i], p.sigma, p.alpha, *pair)
            expected, after = chain.step(own[i], alone, gamma)
            assert torch.equal(packed.split(guided)[i], expected)
            assert torch.equal(packed.split(again)[i], chain.stage(own[i].inside(sigma), after, alone, gamma))
            own[i] = after


def test_where_every_part_is_c_it_is_c_itself():
    p = predictions(Packed(SHAPES[:2]), 1)
    runner = Runner(Chain(), RUN, Packed(SHAPES[:2]))
    assert evaluate(runner, replace(p, uncond=None), 0.6) is p.cond
    assert runner.stage == ""


def test_each_part_has_its_own_gamma_and_any_part_asks_for_u():
    runner = Runner(Chain((PartScale(0.0, 3.0),)), RUN, Packed(SHAPES))
    assert runner.needs(3.0) == {"cond", "uncond"}
    assert runner.gammas == (1.0, 7.0, 3.0)
    assert PartScale(0.5, 3.0).scale(3.0, RUN, 1.0) == 2.0, "a sample of one part"
    assert runner.needs(1.0) == {"cond"}


def test_one_tensor_stays_itself():
    v = draw(2, 3, 4)
    for packed in (Packed(), Packed(((3, 4),))):
        assert packed.split(v)[0] is v
        assert packed.join([v]) is v
        assert (packed.names, packed.shares) == (("",), [1])
