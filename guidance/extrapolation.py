"""What to expect of a prediction from the two before it."""

from __future__ import annotations

import torch
from torch import Tensor


def predicted_difference(sigma: Tensor, sigma_before: Tensor, sigma_before_that: Tensor) -> dict[str, Tensor]:
    """Coefficients of the difference to expect: a line in log sigma through the last two, as noise predictions.

        e = delta / sigma    e' = e-1 + theta (e-1 - e-2)    theta = ln(sigma/sigma-1) / ln(sigma-1/sigma-2)
        delta' = sigma e'

    sigmas: noise over signal (flow: sigma / (1 - sigma)) at this step and the two before. Where the last is nan or
    inf (there is none) the noise prediction is held: e' = e-1.
    """
    has_two = sigma_before_that.isfinite()
    further = torch.where(has_two, sigma_before_that, 1.0)
    theta = torch.where(has_two, (sigma / sigma_before).log() / (sigma_before / further).log(), 0.0)
    return {"delta-1": sigma / sigma_before * (1 + theta), "delta-2": -theta * sigma / further}
