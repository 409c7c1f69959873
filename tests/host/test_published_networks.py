"""Small files of every published format, loaded by the node and sampled by the host."""

import folder_paths
import pytest
import torch

from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.nodes.start import FOLDER, GGClassLabel, GGEmptyCanvas, GGLoadDenoiser
from guidance_geometry.tests.tiny_networks import NETWORKS

from .chains import bright, chain_of
from .runs import guided, ksampler


@pytest.fixture
def load(denoisers):
    """(format, weight type) -> MODEL, VAE and labels of a file in the host's folder."""

    def loaded(kind, dtype="fp32", labels=3, vae=None):
        name = f"{kind}-{labels}.safetensors".replace(" ", "-")
        write_safetensors(denoisers / name, NETWORKS[kind](labels), {})
        folder_paths.filename_list_cache.pop(FOLDER, None)
        return GGLoadDenoiser.execute(name, "auto", "auto", dtype, vae).args

    return loaded


def inputs(model, label="1"):
    return *GGClassLabel.execute(model, label).args, GGEmptyCanvas.execute(model, 0, 0, 1)[0]


def sampled(model, label="1"):
    return ksampler(model, *inputs(model, label), "euler", steps=3, cfg=1.0)


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_format_samples_in_half_precision_and_without_labels_and_has_a_gradient(load, kind):
    model, _, labels = load(kind)
    whole = sampled(model)
    assert whole.isfinite().all()
    assert labels == "0\n1\n2"
    assert not torch.allclose(whole, sampled(model, "2")), "the label counts"
    half = load(kind, "bf16")[0]
    assert half.model_dtype() == torch.bfloat16
    assert (sampled(half) - whole).abs().max() <= 0.3 * whole.abs().max(), "of the largest value, after three steps"
    push = chain_of(bright(), evaluation="x0 + backprop", weight=50.0)
    found = guided(model, *inputs(model), "euler", steps=3, cfg=1.0, guidance=push)[0]["samples"]
    assert found.isfinite().all()
    assert not torch.allclose(found, whole, atol=1e-4)
    unlabelled, _, labels = load(kind, labels=0)
    assert labels == ""
    assert sampled(unlabelled, "").isfinite().all()


def test_the_pixels_come_with_their_vae_and_the_latents_say_which_to_load(load):
    model, vae, _ = load("edm2")
    assert vae.decode(sampled(model)).shape == (1, 16, 16, 3)
    model, vae, _ = load("edm2 latents")
    assert sampled(model).shape == (1, 4, 16, 16)
    with pytest.raises(ValueError, match="Load that VAE with Load VAE and wire it into Load Denoiser"):
        vae.decode(torch.zeros(1, 4, 16, 16))
    wired, levels = load("edm2")[1], torch.tensor([0.0, 0.5, 1.0])
    assert torch.equal(load("edm2 latents", vae=wired)[1].process_output(levels), levels)
    assert torch.equal(wired.process_output(levels.clone()), levels / 2 + 0.5), "as it was"  # newer hosts work in place
