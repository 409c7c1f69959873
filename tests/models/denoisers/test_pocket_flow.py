"""The latent demo model's format: two networks in one file."""

from typing import Any

import pytest
import torch

from guidance_geometry.models.denoisers.latents import POCKET_LATENTS
from guidance_geometry.models.denoisers.reading import denoiser_of
from guidance_geometry.models.denoisers.spec import choose_spec
from guidance_geometry.tests.flow_files import LABELS, NOTES, flow_weights
from guidance_geometry.tests.models.denoisers.networks import assert_alone, network_of, pictures


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


@pytest.mark.parametrize(("value", "said"), [(None, "is missing"), (torch.nan, "holds inf or nan")])
def test_a_damaged_vae_is_refused(value, said):
    weights = flow_weights()
    bias = weights.pop("vae.decoder.0.bias")
    own = {} if value is None else {"vae.decoder.0.bias": torch.full_like(bias, value)}
    with pytest.raises(ValueError, match=said):
        denoiser_of("a", weights | own, NOTES)


def test_item_alone_equals_item_in_batch():
    assert_alone(network_of(denoiser_of("a", flow_weights(), NOTES)), pictures(4, 4, 8))
