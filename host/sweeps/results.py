"""What a sweep inside a graph makes of its runs: rows, a table, and the scale that does best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import comfy.model_management
import torch
from comfy.sd import VAE
from torch import Tensor

from ...guidance.energies.protocol import Energy
from ...measure.measurement import Measurement
from ...sweeps.axes import Axis, Value, value_at
from ...sweeps.measures import JUDGE, USUAL, measure, score, spread_of
from ...sweeps.plane import plane_of_sweep
from ...sweeps.results import Row
from ...trace.trace import Trace
from ..models.trace_pictures import pictures_of
from ..recording.measuring import measure_latent
from .runs import Outcome, Settings, Subject

BURN = 0.01  # share of values that may saturate beyond what they do at the least burnt scale
SIDE, LEAST_SIDE = 224, 112  # pixels of a picture on the sheet
WORDS = {"strength": "strength {:.2f}", "saturation": "{:.1%} saturated", "judge": "judge {:.2f}"}
UNKNOWN = "No measure tells the cfg values apart. Connect an energy as a judge, and set best_by to judge."


def row_of(
    number: int, place: Mapping[str, Value], subject: Subject, run: Outcome, vae: VAE | None, judge: Energy | None
) -> tuple[Row, Tensor]:
    """The row of a run, and the picture of its first sample, small.  judge: an energy, or None."""
    latent = subject.model.get_model_object("latent_format").process_in(run.samples["samples"])
    images = pictures_of(run.trace, vae).image(latent)
    numbers = measure(run.trace, USUAL)
    if judge is not None:
        pixels = images.movedim(-1, 1).to(comfy.model_management.get_torch_device()) * 2 - 1
        numbers[JUDGE] = score(judge.log_prob, pixels)
    row = {"id": str(number), "place": dict(place), "measures": numbers, "seconds": run.seconds}
    return row, _small(images[0]).clone()  # a view would keep all pictures


def ask_model(subject: Subject, settings: Settings, run: Outcome, draws: int) -> Measurement:
    """What the model says of the finished pictures of a run; pictures of one seed are asked about with one noise."""
    conditions = subject.positive_of(settings), subject.negative
    measured, *_ = measure_latent(subject.model, *conditions, run.samples, draws=draws, seed=settings.seed)
    return measured


def plane_words(rows: Sequence[Row], traces: Mapping[str, Trace], pictures: Mapping[str, Tensor]) -> str:
    """The rules at equal prompt strength, or why they are not compared; empty where nothing asks for it.

    traces, pictures: of every row, by its id.
    """
    names = [*rows[0]["place"]]
    axes = [Axis(name, tuple(dict.fromkeys(row["place"][name] for row in rows))) for name in names]
    plane, why = plane_of_sweep(rows, axes, traces.__getitem__, pictures.__getitem__)
    return plane.text() if plane else why


def best_cfg(rows: Sequence[Row], by: str) -> float | None:
    """The cfg that does best, None where nothing tells.

    judge: the largest mean log-probability. saturation: the largest cfg at which at most one value in a hundred more is
    beyond what a picture can show than at the least burnt cfg: an upper end, not a best scale. auto: the judge if there
    is one.
    """
    name = "judge" if by == "judge" or (by == "auto" and JUDGE in rows[0]["measures"]) else "saturation"
    values: dict[float, list] = {}
    for row in rows:
        values.setdefault(value_at(row["place"], "cfg"), []).append(row["measures"].get(name))
    means = {cfg: spread_of(scores).mean for cfg, scores in sorted(values.items())}
    finite = {cfg: mean for cfg, mean in means.items() if math.isfinite(mean)}
    if not finite:
        return None
    if name == "judge":
        return float(max(finite, key=lambda cfg: finite[cfg]))
    return float(max(cfg for cfg, mean in finite.items() if mean <= min(finite.values()) + BURN))


def table(rows: Sequence[Row]) -> str:
    """One line a run: its place, its measures, and the time it took."""
    heads = [*rows[0]["place"], *rows[0]["measures"], "seconds"]
    lines = [heads, *([*map(str, row["place"].values()), *map(_number, (*row["measures"].values(), row["seconds"]))]
                      for row in rows)]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)) for line in lines)


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"


def _small(picture: Tensor) -> Tensor:  # [H, W, 3] -> at most SIDE pixels
    if max(picture.shape[:2]) <= SIDE:
        return picture
    share = SIDE / max(picture.shape[:2])
    sides = [max(1, round(side * share)) for side in picture.shape[:2]]
    shown = torch.nn.functional.interpolate(picture.movedim(-1, 0)[None], sides, mode="bilinear", antialias=True)
    return shown[0].movedim(0, -1)
