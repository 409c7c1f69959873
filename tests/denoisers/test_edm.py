"""EDM's three networks against a second statement of their arithmetic, written on plain tensors from the papers."""

import math

import pytest
import torch
from torch.nn import functional

from guidance_geometry.denoisers.edm import EDM
from guidance_geometry.denoisers.edm_baselines import IDDPM
from guidance_geometry.denoisers.reading import denoiser_of
from guidance_geometry.denoisers.spec import choose_spec
from guidance_geometry.tests.denoisers.networks import distance, network_of, pictures
from guidance_geometry.tests.tiny_networks import with_filters

# kind, side, width, multipliers, depth, classes, augmented, parameters in millions
PUBLISHED = {
    "edm-cifar10-32x32-cond-vp": ("ddpmpp", 32, 128, (2, 2, 2), 4, 10, True, 55.735299),
    "edm-cifar10-32x32-uncond-vp": ("ddpmpp", 32, 128, (2, 2, 2), 4, 0, True, 55.733891),
    "edm-cifar10-32x32-cond-ve": ("ncsnpp", 32, 128, (2, 2, 2), 4, 10, True, 56.400643),
    "edm-cifar10-32x32-uncond-ve": ("ncsnpp", 32, 128, (2, 2, 2), 4, 0, True, 56.397827),
    "edm-ffhq-64x64-uncond-vp": ("ddpmpp", 64, 128, (1, 2, 2, 2), 4, 0, True, 61.805571),
    "edm-afhqv2-64x64-uncond-ve": ("ncsnpp", 64, 128, (1, 2, 2, 2), 4, 0, True, 62.761091),
    "edm-imagenet-64x64-cond-adm": ("adm", 64, 192, (1, 2, 3, 4), 3, 1000, False, 295.899267),
}
ATTENDS = {"ddpmpp": (16,), "ncsnpp": (16,), "adm": (32, 16, 8)}
SMALL = {"ddpmpp": 16, "ncsnpp": 16, "adm": 64}


