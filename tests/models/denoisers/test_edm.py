"""EDM's three networks against a second statement of their arithmetic, written on plain tensors from the papers."""

import json
import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from guidance_geometry.models.denoisers.edm import EDM
from guidance_geometry.models.denoisers.edm_baselines import IDDPM
from guidance_geometry.models.denoisers.reading import denoiser_of
from guidance_geometry.models.denoisers.spec import choose_spec
from guidance_geometry.tests.models.denoisers.networks import distance, network_of, pictures, shapes_of
from guidance_geometry.tests.tiny_networks import with_filters

# kind, side, width, multipliers, depth, classes, augmented, parameters in millions
PUBLISHED = {
    "edm-cifar10-32x32-cond-vp": ("ddpmpp", 32, 128, (2, 2, 2), 4, 10, True, 55.735299),
    "edm-cifar10-32x32-cond-ve": ("ncsnpp", 32, 128, (2, 2, 2), 4, 10, True, 56.400643),
    "edm-ffhq-64x64-uncond-vp": ("ddpmpp", 64, 128, (1, 2, 2, 2), 4, 0, True, 61.805571),
    "edm-afhqv2-64x64-uncond-ve": ("ncsnpp", 64, 128, (1, 2, 2, 2), 4, 0, True, 62.761091),
    "edm-imagenet-64x64-cond-adm": ("adm", 64, 192, (1, 2, 3, 4), 3, 1000, False, 295.899267),
}
ATTENDS = {"ddpmpp": (16,), "ncsnpp": (16,), "adm": (32, 16, 8)}
SMALL = {"ddpmpp": 16, "ncsnpp": 16, "adm": 64}


def sizes_of(name, **changes):
    """What a reader should find in the file of a published configuration."""
    kind, side, width, multipliers, depth, classes, *_ = PUBLISHED[name]
    width, depth = changes.get("width", width), changes.get("depth", depth)
    sizes = {"kind": kind, "side": side, "seen": 3, "depth": depth, "taps": 4 if kind == "ncsnpp" else 2}
    sizes |= {"stem": width, "emb": 4 * width, "noise": 2 * width if kind == "ncsnpp" else width, "classes": classes}
    sizes["attends"] = [level for level in range(len(multipliers)) if side >> level in ATTENDS[kind]]
    return sizes | {"widths": [factor * width for factor in multipliers]}


