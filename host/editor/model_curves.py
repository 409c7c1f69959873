"""What was measured of a user's models: shown to browsers and scripts, made of the runs that they name, forgotten."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from aiohttp import web

from ...files.claims import PAGE, check_claims, json_of, maybe, number, require, several, switch, text
from ...files.places import CURVES, TAB_FOLDER
from ...measure.estimates import Estimate
from ...trace.file import load
from ...trace.trace import Trace
from ...verdict.case import Case
from ...verdict.liked import named_by
from ...verdict.measured import ModelCurves, measure_curve, read_curves, write_curves
from ...verdict.run_knobs import model_of
from .choices import CHANGING, SENT, body_of, own_run, respond
from .knowledge import knowledge_of, place_of
from .panel_record import temporary_folder
from .users import require_known, user_of

MOST_RUNS = 1000
ASKED = {"runs": require(several(text(), MOST_RUNS, 2)), "knob": require(text(PAGE)), "keep": switch()}
REMEDY = 'Send {"runs": ids of measured runs, "knob": its key}.'
NAMING = {
    "run": require(text()),
    "knob": require(text(PAGE)),
    "prompt_strength": require(several(maybe(number()), 3, 3)),
}
HOW_TO_NAME = 'Send {"run": its id, "knob": its key, "prompt_strength": [value, low, high]}.'
NO_CURVE = "Nothing was measured of this model in runs like this one. Measure my model first."
SEVERAL = "The runs are of several models, or of one that nothing tells from others. Send measured runs of one model."
GONE = "Some of these runs are gone. Measure the model again."


async def answer_curves(server: Any, request: web.Request) -> web.Response:
    """The curves of a model: shown, made or asked for a value as a POST says, or forgotten by a DELETE."""
    act = {"POST": take_sent, "DELETE": forget_curves}.get(request.method, show_curves)
    user = require_known(user_of(server, request))
    given = await body_of(request) if act is take_sent else request.query.get("key") or ""
    return await respond(act, user, given)


def show_curves(user: str, key: str) -> Mapping | None:
    """What was measured of a model; None where nothing was."""
    path = _place(user, key)
    return curves_for_browsers(read_curves(path)) if path.is_file() else None


def take_sent(user: str, body: bytes) -> Mapping:
    """Make a curve, or name a value on one, as what was sent asks for."""
    asked = json_of(SENT, body, REMEDY)
    asked = asked if isinstance(asked, dict) else {}
    return name_value(user, asked) if "prompt_strength" in asked else make_curve(user, asked)


def name_value(user: str, asked: Mapping) -> Mapping:
    """The value of a knob of a run at which pictures show the prompt as strongly as a person's own do.

    Raises ValueError where nothing was measured in runs like this one.
    """
    check_claims(SENT, asked, NAMING, HOW_TO_NAME)
    trace, key = _trace_of(user, asked["run"]), asked["knob"]
    case = Case.of(trace, knowledge_of(trace, user))
    knob, curve = next((knob for knob in case.knobs if knob.key == key), None), case.curves.get(key)
    if knob is None or curve is None:
        raise ValueError(NO_CURVE)
    strength = Estimate(*(math.nan if end is None else end for end in asked["prompt_strength"]))
    picks = case.knowledge.picks_of(knob)
    tried, bounds = (picks.of_class(case.sampler, key), picks.range(case.sampler, key)) if picks else ([], None)
    return named_by(curve, strength, tried, bounds).as_json()


def make_curve(user: str, asked: Mapping) -> Mapping:
    """Make the curve of some runs, keep it for their model, and show all that is kept of it.

    With "keep": false it is shown alone and not kept: a curve of two values must not replace one of seven.
    Raises ValueError for runs that make none, NotWritten.
    """
    check_claims(SENT, asked, ASKED, REMEDY)
    traces = [_trace_of(user, run) for run in asked["runs"]]
    keys = {model_of(trace, asked["knob"]) for trace in traces}
    if len(keys) > 1 or not (key := keys.pop()):
        raise ValueError(SEVERAL)
    curve, path = measure_curve(traces, asked["knob"], date.today().isoformat()), _place(user, key)
    nothing = ModelCurves.of_model(traces[0].header, key)
    if not asked.get("keep", True):
        return curves_for_browsers(nothing.with_curve(curve))
    with CHANGING:
        before = read_curves(path) if path.is_file() else nothing
        after = replace(before, weights=nothing.weights, on=nothing.on).with_curve(curve)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_curves(after, path)
    return curves_for_browsers(after)


def forget_curves(user: str, key: str) -> None:
    """Forget all that was measured of a model, also where its file is damaged."""
    with CHANGING:
        _place(user, key).unlink(missing_ok=True)


def curves_for_browsers(curves: ModelCurves) -> Mapping:
    """The curves with their numbers, the latest first."""
    return {"model": {"name": curves.name, "key": curves.key}, "curves": [curve.as_json() for curve in curves.curves]}


def _trace_of(user: str, run: str) -> Trace:
    """A kept run of this user.  Raises ValueError where it is gone."""
    stored = own_run(user, run)
    name = next((file for file in stored.files if file.endswith(".safetensors")), None) if stored else None
    if name is None:
        raise ValueError(GONE)
    return load(temporary_folder(TAB_FOLDER) / name)


def _place(user: str, key: str) -> Path:
    path = place_of(CURVES, key, user) if key else None
    if path is None:
        raise ValueError("The address needs ?key= of a model, and a user whom the host knows.")
    return path
