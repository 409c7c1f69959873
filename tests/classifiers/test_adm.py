"""Guided-diffusion classifiers against a second statement of their arithmetic, written on plain tensors."""

import math

import pytest
import torch
from torch.nn import functional

from guidance_geometry.classifiers.adm import SIZES, AdmClassifier, AdmEntrance, adm_size, schedule_sigmas
from guidance_geometry.classifiers.reading import open_classifier
from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.networks import imagenet
from guidance_geometry.tests.classifiers.slopes import lively, noise, slope_error

COUNTS = {64: (307, 65_438_568), 128: (221, 42_568_040), 256: (249, 54_096_360), 512: (281, 54_448_360)}
BY_SIDE = {size.side: size for size in SIZES}


def small_network():
    """The smallest size at half width."""
    return lively(AdmClassifier(BY_SIDE[64], labels=7, width=64))


class Restated:
    """Logits from a state dict: every layer called by its released name, attention head by head."""

    def __init__(self, weights, side, legacy=True):
        self.weights, self.side, self.legacy = weights, side, legacy

    def norm(self, name, h):
        groups = h.flatten(2).reshape(len(h), 32, -1).double()
        centred = groups - groups.mean(2, keepdim=True)
        scaled = (centred / (centred.square().mean(2, keepdim=True) + 1e-5).sqrt()).reshape(h.shape).float()
        scale, shift = (self.weights[f"{name}.{part}"].view(1, -1, *(1,) * (h.ndim - 2)) for part in ("weight", "bias"))
        return scaled * scale + shift

    def conv(self, name, h):
        kernel = self.weights[f"{name}.weight"]
        return functional.conv2d(h, kernel, self.weights[f"{name}.bias"], padding=kernel.shape[-1] // 2)

    def mixed(self, name, h):
        kernel = self.weights[f"{name}.weight"]
        kernel = kernel[:, :, 0] if kernel.ndim == 3 else kernel
        return torch.einsum("oc,bct->bot", kernel, h) + self.weights[f"{name}.bias"][:, None]

    def heads(self, qkv, together):
        channels, found = qkv.shape[1] // 3, []
        for head in range(channels // 64):
            starts = [(3 * head + part) * 64 if together else part * channels + head * 64 for part in range(3)]
            q, k, v = (qkv[:, start : start + 64] for start in starts)
            share = (torch.einsum("bct,bcs->bts", q, k) / 8).softmax(dim=2)
            found.append(torch.einsum("bts,bcs->bct", share, v))
        return torch.cat(found, dim=1)

    def residual(self, name, h, emb, down=False):
        inner = swish(self.norm(f"{name}.in_layers.0", h))
        inner = self.conv(f"{name}.in_layers.2", halved(inner) if down else inner)
        both = self.mixed(f"{name}.emb_layers.1", swish(emb)[:, :, None])[..., None]
        scale, shift = both[:, : inner.shape[1]], both[:, inner.shape[1] :]
        inner = self.norm(f"{name}.out_layers.0", inner) * (1 + scale) + shift
        h = halved(h) if down else h
        h = self.conv(f"{name}.skip_connection", h) if f"{name}.skip_connection.weight" in self.weights else h
        return h + self.conv(f"{name}.out_layers.3", swish(inner))

    def attention(self, name, h):
        qkv = self.mixed(f"{name}.qkv", self.norm(f"{name}.norm", h.flatten(2)))
        return h + self.mixed(f"{name}.proj_out", self.heads(qkv, self.legacy)).reshape(h.shape)

    def embedding(self, time):
        half = self.weights["time_embed.0.weight"].shape[1] // 2
        angles = time[:, None] * torch.tensor([math.exp(-math.log(10000) * i / half) for i in range(half)])
        features = torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)[:, :, None]
        return self.mixed("time_embed.2", swish(self.mixed("time_embed.0", features)))[:, :, 0]

    def encoded(self, x, emb):
        size, index, h = BY_SIDE[self.side], 1, self.conv("input_blocks.0.0", x)
        for level in range(len(size.widths)):
            for _ in range(size.depth):
                h = self.residual(f"input_blocks.{index}.0", h, emb)
                h = self.attention(f"input_blocks.{index}.1", h) if h.shape[-1] in (32, 16, 8) else h
                index += 1
            if level < len(size.widths) - 1:
                h = self.residual(f"input_blocks.{index}.0", h, emb, down=True)
                index += 1
        return h

    def logits(self, x, time):
        emb = self.embedding(time)
        h = self.residual("middle_block.0", self.encoded(x, emb), emb)
        h = self.residual("middle_block.2", self.attention("middle_block.1", h), emb)
        h = swish(self.norm("out.0", h)).flatten(2)
        tokens = torch.cat([h.mean(2, keepdim=True), h], dim=2) + self.weights["out.2.positional_embedding"]
        return self.mixed("out.2.c_proj", self.heads(self.mixed("out.2.qkv_proj", tokens), False))[:, :, 0]


def swish(h):
    return h / (1 + (-h).exp())


def halved(h):
    return (h[..., ::2, ::2] + h[..., 1::2, ::2] + h[..., ::2, 1::2] + h[..., 1::2, 1::2]) / 4


@pytest.mark.parametrize("side", COUNTS)
def test_the_released_sizes_have_their_tensors_and_parameters(side):
    network = AdmClassifier(BY_SIDE[side], device="meta")
    assert (len(network.state_dict()), sum(p.numel() for p in network.parameters())) == COUNTS[side]
    assert adm_size(network.state_dict()) is BY_SIDE[side]


@pytest.mark.slow
@pytest.mark.matrix(parts=4)
@pytest.mark.parametrize("side", COUNTS)
def test_a_stored_file_of_a_released_size_has_the_logits_of_the_second_statement(tmp_path, side):
    weights = lively(AdmClassifier(BY_SIDE[side])).state_dict()
    write_safetensors(tmp_path / "adm.safetensors", weights, {})
    loaded = open_classifier(tmp_path / "adm.safetensors", None)
    kept = loaded.network.state_dict()
    assert (len(kept), sum(weight.numel() for weight in kept.values())) == COUNTS[side]
    assert kept.keys() == weights.keys()
    assert all(torch.equal(weight, weights[name]) for name, weight in kept.items())
    assert loaded.noise_aware
    x, sigma = noise((1, 3, side, side)), torch.tensor([1.7])
    seen, time = AdmEntrance(BY_SIDE[side].schedule)(x, sigma, torch.ones(1))
    assert (loaded.logits(x, sigma) - Restated(weights, side).logits(seen, time)).abs().max() <= 1e-4


def test_the_two_attention_orders_are_not_the_same():
    network, x, time = small_network(), noise((1, 3, 64, 64)), torch.tensor([300.5])
    right, wrong = (Restated(network.state_dict(), 64, legacy).logits(x, time) for legacy in (True, False))
    assert (network(x, time) - right).abs().max() <= 1e-4 * right.abs().max()  # 64 .. 256 channels: up to four heads
    assert (right - wrong).abs().max() > 1e-2 * right.abs().max()


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_noise_level_finds_its_own_time(schedule):
    levels, entrance = schedule_sigmas(schedule), AdmEntrance(schedule)
    for time in (0, 1, 250, 500, 999):
        assert entrance.time_of(levels[time : time + 1].float()) == pytest.approx(time, abs=1e-2)
    between = (levels[300] * levels[301]).sqrt().float()[None]
    assert entrance.time_of(between) == pytest.approx(300.5, abs=1e-2)
    assert entrance.time_of(torch.tensor([1e-9, 1e9])).tolist() == [0, 999]


def test_the_linear_schedule_is_the_product_of_its_steps():
    kept, levels = 1.0, schedule_sigmas("linear")
    for index in range(1000):
        kept *= 1 - (1e-4 + (0.02 - 1e-4) * index / 999)
        assert levels[index] == pytest.approx(math.sqrt((1 - kept) / kept), rel=1e-9)


def test_the_cosine_schedule_is_the_papers_share_until_its_cap():
    def share(t):
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    levels = schedule_sigmas("cosine")
    for index in (0, 10, 500, 990):
        kept = share((index + 1) / 1000) / share(0)
        assert levels[index] == pytest.approx(math.sqrt((1 - kept) / kept), rel=1e-9)


@pytest.mark.parametrize(("sigma", "alpha"), [(3.0, 1.0), (0.75, 0.25)])
def test_the_sample_is_scaled_to_preserve_variance(sigma, alpha):
    x = noise((2, 3, 4, 4))
    seen, time = AdmEntrance("linear")(x, torch.full((2,), sigma), torch.full((2,), alpha))
    assert (seen - x / math.hypot(sigma, alpha)).abs().max() <= 1e-6
    assert torch.equal(time, AdmEntrance("linear").time_of(torch.full((2,), 3.0)))


def test_the_gradient_is_the_slope_in_the_samplers_coordinates(tmp_path):
    write_safetensors(tmp_path / "adm.safetensors", small_network().state_dict(), {"gg.schedule": "linear"})
    loaded = open_classifier(tmp_path / "adm.safetensors", None)
    assert loaded.enter.schedule == "linear"
    assert slope_error(lambda x: loaded.logits(x, 3.0).log_softmax(1)[:, 2], noise((1, 3, 64, 64)), 1e-2) <= 1e-2


def test_another_size_is_refused_and_not_resized(tmp_path):
    write_safetensors(tmp_path / "adm.safetensors", small_network().half().state_dict(), {})
    loaded = open_classifier(tmp_path / "adm.safetensors", None)
    with pytest.raises(ValueError, match="reads samples of 3 x 64 x 64 but got 3 x 32 x 32"):
        loaded.logits(torch.zeros(1, 3, 32, 32), 1.0)


@pytest.mark.parametrize(
    ("count", "said", "labels"),
    [
        (1000, {}, imagenet.LABELS),
        (7, {}, tuple("0123456")),
        (7, {"gg.labels": '["a", "b", "c", "d", "e", "f", "g"]'}, tuple("abcdefg")),
    ],
    ids=["a thousand are ImageNet's", "others are numbers", "the file has the last word"],
)
def test_labels_are_the_released_ones_unless_the_file_names_them(tmp_path, count, said, labels):
    network = lively(AdmClassifier(BY_SIDE[64], labels=count, width=64))
    write_safetensors(tmp_path / "adm.safetensors", network.state_dict(), said)
    assert open_classifier(tmp_path / "adm.safetensors", None).labels == labels


def test_a_schedule_nobody_trained_on_is_refused(tmp_path):
    write_safetensors(tmp_path / "adm.safetensors", small_network().half().state_dict(), {"gg.schedule": "edm"})
    with pytest.raises(ValueError, match=r"gg\.schedule is 'edm'"):
        open_classifier(tmp_path / "adm.safetensors", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time_embed.0.weight": torch.zeros(())}, r"has time_embed\.0\.weight of \(\)"),
        ({"time_embed.0.weight": torch.zeros(64, 16)}, r"has time_embed\.0\.weight of \(64, 16\)"),
        ({"out.2.c_proj.weight": torch.zeros(())}, r"'out\.2\.c_proj\.weight' has shape \(\)"),
        ({"out.0.bias": torch.zeros(256).long()}, r"'out\.0\.bias' holds whole numbers"),
        ({"input_blocks.40.0.weight": torch.zeros(1)}, "has 41 input blocks"),
        ({"input_blocks.x.0.weight": torch.zeros(1)}, r"'input_blocks\.x\.0\.weight' has no place"),
    ],
)
def test_a_changed_network_is_refused(tmp_path, change, message):
    weights = {key: tensor.half() for key, tensor in small_network().state_dict().items()} | change
    write_safetensors(tmp_path / "adm.safetensors", weights, {})
    with pytest.raises(ValueError, match=rf"adm\.safetensors.*{message}"):
        open_classifier(tmp_path / "adm.safetensors", None)
