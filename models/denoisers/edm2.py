"""EDM2's U-Net, whose layers preserve magnitudes: pixels at 64 x 64, or latents of pictures of 512 x 512.

It answers F of  D(x) = c_skip x + c_out F(c_in x, ln(sigma) / 4). Names follow the published files; each holds one of
the moving averages. Guiding networks are of the same kind, smaller, less trained or without labels.
Source: Karras et al. 2024, arXiv 2312.02696, figure 21 and appendix B; arXiv 2406.02507 for guiding ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..networks.adm import HEAD, attend, heads_of
from ..networks.unets import Step, classes_of, coarsest, ladder_sizes, unet_memory, way_down, way_up
from .latents import EDM2_LATENTS, PIXELS
from .spec import KARRAS_SIGMA_DATA, Format, Published, Shapes

T = TypeVar("T")
SPACES = {3: PIXELS, 4: EDM2_LATENTS}
LABELS = "emb_label.weight"
MARKS = {"emb_fourier.freqs", "emb_noise.weight", "out_gain"}
OUTER, UNUSED = "unet.", "logvar_"  # around the network; what only its training asked for
TINY = 1e-4  # keeps a row of zeros zero; part of the published networks
SILU_SIZE = 0.596  # root mean square of silu(x) for normal x
RESIDUAL, ATTENTION = 0.3, 0.3  # shares of the branches
CLIPPED = 256.0


def normalise(x: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    """x / (TINY + rms(x)) over some axes; in float32 inside."""
    size = x.float().square().mean(dims, keepdim=True).sqrt() + TINY
    return x / size.to(x.dtype)


def silu(x: Tensor) -> Tensor:
    """SiLU that keeps the size of normal values (eq. 81)."""
    return functional.silu(x) / SILU_SIZE


def mix(a: Tensor, b: Tensor, share: float) -> Tensor:
    """((1 - share) a + share b) / sqrt((1 - share)^2 + share^2)  (eq. 88)"""
    return torch.lerp(a, b, share) / math.hypot(1 - share, share)


def join_channels(a: Tensor, b: Tensor) -> Tensor:
    """Both along the channels, with equal weight whatever their numbers (eq. 103)."""
    total = a.shape[1] + b.shape[1]
    return torch.cat([part * math.sqrt(total / (2 * part.shape[1])) for part in (a, b)], dim=1)


def downsample(x: Tensor) -> Tensor:
    """Means of 2 x 2."""
    return functional.avg_pool2d(x, 2)


def upsample(x: Tensor) -> Tensor:
    """Every place twice along each side."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


