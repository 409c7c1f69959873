"""Gradients beyond the demo: the exact toy through the host's Heun, a latent model with its VAE, in-place residuals."""

import math

import pytest
import torch
from torch import nn
from torch.nn import LayerNorm, Linear

from guidance_geometry.tests import exact_toy as toy


class ToyMixture:
    """The exact toy as the mixture behind a MODEL."""

    means, rms, classes = toy.MEANS[:, :, None, None], math.sqrt(toy.VARIANCE), 3

    def denoised(self, x, sigma, alpha, label):
        return toy.denoised(x.flatten(1).double(), float(sigma.flatten()[0]), 1.0).reshape(x.shape).to(x)


class ToyClassifier:
    labels, noise_aware, judge = ("0", "1", "2"), True, False

    def logits(self, x, sigma, alpha):
        return toy.label_log_prob(x.flatten(1).double(), sigma, alpha)


@pytest.mark.parametrize(
    ("evaluation", "expected"),
    [
        ("noisy x_t", (0.897, 0.861, 0.0021, 1.059)),
        ("x0 + backprop", (0.999, 0.974, 0.378, 0.774)),
        ("x0", (1.000, 0.983, 0.382, 0.838)),
    ],
)
def test_the_exact_toy_through_the_host(host, evaluation, expected):
    import comfy.samplers

    from guidance_geometry.guidance.chain import PLAIN
    from guidance_geometry.guidance.energies import LabelEnergy
    from guidance_geometry.guidance.terms import GradientOptions, GradientTerm
    from guidance_geometry.nodes.native_model import native_mixture
    from guidance_geometry.nodes.sampling import chain_guider
    from guidance_geometry.nodes.start import conditioning

    model, null = native_mixture(ToyMixture(), "ve", ("0", "1", "2"), "toy"), conditioning([3])
    energy = LabelEnergy(ToyClassifier(), ((toy.TARGET,),))
    term = GradientTerm(energy, weight=1.0, evaluation=evaluation, options=GradientOptions(exact=True))
    noise = torch.randn(toy.COUNT, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    noise = noise[:, :, None, None].float()
    sampler, sigmas = comfy.samplers.sampler_object("heun"), torch.tensor(toy.karras(20))
    guider = chain_guider(model, null, null, 1.0, PLAIN.then(term))
    out = guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, disable_pbar=True, seed=0)
    found = toy.measured(out.flatten(1).double())
    for name, value in zip(("acc", "p", "fd", "spread"), expected, strict=True):
        assert abs(found[name] - value) <= max(0.02 * value, 0.003), (name, found[name], value)


class InPlace(nn.Module):
    """A block that adds to its residual in place, after a norm has saved it, as Flux does."""

    def __init__(self):
        super().__init__()
        self.norm, self.linear = LayerNorm(6), Linear(6, 6)

    def forward(self, x):
        x = 1.5 * x
        x += self.linear(self.norm(x)).tanh()
        return x


@pytest.mark.parametrize("recompute", [False, True])
def test_in_place_residuals_have_the_right_gradient(host, recompute):
    from guidance_geometry.nodes.autograd import graph

    torch.manual_seed(0)
    module = nn.Sequential(InPlace(), InPlace())
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    with graph(module, recompute, in_place=True):
        leaf = x.clone().requires_grad_()
        (found,) = torch.autograd.grad(module(leaf).square().sum(), leaf)
    with torch.inference_mode(False), torch.enable_grad():
        by_hand = torch.autograd.functional.jacobian(lambda v: _plain(module, v).square().sum(), x.clone())
    assert torch.allclose(found, by_hand, rtol=1e-5, atol=1e-6)
    assert not any(block.norm._forward_pre_hooks for block in module)


def _plain(module, x):
    weights = [{k: v.clone() for k, v in block.state_dict().items()} for block in module]
    for own in weights:
        x = 1.5 * x
        normed = nn.functional.layer_norm(x, (6,), own["norm.weight"], own["norm.bias"])
        x = x + nn.functional.linear(normed, own["linear.weight"], own["linear.bias"]).tanh()
    return x


