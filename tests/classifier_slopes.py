"""What every guide must have: an input gradient that is there, and is the slope of what it says."""

from pathlib import Path
from typing import TypeVar

import torch

from guidance_geometry.dev.fixtures.mac_tensor import mac
from guidance_geometry.dev.fixtures.tiny_folders import lively
from guidance_geometry.models.classifiers.reading import open_classifier
from guidance_geometry.models.classifiers.wired import WiredNetwork

__all__ = ["lively", "mac_error", "noise", "open_as", "slope_error"]

Kind = TypeVar("Kind", bound=WiredNetwork)


def open_as(path: Path, kind: type[Kind]) -> Kind:
    """The network in a file or folder, which is of this kind."""
    network = open_classifier(path)
    assert isinstance(network, kind)
    return network


def noise(shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def slope_error(score, x, step=3e-3):
    """Relative error of the gradient of a score [B] against central differences along the gradient itself."""
    point = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(score(point).sum(), point)
    size = gradient.norm()
    assert size > 1e-6, f"the gradient is {size}"
    along = gradient / size
    with torch.no_grad():
        found = (score(x + step * along) - score(x - step * along)).double().sum() / (2 * step)
    return float((found - size).abs() / size)


def slope(score, x):
    point = x.clone().requires_grad_(True)
    return torch.autograd.grad(score(point).sum(), point)[0]


def mac_error(score, x):
    """Relative error of the gradient on a device without float64 that does not meet the CPU's tensors."""
    here = slope(score, x)
    with mac() as device:
        there = slope(score, x.to(device)).cpu()
        score(x)  # the network comes back
    return float((there - here).norm() / here.norm())
