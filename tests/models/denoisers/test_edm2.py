"""EDM2's network against a second statement of its arithmetic, written on plain tensors from the paper."""

import math

import pytest
import torch
from torch.nn import functional

from guidance_geometry.models.denoisers.edm2 import EDM2
from guidance_geometry.models.denoisers.latents import EDM2_LATENTS, PIXELS
from guidance_geometry.models.denoisers.reading import denoiser_of
from guidance_geometry.models.denoisers.spec import choose_spec
from guidance_geometry.tests.models.denoisers.networks import distance, network_of, pictures
from guidance_geometry.tests.tiny_edm2 import edm2_shapes, edm2_weights

SIZES = {"xs": (128, 125), "xxl": (448, 1523)}


class Restated:
    """F from a published state dict: its weights as they are stored, normalised where they are used."""

    def __init__(self, weights):
        self.weights = {name.removeprefix("unet."): weight for name, weight in weights.items()}

    def __getitem__(self, name):
        return self.weights[name]

    def kernel(self, name):
        """Force every row to unit length: w / |w|, up to the eps of the code."""
        weight = self[f"{name}.weight"].double()
        size = weight.flatten(1).norm(dim=1) + 1e-4 * math.sqrt(weight[0].numel())
        return (weight / size.reshape(-1, *[1] * (weight.ndim - 1))).float()

    def conv(self, name, h):
        kernel = self.kernel(name)
        return functional.conv2d(h, kernel, padding=kernel.shape[-1] // 2)

    def unit(self, h, dim):
        return h / (h.square().sum(dim, keepdim=True).sqrt() / math.sqrt(h.shape[dim]) + 1e-4)

    def blend(self, a, b, t):
        return ((1 - t) * a + t * b) / math.sqrt((1 - t) ** 2 + t**2)

    def block(self, name, x, e):
        coding = name.startswith("enc")
        if name.endswith("down"):
            x = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
        if name.endswith("up"):
            x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        skip = f"{name}.conv_skip" if f"{name}.conv_skip.weight" in self.weights else None
        if coding:
            x = self.unit(self.conv(skip, x) if skip else x, 1)
        h = self.conv(f"{name}.conv_res0", swish(x))
        factor = e @ (self.kernel(f"{name}.emb_linear") * self[f"{name}.emb_gain"]).T + 1
        h = self.conv(f"{name}.conv_res1", swish(h * factor[:, :, None, None]))
        x = self.conv(skip, x) if skip and not coding else x
        x = self.blend(x, h, 0.3)
        x = self.blend(x, self.attention(name, x), 0.3) if f"{name}.attn_qkv.weight" in self.weights else x
        return x.minimum(torch.tensor(256.0)).maximum(torch.tensor(-256.0))

    def attention(self, name, x):
        both, found = self.conv(f"{name}.attn_qkv", x).flatten(2), []
        for head in range(x.shape[1] // 64):
            q, k, v = (self.unit(both[:, 192 * head + part : 192 * (head + 1) : 3], 1) for part in range(3))
            share = (torch.einsum("bct,bcs->bts", q, k) / 8).softmax(dim=2)
            found.append(torch.einsum("bts,bcs->bct", share, v))
        return self.conv(f"{name}.attn_proj", torch.cat(found, dim=1).reshape(x.shape))

    def embedding(self, t, y):
        waves = math.sqrt(2) * (t[:, None] * self["emb_fourier.freqs"] + self["emb_fourier.phases"]).cos()
        e = waves @ self.kernel("emb_noise").T
        if "emb_label.weight" in self.weights:
            table = self.kernel("emb_label")
            e = self.blend(e, table.T[y] * math.sqrt(table.shape[1]), 0.5)
        return swish(e)

    def stages(self, part):
        return list(dict.fromkeys(".".join(key.split(".")[:2]) for key in self.weights if key.startswith(f"{part}.")))

    def __call__(self, x, t, y):
        e, kept = self.embedding(t, y), []
        x = torch.cat([x, torch.ones(len(x), 1, *x.shape[2:])], dim=1)
        for name in self.stages("enc"):
            x = self.conv(name, x) if name.endswith("_conv") else self.block(name, x, e)
            kept.append(x)
        for name in self.stages("dec"):
            if "_block" in name:
                other = kept.pop()
                na, nb = x.shape[1], other.shape[1]
                size = math.sqrt((na + nb) / 0.5)
                x = torch.cat([x * size / math.sqrt(na) / 2, other * size / math.sqrt(nb) / 2], dim=1)
            x = self.block(name, x, e)
        return self.conv("out_conv", x) * self["out_gain"]


def swish(h):
    return h / (1 + (-h).exp()) / 0.596


@pytest.mark.parametrize(("labels", "channels"), [(0, 3), (7, 4)])
def test_a_small_network_answers_as_the_second_statement(labels, channels):
    weights = edm2_weights(
        width=64, multipliers=(1, 2), side=16, depth=2, attends=(8,), labels=labels, channels=channels
    )
    x, t, y = pictures(2, channels, 16), torch.tensor([-1.2, 0.9]), torch.tensor([5, 0])
    wanted = Restated(weights)(x, t, y)
    assert distance(network_of(denoiser_of("edm2", weights, None))(x, t, y), wanted) <= 1e-5


@pytest.mark.parametrize(("name", "labels", "channels"), [("xs", 1000, 4), ("xxl", 1000, 3), ("xs", 0, 4)])
def test_a_published_file_is_known_by_its_shapes(name, labels, channels):
    width, millions = SIZES[name]
    stored = edm2_shapes(width=width, labels=labels, channels=channels)
    assert EDM2.recognises(stored, {})
    sizes = EDM2.sizes(stored)
    network = EDM2.network(sizes, EDM2.labels(stored), device="meta")
    inner = {key.removeprefix("unet."): shape for key, shape in stored.items() if key.startswith("unet.")}
    assert {key: tuple(weight.shape) for key, weight in network.state_dict().items()} == inner
    learned = [shape for key, shape in stored.items() if "fourier" not in key]
    if labels:
        assert abs(sum(math.prod(shape) for shape in learned) / 1e6 - millions) < 0.5
    published = EDM2.published(sizes)
    assert (published.channels, published.image_size, published.multiple) == (channels, 64, 8)
    assert published.latents is (PIXELS if channels == 3 else EDM2_LATENTS)


def test_the_spec_says_what_the_paper_says():
    weights = edm2_weights(width=64, multipliers=(1, 1), side=16, depth=1, attends=(8,), labels=3)
    spec = choose_spec(denoiser_of("edm2", weights, None).spec)
    assert (spec.parametrisation, spec.schedule, spec.time, spec.sigma_data) == ("edm", "edm", "log_sigma", 0.5)
    assert (spec.levels.sigma_min, spec.levels.sigma_max) == (0.002, 80)
    assert (spec.labels, spec.null_index) == (("0", "1", "2"), None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unet.enc.16x16_conv.weight": (64, 3, 3, 3)}, r"takes 2 channels and a constant, and .* takes 3 or 4"),
        ({"unet.enc.8x8_block0.conv_res0.weight": (32, 64, 3, 3)}, "has 32 channels for heads of 64"),
    ],
)
def test_a_network_of_another_kind_is_refused(changes, message):
    shapes = edm2_shapes(width=64, multipliers=(1, 1), side=16, depth=1, attends=(8,), labels=3) | changes
    with pytest.raises(ValueError, match=message):
        denoiser_of("edm2", {key: torch.zeros(shape) for key, shape in shapes.items() if shape is not None}, None)
