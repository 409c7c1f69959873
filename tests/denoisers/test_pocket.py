"""The network of the embedded demo denoiser: its arithmetic."""

import pytest
import torch

from guidance_geometry.denoisers.pocket import PocketSizes, PocketUNet, fourier_features
from guidance_geometry.tests.classifier_slopes import noise, slope_error
from guidance_geometry.tests.denoisers.networks import assert_alone
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


def test_half_precision_time_does_not_change_the_features_dtype():
    assert fourier_features(torch.zeros(2, dtype=torch.float16)).dtype == torch.float32
    assert fourier_features(torch.zeros(2, dtype=torch.float64)).dtype == torch.float64


def test_item_alone_equals_item_in_batch():
    assert_alone(small_network(), noise((4, 3, 32, 32)))


@pytest.mark.parametrize("side", [(8, 8), (32, 32), (40, 64)])
def test_any_sides_divisible_by_eight_are_accepted(side):
    assert small_network()(noise((1, 3, *side)), torch.zeros(1), torch.tensor([3])).shape == (1, 3, *side)


def test_no_images_give_no_images():
    empty = torch.zeros(0, 3, 16, 16)
    assert small_network()(empty, torch.zeros(0), torch.zeros(0, dtype=torch.long)).shape == empty.shape


def test_other_sides_are_refused():
    with pytest.raises(ValueError, match=r"image is 32 x 30 but Pocket needs sides divisible by 8"):
        small_network()(noise((1, 3, 30, 32)), torch.zeros(1), torch.tensor([0]))


def test_label_and_noise_level_both_matter():
    network, x = small_network(), noise((1, 3, 32, 32))
    outputs = [network(x, torch.tensor([t]), torch.tensor([y])) for t, y in ((0.0, 0), (0.0, 3), (0.5, 0))]
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_output_follows_the_inputs_dtype():
    x, t, y = noise((2, 3, 32, 32)), torch.tensor([-1.0, 0.5]), torch.tensor([0, 3])
    exact = small_network(torch.float64)(x.double(), t, y)
    for dtype, bound in ((torch.bfloat16, 0.1), (torch.float16, 0.02)):  # 8 and 11 bits, about 30 layers
        found = small_network(dtype)(x.to(dtype), t, y)
        assert found.dtype == dtype
        assert (found.double() - exact).square().mean().sqrt() <= bound * exact.square().mean().sqrt()


def test_gradient_equals_finite_differences():
    network, t = small_network(torch.float64), torch.tensor([-0.09], dtype=torch.float64)
    x, probe = (noise((1, 3, 16, 16), seed, torch.float64) for seed in range(2))
    assert slope_error(lambda z: network(z, t, torch.tensor([1])) * probe, x, 1e-5) <= 1e-6  # step^2, rounding / step


def test_layers_come_from_operations():
    made = layers_of(lambda layers: PocketUNet(PocketSizes(**SMALL), operations=layers))
    assert made == {"Conv2d", "Linear", "GroupNorm", "Embedding"}
