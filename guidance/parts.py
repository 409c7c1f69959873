"""Samples of several parts, such as video and sound: how they lie in a packed vector.

A host samples such parts as one vector. Lengths and angles over all of it would mix units that have nothing to do with
each other, so each part has its own gamma, its own rules' memory and its own record.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packed:
    """How the parts of a sample lie in one tensor [B, 1, N]: each flattened, one after the other.

    shapes: of one sample of each part, [C, ...]. With one part or none nothing is packed: the sample is the part.
    """

    shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What the parts are called: video has four axes, and the one part beside it is its sound."""
        videos = [len(shape) == 4 for shape in self.shapes]
        if len(videos) == 2 and sum(videos) == 1:
            return tuple("video" if video else "audio" for video in videos)
        return tuple(f"part {i}" for i in range(len(self.shapes))) if len(self.shapes) > 1 else ("",)

    @property
    def shares(self) -> list[float]:
        """What each part has of the elements of a sample; they sum to 1."""
        sizes = list(map(math.prod, self.shapes)) if len(self.shapes) > 1 else [1]
        return [size / sum(sizes) for size in sizes]

    def split(self, v: Tensor) -> list[Tensor]:  # [B, 1, N] -> [B, C, ...] each
        """The parts as views of a packed tensor; the tensor itself where nothing is packed."""
        if len(self.shapes) < 2:
            return [v]
        pieces = v.flatten(1).split(list(map(math.prod, self.shapes)), dim=1)
        return [piece.reshape(len(v), *shape) for piece, shape in zip(pieces, self.shapes, strict=True)]

    def join(self, parts: Sequence[Tensor]) -> Tensor:  # [B, C, ...] each -> [B, 1, N]
        """The packed tensor of parts; a single part as it is."""
        return parts[0] if len(parts) == 1 else torch.cat([part.flatten(1) for part in parts], dim=1)[:, None]

    def split_table(self, named: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """A table for each part: of every tensor that part, by the tensor's name."""
        parts_by_name = {name: self.split(v) for name, v in named.items()}
        return [{name: parts[i] for name, parts in parts_by_name.items()} for i in range(len(self.names))]


WHOLE = Packed()  # of one part
