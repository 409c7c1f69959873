"""The latent demo model in the host: its own VAE, its latent format, and a run."""

from typing import Any

import comfy.sd
import pytest
import torch

from guidance_geometry.denoisers.latents import POCKET_LATENTS
from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.host.native_model import format_name, format_named
from guidance_geometry.host.pictures import picture_of
from guidance_geometry.nodes.report import GGReport
from guidance_geometry.nodes.start import GGClassLabel, GGEmptyCanvas, GGLoadDenoiser
from guidance_geometry.tests.flow_files import NOTES, flow_weights

from .runs import guided, ksampler


@pytest.fixture
def loaded(denoisers):
    """MODEL, VAE and labels of a small file."""
    write_safetensors(denoisers / "tiny-flow.safetensors", flow_weights(), NOTES)
    return GGLoadDenoiser.execute("tiny-flow.safetensors", "auto", "auto", "default").args


def test_the_vae_is_the_hosts_own_object_with_the_files_network(loaded):
    vae: Any = loaded[1]
    assert isinstance(loaded[1], comfy.sd.VAE)
    picture = torch.rand(2, 33, 32, 3, generator=torch.Generator().manual_seed(0))
    latent = vae.encode(picture)
    assert latent.shape == (2, 4, 8, 8), "a picture is cropped to whole cells"
    network = vae.first_stage_model
    back = (network.decode(latent).movedim(1, -1) + 1) / 2
    assert torch.allclose(vae.decode(latent), back.clamp(0, 1), atol=1e-5)
    assert vae.decode_tiled(latent, tile_x=8, tile_y=8, overlap=2).shape == (2, 32, 32, 3)


def test_latents_are_scaled_and_previews_have_their_own_colours(loaded):
    form = loaded[0].get_model_object("latent_format")
    latent = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    shift, scale = (torch.tensor(v)[:, None, None] for v in (POCKET_LATENTS.shift, POCKET_LATENTS.scale))
    assert torch.allclose(form.process_in(latent), (latent - shift) * scale, atol=1e-6)
    assert torch.allclose(form.process_out(form.process_in(latent)), latent, atol=1e-5)
    assert (len(form.latent_rgb_factors), form.taesd_decoder_name, form.latent_channels) == (4, None, 4)
    again: Any = format_named(format_name(form))
    assert (type(again), again.latent_rgb_factors) == (type(form), form.latent_rgb_factors)


def test_it_samples_and_the_energies_see_its_pictures(loaded):
    model, vae, labels = loaded
    assert labels == "a\nb\nc"
    canvas = GGEmptyCanvas.execute(model, 0, 0, 2)[0]
    assert canvas["samples"].shape == (2, 4, 8, 8)
    conditions = (GGClassLabel.execute(model, label).args for label in "ab")
    found, other = (ksampler(model, *both, canvas, "euler", steps=3, cfg=3.0) for both in conditions)
    assert found.isfinite().all()
    assert not torch.allclose(found, other), "the label counts"
    picture = picture_of(model, vae)
    with torch.inference_mode(False), torch.enable_grad(), picture.ready():
        x0 = model.get_model_object("latent_format").process_in(found.clone()).requires_grad_(True)
        seen = picture(x0)
        shift = torch.autograd.grad(seen.sum(), x0)[0]
    assert seen.shape == (2, 3, 32, 32)
    assert shift.abs().max() > 0


def test_the_report_compares_latents_by_what_the_vae_makes_of_them(loaded):
    model, vae, _ = loaded
    positive, negative = GGClassLabel.execute(model, "a").args
    canvas = GGEmptyCanvas.execute(model, 0, 0, 2)[0]
    own, half, near = (
        guided(model, positive, negative, canvas, "euler", steps=3, cfg=cfg, capture="pictures")[2]
        for cfg in (8.0, 4.0, 7.9999)
    )
    assert "Colours and details were not compared" in GGReport.execute(own, half=near)[0]
    assert "At cfg 8 you get the same picture in all 2 samples" in GGReport.execute(own, vae, half=near)[0]
    assert "not compared" not in GGReport.execute(own, vae, half=half)[0]
    other = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})  # of other latents
    assert "Colours and details were not compared" in GGReport.execute(own, other, half=near)[0]


def test_a_latent_of_another_vae_is_refused_in_a_sentence(loaded):
    parts = (loaded[0], *GGClassLabel.execute(loaded[0], "0").args)
    with pytest.raises(ValueError, match=r"The latent has 3 channels but .* has 4\. Use Empty Canvas"):
        ksampler(*parts, {"samples": torch.ones(1, 3, 8, 8)}, "euler", scheduler="simple", steps=1)
