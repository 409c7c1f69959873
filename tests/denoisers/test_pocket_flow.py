"""The latent demo model's format: two networks in one file."""

import re
from typing import Any

import pytest
import torch

from guidance_geometry.denoisers.latents import POCKET_LATENTS
from guidance_geometry.denoisers.pocket_flow import PocketVAE
from guidance_geometry.denoisers.reading import denoiser_of
from guidance_geometry.denoisers.spec import choose_spec
from guidance_geometry.tests.denoisers.networks import assert_alone, network_of, pictures
from guidance_geometry.tests.flow_files import LABELS, NOTES, flow_weights


def test_the_file_says_what_it_is_and_holds_a_vae():
    assert denoiser_of("a", flow_weights(), None).spec.format.name == "pocket-flow-1"
    file = denoiser_of("a", flow_weights(), NOTES)
    spec = choose_spec(file.spec)
    assert (spec.parametrisation, spec.schedule, spec.time, spec.sigma_data) == ("flow", "flow", "log_sigma", 1.0)
    assert (spec.shape, spec.multiple, spec.labels, spec.null_index) == ((4, 8, 8), 2, tuple(LABELS), 3)
    assert spec.latents is POCKET_LATENTS
    assert spec.vae
    vae: Any = spec.vae()
    vae.load_state_dict(file.vae)
    assert vae.decode(vae.encode(pictures(1, 3, 64)[:, :, :36])).shape == (1, 3, 36, 64)
    assert not any(name.startswith("vae.") for name in file.weights)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda weights: weights.pop("vae.decoder.0.weight"), r"weight 'vae\.decoder\.0\.weight' is missing"),
        (
            lambda weights: weights.update({"vae.more": torch.zeros(1)}),
            r"weight 'vae\.more' is .* but nothing is needed",
        ),
        (lambda weights: weights["vae.decoder.0.bias"].fill_(torch.nan), r"'vae\.decoder\.0\.bias' holds inf or nan"),
        (lambda weights: weights.update({"stem.weight": torch.zeros(20, 4, 3, 3)}), "20 and 32 channels"),
    ],
    ids=["missing", "stray", "nan", "odd"],
)
def test_a_damaged_file_is_refused(change, said):
    weights = flow_weights()
    change(weights)
    with pytest.raises(ValueError, match=said):
        denoiser_of("a", weights, NOTES)


def test_item_alone_equals_item_in_batch():
    assert_alone(network_of(denoiser_of("a", flow_weights(), NOTES)), pictures(4, 4, 8))


@pytest.mark.parametrize("shape", [(1, 16, 8, 8), (1, 4, 2, 8, 8)])
def test_latents_of_another_vae_are_refused(shape):
    with pytest.raises(ValueError, match=re.escape(f"of shape {shape}, but")):
        PocketVAE().decode(torch.zeros(shape))
