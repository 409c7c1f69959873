"""Classifier-free guidance."""

from __future__ import annotations

from torch import Tensor

from ..predictions import Predictions


def cfg(p: Predictions, *, gamma: float) -> Tensor:  # [B, ...]
    """Move from the unconditional prediction along the difference, gamma times as far as the conditional one lies.

        D = u + (c - u) * gamma

    gamma: 0 is u, 1 is c, larger overshoots c. The order of operations is the host's, so the bits are too.
    Source: Ho and Salimans 2022, arXiv 2207.12598, eq. 6, with gamma = 1 + w.
    """
    return p.uncond + p.delta * gamma  # pyright: ignore[reportOptionalOperand]  delta has refused a missing uncond
