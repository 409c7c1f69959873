"""How a difference is split into bands, whatever the shape of a sample."""

import math

import pytest
import torch

from guidance_geometry.guidance.rules.bands import Bands, box_low, pyramid_low
from guidance_geometry.tests.toys import guide, toy


def test_bands_of_one_weight_are_one_band_and_frequencies_alone_do_not_read_them():
    p = toy(shape=(2, 3, 16, 16))
    assert Bands("FDG", 1, 1, middle=(1, 1)).neutral
    assert not Bands("FDG", 1, 1, middle=(0.5,)).neutral
    same = guide(Bands("FDG", 0.5, 0.5, middle=(0.5, 0.5)), p, 5.0)
    assert (same - guide(Bands("FDG", 1, 1), p, 3.0)).abs().max() <= 1e-12
    fourier = Bands("FreSca", 0.5, 1.5, middle=(0.0,))
    assert torch.equal(guide(fourier, p, 4.0), guide(Bands("FreSca", 0.5, 1.5), p, 4.0))
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
    same = guide(Bands("FDG", 0.5, 0.5), p, 5.0)
    assert (same - guide(Bands("FDG", 1, 1), p, 3.0)).abs().max() <= 1e-12
    for method in ("FDG", "FreSca"):
        assert (guide(Bands(method, 0.2, 3.0), p, 1.0) - p.cond).abs().max() <= 1e-12
    assert torch.equal(guide(Bands("FreSca", 0.2, 3.0), p, 0.0), p.uncond)
