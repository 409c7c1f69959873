"""What a model said of its own pictures along a knob, kept for that model: one curve for each knob and setting.

The file is JSON: {"format": "guidance-geometry/measured", "version": 1, "model": {"name", "key"}, "curves": [{"knob",
"name", "when", "setting", "values", "measured", "variety"}, ...]}. "measured" has the sums of each value, as a trace's
header has them; so further pictures may join, and everything else is computed from it.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ..files.claims import (
    ANYTHING,
    PAGE,
    check_claims,
    maybe,
    number,
    one_of,
    read_as,
    require,
    several,
    table,
    text,
    whole,
)
from ..files.writing import write_atomically
from ..guidance.vectors import flat
from ..measure.curve import MEASURABLE, VISIBLE, Curve
from ..measure.estimates import Estimate, likelier_without, variety
from ..measure.gate import Gate
from ..measure.levels import Level
from ..measure.measurement import measurement_of, setting_of
from ..trace.guidance_effect import cfg_of
from ..trace.portable import jsonable
from ..trace.trace import END, MEASURED, Trace, model_key
from .picks import CFG, PLAIN
from .run_knobs import knobs_of, without_stage

FORMAT, VERSION = "guidance-geometry/measured", 1
MOST_CURVES, MOST_VALUES = 200, 100
LARGEST = 20_000_000  # bytes
REMEDY = "Measure the model again, or delete the file."
FORGET = "Forget what was measured of this model first."
HOSTS = "CFGGuider"  # the guider of the host that combines predictions as PLAIN does
PATCHED = re.compile(r"\+[0-9a-f]{16}$")  # of the key of a model: the mark of what was put on it
UNGUIDED = {CFG: 1.0}  # values at which nothing guides, by knob
TOO_FEW = "A curve needs runs of the same seeds at two values of {}, and there are {}. Let more of them end."
SEVERAL = "The runs were guided in more than one way ({}). Measure runs that differ in cfg and their seeds alone."
FILE = {
    "format": require(one_of(FORMAT)),
    "version": require(whole(VERSION, VERSION)),
    "model.name": require(text()),
    "model.key": require(text(PAGE)),
    "model.weights": maybe(text(PAGE)),
    "model.on": maybe(several(text(), MOST_VALUES)),
    "curves": require(several(table(ANYTHING, 20), MOST_CURVES)),
}
CURVE = {
    "knob": require(text(PAGE)),
    "name": require(text()),
    "when": require(text()),
    "beside": maybe(text(LARGEST)),
    "each": maybe(whole(1, 10**6)),
    "setting": require(table(ANYTHING, 20)),
    "values": require(several(number(), MOST_VALUES, 2)),
    "measured": require(several(table(ANYTHING, 20), MOST_VALUES, 2)),
    "variety": require(several(maybe(several(maybe(number()), 3, 3)), MOST_VALUES)),
}


@dataclass(frozen=True, repr=False)
class MeasuredCurve:
    """A curve of one knob.

    knob: the key of the knob.
    name: of the knob's widget.
    when: date.
    curve: what was measured at each value.
    beside: what else guided all of its runs, in words; empty where that differs from value to value, as of a rule's
        number, whose key says it.
    each: pictures of which a row of its points is the sum.
    """

    knob: str
    name: str
    when: str
    curve: Curve
    beside: str = ""
    each: int = 1

    @property
    def setting(self) -> Mapping[str, Any]:
        """What the pictures of the curve were made with."""
        return self.curve.points[0].setting

    @property
    def pictures(self) -> int:
        """How many pictures were measured at each value."""
        return self.each * self.curve.points[0].count

    @property
    def gate(self) -> Gate | None:
        """Whether the measure applies to the model; None where no value is one at which nothing guides."""
        value = UNGUIDED.get(self.knob)
        return self.curve.points[self.curve.values.index(value)].gate if value in self.curve.values else None

    def is_of(self, header: Mapping[str, Any], knob: str) -> bool:
        """Whether a run's pictures may be compared with these.  header: of its trace"""
        is_of_knob = self.knob == without_stage(knob) and self.beside in ("", beside_of(header))
        return is_of_knob and _comparable(self.setting) == _comparable(setting_of(header))

    def in_groups(self, count: int) -> MeasuredCurve:
        """The curve with so many rows at most, each the sum of as many pictures: smaller, and as sure."""
        each = math.ceil(self.curve.points[0].count / count)
        points = [
            replace(point, levels=[_grouped(level, each) for level in point.levels]) for point in self.curve.points
        ]
        return replace(self, curve=replace(self.curve, points=points), each=self.each * each)

    def as_claims(self) -> dict[str, Any]:
        """The curve as a file of curves has it."""
        sums = [point.sums() for point in self.curve.points]
        facts = {"knob": self.knob, "name": self.name, "when": self.when, "beside": self.beside, "each": self.each}
        facts |= {"setting": dict(self.setting)}
        return facts | {"values": [*self.curve.values], "measured": sums, "variety": [*map(list, self.curve.variety)]}

    def as_json(self) -> dict[str, Any]:
        """The numbers for browsers, scripts and agents: estimates as [value, low, high], null for what is not known."""
        points = self.curve.points
        numbers = {
            "knob": self.knob,
            "name": self.name,
            "when": self.when,
            "pictures": self.pictures,
            "evaluations": sum(point.evaluations for point in points),
            "values": [*self.curve.values],
            "prompt_strength": [[*point.strength] for point in points],
            "denoising_ratio": [[*point.ratio] for point in points],
            "times_as_strange": [[*self.curve.times_at(value)] for value in self.curve.values],
            "strength_gained": [[*self.curve.gained_at(value)] for value in self.curve.values],
            "likelier_without": [likelier_without(point.levels) if self.each == 1 else None for point in points],
            "variety": [*map(list, self.curve.variety)],
            "least": self.curve.least,
            "measured": _or_none(self.curve.mark(MEASURABLE)),
            "seen": _or_none(self.curve.mark(VISIBLE)),
            "gate": self.gate and {"applies": self.gate.applies, "why": self.gate.why or None, "sure": self.gate.sure},
        }
        return jsonable(numbers)


