"""x0 without backprop through a decoder: wherever a run can ask for it, on latents of every kind."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import Conv2d

from guidance_geometry.dev.fixtures.tiny_families import decoder, family, latent, latent_formats, text
from guidance_geometry.guidance.gradients.estimators import gradient_of
from guidance_geometry.guidance.gradients.term import GradientOptions, GradientTerm, WatchTerm
from guidance_geometry.host.pictures import Decoded, picture_of

from .chains import bright, chain_of
from .collected import observed
from .runs import guided


@pytest.fixture(scope="module")
def latent_parts(host):
    """MODEL, two conditions and the VAE of a tiny SD15."""
    with torch.inference_mode():
        return family("SD15"), text("SD15", 0), text("SD15", 1), decoder()


def chained(vae, evaluation="x0", **knobs):
    return chain_of(bright(), evaluation=evaluation, decoder=vae, **knobs)


def pushed(parts, chain):
    """The notes of a run with the chain, whose samples differ from those without it."""
    given, run = (*parts[:3], latent("SD15"), "euler"), {"scheduler": "normal", "steps": 4}
    out, _, trace = guided(*given, guidance=chain, **run)
    plain = guided(*given, guidance=chain_of(bright(), weight=0.0), **run)[0]["samples"]
    assert out["samples"].isfinite().all()
    assert (out["samples"] - plain).abs().max() > 1e-3
    return trace.header["notes"]


def test_a_latent_model_is_guided_at_x0_through_its_decoder(latent_parts):
    assert pushed(latent_parts, chained(latent_parts[3])) == []
    assert any("no vae is connected" in note for note in pushed(latent_parts, chained(None)))
    several = GradientOptions(backward_steps=2, draws=2, views=2, shrink=2)
    pushed(latent_parts, chained(latent_parts[3], options=several))
    assert all(weight.is_inference() for weight in latent_parts[3].first_stage_model.parameters())


def test_the_gradient_at_x0_is_that_of_finite_differences(latent_parts):
    model, vae = latent_parts[0], latent_parts[3]
    picture, way = picture_of(model, vae), torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for step in observed(latent_parts[:3], latent("SD15"), "euler", chained(vae, weight=1e-3))[:3]:
        denoised, sigma = step.evaluation.denoised, step.sigma
        above, below = (bright().log_prob(picture(denoised + side * 1e-2 * way).double()) for side in (1, -1))
        slope = (step.evaluation.gradients["gradient"] * way).flatten(1).sum(dim=1) * (sigma**2 + 1) / sigma**2
        assert torch.allclose(slope.double(), (above - below) / 2e-2, rtol=1e-2, atol=1e-6)
        assert slope.abs().max() > 1e-5


def test_terms_of_both_evaluations_read_one_decoder(latent_parts):
    """One after the other, and a watch beside them."""
    first = chained(latent_parts[3], "x0 + backprop", end=0.5)
    second = GradientTerm(bright(), evaluation="x0", decoder=latent_parts[3], weight=1.0, start=0.5)
    pushed(latent_parts, first.then(second).then(WatchTerm(bright(), decoder=latent_parts[3])))


def test_latents_of_every_kind_of_the_host_have_a_gradient(host):
    """Some are scaled by tensors, which the host's loaders make under inference mode."""
    formats = latent_formats()
    assert {"SD15", "Flux", "Wan21", "HunyuanVideo", "LTXV"} <= set(formats)
    for name, form in formats.items():
        frames = (1,) * (form.latent_dimensions - 2)
        x0 = torch.randn(2, form.latent_channels, *frames, 4, 4, generator=torch.Generator().manual_seed(0))
        picture = decoded(form, form.process_out(x0).shape[1])
        with picture.ready():
            found = gradient_of(lambda x, seen=picture: seen(x).square().flatten(1).sum(dim=1), x0)
        assert found.shift.abs().max() > 0, name
        assert all(value.is_inference() for value in vars(form).values() if isinstance(value, torch.Tensor)), name


def decoded(form, channels):
    """Pictures of latents of a form, by a decoder of one layer."""
    network = Conv2d(channels, 3, 1)
    vars(network)["decode"] = lambda latent: network(latent.flatten(2, -2))
    vae = SimpleNamespace(patcher=SimpleNamespace(model=network), vae_dtype=torch.float32)
    vae.process_output = lambda picture: ((picture + 1) / 2).clamp(0, 1)
    return Decoded(vae, form)
