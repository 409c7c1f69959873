"""The two predictions of some steps as small pictures that a browser can mix at any scale.

    colour(u + gamma (c - u)) = colour(u) + gamma (colour(c) - colour(u))

holds for pixels and for the host's preview colours, which are linear, as long as nothing is clipped; so nothing is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..files.writing import NotWritten
from ..trace.trace import Trace
from .trace_pictures import pictures_of

MOST_SIDE = 96  # pixels of a picture's longer side
MOST_BYTES = 2 << 20  # of all steps of a run: more of them, or more samples, are smaller
LARGEST = 32767  # of int16
ENDING = ".i16"


def mixable(trace: Trace, pictures: Mapping, keep: Callable[[bytes, str], dict]) -> dict:
    """What the panel mixes: {"mix": {"size": [w, h], "steps": [{"i", "scale", file}, ...]}}, or nothing.

    pictures: which steps and samples the panel shows. A file holds int16 [u and c, samples, h, w, colours], times scale
    the colours from 0 to 1, and beyond. Nothing where no colours are known, and where the disk is full.
    """
    steps, samples = [sheet["i"] for sheet in pictures.get("steps", ())], list(pictures.get("samples", ()))
    pairs = {step: pair for step in steps if (pair := _pair(trace, step, samples)) is not None}
    if not pairs or not pictures_of(trace).can_show(trace.latent_shape):
        return {}
    small = {step: _smaller(pictures_of(trace).linear(pair), len(pairs)) for step, pair in pairs.items()}
    height, width = next(iter(small.values())).shape[1:3]
    try:
        kept = [{"i": step, **_written(colours, keep)} for step, colours in small.items()]
    except NotWritten:
        return {}
    return {"mix": {"size": [width, height], "steps": kept}}


def _pair(trace: Trace, step: int, samples: Sequence[int]) -> Tensor | None:  # -> [2 b, C, ...]
    """u and c of a step, one after the other; None where one is not known."""
    kept = [trace.captured(name, step) for name in ("uncond", "cond")]
    known = [tensor[list(samples)].float() for tensor in kept if tensor is not None]
    found = torch.cat(known) if len(known) == len(kept) else None
    return found if found is not None and bool(found.isfinite().all()) else None


def _smaller(colours: Tensor, steps: int) -> Tensor:  # [n, H, W, 3] -> [n, h, w, 3]
    """Means over areas, which keep sums, so that a mix of small pictures is the small picture of the mix."""
    height, width = colours.shape[1:3]
    room = MOST_BYTES / (2 * 3 * len(colours) * steps)
    factor = min(1.0, MOST_SIDE / max(height, width), math.sqrt(room / (height * width)))
    size = [max(1, int(factor * height)), max(1, int(factor * width))]
    return nn.functional.interpolate(colours.movedim(-1, 1), size, mode="area").movedim(1, -1)


def _written(colours: Tensor, keep: Callable[[bytes, str], dict]) -> dict:
    scale = float(colours.abs().max()) / LARGEST or 1.0
    levels = (colours / scale).round().to(torch.int16).contiguous()
    return {"scale": scale, **keep(levels.cpu().numpy().astype("<i2").tobytes(), ENDING)}
