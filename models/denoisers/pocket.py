"""The embedded demo denoiser's network: a small U-Net that works on 2 x 2 patches and finishes at full resolution."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .spec import Format, Published, Shapes, labels_of_table

FREQUENCIES = 32
SLOWEST, FASTEST = 0.25, 16.0  # angular frequencies per unit of ln(sigma) / 4, whose range is -1.6 .. 1.1
HEAD_WIDTH = 32  # channels an attention head sees
STAGES = ("encode_half", "encode_quarter", "middle", "decode_quarter", "decode_half", "head")
CLASSES = "embedding.classes.weight"
BYTES_PER_PIXEL = 480  # activations alive at once, in float32: measured 320, attention not counted


def fourier_features(t: Tensor) -> Tensor:  # [B] -> [B, 64]
    """Cosines and sines of t at log-spaced frequencies, in float32 or wider: half precision blurs the fast ones."""
    wide = t.to(torch.promote_types(t.dtype, torch.float32))
    logs = torch.linspace(math.log(SLOWEST), math.log(FASTEST), FREQUENCIES, device=t.device, dtype=wide.dtype)
    angles = wide[:, None] * logs.exp()
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def zero_init(layer: nn.Module) -> nn.Module:
    """Start a layer at zero, so that the branch it ends is silent before training."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def apply_to_pairs(layer: nn.Module, e: Tensor) -> Tensor:  # [B, in] -> [B, out]
    """Apply a linear layer to two rows at a time, as in a run of one picture with guidance.

    Every other layer gives a row the same bits in any batch of two or more; a product of so few rows does not, because
    its order of summation follows their number.
    """
    return torch.cat([layer(rows) for rows in e.split(2)])


class Modulation(nn.Module):
    """Group normalisation whose scale and shift follow the embedding:  norm(h) * (1 + a) + b."""

    def __init__(self, channels: int, groups: int, emb: int, operations: Any, **place: Any):
        super().__init__()
        self.norm = operations.GroupNorm(groups, channels, **place)
        self.affine = operations.Linear(emb, 2 * channels, **place)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:  # h [B, C, H, W], e [B, emb] -> [B, C, H, W]
        """Normalise `h`, then scale and shift it by what `e` says."""
        a, b = apply_to_pairs(self.affine, e)[:, :, None, None].chunk(2, dim=1)
        return self.norm(h) * (1 + a) + b


class Block(nn.Module):
    """Residual block of two 3 x 3 convolutions; the embedding enters between them."""

    def __init__(self, channels: int, emb: int, operations: Any, groups: int = 8, **place: Any):
        super().__init__()
        self.norm = operations.GroupNorm(groups, channels, **place)
        self.first = operations.Conv2d(channels, channels, 3, padding=1, **place)
        self.modulation = Modulation(channels, groups, emb, operations, **place)
        self.second = zero_init(operations.Conv2d(channels, channels, 3, padding=1, **place))

    def forward(self, h: Tensor, e: Tensor) -> Tensor:  # h [B, C, H, W], e [B, emb] -> [B, C, H, W]
        """Add to `h` what the two convolutions make of it."""
        inner = self.first(nn.functional.silu(self.norm(h)))
        return h + self.second(nn.functional.silu(self.modulation(inner, e)))


class Attention(nn.Module):
    """Residual self-attention over all places, written out as matmul, softmax, matmul (fastest on a CPU)."""

    def __init__(self, channels: int, operations: Any, groups: int = 8, **place: Any):
        super().__init__()
        self.heads = channels // HEAD_WIDTH
        self.norm = operations.GroupNorm(groups, channels, **place)
        self.queries_keys_values = operations.Linear(channels, 3 * channels, **place)
        self.out = zero_init(operations.Linear(channels, channels, **place))

    def forward(self, h: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C, H, W]
        """Let every place read from all places."""
        batch, channels, height, width = h.shape
        tokens = self.norm(h).flatten(2).transpose(1, 2)
        split = self.queries_keys_values(tokens).reshape(batch, height * width, 3, self.heads, HEAD_WIDTH)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(2, 3) * HEAD_WIDTH**-0.5).softmax(dim=3)
        read = (weights @ v).transpose(1, 2).reshape(batch, height * width, channels)
        return h + self.out(read).transpose(1, 2).reshape(h.shape)


