import math

import pytest
import torch

from guidance_geometry.guidance.rules.bands import Bands, box_low, pyramid_low
from guidance_geometry.tests.toys import guide, toy


def guided(rule, p, gamma=4.0):
    return guide(rule, p, gamma)


def blur(row):
    n = len(row)
    if n <= 2:
        mirror = [min(max(i, 0), n - 1) for i in range(-2, n + 2)]
    else:
        mirror = [abs(i) if i < n else 2 * (n - 1) - i for i in range(-2, n + 2)]
    return [sum(w * row[mirror[i + k]] for k, w in enumerate((1, 4, 6, 4, 1))) / 16 for i in range(n)]


def resize(row, size):
    out = []
    for i in range(size):
        place = min(max((i + 0.5) * len(row) / size - 0.5, 0), len(row) - 1)
        left = int(place)
        right = min(left + 1, len(row) - 1)
        out.append(row[left] + (place - left) * (row[right] - row[left]))
    return out


def pyramid(row, level=1):
    """What is left of a row below a level of the pyramid, in full size."""
    if level == 0:
        return row
    half = resize(blur(row), max(len(row) // 2, 1))
    return blur(resize(pyramid(half, level - 1), len(row)))


def by_rows(plane, along):  # H x W lists -> H x W lists
    once = [along(row) for row in plane]
    columns = [along([row[j] for row in once]) for j in range(len(once[0]))]
    return [[column[i] for column in columns] for i in range(len(plane))]


@pytest.mark.parametrize("size", [(8, 12), (13, 7), (3, 16)])
@pytest.mark.parametrize("middle", [(0.7,), (0.9, -0.5), (0.0, 0.4, 2.0, 1.0)], ids=len)
def test_every_band_of_a_deeper_pyramid_has_its_own_weight(size, middle):
    """The pyramid as it is defined: each level holds what its half does not, and goes back up by doubling."""
    p, gamma, low, high = toy(shape=(2, 2, *size)), 4.0, 0.3, 1.4
    found = guided(Bands("FDG", low, high, middle=middle), p, gamma)
    fine_to_coarse = [high, *reversed(middle), low]
    for channel in range(2):
        delta = (p.cond - p.uncond)[0, channel]
        depth = range(len(fine_to_coarse))
        kept = [
            torch.tensor(by_rows(delta.tolist(), lambda row, k=k: pyramid(row, k)), dtype=torch.float64) for k in depth
        ]
        bands = [a - b for a, b in zip(kept, [*kept[1:], torch.zeros_like(delta)], strict=True)]
        weighted = sum(weight * band for weight, band in zip(fine_to_coarse, bands, strict=True))
        expected = p.cond[0, channel] + (gamma - 1) * weighted
        assert (found[0, channel] - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_bands_of_one_weight_are_one_band_and_frequencies_alone_do_not_read_them():
    p = toy(shape=(2, 3, 16, 16))
    assert Bands("FDG", 1, 1, middle=(1, 1)).neutral
    assert not Bands("FDG", 1, 1, middle=(0.5,)).neutral
    same = guided(Bands("FDG", 0.5, 0.5, middle=(0.5, 0.5)), p, 5.0)
    assert (same - guided(Bands("FDG", 1, 1), p, 3.0)).abs().max() <= 1e-12
    fourier = Bands("FreSca", 0.5, 1.5, middle=(0.0,))
    assert torch.equal(guided(fourier, p), guided(Bands("FreSca", 0.5, 1.5), p))
    assert fourier.text == Bands("FreSca", 0.5, 1.5).text


@pytest.mark.parametrize("low_of", [pyramid_low, lambda v: box_low(v, 0.5)], ids=["pyramid", "box"])
def test_a_video_is_split_frame_by_frame_and_audio_along_time(low_of):
    video = torch.randn(2, 3, 4, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    frames = torch.stack([low_of(video[:, :, t]) for t in range(4)], dim=2)
    assert (low_of(video) - frames).abs().max() <= 1e-12
    audio = video[:, :, 0, 0]
    assert (low_of(audio[:, :, None].expand(-1, -1, 6, -1))[:, :, 0] - low_of(audio)).abs().max() <= 1e-12


def test_the_cutoff_is_relative_to_the_resolution():
    """A wave of a quarter of the highest frequency stays on the same side at every size."""
    for side in (16, 64):
        wave = torch.cos(2 * math.pi * (side // 8) / side * torch.arange(side, dtype=torch.float64))
        picture = wave.expand(1, 1, side, side)
        assert (box_low(picture, 0.3) - picture).abs().max() <= 1e-9
        assert box_low(picture, 0.2).abs().max() <= 1e-9


def test_the_fdg_scales_are_relative_to_gamma_and_scale_one_is_cond():
    p = toy(shape=(2, 3, 8, 8))
    same = guided(Bands("FDG", 0.5, 0.5), p, 5.0)
    assert (same - guided(Bands("FDG", 1, 1), p, 3.0)).abs().max() <= 1e-12
    for method in ("FDG", "FreSca"):
        assert (guided(Bands(method, 0.2, 3.0), p, 1.0) - p.cond).abs().max() <= 1e-12
    assert torch.equal(guided(Bands("FreSca", 0.2, 3.0), p, 0.0), p.uncond)
