"""A small model as people's models are: flow matching in the latents of a VAE that lies in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .latents import POCKET_LATENTS
from .pocket import HEAD_WIDTH, Embedding, Level, Upsample, blocks_of, zero_init
from .spec import Format, Published, Shapes, labels_of_table

CLASSES = "embedding.classes.weight"
BYTES_PER_CELL = 2600  # activations alive at once, in float32; attention not counted


@dataclass(frozen=True)
class FlowSizes:
    """The size of a Pocket Flow.

    channels: of a latent. ch: channels at the latent's resolution and at half of it. emb: width of the embedding.
    blocks: residual blocks before, at and after the lower resolution. labels: number of classes; the label of that
    number means "no label".
    """

    channels: int = 4
    ch: tuple[int, int] = (64, 96)
    emb: int = 64
    blocks: tuple[int, int, int] = (2, 1, 2)
    labels: int = 10


class PocketFlow(nn.Module):
    """The velocity network of the latent demo model:  v = eps - x0.

    operations: where the layers come from (torch.nn, or the host's casting layers). device, dtype: of the weights.
    """

    def __init__(self, sizes: FlowSizes, operations: Any = nn, device: Any = None, dtype: torch.dtype | None = None):
        super().__init__()
        place = {"device": device, "dtype": dtype}
        full, half = sizes.ch
        before, at, after = sizes.blocks
        self.embedding = Embedding(sizes.emb, sizes.labels, operations, **place)
        self.stem = operations.Conv2d(sizes.channels, full, 3, padding=1, **place)
        self.encode = Level(full, before, sizes.emb, operations, attend_after=before, **place)
        self.to_half = operations.Conv2d(full, half, 2, stride=2, **place)
        self.middle = Level(half, at, sizes.emb, operations, attend_after=1, **place)
        self.from_half = Upsample(half, full, operations, **place)
        self.decode = Level(full, after, sizes.emb, operations, attend_after=1, **place)
        self.norm = operations.GroupNorm(8, full, **place)
        self.velocity = zero_init(operations.Conv2d(full, sizes.channels, 3, padding=1, **place))

    @property
    def null_index(self) -> int:
        """The label that means "no label"."""
        return self.embedding.classes.num_embeddings - 1

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:  # x [B, C, H, W], t [B], y [B] -> as x
        """Evaluate v.

        x: (1 - s) x0 + s eps; H and W divisible by 2. t: ln(s / (1 - s)) / 4. y: labels, 0 .. labels (= no label).
        """
        e = self.embedding(t, y, x.dtype)
        at_full = self.encode(self.stem(x), e)
        at_half = self.middle(self.to_half(at_full), e)
        up = self.decode(self.from_half(at_half) + at_full, e)
        return self.velocity(nn.functional.silu(self.norm(up)))


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside a skip connection."""

    def __init__(self, channels: int, operations: Any, **place: Any):
        super().__init__()
        self.first_norm = operations.GroupNorm(8, channels, **place)
        self.first = operations.Conv2d(channels, channels, 3, padding=1, **place)
        self.second_norm = operations.GroupNorm(8, channels, **place)
        self.second = zero_init(operations.Conv2d(channels, channels, 3, padding=1, **place))

    def forward(self, h: Tensor) -> Tensor:  # [B, C, H, W] -> [B, C, H, W]
        """Add to `h` what the convolutions make of it."""
        inner = self.first(nn.functional.silu(self.first_norm(h)))
        return h + self.second(nn.functional.silu(self.second_norm(inner)))


class PocketVAE(nn.Module):
    """Pictures in -1 .. 1 to latents a quarter of their size along each side, and back.

    channels: of a latent. encoder: channels at half and a quarter of the resolution. decoder: at a quarter, half, full.
    """

    def __init__(
        self,
        channels: int = 4,
        encoder: tuple[int, int] = (24, 48),
        decoder: tuple[int, int, int] = (64, 32, 16),
        operations: Any = nn,
        **place: Any,
    ):
        super().__init__()
        half, quarter = encoder
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2),
            operations.Conv2d(12, half, 3, padding=1, **place),
            Residual(half, operations, **place),
            operations.Conv2d(half, quarter, 2, stride=2, **place),
            Residual(quarter, operations, **place),
            nn.SiLU(),
            operations.Conv2d(quarter, 2 * channels, 3, padding=1, **place),
        )
        quarter, half, full = decoder
        self.decoder = nn.Sequential(
            operations.Conv2d(channels, quarter, 3, padding=1, **place),
            Residual(quarter, operations, **place),
            Residual(quarter, operations, **place),
            Upsample(quarter, half, operations, **place),
            Residual(half, operations, **place),
            Upsample(half, full, operations, **place),
            Residual(full, operations, **place),
            nn.SiLU(),
            operations.Conv2d(full, 3, 3, padding=1, **place),
        )

    def posterior(self, picture: Tensor) -> tuple[Tensor, Tensor]:  # [B, 3, H, W] -> two [B, C, H/4, W/4]
        """Mean and log variance of the latent."""
        return self.encoder(picture).chunk(2, dim=1)

    def encode(self, picture: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, C, H/4, W/4]
        """The mean latent of a picture."""
        return self.posterior(picture)[0]

    def decode(self, latent: Tensor) -> Tensor:  # [B, C, H/4, W/4] -> [B, 3, H, W]
        """The picture of a latent.  Raises ValueError for one of another VAE."""
        channels = self.decoder[0].in_channels
        if latent.ndim != 4 or latent.shape[1] != channels:
            raise ValueError(
                f"The latent is of shape {tuple(latent.shape)}, but this VAE of Pocket Flow needs "
                f"[batch, {channels}, height, width]. Wire a latent of its own model."
            )
        return self.decoder(latent)


def sizes_of(shapes: Shapes) -> dict[str, Any]:
    """Read a Pocket Flow's sizes off its weights.

    Raises KeyError for a missing weight, ValueError for channels its groups and attention heads cannot share out.
    """
    channels = shapes["velocity.weight"][0]
    ch = tuple(shapes[name][0] for name in ("stem.weight", "to_half.weight"))
    if any(width < 1 or width % HEAD_WIDTH for width in ch):
        raise ValueError(
            f"has {' and '.join(map(str, ch))} channels where pocket-flow-1 needs multiples of {HEAD_WIDTH}"
        )
    blocks = tuple(blocks_of(shapes, stage) for stage in ("encode", "middle", "decode"))
    return {"channels": channels, "ch": ch, "emb": shapes["embedding.first.weight"][0], "blocks": blocks}


def memory(sizes: Mapping[str, Any], batch: int, cells: int) -> int:
    """Activations of one forward: cells, and attention's weights (before and after the softmax)."""
    attention = 2 * 4 * (sizes["ch"][0] // HEAD_WIDTH) * cells**2
    return int(batch * (BYTES_PER_CELL * sizes["ch"][0] / 64 * cells + attention))


POCKET_FLOW = Format(
    name="pocket-flow-1",
    title="Pocket Flow",
    recognises=lambda shapes, metadata: {"stem.weight", "velocity.weight", CLASSES} <= shapes.keys(),
    sizes=sizes_of,
    labels=lambda shapes: labels_of_table(shapes, CLASSES),
    published=lambda sizes: Published(
        channels=sizes["channels"],
        image_size=8,
        multiple=2,
        parametrisation="flow",
        schedule="flow",
        time="log_sigma",
        sigma_data=1.0,
        latents=POCKET_LATENTS,
        vae=PocketVAE,
    ),
    network=lambda sizes, labels, **place: PocketFlow(FlowSizes(**sizes, labels=labels), **place),
    memory=memory,
)