class Restated:
    """F from a state dict: every layer called by its published name, attention head by head."""

    def __init__(self, weights, kind):
        self.weights, self.kind, self.song = weights, kind, kind != "adm"
        self.shrink = math.sqrt(2) if self.song else 1

    def __getitem__(self, name):
        return self.weights[name]

    def norm(self, name, h):
        channels = h.shape[1]
        groups = h.double().reshape(len(h), min(32, channels // 4), -1)
        spread = groups.var(dim=2, unbiased=False, keepdim=True) + (1e-6 if self.song else 1e-5)
        level = ((groups - groups.mean(dim=2, keepdim=True)) / spread.sqrt()).reshape(h.shape).float()
        return level * self[f"{name}.weight"][:, None, None] + self[f"{name}.bias"][:, None, None]

    def conv(self, name, h):
        kernel = self[f"{name}.weight"]
        return functional.conv2d(h, kernel, self[f"{name}.bias"], padding=kernel.shape[-1] // 2)

    def dense(self, name, h):
        bias = self.weights.get(f"{name}.bias")
        return torch.einsum("oi,bi->bo", self[f"{name}.weight"], h) + (0 if bias is None else bias)

    def filtered(self, h, times, known=False):
        """[1, 1] or [1, 3, 3, 1] along both sides; then every second place, or zeros between places before it.

        known: whether what lies beyond the edge is there already, and no zeros are put there.
        """
        row = torch.tensor([1.0, 3.0, 3.0, 1.0] if self.kind == "ncsnpp" else [1.0, 1.0])
        row, edge = row / row.sum(), (len(row) - 1) // 2
        if times == 2:
            spread = torch.zeros(*h.shape[:2], 2 * h.shape[2], 2 * h.shape[3])
            spread[:, :, ::2, ::2] = 4 * h
            h = spread
        before = edge if times < 1 else len(row) - 1 - edge
        h = h if known else functional.pad(h, (before, len(row) - 1 - before) * 2)
        for axis in (3, 2):
            h = h.unfold(axis, len(row), 1) @ row
        return h[:, :, ::2, ::2] if times < 1 else h

    def block(self, name, x, e):
        times = 0.5 if name.endswith("down") else 2 if name.endswith("up") else 1
        h = swish(self.norm(f"{name}.norm0", x))
        h = self.conv(f"{name}.conv0", h if times == 1 else self.filtered(h, times))
        said = self.dense(f"{name}.affine", e)[:, :, None, None]
        if self.song:
            h = swish(self.norm(f"{name}.norm1", h + said))
        else:
            scale, shift = said[:, : h.shape[1]], said[:, h.shape[1] :]
            h = swish(self.norm(f"{name}.norm1", h) * (scale + 1) + shift)
        x = x if times == 1 else self.filtered(x, times)
        x = self.conv(f"{name}.skip", x) if f"{name}.skip.weight" in self.weights else x
        x = (self.conv(f"{name}.conv1", h) + x) / self.shrink
        return self.attention(name, x) if f"{name}.qkv.weight" in self.weights else x

    def attention(self, name, x):
        batch, channels, *sides = x.shape
        width = channels if self.song else 64
        both, found = self.conv(f"{name}.qkv", self.norm(f"{name}.norm2", x)).flatten(2), []
        for head in range(channels // width):
            q, k, v = (both[:, 3 * width * head + part : 3 * width * (head + 1) : 3] for part in range(3))
            share = (torch.einsum("bct,bcs->bts", q, k) / math.sqrt(width)).softmax(dim=2)
            found.append(torch.einsum("bts,bcs->bct", share, v))
        told = torch.cat(found, dim=1).reshape(batch, channels, *sides)
        return (x + self.conv(f"{name}.proj", told)) / self.shrink

    def embedding(self, t, y):
        width = self["map_layer0.weight"].shape[1]
        half, table = width // 2, self.weights.get("map_label.weight")
        if self.kind == "ncsnpp":
            angles = 2 * math.pi * t[:, None] * self["map_noise.freqs"]
        else:
            last = half - 1 if self.song else half
            angles = t[:, None] * torch.tensor([10000 ** (-k / last) for k in range(half)])
        waves = [angles.sin(), angles.cos()] if self.song else [angles.cos(), angles.sin()]
        e, label = torch.cat(waves, dim=1), 0
        if table is not None:
            label = table.T[y] * (math.sqrt(table.shape[1]) if self.song else 1) + self.weights.get("map_label.bias", 0)
        e = swish(self.dense("map_layer0", e + label if self.song else e))
        return swish(self.dense("map_layer1", e) + (0 if self.song else label))

    def stages(self, part):
        return list(dict.fromkeys(".".join(key.split(".")[:2]) for key in self.weights if key.startswith(f"{part}.")))

    def __call__(self, x, t, y):
        e, kept, picture = self.embedding(t, y), [], x
        for name in self.stages("enc"):
            if name.endswith("aux_residual"):
                wide = functional.conv2d(picture, self[f"{name}.weight"], self[f"{name}.bias"], padding=2)
                kept[-1] = picture = x = (x + self.filtered(wide, 0.5, known=True)) / math.sqrt(2)
            else:
                x = self.conv(name, x) if name.endswith("_conv") else self.block(name, x, e)
                kept.append(x)
        for name in self.stages("dec"):
            if "aux" not in name:
                x = self.block(name, torch.cat([x, kept.pop()], dim=1) if "_block" in name else x, e)
        norm, out = self.stages("dec")[-2:] if self.song else ("out_norm", "out_conv")
        return self.conv(out, swish(self.norm(norm, x)))


def swish(h):
    return h / (1 + (-h).exp())


def small(name):
    """A file of a small network of a kind: its own weights, random; the filters are those of its kind."""
    kind = PUBLISHED[name][0]
    sizes = sizes_of(name, width=SMALL[kind], depth=1)
    network = with_filters(EDM.network(sizes, sizes["classes"]))
    if kind == "ncsnpp":
        freqs = network.get_buffer("map_noise.freqs")
        freqs.copy_(16 * torch.randn(freqs.shape))
    return denoiser_of(name, {f"model.{key}": weight for key, weight in network.state_dict().items()}, None)


@pytest.mark.parametrize("name", [name for name in PUBLISHED if "-cond-" in name])
def test_a_small_network_of_each_kind_answers_as_the_second_statement(name):
    file = small(name)
    side = PUBLISHED[name][1] // (2 if PUBLISHED[name][0] == "adm" else 1)
    x, t, y = pictures(2, 3, side), torch.tensor([-1.2, 0.9]), torch.tensor([1, 0])
    wanted = Restated(file.weights, PUBLISHED[name][0])(x, t, y)
    assert distance(network_of(file)(x, t, y), wanted) <= 1e-5


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_file_is_known_by_its_shapes(name):
    _, side, _, multipliers, _, classes, augmented, millions = PUBLISHED[name]
    wanted = sizes_of(name)
    shapes = shapes_of(EDM.network(wanted, classes, device="meta"))
    stored = shapes | ({"map_augment.weight": (wanted["noise"], 9)} if augmented else {})
    assert EDM.recognises(stored, {})
    assert (EDM.sizes(stored), EDM.labels(stored), EDM.state_dict(stored)) == (wanted, classes, shapes)
    learned = [shape for key, shape in stored.items() if "filter" not in key and "freqs" not in key]
    assert sum(math.prod(shape) for shape in learned) == round(millions * 1e6)
    published = EDM.published(wanted)
    assert (published.image_size, published.multiple) == (side, 2 ** (len(multipliers) - 1))
    assert len(published.labels) == (10 if classes == 10 else 0)


def test_the_published_iddpm_is_known_by_its_shapes():
    sizes = sizes_of("edm-imagenet-64x64-cond-adm")
    own = shapes_of(IDDPM.network(sizes, 1000, device="meta"))
    assert own["out_conv.weight"] == (6, 192, 3, 3)
    stored: Any = {f"model.{name}": shape for name, shape in own.items()} | {"u": (1001,)}
    assert IDDPM.recognises(stored, {"gg.settings": '{"class": "iDDPMPrecond"}'})
    assert not EDM.recognises(stored, {"gg.settings": '{"class": "iDDPMPrecond"}'})
    assert (IDDPM.sizes(stored), IDDPM.labels(stored), IDDPM.state_dict(stored)) == (sizes, 1000, own)


def test_the_spec_says_what_the_paper_says():
    spec = choose_spec(small("edm-cifar10-32x32-cond-vp").spec)
    assert (spec.parametrisation, spec.schedule, spec.time, spec.sigma_data) == ("edm", "edm", "log_sigma", 0.5)
    assert (spec.levels.sigma_min, spec.levels.sigma_max) == (0.002, 80)
    assert (spec.labels[3], spec.null_index) == ("cat", None)
    assert small("edm-ffhq-64x64-uncond-vp").spec.null_index == 0, "no labels: one prediction"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enc.32x32_conv.weight": (16, 1, 3, 3)}, "takes 1 channels, and a denoiser of this format takes 3"),
        ({"enc.16x16_down.conv0.resample_filter": (1, 1, 3, 3)}, "has a filter of 3 taps, and the published"),
        ({"enc.32x32_conv.weight": None}, "has no weight 'enc.32x32_conv.weight', so its format is not edm"),
    ],
)
def test_a_network_of_another_kind_is_refused(changes, message):
    sizes = sizes_of("edm-cifar10-32x32-cond-vp", width=16, depth=1)
    shapes = shapes_of(EDM.network(sizes, 10, device="meta")) | changes
    with pytest.raises(ValueError, match=message):
        denoiser_of("edm", {key: torch.zeros(shape) for key, shape in shapes.items() if shape is not None}, None)


@pytest.mark.parametrize(("kind", "title"), [("EDM", "EDM ("), ("VP", "EDM baseline VP"), ("VE", "EDM baseline VE")])
def test_a_baseline_is_told_by_the_class_that_it_was_pickled_with(kind, title):
    said = {"gg.settings": json.dumps({"class": f"{kind}Precond", "sigma_data": 0.5, "M": 1000})}
    weights = dict(small("edm-cifar10-32x32-cond-ve").weights)
    assert denoiser_of("a", weights, said).spec.format.title.startswith(title)
    with pytest.raises(ValueError, match="is not a denoiser that"):
        denoiser_of("a", weights, {"gg.settings": '{"class": "OtherPrecond"}'})
