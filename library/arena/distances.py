"""Distances between samples and the truth, label by label, in every resample at once.

times [D, S, K]: how often sample s of label k counts in each of D resamples.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """means: [K, F] of each label. within: [F, F], covariance about them."""

    means: Tensor
    within: Tensor


def energy_distance(far: Tensor, apart: Tensor, size: Tensor, times: Tensor) -> Tensor:  # -> [D]
    """(2 E|X - Y| - E|X - X'| - E|Y - Y'|) / E|Y - Y'| of each label, averaged over the labels; without bias.

    far: [S, K], mean distance of each sample to true ones Y of its label. apart: [K, S, S], between samples of a label.
    size: [K] = E|Y - Y'|. A sample that a resample holds twice is no pair.
    """
    outward = (times * far).sum(dim=1) / times.sum(dim=1)
    return ((2 * outward - mean_apart(apart, times)) / size - 1).mean(dim=1)


def mean_apart(apart: Tensor, times: Tensor) -> Tensor:  # [K, S, S] -> [D, K]
    """Mean distance between different samples of a label."""
    pairs = times.sum(dim=1).square() - times.square().sum(dim=1)
    return torch.einsum("dsk,kst,dtk->dk", times, apart, times) / pairs


def frechet_by_label(features: Tensor, true: Moments, times: Tensor) -> Tensor:  # features [S K, F] -> [D]
    """Mean squared distance of a label's mean to the true one, and Frechet distance of what varies within labels.

    mean_k |m_k - m*_k|^2 + tr W + tr W* - 2 tr (W W*)^(1/2)
    """
    rows = features.double().reshape(*times.shape[1:], -1)  # [S, K, F]
    counts = times.sum(dim=1)
    means = torch.einsum("dsk,skf->dkf", times, rows) / counts[..., None]
    flat, weights = rows.flatten(0, 1), times.flatten(1)
    second = (weights[:, :, None] * flat).mT @ flat
    within = second - (counts[..., None] * means).mT @ means
    within = within / (weights.sum(dim=1) - times.shape[2])[:, None, None]
    values, vectors = torch.linalg.eigh(true.within)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.mT
    shared = torch.linalg.eigvalsh(root @ within @ root).clamp(min=0).sqrt().sum(dim=1)
    spread = within.diagonal(dim1=1, dim2=2).sum(dim=1) + true.within.trace()
    return (means - true.means).square().sum(dim=2).mean(dim=1) + spread - 2 * shared