@dataclass(frozen=True)
class ModelCurves:
    """All that was measured of one model.

    key: of `model_key`, or of the knob where that has one of its own. weights: of the model without what was put on
    them, as `weights_key`. on: what was, each with its strength.
    """

    name: str
    key: str
    curves: tuple[MeasuredCurve, ...] = ()
    weights: str = ""
    on: tuple[str, ...] = ()

    @property
    def patched(self) -> bool:
        """Whether anything was put on its weights."""
        return PATCHED.search(self.key) is not None

    @classmethod
    def of_model(cls, header: Mapping[str, Any], key: str) -> ModelCurves:
        """Without curves yet.  header: of a run's trace"""
        model = header.get("model") or {}
        return cls(str(model.get("name") or "?"), key, weights=weights_key(model) or "", on=put_on(model))

    def curve_for(self, header: Mapping[str, Any], knob: str) -> MeasuredCurve | None:
        """The curve with which a run may be compared, if there is one.  header: of its trace"""
        return next((curve for curve in self.curves if curve.is_of(header, knob)), None)

    def with_curve(self, curve: MeasuredCurve) -> ModelCurves:
        """The curves with a new one in the place of an earlier one of its subject, or of the oldest of too many."""

        def subject(curve: MeasuredCurve) -> tuple[str, str, str]:
            return curve.knob, curve.beside, _comparable(curve.setting)

        others = (other for other in self.curves if subject(other) != subject(curve))
        return replace(self, curves=(curve, *others)[:MOST_CURVES])

    def as_claims(self) -> dict[str, Any]:
        """The curves as their file has them."""
        model = {"name": self.name, "key": self.key, "weights": self.weights, "on": [*self.on]}
        claims = {"format": FORMAT, "version": VERSION, "model": model}
        return jsonable(claims | {"curves": [curve.as_claims() for curve in self.curves]})


def weights_key(model: Mapping[str, Any]) -> str | None:
    """What tells the weights of a model from others, whatever was put on them.  model: of a trace's header"""
    bare = {name: value for name, value in model.items() if name not in ("file", "patches")}
    return model_key(bare)


def put_on(model: Mapping[str, Any]) -> tuple[str, ...]:
    """What is known of what was put on the weights of a model.  model: of a trace's header"""
    return tuple(str(name) for name in model.get("on") or ())


def _grouped(level: Level, each: int) -> Level:
    """A level whose rows are sums of so many rows; what is left over at the end is left out."""
    rows = len(level.error) // each * each
    return Level(level.sigma, *(column[:rows].reshape(-1, each).sum(dim=1) for column in level[1:]))


def beside_of(header: Mapping[str, Any]) -> str:
    """The rules and the patches that guided a run, in words; the host's own guider is no rule.  header: of its trace"""
    chain = str(header.get("chain") or "")
    chain = PLAIN if chain.upper() in (PLAIN, HOSTS.upper()) else chain
    return "; ".join(str(text) for text in (chain, *(header.get("patches") or ())) if text)


def _comparable(setting: Mapping[str, Any]) -> str:
    """A setting as two can be compared, whether they were in a file or not."""
    return json.dumps(jsonable(dict(setting)), sort_keys=True)


