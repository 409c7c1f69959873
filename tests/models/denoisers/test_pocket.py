"""The network of the embedded demo denoiser: its arithmetic."""

import pytest
import torch

from guidance_geometry.models.denoisers.pocket import PocketSizes, PocketUNet
from guidance_geometry.tests.classifier_slopes import noise
from guidance_geometry.tests.models.denoisers.networks import assert_alone
from guidance_geometry.tests.tiny_networks import layers_of

SMALL = {"ch": (16, 32, 32), "emb": 16, "head": 8, "blocks": (1, 1, 2, 1, 1, 1), "labels": 3}


def small_network(dtype=torch.float32):
    """Make a network whose every weight is drawn, also those that training starts at zero."""
    network = PocketUNet(PocketSizes(**SMALL), dtype=dtype)
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=g, dtype=torch.float64))
    return network.requires_grad_(False)


def test_item_alone_equals_item_in_batch():
    assert_alone(small_network(), noise((4, 3, 32, 32)))


def test_sides_divisible_by_eight_are_accepted_and_no_others():
    assert small_network()(noise((1, 3, 40, 64)), torch.zeros(1), torch.tensor([3])).shape == (1, 3, 40, 64)
    with pytest.raises(ValueError, match=r"image is 32 x 30 but Pocket needs sides divisible by 8"):
        small_network()(noise((1, 3, 30, 32)), torch.zeros(1), torch.tensor([0]))


def test_layers_come_from_operations():
    made = layers_of(lambda layers: PocketUNet(PocketSizes(**SMALL), operations=layers))
    assert made == {"Conv2d", "Linear", "GroupNorm", "Embedding"}
