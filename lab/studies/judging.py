"""What the demo models' judge says of pictures: how many show their label, and how far they are from real ones."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ...dev.places import ROOT
from ...files.safetensors import read_safetensors
from ..train.demo_evaluation import (
    Statistics,
    classwise_frechet,
    diversity,
    frechet,
    interval,
    statistics_of,
    to_pixels,
)
from ..train.demo_files import read_judge

LABELS = 10
REAL = ROOT / "assets" / "statistics" / "pocket-judge-1.safetensors"


@cache
def real_pictures() -> Statistics:
    """Of the 2,500 validation pictures, as the judge sees them."""
    tensors, _ = read_safetensors(REAL)
    return Statistics(*(tensors[name].double() for name in Statistics.__annotations__))


def rounded(x0: Tensor) -> Tensor:  # [N, 3, 32, 32] -> the same, in 256 steps of -1 .. 1
    """Pictures as files hold them."""
    return torch.from_numpy(to_pixels(x0)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def named(x0: Tensor) -> Tensor:  # [N, 3, 32, 32] -> [N]
    """The label that the judge names, of each picture."""
    network = read_judge()
    return torch.cat([network.out(network.features(part)).argmax(1) for part in rounded(x0).split(250)])


@torch.no_grad()
def judge(x0: Tensor) -> dict[str, float]:  # [N, 3, 32, 32], labels 0 to 9 in turn
    """Accuracy with its 95 % interval, both Frechet distances, and diversity, of pictures rounded to 8 bits."""
    labels = torch.arange(len(x0)) % LABELS
    pictures, network = rounded(x0), read_judge()
    features = torch.cat([network.features(part) for part in pictures.split(250)])
    right = (network.out(features).argmax(1) == labels).double().mean().item()
    low, high = interval(right, len(x0))
    found = statistics_of(features, labels)
    return {
        "accuracy": right,
        "low": low,
        "high": high,
        "frechet": frechet(found, real_pictures()),
        "classwise": classwise_frechet(found, real_pictures()),
        "diversity": diversity(pictures, labels),
    }
