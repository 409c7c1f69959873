"""The U-Net of the diffusers library, UNet2DModel, built from its config.json; names follow its files.

Source: Ho et al. 2020, arXiv 2006.11239 (the network of DDPM), and the library's own description of the settings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...files.claims import Field, either, maybe, number, one_of, several, switch, text, whole
from ..networks.adm import time_features
from ..networks.unets import coarsest, unet_memory
from .latents import PIXELS, SD_LATENTS
from .spec import Format, Published

DOWN = {"DownBlock2D": (False, "conv"), "AttnDownBlock2D": (True, ""), "ResnetDownsampleBlock2D": (False, "resnet")}
UP = {"UpBlock2D": (False, "conv"), "AttnUpBlock2D": (True, ""), "ResnetUpsampleBlock2D": (False, "resnet")}
OLDER = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # names in the files of 2022
WIDTH, LEVELS = whole(1, 8192), 12
SETTINGS: dict[str, tuple[Any, Field]] = {  # of config.json: what stands for an absent one, and what each may be
    "sample_size": (None, maybe(either(whole(1, 4096), several(whole(1, 4096), 2, 2)))),
    "in_channels": (3, whole(1, 64)),
    "out_channels": (3, whole(1, 128)),
    "center_input_sample": (False, switch()),
    "time_embedding_type": ("positional", one_of("positional", "fourier")),
    "time_embedding_dim": (None, maybe(WIDTH)),
    "freq_shift": (0, number(0, 1)),
    "flip_sin_to_cos": (True, switch()),
    "down_block_types": (("DownBlock2D", *["AttnDownBlock2D"] * 3), several(text(), LEVELS, 1)),
    "mid_block_type": ("UNetMidBlock2D", maybe(text())),
    "up_block_types": ((*["AttnUpBlock2D"] * 3, "UpBlock2D"), several(text(), LEVELS, 1)),
    "block_out_channels": ((224, 448, 672, 896), several(WIDTH, LEVELS, 1)),
    "layers_per_block": (2, whole(1, 32)),
    "mid_block_scale_factor": (1, number(1e-6, 1e6)),
    "downsample_padding": (1, whole(0, 1)),
    "downsample_type": ("conv", one_of("conv", "resnet")),
    "upsample_type": ("conv", one_of("conv", "resnet")),
    "act_fn": ("silu", one_of("silu", "swish")),
    "attention_head_dim": (8, maybe(WIDTH)),
    "norm_num_groups": (32, WIDTH),
    "attn_norm_num_groups": (None, maybe(WIDTH)),
    "norm_eps": (1e-5, number(0, 1)),
    "resnet_time_scale_shift": ("default", one_of("default", "scale_shift")),
    "add_attention": (True, switch()),
    "class_embed_type": (None, maybe(text())),
    "num_class_embeds": (None, maybe(whole(1, 100_000))),
}


@dataclass(frozen=True)
class Style:
    """What all blocks have alike.

    time: width of the embedding.
    groups, epsilon: of the norms.
    head: channels of an attention head; None: all.
    scales_norm: the embedding scales the second norm, too.
    divisor: of every block's output.
    """

    time: int
    groups: int
    epsilon: float
    head: int | None
    scales_norm: bool
    divisor: float = 1.0


class ResBlock(nn.Module):
    """Two convolutions, the embedding between them, beside the input itself; both may be halved or doubled in size."""

    def __init__(self, channels: int, wanted: int, style: Style, operations: Any, resize: str = "", **place: Any):
        super().__init__()
        self.style, self.resize = style, resize
        self.norm1 = operations.GroupNorm(style.groups, channels, eps=style.epsilon, **place)
        self.conv1 = operations.Conv2d(channels, wanted, 3, padding=1, **place)
        self.time_emb_proj = operations.Linear(style.time, (1 + style.scales_norm) * wanted, **place)
        self.norm2 = operations.GroupNorm(style.groups, wanted, eps=style.epsilon, **place)
        self.conv2 = operations.Conv2d(wanted, wanted, 3, padding=1, **place)
        self.conv_shortcut = nn.Identity() if channels == wanted else operations.Conv2d(channels, wanted, 1, **place)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:  # h [B, C, H, W], e [B, T] -> [B, wanted, H', W']
        """Add what the convolutions find."""
        inner = self.conv1(self._resize(nn.functional.silu(self.norm1(h))))
        modulation = self.time_emb_proj(nn.functional.silu(e))[:, :, None, None]
        if self.style.scales_norm:
            scale, shift = modulation.chunk(2, dim=1)
            inner = self.norm2(inner) * (1 + scale) + shift
        else:
            inner = self.norm2(inner + modulation)
        residual = self.conv2(nn.functional.silu(inner))
        return (self.conv_shortcut(self._resize(h)) + residual) / self.style.divisor

    def _resize(self, h: Tensor) -> Tensor:
        if self.resize == "down":
            return nn.functional.avg_pool2d(h, 2)
        return nn.functional.interpolate(h, scale_factor=2.0) if self.resize == "up" else h


class SelfAttention(nn.Module):
    """Attention of all places.  groups: of the norm before it; None: there is none"""

    def __init__(self, channels: int, groups: int | None, style: Style, operations: Any, **place: Any):
        super().__init__()
        head = style.head or channels
        if channels % head:
            raise ValueError(f"has attention over {channels} channels in heads of {head}")
        self.head, self.divisor = head, style.divisor
        norm = operations.GroupNorm(groups, channels, eps=style.epsilon, **place) if groups else None
        self.group_norm = norm or nn.Identity()
        self.to_q, self.to_k, self.to_v = (operations.Linear(channels, channels, **place) for _ in range(3))
        self.to_out = nn.ModuleList([operations.Linear(channels, channels, **place)])

    def forward(self, h: Tensor, e: Tensor) -> Tensor:  # h [B, C, H, W] -> the same; e is not read
        """Let every place read from all places."""
        tokens = self.group_norm(h).flatten(2).transpose(1, 2)
        parts = (part(tokens).unflatten(2, (-1, self.head)) for part in (self.to_q, self.to_k, self.to_v))
        q, k, v = (part.transpose(1, 2) for part in parts)
        read = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return (self.to_out[0](read).transpose(1, 2).reshape(h.shape) + h) / self.divisor


class Resampled(nn.Module):
    """A convolution that halves or doubles the size.  padding: 0 pads the right and lower edge alone"""

    def __init__(self, channels: int, up: bool, padding: int, operations: Any, **place: Any):
        super().__init__()
        self.up, self.edge = up, (0, 0, 0, 0) if padding else (0, 1, 0, 1)
        self.conv = operations.Conv2d(channels, channels, 3, stride=1 if up else 2, padding=padding, **place)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:  # h [B, C, H, W] -> [B, C, H', W']; e is not read
        """Resize."""
        h = nn.functional.interpolate(h, scale_factor=2.0) if self.up else nn.functional.pad(h, self.edge)
        return self.conv(h)


class Stage(nn.Module):
    """Residual blocks of one resolution, each with attention behind it where wanted."""

    def __init__(self, widths: list[tuple[int, int]], attends: bool, style: Style, operations: Any, **place: Any):
        super().__init__()
        self.resnets = nn.ModuleList(ResBlock(*pair, style, operations, **place) for pair in widths)
        self.attentions = nn.ModuleList(
            SelfAttention(wanted, style.groups, style, operations, **place) for _, wanted in widths if attends
        )

    def layer(self, place: int, h: Tensor, e: Tensor) -> Tensor:
        """One block, and the attention behind it."""
        h = self.resnets[place](h, e)
        return self.attentions[place](h, e) if len(self.attentions) else h


class DownStage(Stage):
    """On the way down; a skip connection leads from every result to the way up."""

    downsamplers: nn.ModuleList

    def forward(self, h: Tensor, e: Tensor) -> list[Tensor]:
        """All results, the last of which goes on."""
        skips = []
        for place in range(len(self.resnets)):
            h = self.layer(place, h, e)
            skips.append(h)
        return skips + [sampler(h, e) for sampler in self.downsamplers]


class UpStage(Stage):
    """On the way up, with skip connections from the way down."""

    upsamplers: nn.ModuleList

    def forward(self, h: Tensor, e: Tensor, skips: list[Tensor]) -> Tensor:
        """Take from the end of `skips` one result for each block."""
        for place in range(len(self.resnets)):
            h = self.layer(place, torch.cat([h, skips.pop()], dim=1), e)
        for sampler in self.upsamplers:
            h = sampler(h, e)
        return h


class Middle(Stage):
    """Two residual blocks, and attention between them.  groups: of the norm before that"""

    def __init__(self, channels: int, attends: bool, groups: int | None, style: Style, operations: Any, **place: Any):
        super().__init__([(channels, channels)] * 2, False, style, operations, **place)
        if attends:
            self.attentions.append(SelfAttention(channels, groups, style, operations, **place))

    def forward(self, h: Tensor, e: Tensor) -> Tensor:  # h [B, C, H, W], e [B, T] -> as h
        """Run them in order."""
        for layer in (self.resnets[0], *self.attentions, self.resnets[1]):
            h = layer(h, e)
        return h


class Fourier(nn.Module):
    """Angles of the logarithm of the time at random frequencies, which are kept with the weights."""

    def __init__(self, count: int, **place: Any):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(count, **place), requires_grad=False)

    def forward(self, t: Tensor) -> Tensor:  # [B] -> [B, count]
        """2 pi f ln(t)."""
        return t.float().log()[:, None] * self.weight.to(t.device, torch.float32) * 2 * math.pi


class TimeEmbedding(nn.Module):
    """Two layers on the waves of the time."""

    def __init__(self, waves: int, wanted: int, operations: Any, **place: Any):
        super().__init__()
        self.linear_1 = operations.Linear(waves, wanted, **place)
        self.linear_2 = operations.Linear(wanted, wanted, **place)

    def forward(self, waves: Tensor) -> Tensor:  # [B, waves] -> [B, wanted]
        """Apply both."""
        return self.linear_2(nn.functional.silu(self.linear_1(waves)))


class UNet2D(nn.Module):
    """Predicts what its scheduler says.  settings: all SETTINGS

    operations: where the layers come from (torch.nn, or the host's casting layers). device, dtype: of the weights.
    """

    def __init__(self, settings: Mapping[str, Any], labels: int, operations: Any = nn, **place: Any):
        super().__init__()
        self.settings = settings
        widths, fourier, style = (
            settings["block_out_channels"],
            settings["time_embedding_type"] == "fourier",
            style_of(settings),
        )
        shared = (settings, style, operations)
        self.conv_in = operations.Conv2d(settings["in_channels"], widths[0], 3, padding=1, **place)
        self.time_proj = Fourier(widths[0], **place) if fourier else None
        self.time_embedding = TimeEmbedding((1 + fourier) * widths[0], style.time, operations, **place)
        self.class_embedding: Any = operations.Embedding(labels, style.time, **place) if labels else None
        self.down_blocks = nn.ModuleList(_down(level, *shared, **place) for level in range(len(widths)))
        self.mid_block = _middle(*shared, **place) if settings["mid_block_type"] else None
        self.up_blocks = nn.ModuleList(_up(level, *shared, **place) for level in reversed(range(len(widths))))
        self.conv_norm_out = operations.GroupNorm(style.groups, widths[0], eps=style.epsilon, **place)
        self.conv_out = operations.Conv2d(widths[0], settings["out_channels"], 3, padding=1, **place)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:  # x [B, C, H, W], t [B], y [B] -> [B, C, H, W]
        """The prediction; a learned variance is left out.

        t: index in the table of noise levels. y: labels, which a network without labels does not read.
        """
        e = self.time_embedding(self._waves(t).to(x.dtype))
        if self.class_embedding is not None:
            e = e + self.label_vectors(y).to(x.dtype)
        h = self.conv_in(2 * x - 1 if self.settings["center_input_sample"] else x)
        skips = [h]
        for stage in self.down_blocks:
            skips += stage(skips[-1], e)
        h = skips[-1] if self.mid_block is None else self.mid_block(skips[-1], e)
        for stage in self.up_blocks:
            h = stage(h, e, skips)
        output = self.conv_out(nn.functional.silu(self.conv_norm_out(h)))[:, : self.settings["in_channels"]]
        return output if self.time_proj is None else output / t.to(output)[:, None, None, None]

    def label_vectors(self, y: Tensor) -> Tensor:  # [B] -> [B, emb]
        """Embeddings of labels; embeddings stay as they are."""
        return y if y.is_floating_point() else self.class_embedding(y.long())

    def _waves(self, t: Tensor) -> Tensor:  # [B] -> [B, waves]
        if self.time_proj is not None:
            angles = self.time_proj(t)
            return torch.cat([angles.sin(), angles.cos()], dim=1)
        width = self.settings["block_out_channels"][0]
        waves = time_features(t, width, self.settings["freq_shift"])
        return waves if self.settings["flip_sin_to_cos"] else waves.roll(width // 2, dims=1)


def style_of(settings: Mapping[str, Any]) -> Style:
    """What all blocks of a network have alike."""
    return Style(
        time=settings["time_embedding_dim"] or 4 * settings["block_out_channels"][0],
        groups=settings["norm_num_groups"],
        epsilon=settings["norm_eps"],
        head=settings["attention_head_dim"],
        scales_norm=settings["resnet_time_scale_shift"] == "scale_shift",
    )


def _down(level: int, settings: Mapping[str, Any], style: Style, operations: Any, **place: Any) -> DownStage:
    widths = settings["block_out_channels"]
    before, wanted = widths[max(0, level - 1)], widths[level]
    attends, kind = DOWN[settings["down_block_types"][level]]
    pairs = [(before, wanted), *[(wanted, wanted)] * (settings["layers_per_block"] - 1)]
    stage = DownStage(pairs, attends, style, operations, **place)
    sampler = partial(Resampled, up=False, padding=settings["downsample_padding"])
    if (kind or settings["downsample_type"]) == "resnet":
        sampler = partial(ResBlock, wanted=wanted, style=style, resize="down")
    last = level == len(widths) - 1
    stage.downsamplers = nn.ModuleList([] if last else [sampler(wanted, operations=operations, **place)])
    return stage


def _up(level: int, settings: Mapping[str, Any], style: Style, operations: Any, **place: Any) -> UpStage:
    widths, layers = settings["block_out_channels"], settings["layers_per_block"]
    deeper, wanted, shallower = widths[min(level + 1, len(widths) - 1)], widths[level], widths[max(0, level - 1)]
    attends, kind = UP[settings["up_block_types"][len(widths) - 1 - level]]
    before, skips = [deeper, *[wanted] * layers], [*[wanted] * layers, shallower]  # channels
    pairs = [(channels + skipped, wanted) for channels, skipped in zip(before, skips, strict=True)]
    stage = UpStage(pairs, attends, style, operations, **place)
    sampler = partial(Resampled, up=True, padding=1)
    if (kind or settings["upsample_type"]) == "resnet":
        sampler = partial(ResBlock, wanted=wanted, style=style, resize="up")
    stage.upsamplers = nn.ModuleList([sampler(wanted, operations=operations, **place)] if level else [])
    return stage


def _middle(settings: Mapping[str, Any], style: Style, operations: Any, **place: Any) -> Middle:
    groups = settings["attn_norm_num_groups"] or (None if style.scales_norm else style.groups)
    divided = replace(style, divisor=settings["mid_block_scale_factor"])
    return Middle(settings["block_out_channels"][-1], settings["add_attention"], groups, divided, operations, **place)


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """All SETTINGS that a config states or leaves to their usual values.

    Raises ValueError for blocks that are not built here, by their names, and for lists of different lengths.
    """
    settings = {key: config.get(key, usual) for key, (usual, _) in SETTINGS.items()}
    blocks = (("down_block_types", DOWN), ("up_block_types", UP))
    wrong = [kind for key, kinds in blocks for kind in settings[key] if kind not in kinds]
    wrong += [kind for kind in (settings["mid_block_type"],) if kind not in (None, "UNetMidBlock2D")]
    if wrong:
        kinds = ", ".join([*DOWN, "UNetMidBlock2D", *UP])
        raise ValueError(f"has blocks of the kind {wrong[0]}, which this node cannot build. It can build {kinds}.")
    if settings["class_embed_type"] is not None:
        raise ValueError(f"has class_embed_type {settings['class_embed_type']!r}; labels need num_class_embeds alone.")
    if len({len(settings[key]) for key in ("down_block_types", "up_block_types", "block_out_channels")}) > 1:
        raise ValueError("has lists of blocks and of channels that are not of one length.")
    if settings["out_channels"] not in (settings["in_channels"], 2 * settings["in_channels"]):
        raise ValueError(
            f"makes {settings['out_channels']} channels of {settings['in_channels']}; "
            "a prediction has as many, or twice."
        )
    return settings


def native_side(size: int | Sequence[int], multiple: int) -> int:
    """The side of a native sample.  Raises ValueError for one that is no square, or that the network cannot halve."""
    side, other = (size, size) if isinstance(size, int) else size
    if side != other or side % multiple:
        raise ValueError(
            f"has sample_size = {size} in its config.json, and a square is needed whose side is a multiple of "
            f"{multiple}. Correct it, or choose another folder."
        )
    return side


def rename_attention(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights by today's names: those of attention were others in 2022."""
    old = re.compile(rf"(attentions\.\d+)\.({'|'.join(OLDER)})\.")
    return {old.sub(lambda found: f"{found[1]}.{OLDER[found[2]]}.", name): weight for name, weight in weights.items()}


def memory(sizes: Mapping[str, Any], batch: int, pixels: int) -> int:
    """Activations of one forward."""
    levels = {"widths": sizes["block_out_channels"], "depth": sizes["layers_per_block"]}
    return unet_memory(levels, batch, pixels)


def unet_format(config: Mapping[str, Any]) -> Format:
    """The format of one folder's weights."""
    settings = settings_of(config)
    multiple = coarsest(settings["block_out_channels"])
    side = native_side(settings["sample_size"] or 32, multiple)
    latents = SD_LATENTS if settings["in_channels"] == 4 else PIXELS
    return Format(
        name="unet2d",
        title="UNet2DModel",
        recognises=lambda shapes, metadata: False,  # a file alone does not say how many groups its norms have
        sizes=lambda shapes: settings,
        labels=lambda shapes: settings["num_class_embeds"] or 0,
        published=lambda sizes: Published(settings["in_channels"], side, multiple, time="index", latents=latents),
        network=UNet2D,
        memory=memory,
        null_label=False,
    )
