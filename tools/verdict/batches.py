"""What a run tells in a few numbers, of batches of samples of one label: from the inner products that cells keep."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ...trace.features import features_of
from ...trace.file import even_positions
from ...trace.trace import Trace

FEATURES = ("overshoot", "overmean", "push8", "strength")


def batches(trace: Trace, labels: int, size: int) -> Iterator[Trace]:
    """The trace in batches of one label each; samples that fill no batch are left out."""
    for label in range(min(labels, trace.batch)):
        own = torch.arange(label, trace.batch, labels)
        for chosen in own[: len(own) // size * size].split(size) if len(own) >= size else ():
            yield Trace(trace.header, trace.steps | {"K": trace.steps["K"][:, chosen]}, trace.stage)


def features(trace: Trace, labels: int, size: int, most: int) -> Tensor:  # -> [batches, 4] float64
    """FEATURES of batches of one label, of at most so many, evenly chosen."""
    parts = list(batches(trace, labels, size))
    chosen = even_positions(len(parts), min(most, len(parts))) if parts else []
    found = [features_of(parts[place]) for place in chosen]
    rows = [[getattr(one, name) for name in FEATURES] for one in found]
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, len(FEATURES))
