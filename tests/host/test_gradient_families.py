"""Gradients beyond the demo: in-place residuals, odd weights and attentions, a latent model with its VAE."""

from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from latent_preview import Latent2RGBPreviewer
from torch import nn
from torch.nn import LayerNorm, Linear

from guidance_geometry.dev.fixtures.tiny_families import decoder, family, latent, latent_formats, text
from guidance_geometry.guidance.gradients.term import GradientOptions
from guidance_geometry.host.sampling.autograd import IN_PLACE, copies_of_saved, graph, normal, without_underflow
from guidance_geometry.host.sampling.pictures import has_colours, picture_of

from .chains import bright, chain_of
from .runs import guided, observed


class InPlace(nn.Module):
    """A block that adds to its residual in place, after a norm has saved it, as Flux does."""

    def __init__(self):
        super().__init__()
        self.norm, self.linear = LayerNorm(6), Linear(6, 6)

    def forward(self, x):
        x = 1.5 * x
        x += self.linear(self.norm(x)).tanh()
        return x

    def apart(self, x):
        """The same on a copy."""
        return 1.5 * x + self.linear(self.norm(1.5 * x)).tanh()


@pytest.mark.parametrize("recompute", [False, True])
def test_in_place_residuals_have_the_right_gradient(host, recompute):
    torch.manual_seed(0)
    module = nn.Sequential(InPlace(), InPlace())
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    with normal([module]), graph(module, recompute), copies_of_saved(module):
        leaf = x.clone().requires_grad_()
        (found,) = torch.autograd.grad(module(leaf).square().sum(), leaf)
    with normal([module]), graph(module, recompute=False):
        leaf = x.clone().requires_grad_()
        (by_hand,) = torch.autograd.grad(module[1].apart(module[0].apart(leaf)).square().sum(), leaf)
    assert torch.allclose(found, by_hand, rtol=1e-5, atol=1e-6)
    assert not any(part._forward_pre_hooks for part in module.modules())
    with normal([module]), graph(module, recompute=False):
        leaf = x.clone().requires_grad_()
        with pytest.raises(RuntimeError, match=IN_PLACE):  # as it is without the copies
            torch.autograd.grad(module(leaf).square().sum(), leaf)


asked: list[Any] = []  # what `forgetful` stood for, call by call


def forgetful(hosts, *args, **named):
    """As a kernel that registers no backward."""
    asked.append(hosts)
    with torch.no_grad():
        return hosts(*args, **named)