class Listed:
    """Names and shapes of the weights of a published configuration, layer by layer from the papers' tables."""

    def __init__(self, kind, side, width, multipliers, depth, classes, augmented):
        self.kind, self.width, self.song, self.found = kind, width, kind != "adm", {}
        self.taps = 4 if kind == "ncsnpp" else 2
        self.emb, noise = 4 * width, 2 * width if kind == "ncsnpp" else width
        if kind == "ncsnpp":
            self.found["map_noise.freqs"] = (noise // 2,)
        if classes:
            self.layer("map_label", noise if self.song else self.emb, classes, bias=self.song)
        if augmented:
            self.layer("map_augment", noise, 9, bias=False)
        self.layer("map_layer0", self.emb, noise)
        self.layer("map_layer1", self.emb, self.emb)
        self.levels(side, multipliers, depth)

    def layer(self, name, *shape, bias=True):
        self.found[f"{name}.weight"] = shape
        if bias:
            self.found[f"{name}.bias"] = shape[:1]

    def filter(self, name):
        self.found[f"{name}.resample_filter"] = (1, 1, self.taps, self.taps)

    def block(self, name, channels, wanted, attends=False, sized=False):
        self.layer(f"{name}.norm0", channels)
        self.layer(f"{name}.conv0", wanted, channels, 3, 3)
        self.layer(f"{name}.affine", wanted if self.song else 2 * wanted, self.emb)
        self.layer(f"{name}.norm1", wanted)
        self.layer(f"{name}.conv1", wanted, wanted, 3, 3)
        if channels != wanted or (sized and self.song):
            self.layer(f"{name}.skip", wanted, channels, 1, 1)
        if sized:
            self.filter(f"{name}.conv0")
            self.filter(f"{name}.skip")
        if attends:
            self.layer(f"{name}.norm2", wanted)
            self.layer(f"{name}.qkv", 3 * wanted, wanted, 1, 1)
            self.layer(f"{name}.proj", wanted, wanted, 1, 1)

    def levels(self, side, multipliers, depth):
        channels = self.width * (1 if self.song else multipliers[0])
        self.layer(f"enc.{side}x{side}_conv", channels, 3, 3, 3)
        kept, seen = [channels], 3
        for level, factor in enumerate(multipliers):
            here = f"enc.{side >> level}x{side >> level}"
            if level:
                self.block(f"{here}_down", channels, channels, sized=True)
                kept.append(channels)
                if self.kind == "ncsnpp":
                    self.layer(f"{here}_aux_residual", channels, seen, 3, 3)
                    self.filter(f"{here}_aux_residual")
                    seen = channels
            for index in range(depth):
                self.block(f"{here}_block{index}", channels, factor * self.width, side >> level in ATTENDS[self.kind])
                channels = factor * self.width
                kept.append(channels)
        for level in reversed(range(len(multipliers))):
            here, attends = f"dec.{side >> level}x{side >> level}", side >> level in ATTENDS[self.kind]
            if level == len(multipliers) - 1:
                self.block(f"{here}_in0", channels, channels, True)
                self.block(f"{here}_in1", channels, channels)
            else:
                self.block(f"{here}_up", channels, channels, sized=True)
            for index in range(depth + 1):
                wanted = multipliers[level] * self.width
                there = attends and (index == depth or not self.song)
                self.block(f"{here}_block{index}", channels + kept.pop(), wanted, there)
                channels = wanted
        names = (
            (f"dec.{side}x{side}_aux_norm", f"dec.{side}x{side}_aux_conv") if self.song else ("out_norm", "out_conv")
        )
        self.layer(names[0], channels)
        self.layer(names[1], 3, channels, 3, 3)


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

    def conv(self, name, h, padding=None):
        kernel = self[f"{name}.weight"]
        return functional.conv2d(
            h, kernel, self[f"{name}.bias"], padding=kernel.shape[-1] // 2 if padding is None else 1
        )

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
        """Names of the layers of a part, in order."""
        return list(
            dict.fromkeys(".".join(name.split(".")[:2]) for name in self.weights if name.startswith(f"{part}."))
        )

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


def listed(name, prefix="model.", **changes):
    kind, side, width, multipliers, depth, classes, augmented, _ = PUBLISHED[name]
    facts = {"kind": kind, "side": side, "width": width, "multipliers": multipliers, "depth": depth, "classes": classes}
    found = Listed(**facts | {"augmented": augmented} | changes).found
    return {prefix + key: shape for key, shape in found.items()}


def small(name):
    """A file of a small network of a kind: its own weights, random; the filters are those of its kind."""
    kind = PUBLISHED[name][0]
    shapes = listed(name, width=SMALL[kind], depth=1)
    file = denoiser_of(name, {key: torch.zeros(shape) for key, shape in shapes.items()}, None)
    network = with_filters(file.spec.format.network(file.spec.sizes, len(file.spec.labels)))
    if kind == "ncsnpp":
        freqs = network.get_buffer("map_noise.freqs")
        freqs.copy_(16 * torch.randn(freqs.shape))
    return denoiser_of(name, {f"model.{key}": weight for key, weight in network.state_dict().items()}, None)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_small_network_of_each_kind_answers_as_the_second_statement(name):
    file = small(name)
    side = PUBLISHED[name][1] // (2 if PUBLISHED[name][0] == "adm" else 1)
    x, t, y = pictures(2, 3, side), torch.tensor([-1.2, 0.9]), torch.tensor([1, 0])
    wanted = Restated(file.weights, PUBLISHED[name][0])(x, t, y)
    assert distance(network_of(file)(x, t, y), wanted) <= 1e-5


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_file_is_known_by_its_shapes(name):
    kind, side, _, multipliers, _, classes, _, millions = PUBLISHED[name]
    stored = {key.removeprefix("model."): shape for key, shape in listed(name).items()}
    assert EDM.recognises(stored, {})
    sizes, labels = EDM.sizes(stored), EDM.labels(stored)
    network = EDM.network(sizes, labels, device="meta")
    kept = EDM.own(stored)
    assert {key: tuple(weight.shape) for key, weight in network.state_dict().items()} == kept
    learned = [shape for key, shape in stored.items() if "filter" not in key and "freqs" not in key]
    assert sum(math.prod(shape) for shape in learned) == round(millions * 1e6)
    published = EDM.published(sizes)
    assert (labels, published.image_size, published.multiple) == (classes, side, 2 ** (len(multipliers) - 1))
    assert (sizes["kind"], len(published.labels)) == (kind, 10 if classes == 10 else 0)


def test_the_published_iddpm_is_known_by_its_shapes():
    shapes = listed("edm-imagenet-64x64-cond-adm")
    shapes |= {"model.out_conv.weight": (6, 192, 3, 3), "model.out_conv.bias": (6,), "u": (1001,)}
    assert IDDPM.recognises(shapes, {"gg.settings": '{"class": "iDDPMPrecond"}'})
    assert not EDM.recognises(shapes, {"gg.settings": '{"class": "iDDPMPrecond"}'})
    network = IDDPM.network(IDDPM.sizes(shapes), IDDPM.labels(shapes), device="meta")
    assert {key: tuple(weight.shape) for key, weight in network.state_dict().items()} == IDDPM.own(shapes)
    assert IDDPM.labels(shapes) == 1000


def test_the_spec_says_what_the_paper_says():
    spec = choose_spec(small("edm-cifar10-32x32-cond-vp").spec)
    assert (spec.parametrisation, spec.schedule, spec.time, spec.sigma_data) == ("edm", "edm", "log_sigma", 0.5)
    assert (spec.levels.sigma_min, spec.levels.sigma_max) == (0.002, 80)
    assert (spec.labels[3], spec.null_index) == ("cat", None)
    assert small("edm-ffhq-64x64-uncond-vp").spec.null_index == 0, "no labels: one prediction"


def test_half_precision_follows():
    for name in ("edm-cifar10-32x32-cond-ve", "edm-imagenet-64x64-cond-adm"):
        file = small(name)
        network, x = network_of(file), pictures(1, 3, 32)
        t, y = torch.tensor([0.3]), torch.tensor([1])
        wanted = network(x, t, y)
        half = EDM.network(file.spec.sizes, len(file.spec.labels), dtype=torch.bfloat16)
        half.requires_grad_(False).load_state_dict(dict(file.weights))
        found = half(x.bfloat16(), t, y)
        assert found.dtype == torch.bfloat16
        assert distance(found.float(), wanted) <= 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enc.32x32_conv.weight": (16, 1, 3, 3)}, "takes 1 channels, and a denoiser of this format takes 3"),
        ({"enc.16x16_down.conv0.resample_filter": (1, 1, 3, 3)}, "has a filter of 3 taps, and the published"),
        ({"enc.9x9_block0.conv0.weight": (16, 16, 3, 3)}, r"has levels of \[32, 16, 9, 8\] places a side"),
        ({"enc.32x32_conv.weight": None}, "has no weight 'enc.32x32_conv.weight', so its format is not edm"),
        ({"enc.16x16_aux_down.resample_filter": (1, 1, 2, 2)}, "is .* but nothing is needed"),
    ],
)
def test_a_network_of_another_kind_is_refused(changes, message):
    shapes = listed("edm-cifar10-32x32-cond-vp", "", width=16, depth=1) | changes
    with pytest.raises(ValueError, match=message):
        denoiser_of("edm", {key: torch.zeros(shape) for key, shape in shapes.items() if shape is not None}, None)
