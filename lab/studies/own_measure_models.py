"""Which models the model's own measure applies to: whole ones, damaged ones, and ones that are read in a wrong way.

Every model draws pictures at cfg 1 and is asked about them, as the gate does. Then galaxy networks, which nobody here
trained, are guided too far, and it is counted what the headline of a report says of such runs.
`python lab own_measure_models` prints the tables of docs/own-measure.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import library as gg
from ...measure.gate import Gate
from ...measure.measurement import MEASURED, Measurement
from ...verdict.measured import ModelCurves, measure_curve
from ..markdown import table
from .galaxies import HIGHEST, Galaxies, noise_levels
from .own_measure import BATCH, MODELS, labels_of

STEPS, SURVEY = 20, "hsc"
RANK, LENGTH = 4, 0.05  # of a LoRA of random directions, and its length at strength 1 over that of the weight
SCALES = (1.0, 1.2, 1.5, 2.0)
GUIDED, SEEDS, EACH = (1.0, 1.2, 1.5, 2.0, 4.0, 8.0, 16.0), 12, 4  # of the runs that are reported; pictures of each
NAMED = {"head.burns", "head.strange", "head.large", "head.measured.seen"}  # headlines that name a blow-up
Predict = Callable[[Any, Tensor, float, Any], Tensor]
Draw = Callable[..., Tensor]


def _noisy(weight: Tensor, draw: Draw, by: float) -> Tensor:
    return weight + by * weight.std() * draw(weight.shape)


def _adapted(weight: Tensor, draw: Draw, strength: float) -> Tensor:
    rows = weight.flatten(1)
    low = draw((len(rows), RANK)) @ draw((RANK, rows.shape[1]))
    return weight + (strength * LENGTH * rows.norm() / low.norm() * low).reshape(weight.shape)


WRONG: dict[str, Predict] = {  # how a model may be read, and what was put into it
    "as it is": lambda d, x, s, c: d(x, s, c),
    "of the other sign": lambda d, x, s, c: 2 * clean(d, x, s) - d(x, s, c),
    "epsilon read as the clean sample": lambda d, x, s, c: (clean(d, x, s) - d(x, s, c)) / s,
    "noise level read 1.5 times too high": lambda d, x, s, c: d(x, level(d, s, 1.5), c),
    "noise level read 1.5 times too low": lambda d, x, s, c: d(x, level(d, s, 1 / 1.5), c),
    "guidance of cfg 4 built in": lambda d, x, s, c: d(x, s, None) + 4 * (d(x, s, c) - d(x, s, None)),
    "four steps built in": lambda d, x, s, c: ahead(d, x, s, c, 4),
    "float16": lambda d, x, s, c: d(x.half().float(), s, c).half().float(),
}
WEIGHTS: dict[str, Callable[[Tensor, Draw], Tensor]] = {  # what becomes of each
    **{f"{by:.0%} noise on the weights": partial(_noisy, by=by) for by in (0.03, 0.05, 0.1, 0.2)},
    **{f"random LoRA at {strength}": partial(_adapted, strength=strength) for strength in (1, 2, 4)},
    "merged with random weights, 50%": lambda w, draw: 0.5 * w + 0.5 * w.std() * draw(w.shape),
    "cast to float8": lambda w, draw: w.to(torch.float8_e4m3fn).to(w),
}


def clean(d: Any, x: Tensor, s: float) -> Tensor:
    """The noisy sample as if it were clean: x over its signal."""
    return x / (1 - s) if d.facts["space"] == "flow" and s < 1 else x


def level(d: Any, s: float, times: float) -> float:
    """A noise level, noise over signal, so many times as high."""
    if d.facts["space"] != "flow":
        return s * times
    odds = times * s / max(1 - s, 1e-4)
    return odds / (1 + odds)


def ahead(d: Any, x: Tensor, s: float, c: Any, steps: int) -> Tensor:
    """Where so many steps without guidance lead, as models made for few steps answer at once."""
    flow = d.facts["space"] == "flow"
    levels = np.linspace(s, 0, steps + 1) if flow else [*np.geomspace(s, min(s, 0.1), steps), 0.0]
    return gg.sample(lambda y, sigma: d(y, sigma, c), x, [*map(float, levels)], flow=flow)


class Changed:
    """A denoiser read in some way."""

    def __init__(self, denoiser: Any, predict: Predict):
        self.denoiser, self.predict = denoiser, predict
        self.facts, self.shape = denoiser.facts, denoiser.shape

    def __call__(self, x: Tensor, sigma: float, cond: Any = None) -> Tensor:
        """The prediction; without a condition as the model has it."""
        return self.denoiser(x, sigma) if cond is None else self.predict(self.denoiser, x, float(sigma), cond)


def measured(denoiser: Any, count: int, seed: int = 7) -> Measurement:
    """What a denoiser says of its own pictures at cfg 1."""
    flow, made = denoiser.facts["space"] == "flow", []
    sigmas = np.linspace(1, 0, STEPS + 1).tolist() if flow else gg.karras(STEPS, 0.02, 80.0)
    noise = torch.randn(count, *denoiser.shape, generator=torch.Generator().manual_seed(seed))
    labels = labels_of(noise)
    for part, own in zip(noise.split(BATCH), torch.tensor(labels).split(BATCH), strict=True):
        guide = partial(_with_labels, denoiser, own.tolist())
        made.append(gg.sample(guide, sigmas[0] * part, sigmas, flow=flow))
    return gg.measure(denoiser, torch.cat(made), labels, draws=2)


def _with_labels(denoiser: Any, labels: list[int], x: Tensor, sigma: float) -> Tensor:
    return denoiser(x, sigma, labels)


def damaged(name: str, change: Callable[[Tensor, Draw], Tensor]) -> gg.NetworkDenoiser:
    """A denoiser whose matrices were changed."""
    denoiser, draw = gg.load_denoiser(name), partial(torch.randn, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for weight in denoiser.network.parameters():
            if weight.ndim > 1:
                weight.copy_(change(weight, draw))
    return denoiser


def in_words(gate: Gate) -> str:
    """What a gate says."""
    return "applies" if gate.applies else f"refused: {gate.why}" if gate.sure else f"more pictures: {gate.why}"


def rows(name: str, count: int) -> Iterator[tuple[str, ...]]:
    """A row for every way to read a model, and for everything that was done to its weights."""
    whole = gg.load_denoiser(name)
    changed = {how: Changed(whole, predict) for how, predict in WRONG.items()}
    changed |= {how: damaged(name, change) for how, change in WEIGHTS.items()}
    for how, denoiser in changed.items():
        found = measured(denoiser, count)
        few = in_words(measured(denoiser, 10, seed=8).gate)
        yield how, found.strength.text, found.ratio.text, in_words(found.gate), few


def galaxy_rows(count: int) -> Iterator[tuple[str, ...]]:
    """Both sizes of the galaxy networks, along cfg."""
    for side in (32, 64):
        denoiser = Galaxies(side, SURVEY)
        points = [gg.measure(denoiser, denoiser.draw(scale, count), SURVEY, setting={"steps": 25}) for scale in SCALES]
        for scale, point in zip(SCALES, points, strict=True):
            times = point.times_as_strange_as(points[0]).text
            yield f"{side} x {side}, cfg {scale:g}", point.strength.text, point.ratio.text, times


def galaxy_runs() -> list[list[gg.Trace]]:
    """Recorded runs at every scale, of the same seeds, with what the model said of their pictures."""
    denoiser, levels, runs = Galaxies(32, SURVEY), noise_levels(), []
    for scale in GUIDED:
        runs.append([])
        for seed in range(SEEDS):
            recording = gg.record(denoiser, levels, SURVEY, gamma=scale, capture="numbers", seed=seed)
            noise = torch.randn(EACH, *denoiser.shape, generator=torch.Generator().manual_seed(seed))
            x = gg.sample(recording, HIGHEST * noise, levels)
            trace, said = recording.finish(x), gg.measure(denoiser, x, SURVEY, draws=1)
            runs[-1].append(replace(trace, header={**trace.header, MEASURED: said.sums()}))
    return runs


def named_rows() -> Iterator[tuple[str, ...]]:
    """In how many runs the headline names that guidance was too strong: by the record, by its measure, by a curve."""
    runs = galaxy_runs()
    curves = ModelCurves("galaxies", "", (measure_curve([run for row in runs for run in row], "cfg", "today"),))
    for scale, row in zip(GUIDED, runs, strict=True):
        alone = [replace(run, header={**run.header, MEASURED: {}}) for run in row]
        reports = (
            [run.report() for run in alone],
            [run.report() for run in row],
            [run.report(curves) for run in alone],
        )
        counts = (sum(one.answer.headline.id in NAMED for one in each) for each in reports)
        green = sum(one.answer.colour == "fine" for each in reports[:2] for one in each)
        yield f"{scale:g}", *(f"{count} of {SEEDS}" for count in counts), f"{green}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=50, help="of every model")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        for name in MODELS:
            head = f"{name} | prompt strength | denoising ratio | gate | gate of 10 pictures"
            print("\n" + table(head, rows(name, given.pictures)), flush=True)
        head = "galaxies | prompt strength | denoising ratio | times as strange as at cfg 1"
        print("\n" + table(head, galaxy_rows(given.pictures)), flush=True)
        head = "galaxies, cfg | named by the record alone | the run measured | a curve of the model | green without it"
        print("\n" + table(head, named_rows()), flush=True)


if __name__ == "__main__":
    main()
