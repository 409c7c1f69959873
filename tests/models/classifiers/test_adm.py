"""Guided-diffusion classifiers against the field's own package, and what their files may say."""

import math

import pytest
import torch
from azula.plugins.adm._src.unet import EncoderUNetModel

from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.models.classifiers.adm import SIZES, AdmClassifier, AdmEntrance, adm_size
from guidance_geometry.models.classifiers.reading import open_classifier
from guidance_geometry.models.classifiers.wired import NoisyClassifier
from guidance_geometry.models.denoisers.schedules import table
from guidance_geometry.tests.classifier_slopes import lively, noise, open_as, slope_error

COUNTS = {64: (307, 65_438_568), 128: (221, 42_568_040), 256: (249, 54_096_360), 512: (281, 54_448_360)}
BY_SIDE = {size.side: size for size in SIZES}


def small_network():
    """The smallest size at half width."""
    return lively(AdmClassifier(BY_SIDE[64], labels=7, width=64))


def reference(side, labels=1000, width=128, newer=False):
    """The field's own network of a released configuration."""
    size = BY_SIDE[side]
    return EncoderUNetModel(
        side, 3, width, labels, size.depth, size.attends, channel_mult=size.widths, num_head_channels=64,
        use_scale_shift_norm=True, resblock_updown=True, use_new_attention_order=newer, pool="attention",
    )  # fmt: skip


@pytest.mark.parametrize("side", COUNTS)
def test_the_released_sizes_have_their_tensors_and_parameters(side):
    network = AdmClassifier(BY_SIDE[side], device="meta")
    assert (len(network.state_dict()), sum(p.numel() for p in network.parameters())) == COUNTS[side]
    assert adm_size(network.state_dict()) is BY_SIDE[side]


@pytest.mark.slow
def test_a_stored_file_of_a_released_size_has_the_logits_of_the_field_s_network(tmp_path):
    """At half of its width."""
    theirs, side = lively(reference(128, labels=7, width=64)), 128
    write_safetensors(tmp_path / "adm.safetensors", theirs.state_dict(), {})
    loaded = open_as(tmp_path / "adm.safetensors", NoisyClassifier)
    assert loaded.noise_aware
    x, sigma = noise((1, 3, side, side)), torch.tensor([1.7])
    seen, time = AdmEntrance(BY_SIDE[side].schedule)(x, sigma, torch.ones(1))
    assert (loaded.logits(x, sigma) - theirs(seen, time)).abs().max() <= 1e-4


def test_the_heads_lie_as_released_and_not_in_the_newer_order():
    network, x, time = small_network(), noise((1, 3, 64, 64)), torch.tensor([300.5])
    for newer in (False, True):
        theirs = reference(64, 7, 64, newer).eval()
        theirs.load_state_dict(network.state_dict())
        wanted = theirs(x, time)
        assert ((network(x, time) - wanted).abs().max() <= 1e-4 * wanted.abs().max()) is not newer


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_noise_level_finds_its_own_time(schedule):
    levels, entrance = table(f"vp_{schedule}"), AdmEntrance(schedule)
    assert entrance.time_of(levels[:].float()) == pytest.approx(torch.arange(1000), abs=1e-2)
    assert entrance.time_of(torch.tensor([1e-9, 1e9])).tolist() == [0, 999]


@pytest.mark.parametrize(("sigma", "alpha"), [(3.0, 1.0), (0.75, 0.25)])
def test_the_sample_is_scaled_to_preserve_variance(sigma, alpha):
    x = noise((2, 3, 4, 4))
    seen, time = AdmEntrance("linear")(x, torch.full((2,), sigma), torch.full((2,), alpha))
    assert (seen - x / math.hypot(sigma, alpha)).abs().max() <= 1e-6
    assert torch.equal(time, AdmEntrance("linear").time_of(torch.full((2,), 3.0)))


def test_the_gradient_is_the_slope_in_the_samplers_coordinates(tmp_path):
    write_safetensors(tmp_path / "adm.safetensors", small_network().state_dict(), {"gg.schedule": "linear"})
    loaded = open_as(tmp_path / "adm.safetensors", NoisyClassifier)
    with pytest.raises(ValueError, match="reads samples of 3 x 64 x 64 but got 3 x 32 x 32"):
        loaded.logits(torch.zeros(1, 3, 32, 32), 1.0)
    assert isinstance(loaded.enter, AdmEntrance)
    assert loaded.enter.schedule == "linear"
    assert slope_error(lambda x: loaded.logits(x, 3.0).log_softmax(1)[:, 2], noise((1, 3, 64, 64)), 1e-2) <= 1e-2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out.2.c_proj.weight": torch.zeros(())}, r"'out\.2\.c_proj\.bias' is \(7,\) but \(1000,\) is needed"),
        ({"out.0.bias": torch.zeros(256).long()}, r"'out\.0\.bias' is .* of whole numbers but"),
        ({}, r"gg\.schedule is 'edm'"),
    ],
)
def test_a_changed_network_is_refused(tmp_path, change, message):
    weights = {key: tensor.half() for key, tensor in small_network().state_dict().items()} | change
    write_safetensors(tmp_path / "adm.safetensors", weights, {} if change else {"gg.schedule": "edm"})
    with pytest.raises(ValueError, match=rf"adm\.safetensors.*{message}"):
        open_classifier(tmp_path / "adm.safetensors")
