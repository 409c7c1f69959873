"""The command `card`: what a model says of its own pictures along cfg, from a sweep of it, in one file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from ..files.claims import guard
from ..files.places import CURVES, FOLDER, file_of_model
from ..measure.curve import MEASURABLE
from ..sweeps.addresses import place_at
from ..sweeps.results import GIVE_A_SWEEP, RESULTS, Folder, read_results
from ..sweeps.summary import trace_at
from ..trace.trace import Trace, model_key
from ..verdict.measured import MeasuredCurve, ModelCurves, measure_curve, write_curves
from ..verdict.picks import CFG
from .options import parse

ROWS = 16  # of each value in the file: sums over some of its pictures
NO_MODEL = "its traces name no file of weights, so what was measured could not be told from another model's"
UNMEASURED = (
    "its pictures were not measured. Run the sweep with --measures prompt_strength,denoising_ratio, with cfg 1 among "
    "its values"
)
REFUSED = "the measure does not apply to this model ({}). There are only the pictures to go by"
STRAIGHT = (
    "up to cfg {:g} the model does not find its pictures stranger, so nothing bends. Sweep higher values of cfg, and "
    "more seeds"
)


def main(words: Sequence[str] | None = None) -> int:
    """Write the file; 1 where the sweep does not tell.  words: of the command line, None for its own"""
    args = parse("card", words)
    try:
        curves = curves_of_sweep(Folder(place_at(args.study), any_measure=True))
        target = args.output or Path(f"{Path(curves.name).stem}.measured.json")
        write_curves(curves, target)
    except (OSError, ValueError) as error:
        print(f"{args.study}: {error}" if isinstance(error, ValueError) else error, file=sys.stderr)
        return 1
    print("\n".join(lines_of(curves.curves[0])))
    print(f"{target}\nFor ComfyUI: copy it to user/default/{FOLDER}/{CURVES}/{file_of_model(curves.key)}")
    return 0


@guard(RESULTS, "a row", GIVE_A_SWEEP)
def curves_of_sweep(folder: Folder) -> ModelCurves:
    """The curve of the model that a sweep over cfg and seeds ran.  Raises ValueError that says what it lacks."""
    _, rows = read_results(folder.path)
    traces = [trace_at(folder, cell) for cell in dict.fromkeys(row["id"] for row in rows)]
    model = traces[0].header.get("model") or {}
    if not (key := model_key(model)):
        raise ValueError(f"{NO_MODEL}.")
    if not any(trace.header.get("measured") for trace in traces):
        raise ValueError(f"{UNMEASURED}.")
    return ModelCurves(str(model.get("name") or model.get("file") or key), key, (curve_of(traces),))


def curve_of(traces: Sequence[Trace]) -> MeasuredCurve:
    """Of measured runs.  Raises ValueError for a curve that says nothing."""
    measured = measure_curve(traces, CFG, date.today().isoformat())
    if measured.gate is None:
        raise ValueError(f"{UNMEASURED}.")
    if not measured.gate.applies:
        raise ValueError(f"{REFUSED.format(measured.gate.why)}.")
    if measured.curve.mark(MEASURABLE) is None:
        raise ValueError(f"{STRAIGHT.format(measured.curve.values[-1])}.")
    return measured.in_groups(ROWS)


def lines_of(measured: MeasuredCurve) -> Iterator[str]:
    """A line for each value, and the marks."""
    numbers = measured.as_json()
    for value, point in zip(measured.curve.values, measured.curve.points, strict=True):
        yield f"cfg {value:g}: prompt strength {point.strength.text}, denoising ratio {point.ratio.text}"
    for name in ("measured", "seen"):
        mark = numbers[name]
        yield f"first {name}: {'not up to there' if mark is None else 'cfg {:.2g} ({:.2g} to {:.2g})'.format(*mark)}"
