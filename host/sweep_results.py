"""What a sweep shows: a labelled sheet, a table, and the scale that does best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import comfy.model_management
import numpy as np
import torch
from torch import Tensor

from ..figures.contact_sheet import contact_sheet
from ..studies.axes import Value
from ..studies.measures import measured
from .sweeping import Outcome, Subject
from .trace_pictures import pictures_of

MEASURES = ("strength", "effective_scale", "across", "saturation", "evaluations")
BEST_BY = ("auto", "judge", "saturation")
BURN = 0.01  # share of values that may saturate beyond what they do at the least burnt scale
SIDE, LEAST_SIDE = 224, 112  # pixels of a picture on the sheet
MOST_COLUMNS, MOST_ROWS = 16, 32
UNKNOWN = "No measure tells the cfg values apart. Connect an energy as a judge, and set best_by to judge."


class Cell(NamedTuple):
    """One run of a sweep.  place: its value on every axis. picture: [H, W, 3] in 0 .. 1, of its first sample, small."""

    place: Mapping[str, Value]
    outcome: Outcome
    picture: Tensor
    measures: Mapping[str, float]


def cell_of(subject: Subject, place: Mapping[str, Value], outcome: Outcome, vae, energy) -> Cell:
    """A run with its picture and its measures.  energy: a judge, or None."""
    latent = subject.model.get_model_object("latent_format").process_in(outcome.samples["samples"])
    images = pictures_of(outcome.trace, vae).image(latent)
    found = measured(outcome.trace, MEASURES)
    if energy is not None:
        pixels = images.movedim(-1, 1).to(comfy.model_management.get_torch_device()) * 2 - 1
        found["judge"] = float(energy.log_prob(pixels).cpu().double().mean())
    return Cell(place, outcome, _small(images[0]).clone(), found)  # a view would keep all pictures


def best_cfg(cells: Sequence[Cell], by: str) -> float | None:
    """The cfg that does best, None where nothing tells.

    judge: the largest mean log-probability. saturation: the largest cfg at which at most one value in a hundred more is
    beyond what a picture can show than at the least burnt cfg: an upper end, not a best scale. auto: the judge if there
    is one.
    """
    name = "judge" if by == "judge" or (by == "auto" and "judge" in cells[0].measures) else "saturation"
    scales = sorted({cell.place["cfg"] for cell in cells}, key=float)
    means = {cfg: _mean(cell.measures.get(name) for cell in cells if cell.place["cfg"] == cfg) for cfg in scales}
    known = {cfg: mean for cfg, mean in means.items() if math.isfinite(mean)}
    if not known:
        return None
    if name == "judge":
        return float(max(known, key=lambda cfg: known[cfg]))
    return float(max(cfg for cfg, mean in known.items() if mean <= min(known.values()) + BURN))


def _mean(values) -> float:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else math.nan


def table(cells: Sequence[Cell]) -> str:
    """One line a cell: its place, its measures, and the time it took."""
    heads = [*cells[0].place, *cells[0].measures, "seconds"]
    lines = [heads, *([*map(str, c.place.values()), *map(_number, (*c.measures.values(), c.outcome.seconds))]
                      for c in cells)]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)) for line in lines)


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"


def sheet(cells: Sequence[Cell], title: str, note: str) -> Tensor:  # -> [1, H, W, 3]
    """The first picture of every cell: a column for each value of the first axis, a row for the rest of the place."""
    axis = next(iter(cells[0].place))
    columns: dict[Any, list[Cell]] = {}
    for cell in cells:
        columns.setdefault(cell.place[axis], []).append(cell)
    shown = [group[:MOST_ROWS] for group in columns.values()][:MOST_COLUMNS]
    left_out = len(cells) - sum(map(len, shown))
    note += f" {left_out} more runs are not on this sheet." if left_out else ""
    rows = [" \u00b7 ".join(_named(name, v) for name, v in c.place.items() if name != axis) for c in shown[0]]
    size = max(cells[0].picture.shape[:2])
    drawn = [(_named(axis, g[0].place[axis]), torch.stack([c.picture for c in g]), _caption(g)) for g in shown]
    scale = max(1, LEAST_SIDE // size)
    page = contact_sheet(drawn, title=title, scale=scale, rows=rows if any(rows) else (), note=note)
    return torch.from_numpy(np.asarray(page).copy()).float().div_(255)[None]


def _named(name: str, value: Value) -> str:
    return str(value) if isinstance(value, str) else f"{name} {value:g}"


def _small(picture: Tensor) -> Tensor:  # [H, W, 3] -> at most SIDE pixels
    if max(picture.shape[:2]) <= SIDE:
        return picture
    share = SIDE / max(picture.shape[:2])
    sides = [max(1, round(side * share)) for side in picture.shape[:2]]
    shown = torch.nn.functional.interpolate(picture.movedim(-1, 0)[None], sides, mode="bilinear", antialias=True)
    return shown[0].movedim(0, -1)


def _caption(group: Sequence[Cell]) -> str:
    words = {"strength": "strength {:.2f}", "saturation": "{:.1%} saturated", "judge": "judge {:.2f}"}
    means = {name: _mean(cell.measures[name] for cell in group) for name in words if name in group[0].measures}
    return "\n".join(words[name].format(mean) for name, mean in means.items() if math.isfinite(mean))