@dataclass(frozen=True)
class Layers:
    """Where layers come from: none has a bias.  emb: width of the embedding. place: device and dtype"""

    emb: int
    operations: Any
    place: Mapping[str, Any]

    def linear(self, width: int, wanted: int) -> Any:
        """A linear layer."""
        return self.operations.Linear(width, wanted, bias=False, **self.place)

    def conv(self, channels: int, wanted: int, kernel: int) -> Any:
        """A convolution that keeps the sides."""
        return self.operations.Conv2d(channels, wanted, kernel, padding=kernel // 2, bias=False, **self.place)

    def gain(self) -> nn.Parameter:
        """One learned factor."""
        return nn.Parameter(torch.zeros((), **self.place))


class Block(nn.Module):
    """Block of the encoder or of the decoder (figure 21).

    coding: the encoder's, which normalises each pixel first. side: what halves or doubles the sides.
    """

    def __init__(self, layers: Layers, step: Step, coding: bool, side: Callable[[Tensor], Tensor] | None):
        super().__init__()
        channels, wanted = step.channels, step.width
        self.coding, self.side, self.heads = coding, side, heads_of(wanted) if step.attends else 0
        self.emb_gain = layers.gain()
        self.conv_res0 = layers.conv(wanted if coding else channels, wanted, 3)
        self.emb_linear = layers.linear(layers.emb, wanted)
        self.conv_res1 = layers.conv(wanted, wanted, 3)
        self.conv_skip = layers.conv(channels, wanted, 1) if channels != wanted else None
        if step.attends:
            self.attn_qkv = layers.conv(wanted, 3 * wanted, 1)
            self.attn_proj = layers.conv(wanted, wanted, 1)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:  # [B, C, H, W], e [B, emb] -> [B, wanted, H', W']
        """Mix x with what the convolutions find, then with what the places tell each other."""
        x = self.side(x) if self.side else x
        if self.coding:
            x = normalise(self._skip(x), 1)
        factor = self.emb_linear(e) * self.emb_gain.to(e) + 1
        h = self.conv_res1(silu(self.conv_res0(silu(x)) * factor[:, :, None, None]))
        x = mix(x if self.coding else self._skip(x), h, RESIDUAL)
        if self.heads:
            x = mix(x, self._attend(x), ATTENTION)
        return x.clamp(-CLIPPED, CLIPPED)

    def _skip(self, x: Tensor) -> Tensor:
        return x if self.conv_skip is None else self.conv_skip(x)

    def _attend(self, x: Tensor) -> Tensor:
        """Attention by the cosine of q and k."""
        apart = self.attn_qkv(x).flatten(2).unflatten(1, (self.heads, HEAD, 3))
        q, k, v = normalise(apart, 2).unbind(3)
        return self.attn_proj(attend(q, k, v).reshape(x.shape))


class Waves(nn.Module):
    """sqrt(2) cos(freqs t + phases), in float32 whatever the weights are (eq. 75)."""

    freqs: Tensor
    phases: Tensor

    def __init__(self, width: int, device: Any = None):
        super().__init__()
        self.register_buffer("freqs", torch.zeros(width, device=device))
        self.register_buffer("phases", torch.zeros(width, device=device))

    def forward(self, t: Tensor) -> Tensor:  # [B] -> [B, width] float32
        """The features of a noise level."""
        angles = t.float()[:, None] * self.freqs.to(t.device) + self.phases.to(t.device)
        return angles.cos() * math.sqrt(2)


class Edm2UNet(nn.Module):
    """A network of one size.  sizes: as `sizes_of`. labels: 0 for none. Its weights are those of `own`."""

    def __init__(self, sizes: Mapping[str, Any], labels: int, operations: Any = nn, **place: Any):
        super().__init__()
        layers = Layers(sizes["emb"], operations, place)
        self.out_gain = layers.gain()
        self.emb_fourier = Waves(sizes["noise"], place.get("device"))
        self.emb_noise = layers.linear(sizes["noise"], layers.emb)
        self.emb_label: Any = layers.linear(labels, layers.emb) if labels else None
        self.enc = nn.ModuleDict(dict(encoder(layers, sizes)))
        self.dec = nn.ModuleDict(dict(decoder(layers, sizes)))
        self.out_conv = layers.conv(sizes["widths"][0], sizes["seen"] - 1, 3)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:  # x [B, C, H, W], t [B], y [B] -> [B, C, H, W]
        """Evaluate F.  x: c_in * noisy sample. t: ln(sigma) / 4. y: labels."""
        e = self._embedding(t, y, x.dtype)
        x, skips = torch.cat([x, torch.ones_like(x[:, :1])], dim=1), []
        for layer in self.enc.values():
            x = layer(x, e) if isinstance(layer, Block) else layer(x)
            skips.append(x)
        for name, block in self.dec.items():
            x = block(join_channels(x, skips.pop()) if "_block" in name else x, e)
        return self.out_conv(x) * self.out_gain.to(x)

    def _embedding(self, t: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
        e = self.emb_noise(self.emb_fourier(t).to(dtype))
        if self.emb_label is not None:
            e = mix(e, self.label_vectors(y, dtype), 0.5)
        return silu(e)

    def label_vectors(self, y: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:  # [B] -> [B, emb]
        """Embeddings of labels; embeddings stay as they are."""
        if y.is_floating_point():
            return y
        one_hot = functional.one_hot(y, self.emb_label.in_features).to(dtype)
        return self.emb_label(one_hot * math.sqrt(one_hot.shape[1]))


def encoder(layers: Layers, sizes: Mapping[str, Any]) -> Iterator[tuple[str, nn.Module]]:
    """Layers from the sample to the coarsest level, by name."""
    for step in way_down(sizes):
        if step.role == "conv":
            yield step.name, layers.conv(sizes["seen"], step.width, 3)
        else:
            yield step.name, Block(layers, step, True, downsample if step.role == "down" else None)


def decoder(layers: Layers, sizes: Mapping[str, Any]) -> Iterator[tuple[str, nn.Module]]:
    """Layers from the coarsest level to the sample, by name."""
    return ((step.name, Block(layers, step, False, upsample if step.role == "up" else None)) for step in way_up(sizes))


def inner(weights: Mapping[str, T]) -> dict[str, T]:
    """The network's own weights, or what is known of them, by its own names."""
    return {name.removeprefix(OUTER): weight for name, weight in weights.items() if not name.startswith(UNUSED)}


def own(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as the network uses them: every row of a layer has length 1 (eq. 47 and 66), and no forward makes it so.

    w' = w / (|w| + TINY sqrt(n)),   n: numbers of a row
    """
    return {name: weight if weight.ndim < 2 else unit_rows(weight) for name, weight in inner(weights).items()}


def unit_rows(weight: Tensor) -> Tensor:  # [rows, ...] -> the same
    """Rows of length 1, computed in float32."""
    rows = weight.float().flatten(1)
    return (normalise(rows, 1) / math.sqrt(max(1, rows.shape[1]))).view(weight.shape).to(weight.dtype)


def sizes_of(shapes: Shapes) -> dict[str, Any]:
    """Read a network's sizes off its weights.  Raises KeyError for a missing one, ValueError for another kind."""
    shapes = inner(shapes)
    sizes = ladder_sizes(shapes, "conv_res0")
    if sizes["seen"] - 1 not in SPACES:
        words = f"takes {sizes['seen'] - 1} channels and a constant"
        raise ValueError(f"{words}, and a denoiser of this format takes {' or '.join(map(str, SPACES))}")
    return sizes | {
        "noise": shapes["emb_noise.weight"][1],
        "emb": shapes["emb_noise.weight"][0],
    }


def labels_of(shapes: Shapes) -> int:
    """Number of classes; 0 for a network without labels."""
    return classes_of(inner(shapes), LABELS)


def publication(sizes: Mapping[str, Any]) -> Published:
    """What all of them share: the preconditioning, with a data deviation of one half."""
    return Published(
        channels=sizes["seen"] - 1,
        image_size=sizes["side"],
        multiple=coarsest(sizes["widths"]),
        parametrisation="edm",
        schedule="edm",
        time="log_sigma",
        sigma_data=KARRAS_SIGMA_DATA,
        latents=SPACES[sizes["seen"] - 1],
    )


EDM2 = Format(
    name="edm2",
    title="EDM2",
    recognises=lambda shapes, metadata: inner(shapes).keys() >= MARKS,
    sizes=sizes_of,
    labels=labels_of,
    published=publication,
    network=Edm2UNet,
    memory=unet_memory,
    state_dict=own,
    null_label=False,
)
