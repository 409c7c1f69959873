"""Cells of an arena: a rule at one scale in one world, run once and kept, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...files.safetensors import read_safetensors, write_safetensors
from ...guidance.vectors import flat
from ...measure.levels import Level
from ...trace.guidance_effect import EffectiveScale
from ...trace.trace import Trace
from ..measuring import measure
from ..recording import Recording, record
from ..sampling import sample
from .entrants import Entrant
from .worlds import AT_ONCE, STEPS, World, release

FORMAT = 1  # of what a cell holds; another number makes every cell anew
DRAWS = 1  # pairs of noise at each level of the model's own measure


class Setting(NamedTuple):
    """What decides a cell, beside the world.

    first, many: number of the first picture, and how many of each label. knobs: of the rule, where they are not its
    own. schedule: scales of plain guidance step by step, in the place of the rule. asked: whether the run is recorded,
    and the model asked about its pictures.
    """

    cfg: float
    first: int
    many: int
    knobs: Mapping[str, Any] = {}
    schedule: tuple[float, ...] = ()
    asked: bool = True


@dataclass(frozen=True)
class Cell:
    """Pictures of one setting, of which picture i shows label i mod K.

    seen: features [B, F], named [B], apart [K, S, S]: distance between pictures of a label; far [S, K] in exact worlds.
    levels: what the model said of them. steps: the median picture's effective scale of every step, nan where unknown.
    handed: the scale that the rule was handed there. scale, across: over the run. evaluations: of the network for one
    picture. text: the chain. Of a run that was not recorded all but `seen` and `text` is empty or nan.
    """

    seen: Mapping[str, Tensor]
    text: str
    levels: tuple[Level, ...] = ()
    steps: tuple[float, ...] = ()
    handed: tuple[float, ...] = ()
    scale: float = math.nan
    across: float = math.nan
    evaluations: float = math.nan

    @property
    def as_schedule(self) -> tuple[float, ...]:
        """The effective scale of every step; where that is unknown, what the rule was handed."""
        return tuple(h if math.isnan(s) else s for s, h in zip(self.steps, self.handed, strict=True))


@dataclass(frozen=True)
class Cells:
    """A folder of finished cells; what is not there is run.  Raises ValueError where a rule makes no picture."""

    folder: Path

    def at(self, world: World, entrant: Entrant, setting: Setting) -> Cell:
        """The cell, run if nobody did."""
        file = self._file(world, entrant, setting)
        with suppress(OSError, ValueError, LookupError):  # none, cut off, or of somebody else: it is run again
            return read_cell(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_cell(file, run_cell(world, entrant, setting))
        return read_cell(file)  # as every later call will have it

    def _file(self, world: World, entrant: Entrant, setting: Setting) -> Path:
        facts = {"format": FORMAT, "release": release(), "steps": STEPS, "draws": DRAWS, **setting._asdict()}
        facts |= {"rule": "" if setting.schedule else [entrant.name, entrant.code], "negative": entrant.negative}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:24]
        return self.folder / world.name / f"{digest}.safetensors"


def run_cell(world: World, entrant: Entrant, setting: Setting) -> Cell:
    """Draw the pictures, and say what is known of them."""
    number = setting.many * world.labels
    labels = [i % world.labels for i in range(number)]
    noise, runs, asked = world.noise(setting.first, number), [], []
    for start in range(0, number, AT_ONCE * world.many):
        part = slice(start, start + AT_ONCE * world.many)
        runs.append(run_part(world, entrant, setting, labels[part], noise[part]))
        if setting.asked:
            asked.append(measure(world.denoiser, runs[-1].end, labels[part], draws=DRAWS, seed=start).levels)
    ends = torch.cat([run.end for run in runs])
    if not ends.isfinite().all():
        raise ValueError(f"{entrant.name} at cfg {setting.cfg:g} made values that are no numbers in {world.name}.")
    seen = world.see(ends)
    groups = flat(ends).double().reshape(setting.many, world.labels, -1).movedim(1, 0)
    seen["apart"] = torch.cdist(groups, groups)
    cell = Cell(seen, runs[0].facts["chain"])
    if not setting.asked:
        return cell
    levels = [
        Level(same[0].sigma, *map(torch.cat, zip(*(v[1:] for v in same), strict=True)))
        for same in zip(*asked, strict=True)
    ]
    return replace(cell, levels=tuple(levels), **effects([run.trace for run in runs]))


@torch.no_grad()
def run_part(world: World, entrant: Entrant, setting: Setting, labels: list[int], noise: Tensor) -> Recording:
    """One batch, sampled by Euler steps; recorded where its model is asked, too."""
    other = [(label + 1) % world.labels for label in labels if world.labels > 1]  # none: a rule that asks for it fails
    run = record(
        world.denoiser,
        world.sigmas,
        labels,
        uncond=other if entrant.negative else None,
        gamma=setting.cfg,
        rule=entrant.control(setting.schedule) if setting.schedule else entrant.rule(other, setting.knobs),
        capture="numbers",
    )
    if setting.asked:
        run.sample(noise, "euler")
        return run
    guide: Any = run.evaluate
    run.end = sample(lambda x, sigma: guide(x, sigma).denoised, noise, run.run.sigmas, "euler", flow=run.run.flow)
    return run


def effects(traces: Sequence[Trace]) -> dict[str, Any]:
    """What guidance did: fields of a Cell."""
    whole = [EffectiveScale.of(trace) for trace in traces]
    evaluations = [trace.header["evaluations"] for trace in traces]
    return {
        "steps": tuple(torch.cat([trace.column("M19") for trace in traces], dim=1).nanmedian(dim=1).values.tolist()),
        "handed": tuple(traces[0].steps["gamma"].tolist()),
        "scale": fmean(one.scale for one in whole),
        "across": fmean(one.across for one in whole),
        "evaluations": fmean(evaluations),
    }


def write_cell(file: Path, cell: Cell) -> None:
    """Keep a cell."""
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in cell.seen.items()}
    tensors |= {"steps": torch.tensor(cell.steps).double(), "handed": torch.tensor(cell.handed).double()}
    if cell.levels:
        tensors["levels"] = torch.stack([torch.stack(level[1:]) for level in cell.levels])
        tensors["sigmas"] = torch.tensor([level.sigma for level in cell.levels], dtype=torch.float64)
    numbers = {name: getattr(cell, name) for name in ("scale", "across", "evaluations", "text")}
    write_safetensors(
        file, {name: value.contiguous() for name, value in tensors.items()}, {"cell": json.dumps(numbers)}
    )


def read_cell(file: Path) -> Cell:
    """A cell as it was kept.  Raises OSError, ValueError or LookupError for what is none."""
    tensors, metadata = read_safetensors(file)
    seen = {name: value.double() if value.is_floating_point() else value for name, value in tensors.items()}
    steps, handed = (tuple(seen.pop(name).tolist()) for name in ("steps", "handed"))
    sigmas, sums = seen.pop("sigmas", torch.empty(0)), seen.pop("levels", torch.empty(0))
    levels = tuple(Level(sigma, *each) for sigma, each in zip(sigmas.tolist(), sums, strict=True))
    return Cell(seen, levels=levels, steps=steps, handed=handed, **json.loads(metadata["cell"]))