class Level(nn.Module):
    """Blocks at one resolution; where wanted, attention follows the block of that number."""

    def __init__(self, channels: int, count: int, emb: int, operations: Any, attend_after: int = 0, **place: Any):
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, emb, operations, **place) for _ in range(count))
        self.attention = Attention(channels, operations, **place) if attend_after else None
        self.attend_after = attend_after

    def forward(self, h: Tensor, e: Tensor) -> Tensor:  # h [B, C, H, W], e [B, emb] -> [B, C, H, W]
        """Run the blocks in order."""
        for number, block in enumerate(self.blocks, start=1):
            h = block(h, e)
            if self.attention is not None and number == self.attend_after:
                h = self.attention(h)
        return h


class Upsample(nn.Module):
    """Double the resolution: 1 x 1 convolution, then pixel shuffle."""

    def __init__(self, channels: int, wanted: int, operations: Any, **place: Any):
        super().__init__()
        self.spread = operations.Conv2d(channels, 4 * wanted, 1, **place)

    def forward(self, h: Tensor) -> Tensor:  # [B, C, H, W] -> [B, wanted, 2H, 2W]
        """Spread each place's channels over four places."""
        return nn.functional.pixel_shuffle(self.spread(h), 2)


class Embedding(nn.Module):
    """One vector for noise level and class:  silu(W2 silu(W1 waves(t)) + table[y])."""

    def __init__(self, emb: int, labels: int, operations: Any, **place: Any):
        super().__init__()
        self.first = operations.Linear(2 * FREQUENCIES, emb, **place)
        self.second = operations.Linear(emb, emb, **place)
        self.classes = operations.Embedding(labels + 1, emb, **place)

    def forward(self, t: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:  # t [B], y [B] -> [B, emb]
        """Embed noise level and label; the result has the activations' `dtype`."""
        level = apply_to_pairs(
            self.second, nn.functional.silu(apply_to_pairs(self.first, fourier_features(t).to(dtype)))
        )
        return nn.functional.silu(level + self.label_vectors(y).to(dtype))

    def label_vectors(self, y: Tensor) -> Tensor:  # [B] -> [B, emb]
        """Embeddings of labels; embeddings stay as they are."""
        return y if y.is_floating_point() else self.classes(y.long())


class Head(nn.Module):
    """Finish at full resolution, where the noisy input is seen again: no patch edges, no speckle."""

    def __init__(self, channels: int, width: int, emb: int, count: int, operations: Any, **place: Any):
        super().__init__()
        self.up = Upsample(channels, width, operations, **place)
        self.look = operations.Conv2d(3, width, 3, padding=1, **place)
        self.modulation = Modulation(width, 4, emb, operations, **place)
        self.mix = operations.Conv2d(width, width, 3, padding=1, **place)
        self.blocks = nn.ModuleList(
            zero_init(operations.Conv2d(width, width, 3, padding=1, **place)) for _ in range(count)
        )
        self.colour = zero_init(operations.Conv2d(width, 3, 3, padding=1, **place))

    def forward(self, h: Tensor, x: Tensor, e: Tensor) -> Tensor:  # h [B, C, H/2, W/2], x [B, 3, H, W] -> as x
        """Join the trunk's patches with the input's pixels."""
        h = nn.functional.silu(self.modulation(self.up(h) + self.look(x), e))
        h = h + self.mix(h)
        for convolution in self.blocks:
            h = h + convolution(nn.functional.silu(h))
        return self.colour(h)


@dataclass(frozen=True)
class PocketSizes:
    """The size of a Pocket.

    ch: channels at half, quarter and eighth resolution. emb: width of the embedding. head: channels at full resolution.
    blocks: residual blocks of the trunk's stages (half, quarter, eighth, quarter, half), then convolutions of the head.
    labels: number of classes; the label of that number means "no label".
    """

    ch: tuple[int, int, int] = (48, 96, 160)
    emb: int = 128
    head: int = 16
    blocks: tuple[int, int, int, int, int, int] = (1, 2, 2, 1, 1, 1)
    labels: int = 10


class PocketUNet(nn.Module):
    """The raw network F of the demo denoiser.

    operations: where the layers come from (torch.nn, or the host's casting layers). device, dtype: of the weights.
    """

    def __init__(self, sizes: PocketSizes, operations: Any = nn, device: Any = None, dtype: torch.dtype | None = None):
        super().__init__()
        place = {"device": device, "dtype": dtype}
        emb, blocks = sizes.emb, sizes.blocks
        half, quarter, eighth = sizes.ch
        self.embedding = Embedding(emb, sizes.labels, operations, **place)
        self.stem = operations.Conv2d(12, half, 3, padding=1, **place)
        self.encode_half = Level(half, blocks[0], emb, operations, **place)
        self.to_quarter = operations.Conv2d(half, quarter, 2, stride=2, **place)
        self.encode_quarter = Level(quarter, blocks[1], emb, operations, attend_after=blocks[1], **place)
        self.to_eighth = operations.Conv2d(quarter, eighth, 2, stride=2, **place)
        self.middle = Level(eighth, blocks[2], emb, operations, attend_after=1, **place)
        self.from_eighth = Upsample(eighth, quarter, operations, **place)
        self.decode_quarter = Level(quarter, blocks[3], emb, operations, attend_after=blocks[3], **place)
        self.from_quarter = Upsample(quarter, half, operations, **place)
        self.decode_half = Level(half, blocks[4], emb, operations, **place)
        self.head = Head(half, sizes.head, emb, blocks[5], operations, **place)

    @property
    def null_index(self) -> int:
        """The label that means "no label"."""
        return self.embedding.classes.num_embeddings - 1

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:  # x [B, 3, H, W], t [B], y [B] -> [B, 3, H, W]
        """Evaluate F.

        x: c_in * noisy image; H and W divisible by 8. t: ln(sigma) / 4. y: labels, 0 .. labels (= no label).
        """
        if x.shape[2] % 8 or x.shape[3] % 8:
            raise ValueError(f"image is {x.shape[3]} x {x.shape[2]} but Pocket needs sides divisible by 8. Resize it.")
        if not len(x):  # torch unshuffles no empty batch
            return x
        e = self.embedding(t, y, x.dtype)
        at_half = self.encode_half(self.stem(nn.functional.pixel_unshuffle(x, 2)), e)
        at_quarter = self.encode_quarter(self.to_quarter(at_half), e)
        at_eighth = self.middle(self.to_eighth(at_quarter), e)
        up_quarter = self.decode_quarter(self.from_eighth(at_eighth) + at_quarter, e)
        up_half = self.decode_half(self.from_quarter(up_quarter) + at_half, e)
        return self.head(up_half, x, e)


def sizes_of(shapes: Shapes) -> dict[str, Any]:
    """Read a Pocket's sizes off its weights.

    Raises KeyError for a missing weight, ValueError for channels its groups and attention heads cannot share out.
    """
    ch = tuple(shapes[name][0] for name in ("stem.weight", "to_quarter.weight", "to_eighth.weight"))
    head, emb = shapes["head.look.weight"][0], shapes["embedding.first.weight"][0]
    blocks = tuple(blocks_of(shapes, stage) for stage in STAGES)
    for channels, divisor in ((ch[0], 8), (ch[1], HEAD_WIDTH), (ch[2], HEAD_WIDTH), (head, 4)):
        if channels < 1 or channels % divisor:
            raise ValueError(f"has {channels} channels where pocket-unet-1 needs a multiple of {divisor}")
    return {"ch": ch, "emb": emb, "head": head, "blocks": blocks}


def blocks_of(shapes: Shapes, stage: str) -> int:
    """How many residual blocks the weights have for a stage."""
    return len({match[1] for key in shapes if (match := re.match(rf"{stage}\.blocks\.(\d+)\.", key))})


def memory(sizes: Mapping[str, Any], batch: int, pixels: int) -> int:
    """Activations of one forward: pixels, and attention's weights at a quarter of the resolution (before and after)."""
    wider = max(1.0, sizes["ch"][0] / 48, sizes["head"] / 16)
    attention = 2 * 4 * (sizes["ch"][1] // HEAD_WIDTH) * (pixels // 16) ** 2
    return int(batch * (BYTES_PER_PIXEL * wider * pixels + attention))


POCKET = Format(
    name="pocket-unet-1",
    title="Pocket",
    recognises=lambda shapes, metadata: {"stem.weight", "head.look.weight", CLASSES} <= shapes.keys(),
    sizes=sizes_of,
    labels=lambda shapes: labels_of_table(shapes, CLASSES),
    published=lambda sizes: Published(channels=3, image_size=32, multiple=8),
    network=lambda sizes, labels, **place: PocketUNet(PocketSizes(**sizes, labels=labels), **place),
    memory=memory,
)