def test_without_the_copies_the_same_model_is_recognised_by_its_error(host):
    from guidance_geometry.nodes.autograd import IN_PLACE, graph

    module, x = nn.Sequential(InPlace(), InPlace()), torch.randn(3, 6)
    with graph(module, False, False):
        leaf = x.clone().requires_grad_()
        total = module(leaf).square().sum()
        with pytest.raises(RuntimeError, match=IN_PLACE):
            torch.autograd.grad(total, leaf)


def test_an_attention_without_backward_is_replaced_for_the_call(host):
    import comfy.ldm.modules.attention as attention

    from guidance_geometry.nodes.autograd import NO_BACKWARD, with_attention

    same, name = with_attention({"transformer_options": {"a": 1}})
    assert (same, name) == ({"transformer_options": {"a": 1}}, None)
    assert all(hasattr(attention, known) for known in NO_BACKWARD)


SMALL_VAE = {
    "embed_dim": 4,
    "ddconfig": {
        "double_z": True, "z_channels": 4, "resolution": 32, "in_channels": 3, "out_ch": 3, "ch": 32,
        "ch_mult": [1, 2], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0,
    },
}  # fmt: skip


def fill(weights, draws):
    """Random weights of a useful size: the host's layers start as whatever lay in memory."""
    for name, weight in weights.items():
        fresh = torch.randn(weight.shape, generator=draws) * (0.5 / max(weight[0].numel(), 1)) ** 0.5
        weight.copy_(fresh if weight.ndim > 1 else 0.1 * fresh + name.endswith("weight"))


@pytest.fixture
def latent_model(host):
    """A tiny model of the SD1.5 family with random weights, its condition, and a tiny VAE."""
    import comfy.model_patcher
    import comfy.sd
    import comfy.supported_models

    sizes = {
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32, "channel_mult": [1, 2],
        "num_res_blocks": [1, 1], "transformer_depth": [1, 1], "transformer_depth_middle": 1,
        "transformer_depth_output": [1, 1, 1, 1], "context_dim": 32, "use_spatial_transformer": True, "legacy": False,
        "use_temporal_attention": False,
    }  # fmt: skip
    config = comfy.supported_models.SD15(sizes)
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device="cpu")
    draws = torch.Generator().manual_seed(0)
    fill(dict(model.named_parameters()), draws)
    patcher = comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))
    sd = comfy.ldm.models.autoencoder.AutoencoderKL(**SMALL_VAE).state_dict()
    fill(sd, draws)
    vae = comfy.sd.VAE(sd=sd, config={"params": SMALL_VAE})
    context = [[torch.randn(1, 7, 32, generator=draws), {}]]
    return patcher, context, vae


@pytest.mark.parametrize("decoded", [False, True])
def test_a_latent_model_is_guided_through_its_pictures(latent_model, decoded):
    from guidance_geometry.guidance.gram import VECTORS

    from .test_bits import guided
    from .test_gradient_run import bright, chain_of

    model, context, vae = latent_model
    guidance = chain_of(bright(), evaluation="x0 + backprop", decoder=vae if decoded else None)
    latent = {"samples": torch.zeros(2, 4, 8, 8)}
    stored = [(w, w.is_inference(), w.clone()) for w in vae.first_stage_model.parameters()]
    out, _, trace = guided(model, context, context, latent, "euler", cfg=1.0, guidance=guidance, scheduler="normal")
    found = zip(stored, vae.first_stage_model.parameters(), strict=True)
    assert all(w is now and now.is_inference() == kind and torch.equal(now, value) for (w, kind, value), now in found)
    assert any(kind for _, kind, _ in stored)
    assert trace.header["vectors"] == [*VECTORS, "gradient"]
    assert (trace.record.dot("gradient", "gradient") > 0).all()
    assert out["samples"].isfinite().all()
    assert all(weight.is_inference() for weight in model.model.diffusion_model.parameters())