@torch.library.custom_op("guidance_geometry_tests::unregistered", mutates_args=())
def unregistered(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


def unwilling(hosts, *args, **named):
    """As an operation of PyTorch's registry that fails on the way back only."""
    return unregistered(hosts(*args, **named))


@pytest.mark.parametrize(
    ("attention", "recompute", "words"),
    [(forgetful, False, "forgetful has no backward"), (unwilling, True, "PyTorch computes its attention instead")],
)
def test_an_attention_without_backward_is_replaced_and_the_gradient_is_whole(host, attention, recompute, words):
    """Residuals around it would carry a part of the gradient, and nobody would see that the rest is missing."""
    model, cond = family("SD15"), text("SD15", 0)
    other, latent = model.clone(), {"samples": torch.zeros(2, 4, 8, 8)}
    other.model_options["transformer_options"]["optimized_attention_override"] = attention
    guidance = chain_of(bright(), evaluation="x0 + backprop", options=GradientOptions(checkpoint=recompute))
    plain, found = (observed((one, cond, cond), latent, "euler", guidance) for one in (model, other))
    for one, same in zip(plain, found, strict=True):
        wanted, gradient = one.evaluation.gradients["gradient"], same.evaluation.gradients["gradient"]
        assert wanted.abs().max() > 0
        assert torch.allclose(gradient, wanted, rtol=1e-3, atol=1e-5 * float(wanted.abs().max()))
    counts = []
    for steps in (2, 4):
        asked.clear()
        given = {"scheduler": "normal", "steps": steps, "cfg": 1.0, "guidance": guidance}
        trace = guided(other, cond, cond, latent, "euler", **given)[2]
        assert sum(words in note for note in trace.header["notes"]) == 1
        counts.append(len(asked))
    assert counts[0] == counts[1], "after the first evaluation nobody asks it again"


def test_the_decoded_picture_is_the_hosts_before_it_clamps(host):
    model, vae = family("SD15"), decoder()
    x0 = 2 * torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    picture, small = picture_of(model, vae), picture_of(model, vae, shrink=2)
    with torch.inference_mode(False), torch.no_grad(), picture.ready():
        seen = picture(x0)
    hosts = vae.decode(model.get_model_object("latent_format").process_out(x0)).movedim(-1, 1) * 2 - 1
    assert torch.allclose(seen.clamp(-1, 1), hosts, atol=1e-5)
    assert seen.abs().max() > 1.1, "where the host clamps there would be no gradient"
    with torch.inference_mode(False), torch.enable_grad(), small.ready():
        leaf = x0.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(small(leaf).square().sum(), leaf)
    assert (gradient == 0).sum() == 0, "a smaller picture reaches every place"


def test_preview_colours_are_the_hosts(host):
    formats = {name: found for name, found in latent_formats().items() if has_colours(found)}
    assert {"SD15", "Flux2", "Wan21", "HunyuanVideo", "LTXV"} <= set(formats)
    for name, found in formats.items():
        size = (1, found.latent_channels, *(1,) * (found.latent_dimensions - 2), 4, 6)
        x0 = 0.1 * torch.randn(size, generator=torch.Generator().manual_seed(3))
        reshape = getattr(found, "latent_rgb_factors_reshape", None)
        hosts = Latent2RGBPreviewer(found.latent_rgb_factors, found.latent_rgb_factors_bias, reshape)
        wanted = torch.from_numpy(numpy.array(hosts.decode_latent_to_preview(x0))).flatten(0, 1) / 127.5 - 1
        picture = picture_of(model_of(found), None)
        seen = picture(x0).clamp(-1, 1)[0].flatten(1).T
        assert (seen - wanted).abs().max() <= 2 / 127.5, f"{name}: the host rounds to bytes"


def model_of(latent_format):
    """What is asked of a MODEL about its latents."""
    return SimpleNamespace(get_model_object={"latent_format": latent_format}.get)


def test_the_way_back_through_half_precision_keeps_small_gradients(host):
    """Each sample by its own size: the second is asked far more faintly than the first."""
    small = 2.0**-20
    torch.manual_seed(0)
    with torch.inference_mode(False):
        layers = nn.Sequential(Linear(6, 16), nn.SiLU(), Linear(16, 6)).half()

    def module(x):
        return layers(x.half()).float()

    with torch.inference_mode(False), torch.enable_grad():
        leaf = torch.linspace(-1, 1, 18).reshape(3, 6).requires_grad_()
        sizes, asked = torch.tensor([1.0, small, 0.0])[:, None], torch.linspace(0.2, 1.0, 6).expand(3, 6)
        (plain,) = torch.autograd.grad(module(leaf), leaf, sizes * asked)
        kept, whole = (torch.autograd.grad(without_underflow(module, leaf), leaf, v)[0] for v in (sizes * asked, asked))
    assert torch.equal(kept, sizes * whole)
    assert not torch.allclose(plain[1], small * whole[1], rtol=0.05, atol=0)
    assert torch.allclose(plain[0], whole[0], rtol=0.01)


@pytest.fixture(scope="module")
def latent_parts(host):
    """MODEL, two conditions and the VAE of a tiny SD15."""
    with torch.inference_mode():
        return family("SD15"), text("SD15", 0), text("SD15", 1), decoder()


def chained(vae, evaluation="x0", **knobs):
    return chain_of(bright(), evaluation=evaluation, decoder=vae, **knobs)


def pushed(parts, chain):
    """The notes of a run with the chain, whose samples differ from those without it."""
    given, run = (*parts[:3], latent("SD15"), "euler"), {"scheduler": "normal", "steps": 2}
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
