"""EDM's networks: DDPM++ and NCSN++ (one U-Net with two ways in), and ADM, under the preconditioning of EDM.

They answer F of  D(x) = c_skip x + c_out F(c_in x, ln(sigma) / 4). Names follow the published files.
Source: Karras et al. 2022, arXiv 2206.00364, tables 1 and 7, and the published configurations; Song et al. 2021, arXiv
2011.13456, for the first two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...files.notes import settings_of
from ..networks.adm import attend, heads_of, time_features
from ..networks.unets import classes_of, coarsest, ladder_sizes, unet_memory, way_down, way_up
from .spec import KARRAS_SIGMA_DATA, Format, Published, Shapes

COLOURS = 3
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
UNUSED = "map_augment.weight"  # says how a training picture was bent; samples are made with none of it
LABELS = "map_label.weight"
MARKS = {"map_layer0.weight", "map_layer1.weight"}
KINDS = {"out_norm.weight": "adm", "map_noise.freqs": "ncsnpp"}  # the weights that only they have; else ddpmpp
TAPS = {2: (1.0, 1.0), 4: (1.0, 3.0, 3.0, 1.0)}


def smoothing(taps: int) -> Tensor:  # -> [1, 1, taps, taps], its sum 1
    """The filter before every second place is kept, and after every place was doubled."""
    row = torch.tensor(TAPS[taps])
    return torch.outer(row, row)[None, None] / row.sum() ** 2


def downsample(x: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """Every second place of a smoothed picture."""
    kernel = kernel.to(x).expand(x.shape[1], -1, -1, -1)
    return functional.conv2d(x, kernel, stride=2, padding=padding, groups=x.shape[1])


def upsample(x: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """A picture of twice the sides, smoothed."""
    kernel = (4 * kernel).to(x).expand(x.shape[1], -1, -1, -1)
    return functional.conv_transpose2d(x, kernel, stride=2, padding=padding, groups=x.shape[1])


SIDES = {"down": downsample, "up": upsample}


@dataclass(frozen=True)
class Style:
    """How one architecture differs from another.

    kind: ddpmpp, ncsnpp or adm. emb: width of the embedding. taps: of the smoothing filter. operations, place: where
    layers come from, device and dtype.
    """

    kind: str
    emb: int
    taps: int
    operations: Any
    place: Mapping[str, Any]

    @property
    def song(self) -> bool:
        """Whether this is one of the first two."""
        return self.kind != "adm"

    def linear(self, width: int, wanted: int, bias: bool = True) -> Any:
        """A linear layer."""
        return self.operations.Linear(width, wanted, bias=bias, **self.place)

    def norm(self, channels: int) -> Any:
        """Group normalisation: 32 groups, or as many as leave each four channels."""
        groups = max(1, min(32, channels // 4))
        return self.operations.GroupNorm(groups, channels, eps=1e-6 if self.song else 1e-5, **self.place)

    def conv(self, channels: int, wanted: int, kernel: int, side: str = "", wider: int = 0) -> Any:
        """A convolution, with a filter where sides change; kernel 0: the filter alone.  wider: more padding"""
        layer = nn.Module()
        if kernel:
            layer = self.operations.Conv2d(channels, wanted, kernel, padding=kernel // 2 + wider, **self.place)
        if side:
            layer.register_buffer("resample_filter", smoothing(self.taps).to(self.place.get("device")))
        return layer


class Block(nn.Module):
    """Residual block with attention where wanted.

    The first two architectures add the embedding and shrink every sum by sqrt(1/2); ADM scales and shifts by it.
    """

    def __init__(self, style: Style, channels: int, wanted: int, attends: bool = False, side: str = ""):
        super().__init__()
        self.side, self.song, self.heads = side, style.song, heads_of(wanted, int(style.song)) if attends else 0
        self.norm0 = style.norm(channels)
        self.conv0 = style.conv(channels, wanted, 3, side)
        self.affine = style.linear(style.emb, wanted if style.song else 2 * wanted)
        self.norm1 = style.norm(wanted)
        self.conv1 = style.conv(wanted, wanted, 3)
        self.skip = None
        if side or channels != wanted:
            self.skip = style.conv(channels, wanted, int(style.song or channels != wanted), side)
        if attends:
            self.norm2 = style.norm(wanted)
            self.qkv = style.conv(wanted, 3 * wanted, 1)
            self.proj = style.conv(wanted, wanted, 1)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:  # [B, C, H, W], e [B, emb] -> [B, wanted, H', W']
        """Add what the convolutions find, then what the places tell each other."""
        shrink = math.sqrt(0.5) if self.song else 1.0
        h = self.conv0(self._resize_with(functional.silu(self.norm0(x)), self.conv0))
        x = (self.conv1(functional.silu(self._modulate(h, e))) + self._skip(x)) * shrink
        return (x + self._attend(x)) * shrink if self.heads else x

    def _resize_with(self, h: Tensor, layer: Any) -> Tensor:
        if not self.side:
            return h
        kernel = layer.resample_filter
        return SIDES[self.side](h, kernel, (kernel.shape[-1] - 1) // 2)

    def _modulate(self, h: Tensor, e: Tensor) -> Tensor:
        affine = self.affine(e)[:, :, None, None]
        if self.song:
            return self.norm1(h + affine)
        scale, shift = affine.chunk(2, dim=1)
        return self.norm1(h) * (1 + scale) + shift

    def _skip(self, x: Tensor) -> Tensor:
        if self.skip is None:
            return x
        x = self._resize_with(x, self.skip)
        return self.skip(x) if hasattr(self.skip, "weight") else x

    def _attend(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm2(x)).flatten(2).unflatten(1, (self.heads, -1, 3)).unbind(3)
        return self.proj(attend(q, k, v).reshape(x.shape))


class Waves(nn.Module):
    """The frequencies of NCSN++'s Fourier features, in float32 whatever the weights are."""

    freqs: Tensor

    def __init__(self, width: int, device: Any = None):
        super().__init__()
        self.register_buffer("freqs", torch.zeros(width // 2, device=device))


class EdmUNet(nn.Module):
    """A network of one of the three architectures.  sizes: as `sizes_of`. labels: 0 for none."""

    def __init__(self, sizes: Mapping[str, Any], labels: int, operations: Any = nn, **place: Any):
        super().__init__()
        style = Style(sizes["kind"], sizes["emb"], sizes["taps"], operations, place)
        noise, self.song = sizes["noise"], style.song
        self.map_noise = Waves(noise, place.get("device")) if style.kind == "ncsnpp" else None
        self.map_label: Any = style.linear(labels, noise if style.song else style.emb, style.song) if labels else None
        self.map_layer0 = style.linear(noise, style.emb)
        self.map_layer1 = style.linear(style.emb, style.emb)
        self.enc = nn.ModuleDict(dict(encoder(style, sizes)))
        self.dec = nn.ModuleDict(dict(decoder(style, sizes)))
        if not style.song:
            self.out_norm = style.norm(sizes["widths"][0])
            self.out_conv = style.conv(sizes["widths"][0], sizes.get("outputs", COLOURS), 3)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:  # x [B, 3, H, W], t [B], y [B] -> [B, 3, H, W]
        """Evaluate F.  x: c_in * noisy picture. t: ln(sigma) / 4. y: labels."""
        e, skips, picture = self._embedding(t, y, x.dtype), [], x
        layers: Any = self.enc.values()
        for layer in layers:
            if hasattr(layer, "resample_filter"):  # NCSN++'s second way in: convolved, then smoothed and halved
                picture = downsample(layer(picture), layer.get_buffer("resample_filter"), 0)
                skips[-1] = x = picture = (x + picture) * math.sqrt(0.5)
            else:
                x = layer(x, e) if isinstance(layer, Block) else layer(x)
                skips.append(x)
        for name, block in self.dec.items():
            if isinstance(block, Block):
                x = block(torch.cat([x, skips.pop()], dim=1) if "_block" in name else x, e)
        norm, out = list(self.dec.values())[-2:] if self.song else (self.out_norm, self.out_conv)
        return out(functional.silu(norm(x)))

    def label_vectors(self, y: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:  # [B] -> [B, emb]
        """Embeddings of labels; embeddings stay as they are."""
        if y.is_floating_point():
            return y
        one_hot = functional.one_hot(y, self.map_label.in_features).to(dtype)
        return self.map_label(one_hot * math.sqrt(one_hot.shape[1]) if self.song else one_hot)

    def _embedding(self, t: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
        """Of noise level and label, [B, emb]."""
        label = 0.0
        if self.map_label is not None:
            label = self.label_vectors(y, dtype)
        if self.song:
            e = self._sines(t).to(dtype) + label
            return functional.silu(self.map_layer1(functional.silu(self.map_layer0(e))))
        e = time_features(t, self.map_layer0.in_features).to(dtype)
        return functional.silu(self.map_layer1(functional.silu(self.map_layer0(e))) + label)

    def _sines(self, t: Tensor) -> Tensor:
        """sin, then cos of t at log-spaced frequencies from 1 to 1e-4 (DDPM++), or at random ones (NCSN++)."""
        half = self.map_layer0.in_features // 2
        if self.map_noise is None:
            rates = torch.logspace(0, -4, half).to(t.device)
        else:
            rates = 2 * math.pi * self.map_noise.freqs.to(t.device)
        angles = t.float()[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)


def encoder(style: Style, sizes: Mapping[str, Any]) -> Iterator[tuple[str, nn.Module]]:
    """Layers from the picture to the coarsest level, by name."""
    seen = COLOURS
    for step in way_down(sizes):
        if step.role == "conv":
            yield step.name, style.conv(seen, step.width, 3)
            continue
        side = "down" if step.role == "down" else ""
        yield step.name, Block(style, step.channels, step.width, step.attends, side)
        if side and style.kind == "ncsnpp":
            yield step.name.replace(side, "aux_residual"), style.conv(seen, step.width, 3, side, (style.taps - 1) // 2)
            seen = step.width


def decoder(style: Style, sizes: Mapping[str, Any]) -> Iterator[tuple[str, nn.Module]]:
    """Layers from the coarsest level to the picture, by name."""
    for step in way_up(sizes):
        attends = step.attends and (step.last or not style.song)
        yield step.name, Block(style, step.channels, step.width, attends, "up" if step.role == "up" else "")
    if style.song:
        name, width = "{0}x{0}_aux".format(sizes["side"]), sizes["widths"][0]
        yield f"{name}_norm", style.norm(width)
        yield f"{name}_conv", style.conv(width, COLOURS, 3)


def sizes_of(shapes: Shapes) -> dict[str, Any]:
    """Read a network's sizes off its weights.  Raises KeyError for a missing one, ValueError for another kind."""
    sizes = ladder_sizes(shapes, "conv0")
    if sizes["seen"] != COLOURS:
        raise ValueError(f"takes {sizes['seen']} channels, and a denoiser of this format takes {COLOURS}")
    half = sizes["side"] // 2
    taps = shapes.get(f"enc.{half}x{half}_down.conv0.resample_filter", (2,))[-1]
    if taps not in TAPS:
        raise ValueError(f"has a filter of {taps} taps, and the published ones have {' or '.join(map(str, TAPS))}")
    return sizes | {
        "kind": next((kind for mark, kind in KINDS.items() if mark in shapes), "ddpmpp"),
        "noise": shapes["map_layer0.weight"][1],
        "emb": shapes["map_layer1.weight"][0],
        "taps": taps,
        "classes": classes_of(shapes, LABELS),
    }


def preconditioning(metadata: Mapping[str, str], **constants: float) -> str:
    """The class that a pickled network was saved with, "" where it says nothing.

    constants: of its settings; where one is another than here, the class does not count as known.
    """
    settings = settings_of(metadata)
    kind = settings.get("class")
    if not isinstance(kind, str) or not kind.endswith("Precond"):
        return ""
    return kind if all(settings.get(name, value) == value for name, value in constants.items()) else f"another {kind}"


def recognises(shapes: Shapes, metadata: Mapping[str, str]) -> bool:
    """Whether these are weights of such a network, and nothing says that its preconditioning is another."""
    ours = preconditioning(metadata, sigma_data=KARRAS_SIGMA_DATA) in ("", "EDMPrecond")
    return ours and shapes.keys() >= MARKS and any(name.startswith("enc.") for name in shapes)


def publication(sizes: Mapping[str, Any]) -> Published:
    """What all of them share: the preconditioning, with a data deviation of one half."""
    return Published(
        channels=COLOURS,
        image_size=sizes["side"],
        multiple=coarsest(sizes["widths"]),
        parametrisation="edm",
        schedule="edm",
        time="log_sigma",
        sigma_data=KARRAS_SIGMA_DATA,
        labels=CIFAR10 if sizes["classes"] == len(CIFAR10) else (),
    )


EDM = Format(
    name="edm",
    title="EDM (DDPM++, NCSN++, ADM)",
    recognises=recognises,
    sizes=sizes_of,
    labels=lambda shapes: classes_of(shapes, LABELS),
    published=publication,
    network=EdmUNet,
    memory=unet_memory,
    state_dict=lambda weights: {name: weight for name, weight in weights.items() if name != UNUSED},
    null_label=False,
)
