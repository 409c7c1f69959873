"""Small pictures of a run for the inspector.

One sheet a step, a row for each sample, a column for each kind; and of some steps both predictions, which a browser
can mix at any scale:

    colour(u + gamma (c - u)) = colour(u) + gamma (colour(c) - colour(u))

holds for pixels and for the host's preview colours, which are linear, as long as nothing is clipped; so nothing is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ...figures.difference import NO_PICTURES
from ...figures.pictures import Pictures, draw_on_grey, shown_state
from ...files.writing import NotWritten
from ...guidance.vectors import promote
from ...trace.faults import NothingToShow
from ...trace.file import some_samples
from ...trace.trace import Trace
from ..models.trace_pictures import pictures_of

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = ("x", "uncond", "cond", "guided", "difference", "where")
MOST_SAMPLES = 8
SIDE = 96  # pixels of the longer side of one picture at most
QUALITIES = (82, 70, 58, 46, 34)  # of the JPEGs: the best at which all of a run stay below MOST_BYTES, else the last
MOST_BYTES = 300_000
QUANTILE = 0.99  # of the difference's length over the run; the heat map ends there
COLD, WARM = (0.0, 0.0, 0.08), (1.0, 0.75, 0.25)  # of the heat map
MIXED_BYTES = 2 << 20  # of all steps of a run: more of them, or more samples, are smaller
LARGEST = 32767  # of int16
ENDING = ".i16"


@dataclass(frozen=True)
class Sheets:
    """Small pictures of a run, one sheet a step.

    files: {step: JPEG of rows x kinds pictures}.
    kinds: of the columns.
    samples: that the rows show.
    size: of one picture, [w, h] in pixels.
    gain: factor of the signed difference on grey.
    clipped: share of its values that grey cannot show.
    scale: length of the difference (rms over channels) that the heat map shows as its warmest colour; it shows the
        square root of the length.
    note: how colours were made, in a sentence.
    """

    files: dict[int, bytes]
    kinds: list[str]
    samples: list[int]
    size: list[int]
    gain: float
    clipped: float
    scale: float
    note: str


def thumbnails(trace: Trace, pictures: Pictures, most: int) -> Sheets:
    """Sheets of up to `most` captured steps, evenly over the run.  Raises NothingToShow where no tensors were kept."""
    steps = trace.captured_steps
    if not steps or "x" not in trace.tensors:
        raise NothingToShow(NO_PICTURES)
    most = min(most, len(steps))
    chosen = sorted({steps[round(i * (len(steps) - 1) / max(most - 1, 1))] for i in range(most)})
    samples = some_samples(trace.batch, MOST_SAMPLES, trace.median_sample())
    parts = {step: _parts(trace, pictures, step, samples) for step in chosen}
    changes = torch.cat([part["difference"].flatten() for part in parts.values()])
    grey = draw_on_grey(changes)
    scale = _quantile(torch.cat([part["where"].flatten() for part in parts.values()]))
    sheets, size = {}, [1, 1]
    for step, part in parts.items():
        part["difference"] = draw_on_grey(part["difference"], grey.gain).pictures
        heat = (part["where"] / scale).sqrt().nan_to_num(0.0).clamp(0, 1)[..., None]  # a root, to see the small ones
        part["where"] = torch.tensor(COLD) * (1 - heat) + torch.tensor(WARM) * heat
        sheets[step], size = _sheet(part)
    return Sheets(_files(sheets), list(KINDS), samples, size, grey.gain, grey.clipped_share, scale, pictures.how)


def _parts(trace: Trace, pictures: Pictures, step: int, samples: list[int]) -> dict[str, Tensor]:
    """{kind: [b, H, W, 3]} of one step; difference is signed, where is [b, H, W], nan marks what is unknown."""
    x = trace.require_tensor("x", step)[samples].float()
    unknown = torch.full_like(x, torch.nan)
    captured = [trace.captured_tensor(name, step) for name in ("uncond", "cond", "guided")]
    u, c, guided = (unknown if tensor is None else tensor[samples].float() for tensor in captured)
    x = shown_state(x, float(trace.steps["sigma"][step]), str(trace.header.get("space")))
    tensors = {"x": x, "uncond": u, "cond": c, "guided": guided}
    shown = {name: pictures.image(tensor) for name, tensor in tensors.items()}
    shown |= {name: torch.full_like(shown[name], 0.5) for name, v in tensors.items() if not bool(v.isfinite().any())}
    change = pictures.difference(u, c)
    if not bool((c - u).isfinite().any()):
        change = torch.full_like(change, torch.nan)
    length = promote(c - u).square().mean(dim=1).sqrt()
    return shown | {"difference": change, "where": length if length.ndim == 3 else length[:, length.shape[1] // 2]}


def _quantile(lengths: Tensor) -> float:
    finite = lengths[lengths.isfinite()]
    if len(finite) == 0:
        return 1.0
    rank = max(1, round(QUANTILE * len(finite)))
    return float(finite.kthvalue(rank).values) or 1.0


def _sheet(part: dict[str, Tensor]) -> tuple[Image, list[int]]:
    from PIL import Image

    height, width = part["x"].shape[1:3]
    factor = min(1.0, SIDE / max(height, width))
    size = [max(1, round(width * factor)), max(1, round(height * factor))]
    sheet = Image.new("RGB", (size[0] * len(KINDS), size[1] * len(part["x"])))
    for column, kind in enumerate(KINDS):
        for row, pixels in enumerate((part[kind].numpy(force=True) * 255).round().astype(np.uint8)):
            sheet.paste(Image.fromarray(pixels).resize(size), (column * size[0], row * size[1]))
    return sheet, size


def _files(sheets: dict[int, Image]) -> dict[int, bytes]:
    """The sheets as JPEGs, all of one quality."""
    files = {}
    for quality in QUALITIES:
        for step, sheet in sheets.items():
            file = BytesIO()
            # no subsampling: colours do not run over a picture's edge
            sheet.save(file, "JPEG", quality=quality, optimize=True, subsampling=0)
            files[step] = file.getvalue()
        if sum(map(len, files.values())) <= MOST_BYTES:
            break
    return files


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
        files = [{"i": step, **_write_colours(colours, keep)} for step, colours in small.items()]
    except NotWritten:
        return {}
    return {"mix": {"size": [width, height], "steps": files}}


def _pair(trace: Trace, step: int, samples: Sequence[int]) -> Tensor | None:  # -> [2 b, C, ...]
    """u and c of a step, one after the other; None where one is not known."""
    captured = [trace.captured_tensor(name, step) for name in ("uncond", "cond")]
    rows = [tensor[list(samples)].float() for tensor in captured if tensor is not None]
    pair = torch.cat(rows) if len(rows) == len(captured) else None
    return pair if pair is not None and bool(pair.isfinite().all()) else None


def _smaller(colours: Tensor, steps: int) -> Tensor:  # [n, H, W, 3] -> [n, h, w, 3]
    """Means over areas, which keep sums, so that a mix of small pictures is the small picture of the mix."""
    height, width = colours.shape[1:3]
    room = MIXED_BYTES / (2 * 3 * len(colours) * steps)
    factor = min(1.0, SIDE / max(height, width), math.sqrt(room / (height * width)))
    size = [max(1, int(factor * height)), max(1, int(factor * width))]
    return nn.functional.interpolate(colours.movedim(-1, 1), size, mode="area").movedim(1, -1)


def _write_colours(colours: Tensor, keep: Callable[[bytes, str], dict]) -> dict:
    scale = float(colours.abs().max()) / LARGEST or 1.0
    levels = (colours / scale).round().to(torch.int16).contiguous()
    return {"scale": scale, **keep(levels.cpu().numpy().astype("<i2").tobytes(), ENDING)}
