"""The plan of a study as a file, YAML or JSON: a workflow, what is varied, what is set, what is measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..files.claims import ANYTHING, check_claims, maybe, several, table, text
from .addresses import Place
from .axes import REPEAT, Axis, Value, distinct, suggest, values_of
from .measures import MEASURES, METRICS, USUAL, WHOLE
from .workflow import check_workflow

MOST_NAMES = 1000  # of axes, overrides, measures
FIELDS = ("workflow", "axes", "overrides", "measures", "repeats", "judge")
TABLES = {
    "axes": table(ANYTHING, MOST_NAMES),
    "overrides": maybe(table(ANYTHING, MOST_NAMES)),
    "measures": maybe(several(text(), MOST_NAMES)),
}
MOST_REPEATS = 10_000


@dataclass(frozen=True)
class Plan:
    """What a study is.

    workflow: in API form. axes: what is varied. overrides: what is set in every cell, named as axes are. measures: of
    the table, or metrics by their code. repeats: each cell again with so many seeds, counted from the workflow's own.
    judge: as in `judge_of`.
    Raises ValueError for repeats beside an axis of seeds, which would give some cells the same seed.
    """

    workflow: Mapping[str, Any]
    axes: tuple[Axis, ...]
    overrides: Mapping[str, Value] = field(default_factory=dict)
    measures: tuple[str, ...] = USUAL
    repeats: int = 1
    judge: str = ""

    def __post_init__(self):
        seeds = [axis.name for axis in self.axes if axis.kind == "seed"]
        if seeds and self.repeats > 1:
            raise ValueError(f"{seeds[0]} is an axis of seeds, and repeats is {self.repeats}. Leave out one of them.")

    @property
    def every_axis(self) -> tuple[Axis, ...]:
        """The axes, repeats among them."""
        again = Axis(REPEAT, tuple(range(self.repeats)))
        return self.axes if self.repeats == 1 else (*self.axes, again)

    def as_mapping(self) -> dict[str, Any]:
        """The plan as its file holds it."""
        axes = {axis.name: list(axis.values) for axis in self.axes}
        return {
            "workflow": dict(self.workflow),
            "axes": axes,
            "overrides": dict(self.overrides),
            "measures": list(self.measures),
            "repeats": self.repeats,
            **({"judge": self.judge} if self.judge else {}),
        }

    def text(self) -> str:
        """The plan as JSON, which is YAML too."""
        return json.dumps(self.as_mapping(), indent=1, ensure_ascii=True) + "\n"

    def widen(self, other: Plan) -> Plan:
        """This plan with the values, measures and repeats of both; ValueError where they are not of one study."""
        if (self.workflow, self.overrides, self.judge) != (other.workflow, other.overrides, other.judge):
            raise ValueError("They have another workflow, other overrides or another judge.")
        mine, theirs = ({axis.name: axis for axis in plan.axes} for plan in (self, other))
        if mine.keys() != theirs.keys():
            raise ValueError(f"They vary {', '.join(theirs)}, this plan varies {', '.join(mine)}.")
        axes = tuple(Axis(n, tuple(dict.fromkeys((*theirs[n].values, *mine[n].values)))) for n in theirs)
        measures = tuple(dict.fromkeys((*other.measures, *self.measures)))
        return replace(self, axes=axes, measures=measures, repeats=max(self.repeats, other.repeats))


def read_plan(path: Place) -> Plan:
    """The plan in a file.  Raises ValueError that names the file and what is wrong in it."""
    try:
        return plan_of(_parse(path), path.parent)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}. Give the file of a plan.") from error
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _parse(path: Place) -> Any:
    text = path.read_text(encoding="utf-8")
    if path.suffix.lower() == ".json":
        return json.loads(text)
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"This is no YAML: {' '.join(str(error).split())}. Mend that line.") from error


def plan_of(told: Any, folder: Place = Path()) -> Plan:
    """The plan of a table.  folder: where the file of its workflow is looked for.

    Raises ValueError for a field, a measure or a value that is not known.
    """
    if not isinstance(told, Mapping):
        raise ValueError(f"The plan is no table. Write its fields: {', '.join(FIELDS)}.")
    if unknown := [name for name in told if name not in FIELDS]:
        raise ValueError(f"The plan has an unknown field {unknown[0]!r}. {suggest(str(unknown[0]), FIELDS)}")
    if missing := [name for name in FIELDS[:2] if not told.get(name)]:
        raise ValueError(f"The plan has no {missing[0]}. Write what each cell runs, and what is varied.")
    check_claims("the plan", told, TABLES, "Mend the plan.")
    measures = tuple(told.get("measures") or USUAL)
    check_measures(measures)
    axes = distinct(Axis(str(name), _values(str(name), values)) for name, values in told["axes"].items())
    overrides = {str(name): _value(str(name), value) for name, value in (told.get("overrides") or {}).items()}
    facts = {"repeats": _repeats(told.get("repeats", 1)), "judge": str(told.get("judge") or "")}
    return Plan(_workflow(told["workflow"], folder), axes, overrides, measures, **facts)


def check_measures(names: Iterable[str]) -> None:
    """Raise ValueError for a name that no measure of a run has."""
    known = [*MEASURES, *METRICS, *WHOLE]
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"There is no measure {unknown[0]!r}. {suggest(str(unknown[0]), known)}")


def _workflow(told: Any, folder: Place) -> dict[str, dict]:
    if not isinstance(told, str):
        return check_workflow(told)
    try:
        return check_workflow(json.loads((folder / told).read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"The workflow {told} cannot be read: {error.strerror}. Give a file in API form.") from error


def _values(name: str, told: Any) -> tuple[Value, ...]:
    """A list as it is; a text as an axis is written, such as 0..3; a single value alone."""
    if isinstance(told, str):
        return values_of(told, name)
    return tuple(_value("an axis", one) for one in told) if isinstance(told, list) else (_value("an axis", told),)


def _value(name: str, told: Any) -> Value:
    if not isinstance(told, int | float | str):
        raise ValueError(f"{name} has a value that is a {type(told).__name__}. Give a number, a word or true or false.")
    return Axis(name, (told,)).values[0]


def _repeats(told: Any) -> int:
    if isinstance(told, bool) or not isinstance(told, int) or not 1 <= told <= MOST_REPEATS:
        raise ValueError(f"repeats is {told!r}. Give a whole number from 1 to {MOST_REPEATS:,}.")
    return told