def measure_curve(traces: Sequence[Trace], knob: str, when: str) -> MeasuredCurve:
    """The curve of measured runs that differ in one knob and in their seeds.

    Only seeds that every value has count, so that values are compared on the same noise. Raises ValueError where fewer
    than two values are left, and where the runs differ in more, such as their rules.
    """
    runs: dict[float, dict[Any, Trace]] = {}
    name = knob = without_stage(knob)
    for trace in traces:
        stated = next((other for other in knobs_of(trace, cfg_of(trace)) if other.key == knob), None)
        if stated is not None and stated.value is not None and measurement_of(trace.header):
            name = stated.name
            runs.setdefault(float(stated.value), {})[trace.header.get("seed")] = trace
    most = max(map(len, runs.values()), default=0)
    runs = {value: by_seed for value, by_seed in sorted(runs.items()) if 2 * len(by_seed) >= most}
    seeds = [seed for seed in next(iter(runs.values()), {}) if all(seed in by_seed for by_seed in runs.values())]
    if len(runs) < 2 or not seeds:
        raise ValueError(TOO_FEW.format(name, len(runs)))
    rows = [[by_seed[seed] for seed in seeds] for by_seed in runs.values()]
    measured = [[measurement_of(trace.header) for trace in row] for row in rows]
    points = [first.joined(*more) for first, *more in ([m for m in row if m] for row in measured)]
    besides = {beside_of(trace.header) for row in rows for trace in row}
    if knob == CFG and len(besides) > 1:
        raise ValueError(SEVERAL.format(" and ".join(sorted(besides))))
    curve = Curve([*runs], points, _varieties(rows), UNGUIDED.get(knob))
    return MeasuredCurve(knob, name, when, curve, besides.pop() if len(besides) == 1 else "")


def _varieties(rows: Sequence[Sequence[Trace]]) -> list[Estimate]:
    """The variety of every value, over that of the least; nothing where samples were not kept."""
    if not all(END in trace.tensors for row in rows for trace in row):
        return []
    ends = [flat(torch.cat([trace.tensors[END].float() for trace in row])) for row in rows]
    labels = [label for trace in rows[0] for label in trace.header.get("labels") or [""] * trace.batch]
    groups = [sorted({*labels}).index(label) for label in labels]
    return [variety(end, ends[0], groups) for end in ends]


def _or_none(estimate: Estimate | None) -> list[float] | None:
    return None if estimate is None else [*estimate]


def read_curves(path: str | os.PathLike) -> ModelCurves:
    """What is kept in a file.  Raises ValueError that says what is damaged, OSError where it cannot be read."""
    state = (path := Path(path)).stat()
    return _read_state(path, state.st_ino, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)  # every report asks for the included ones, and one without a curve for those of the same weights
def _read_state(path: Path, *state: int) -> ModelCurves:
    """The file in one state: whoever writes it replaces it."""
    return read_as(curves_of, path, "curves", REMEDY, LARGEST)


def write_curves(curves: ModelCurves, path: str | os.PathLike) -> None:
    """Write curves so that `read_curves` finds the same, all or nothing.  Raises ValueError as it does, NotWritten."""
    claims = curves.as_claims()
    curves_of(claims, Path(path).name)
    written = (json.dumps(claims) + "\n").encode()
    if len(written) > LARGEST:
        raise ValueError(f"{Path(path).name}: it would have {len(written):,} bytes; {LARGEST:,} are read. {FORGET}")
    write_atomically(path, [written])


def curves_of(claims: Any, file: str) -> ModelCurves:
    """What such a file says.  Raises ValueError for the first field that is not what it must be."""
    if not isinstance(claims, Mapping):
        raise ValueError(f"{file}: a JSON object is needed. {REMEDY}")
    check_claims(file, claims, FILE, REMEDY)
    model, curves = claims["model"], claims["curves"]
    read = tuple(_curve(curve, f"{file}, curves[{i}]") for i, curve in enumerate(curves))
    return ModelCurves(model["name"], model["key"], read, model.get("weights") or "", tuple(model.get("on") or ()))


def _curve(claims: Mapping[str, Any], where: str) -> MeasuredCurve:
    check_claims(where, claims, CURVE, REMEDY)
    setting = claims["setting"]
    header = {**setting, "latent": {"shape": setting.get("size")}, "model": {"reading": setting.get("reading")}}
    points = [measurement_of({**header, MEASURED: sums}) for sums in claims["measured"]]
    varieties = [Estimate(*(math.nan if v is None else v for v in ends or [None] * 3)) for ends in claims["variety"]]
    known = [point for point in points if point is not None]
    try:
        if len(known) < len(points):
            raise ValueError("a measure is not what a trace holds.")
        curve = Curve(claims["values"], known, varieties, UNGUIDED.get(claims["knob"]))
    except ValueError as error:
        raise ValueError(f"{where}: {error} {REMEDY}") from error
    return MeasuredCurve(
        claims["knob"], claims["name"], claims["when"], curve, claims.get("beside") or "", claims.get("each") or 1
    )
