"""The model's own measure of finished samples, in a script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..measure.levels import DRAWS, SEED, Answer, query_levels
from ..measure.measurement import Measurement
from .sampling import check_samples
from .traces import require


def measure(
    denoiser: Any,
    x: Tensor,
    cond: Any,
    *,
    uncond: Any = None,
    draws: int = DRAWS,
    seed: int = SEED,
    weight: Tensor | None = None,
    setting: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Measurement:  # x [B, ...]
    """Ask a denoiser about finished samples: how strongly they show the prompt, and how strange they are to it.

    denoiser: as for `record`, the very one that made x, without guidance. cond, uncond: its conditions. draws: pairs of
    noise at each level. weight: [B or 1, ...] of each value, such as a mask. setting: sampler, steps and whatever else
    x was made with; only equal settings are compared. facts: space and sigma_data, where the denoiser has none.
    Raises TypeError or ValueError for an x that is no batch, and for facts that are missing.
    """
    require("scipy", "studies")
    check_samples(x)
    known = {**getattr(denoiser, "facts", {}), **facts}
    if not known.get("sigma_data"):
        raise ValueError("sigma_data, the rms of clean samples, is not known. Give it: sigma_data=0.5.")
    asked = [0]

    @torch.no_grad()
    def predict(y: Tensor, sigma: float, both: bool) -> Answer:
        signal = 1 / (1 + sigma) if known.get("space") == "flow" else 1.0
        conditions = (cond, uncond) if both else (cond,)
        asked[0] += len(conditions)
        answers = [denoiser(y * signal, sigma * signal, condition) for condition in conditions]
        return Answer(answers[0], answers[1] if both else None, weight)

    (levels,) = query_levels(predict, x, known["sigma_data"], draws=draws, seed=seed)
    return Measurement(levels, {"size": tuple(x.shape[1:]), **(setting or {})}, asked[0] * len(x))
