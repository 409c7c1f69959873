"""The distance of pictures: what an eye takes for the same is near, what it does not is far, at any size."""

import math

import pytest
import torch
from torch.nn.functional import interpolate

from guidance_geometry.verdict.alike import compare_pictures
from guidance_geometry.verdict.ciede2000 import ciede2000, lab_of, linear_light
from guidance_geometry.verdict.halved import NEAR, SAME, distance

SKY, GREEN, BLUE, INK = ((0.72, 0.89, 0.96), (0.35, 0.70, 0.40), (0.35, 0.55, 0.95), (0.12, 0.16, 0.23))


def robot(body=GREEN, side=32, left=0.3, eyes=True):
    """A picture [1, 3, side, side] of a body with two eyes before the sky; it takes a tenth of the picture."""
    picture = torch.tensor(SKY)[:, None, None].expand(3, side, side).clone()
    cut = [round(side * share) for share in (left, left + 0.3, 0.4, 0.8, left + 0.05, left + 0.2, 0.5, 0.6)]
    picture[:, cut[2] : cut[3], cut[0] : cut[1]] = torch.tensor(body)[:, None, None]
    for x in cut[4:6] if eyes else ():
        picture[:, cut[6] : cut[7], x : x + max(1, side // 12)] = torch.tensor(INK)[:, None, None]
    return picture[None]


def apart(first, second):
    return float(compare_pictures(first, second).distance)


def test_a_robot_that_turns_blue_is_another_picture_though_its_values_hardly_move():
    assert distance(2 * robot() - 1, 2 * robot(BLUE) - 1) < NEAR, "what latents would tell"
    change = compare_pictures(robot(), robot(BLUE))
    assert change.distance > 1.5 * SAME
    assert change.of_colour.all()
    assert change.structure < 0.2, "the same lightness, nearly"


def test_what_nobody_notices_is_the_same_and_what_is_drawn_counts():
    noise = 0.01 * torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert apart(robot(), robot()) == 0
    assert apart(robot(), (robot() + noise).clamp(0, 1)) < SAME
    assert apart(robot(side=256), robot(side=256, left=0.3 + 1 / 256)) < SAME, "a pixel aside"
    assert apart(robot(), robot(left=0.5)) > SAME, "elsewhere"
    blind = compare_pictures(robot(side=64), robot(side=64, eyes=False))
    assert blind.distance > SAME, "the eyes are gone"


def test_colours_that_lie_a_cell_aside_are_no_others():
    colours = torch.rand(1, 3, 17, generator=torch.Generator().manual_seed(1))
    colours[:, :, [0, 1, -2, -1]] = 0.5  # nothing enters or leaves at the edges
    colours = colours.repeat_interleave(4, dim=2)
    here, aside = (colours[:, :, None, first : first + 64].expand(1, 3, 64, 64) for first in (0, 4))
    moved = compare_pictures(here, aside)
    in_place = ciede2000(*(lab_of(linear_light(one.double())) for one in (here, aside))).mean()
    assert moved.colour < in_place / 3
    assert moved.structure > 0.5, "that they lie elsewhere is a matter of structure"


@pytest.mark.parametrize("side", [64, 512])
def test_a_large_picture_is_as_far_from_another_as_a_small_one_and_never_nearer(side):
    for other in (robot(BLUE), robot(eyes=False), robot((0.4, 0.7, 0.4)), robot(left=0.35)):
        large = [interpolate(one, size=(side, side), mode="nearest") for one in (robot(), other)]
        times = apart(*large) / apart(robot(), other)
        assert 0.999 < times < 1.6, times


def test_any_shape_any_batch_and_the_same_either_way():
    draws = torch.Generator().manual_seed(2)
    for sides in ((1, 1), (1, 9), (3, 2), (40, 300), (300, 40)):
        first, second = (torch.rand(3, 3, *sides, generator=draws) for _ in range(2))
        both, back = (compare_pictures(*pair) for pair in ((first, second), (second, first)))
        assert torch.allclose(both.distance, back.distance, atol=1e-5)
        alone = [compare_pictures(first[k : k + 1], second[k : k + 1]).distance for k in range(3)]
        assert torch.allclose(both.distance, torch.cat(alone), atol=1e-5)
        assert (both.distance > 0).all()
    broken = first.clone()
    broken[1, 0, 0, 0] = math.nan
    assert compare_pictures(broken, second).distance.isnan().tolist() == [False, True, False]
    for other in (second[:2], second[..., :-1], second[:, :1], second[0]):
        with pytest.raises(ValueError, match=r"Both must be \[B, 3, H, W\]"):
            compare_pictures(first[:, : other.shape[1]] if other.ndim == 4 and other.shape[1] == 1 else first, other)
