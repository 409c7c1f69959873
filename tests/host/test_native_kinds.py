"""Denoisers without a null label, without labels, and of latents, as native MODELs."""

from types import SimpleNamespace
from typing import Any

import comfy.latent_formats
import comfy.sample
import pytest
import torch
from torch import nn

from guidance_geometry.host.models.native_model import native_denoiser
from guidance_geometry.host.models.pixel_vae import vae_of
from guidance_geometry.host.sampling.pictures import picture_of
from guidance_geometry.models.denoisers.latents import EDM2_LATENTS, PIXELS, SD_LATENTS, LatentSpace
from guidance_geometry.models.denoisers.schedules import Levels
from guidance_geometry.models.denoisers.spec import ChosenSpec, Published
from guidance_geometry.nodes.start import GGClassLabel

SIDE = 8
EDM2 = ((5.81, 3.25, 0.12, -2.15), tuple(0.5 / size for size in (4.17, 4.62, 3.71, 3.28)))


class Shade(nn.Module):
    """Predicts a grey whose value is its label."""

    def __init__(self, sizes, labels, operations, device, dtype):
        super().__init__()

    def forward(self, x, t, y):
        return torch.zeros_like(x) + y.to(x)[:, None, None, None]


class Squares:
    """A VAE of the host whose decoder repeats the first three channels, in the host's own range of pictures."""

    vae_dtype = torch.float32

    def __init__(self):
        decoder = SimpleNamespace(decode=lambda latent: latent[:, :3])
        self.patcher = SimpleNamespace(model=decoder)

    def process_input(self, image):
        return image * 2 - 1

    def process_output(self, picture):
        return (picture / 2 + 0.5).clamp(0, 1)


def model(labels=("a", "b", "c"), null_label=True, space=None, channels=3):
    published = Published(channels=channels, image_size=SIDE, multiple=1, latents=space or PIXELS)
    known: Any = SimpleNamespace(
        published=lambda sizes: published,
        network=Shade,
        memory=lambda sizes, batch, cells: 1000 * batch * cells,
        null_label=null_label,
    )
    facts = ("shade", known, {}, labels, "x0", "edm", "log_sigma", Levels(), 0.5, SIDE, torch.float32)
    return native_denoiser(ChosenSpec(*facts), {})


def sampled(patcher, label, cfg):
    conditions = GGClassLabel.execute(patcher, label).args
    latent = torch.zeros(1, *patcher.model.card.shape)
    run = (patcher, comfy.sample.prepare_noise(latent, 3), 2, cfg, "euler", "normal", *conditions, latent)
    return comfy.sample.sample(*run, disable_pbar=True, seed=3)


@pytest.mark.usefixtures("host")
class TestLabels:
    def test_the_empty_label_is_the_one_after_the_last(self):
        assert torch.allclose(sampled(model(), "", 1.0), torch.tensor(3.0))
        assert torch.allclose(sampled(model(), "b", 3.0), torch.tensor(3 + 3.0 * (1 - 3)), atol=1e-5)

    def test_a_model_without_a_null_label_runs_at_cfg_1_and_says_what_else_there_is(self):
        patcher = model(null_label=False)
        always = patcher.clone()
        always.set_model_sampler_post_cfg_function(lambda args: args["denoised"], disable_cfg1_optimization=True)
        assert torch.allclose(sampled(patcher, "b", 1.0), torch.tensor(1.0))
        for asked, label, cfg in ((patcher, "b", 2.0), (patcher, "", 1.0), (always, "b", 1.0)):
            with pytest.raises(ValueError, match=r"never trained without a label.*Autoguidance.*classifier"):
                sampled(asked, label, cfg)

    def test_an_unconditional_model_takes_no_label_and_runs_with_those_of_another(self):
        patcher = model(labels=(), null_label=False)
        assert torch.equal(sampled(patcher, "", 3.0), torch.zeros(1, 3, SIDE, SIDE))
        with pytest.raises(ValueError, match=r"Label '0' was given but the model has no labels\. Leave it empty"):
            GGClassLabel.execute(patcher, "0")
        found = patcher.model.extra_conds(class_label=torch.tensor([7, 8]))["y"].cond
        assert torch.equal(found, torch.tensor([0, 0]))


@pytest.mark.usefixtures("host")
class TestLatents:
    def test_another_scale_goes_in_and_out_and_keeps_the_preview_colours(self):
        space = LatentSpace("somebody's VAE", 8, *EDM2)
        form = model(space=space, channels=4).model.latent_format
        raw = torch.randn(2, 4, 3, 3) * 4
        mean, scale = (torch.tensor(numbers)[:, None, None] for numbers in EDM2)
        assert torch.allclose(form.process_in(raw), (raw - mean) * scale, atol=1e-6)
        assert torch.allclose(form.process_out(form.process_in(raw)), raw, atol=1e-5)
        theirs = comfy.latent_formats.SD15()
        wanted = torch.einsum("bchw,cr->brhw", theirs.process_in(raw), torch.tensor(theirs.latent_rgb_factors))
        bias = torch.tensor(form.latent_rgb_factors_bias)[:, None, None]
        found = torch.einsum("bchw,cr->brhw", form.process_in(raw), torch.tensor(form.latent_rgb_factors)) + bias
        assert torch.allclose(found, wanted, atol=1e-5)

    def test_a_latent_of_several_tensors_is_refused(self):
        with pytest.raises(ValueError, match="holds several tensors at once"):
            model().model.extra_conds(latent_shapes=[(1, 3, 8, 8), (1, 3, 8)])

    def test_the_vae_is_wired_through_and_fitted_to_pictures_in_0_to_1(self):
        """EDM2's VAE was given pictures in 0 .. 1: decoded as usual, they would be pale."""
        vae, picture = Squares(), torch.tensor([0.0, 0.25, 1.0, 1.5])
        assert vae_of("a", SD_LATENTS, vae) is vae
        fit = vae_of("a", EDM2_LATENTS, vae)
        assert torch.equal(fit.process_output(picture), torch.tensor([0.0, 0.25, 1.0, 1.0]))
        assert torch.equal(fit.process_input(picture), picture)
        assert torch.equal(vae.process_output(picture), torch.tensor([0.5, 0.625, 1.0, 1.0])), "the wired one is kept"
        with pytest.raises(ValueError, match="b works on latents of Stable Diffusion 1's VAE"):
            vae_of("b", EDM2_LATENTS, vae_of("a", EDM2_LATENTS)).decode(picture)

    def test_an_energy_sees_the_picture_and_not_a_pale_one(self):
        latent = torch.full((1, 4, 2, 2), 0.5)
        for space, value in ((SD_LATENTS, 0.5), (EDM2_LATENTS, 0.0)):
            patcher = model(space=space, channels=4)
            x0 = patcher.model.process_latent_in(latent)
            for vae in (Squares(), vae_of("a", space, Squares())):
                found = picture_of(patcher, vae)(x0)
                assert torch.allclose(found, torch.full((1, 3, 2, 2), value), atol=1e-6)
