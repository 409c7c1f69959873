"""Gradients beyond the demo: in-place residuals, odd weights and attentions, a latent model with its VAE."""

from functools import partial
from types import SimpleNamespace

import comfy.ldm.modules.attention as attention
import numpy
import pytest
import torch
from latent_preview import Latent2RGBPreviewer
from torch import nn
from torch.nn import LayerNorm, Linear

from guidance_geometry.dev.fixtures.tiny_families import decoder, family, latent_formats, text
from guidance_geometry.guidance.gradients.term import GradientOptions
from guidance_geometry.host.autograd import IN_PLACE, copies_of_saved, graph, normal, without_underflow
from guidance_geometry.host.pictures import LinearColours, has_colours, picture_of, smaller, still

from .chains import bright, chain_of
from .collected import observed
from .runs import guided


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


class Keeping(nn.Module):
    """A block that reads a list of earlier states and leaves its own there, or in a dict that it was given."""

    def forward(self, x, states):
        latest = states[-1] if isinstance(states, list) else states.get("latest", x)
        x = x * latest.sin() + 1
        if isinstance(states, list):
            states.append(x)
        else:
            states["latest"] = x
        return x


class Reading(nn.Module):
    """One that only looks there."""

    def forward(self, x, states):
        return x * sum(one.cos() for one in (states if isinstance(states, list) else states.values()))


@pytest.mark.parametrize(("kinds", "container"), [([Reading, Reading], list), ([Keeping, Keeping, Reading], dict)])
def test_blocks_computed_twice_share_lists_and_dicts(host, kinds, container):
    found, blocks = [], nn.ModuleList(kind() for kind in kinds)
    for recompute in (False, True):
        with normal([blocks]), graph(nn.ModuleList([blocks]), recompute):
            leaf = torch.linspace(0.5, 1, 6).requires_grad_()
            states, y = [2 * leaf] if container is list else {"first": 2 * leaf}, leaf
            for block in blocks:
                y = block(y, states)
            found.append((*torch.autograd.grad((y + leaf).sum(), leaf), len(states)))
    assert torch.allclose(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_a_quantised_weight_stays_what_it_is(host):
    """The host's own is a tensor around two others, the numbers and their scale."""
    quantised = pytest.importorskip("comfy.quant_ops", reason="this host has no quantised weights").QuantizedTensor

    layer, x = Linear(16, 16, bias=False), torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    weight = quantised.from_float(torch.randn(16, 16), "TensorCoreFP8Layout")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    plain = layer(x)
    with normal([layer]), graph(layer, recompute=False):
        leaf = x.clone().requires_grad_()
        found = layer(leaf)
        (gradient,) = torch.autograd.grad(found.sum(), leaf)
        assert layer.weight.data_ptr() == weight.data_ptr()
    assert torch.allclose(found, plain, rtol=1e-6, atol=1e-5), "a newer host multiplies in another order for a gradient"
    assert torch.allclose(gradient, weight.dequantize().sum(dim=0).expand(2, -1), rtol=1e-5, atol=1e-5)


class Packed(torch.Tensor):
    """Whole numbers with a note of what they stand for, as packs that read GGUF files keep weights."""

    def detach(self):
        return self


class Unpacking(nn.Module):
    def __init__(self, weight):
        super().__init__()
        packed = weight.as_subclass(Packed)
        packed.step = 0.5
        self.weight = nn.Parameter(packed, requires_grad=False)

    def forward(self, x):
        return nn.functional.linear(x, self.weight.as_subclass(torch.Tensor) * getattr(self.weight, "step", 0))


def test_a_weight_of_another_packs_kind_keeps_its_notes(host):
    numbers = torch.randint(0, 9, (6, 6), dtype=torch.uint8)
    module = Unpacking(numbers)
    with normal([module]), graph(module, recompute=False):
        leaf = torch.ones(2, 6).requires_grad_()
        (gradient,) = torch.autograd.grad(module(leaf).sum(), leaf)
        assert not module.weight.is_inference()
    assert torch.equal(gradient, 0.5 * numbers.float().sum(dim=0).expand(2, -1))
    assert module.weight.is_inference()


def forgetful(hosts, *args, **named):
    """As a kernel that registers no backward."""
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
    trace = guided(other, cond, cond, latent, "euler", scheduler="normal", cfg=1.0, guidance=guidance)[2]
    assert sum(words in note for note in trace.header["notes"]) == 1


def test_an_attention_that_nothing_can_replace_is_said(host, pocket, empty_latent, monkeypatch):
    """Pocket stands for models that call theirs without the wire's options."""
    monkeypatch.setattr(attention, "optimized_attention", partial(forgetful, attention.attention_pytorch))
    guidance = chain_of(bright(), evaluation="x0 + backprop")
    trace = guided(*pocket("fp32"), empty_latent("pocket", 1), "euler", cfg=1.0, steps=3, guidance=guidance)[2]
    assert any("--use-pytorch-cross-attention" in note for note in trace.header["notes"])


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


def test_a_single_frame_is_a_picture_and_a_film_is_refused(host):
    found = latent_formats()["Wan21"]
    with pytest.raises(ValueError, match="energies read single pictures"):
        LinearColours(found)(torch.zeros(1, found.latent_channels, 3, 4, 6))
    found.latent_channels += 8
    with pytest.raises(ValueError, match="no preview colours"):
        picture_of(model_of(found), None)
    frame = torch.randn(2, 3, 1, 8, 8)
    assert torch.equal(still(frame), frame[:, :, 0])
    assert still(frame[:, :, 0]).shape == (2, 3, 8, 8)
    with pytest.raises(ValueError, match="energies read single pictures"):
        still(frame.expand(2, 3, 5, 8, 8))


def test_what_is_made_smaller_keeps_its_mean_and_its_frames(host):
    video = torch.randn(2, 4, 3, 8, 12, generator=torch.Generator().manual_seed(3))
    found = smaller(video, 4)
    assert found.shape == (2, 4, 3, 2, 3)
    assert torch.equal(found[:, :, 1], smaller(video[:, :, 1], 4))
    assert torch.allclose(smaller(torch.full((1, 4, 5, 5), 0.7), 2), torch.full((1, 4, 2, 2), 0.7))
    assert smaller(video, 1) is video


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
