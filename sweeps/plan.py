"""The plan of a study as a file, YAML or JSON: a workflow, what is varied, what is set, what is measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..files.claims import (
    ANYTHING,
    DEEPEST,
    check_claims,
    guard,
    json_of,
    maybe,
    read_json,
    read_text,
    several,
    table,
    text,
)
from ..guidance.printing import quote
from ..guidance.rule_file import RuleFile, without_folders
from ..measure.levels import DRAWS
from .addresses import Place
from .axes import REPEAT, RULE, Axis, Value, distinct, suggest, values_of
from .measures import MEASURES, METRICS, OF_FILMS, OWN, USUAL, WHOLE
from .rules import words_of_files
from .workflow import check_workflow

MEND = "Mend the plan."
MOST_NAMES = 1000  # of axes, overrides, measures
FIELDS = ("workflow", "axes", "overrides", "measures", "repeats", "judge", "rules")
TABLES = {
    "axes": table(ANYTHING, MOST_NAMES),
    "overrides": maybe(table(ANYTHING, MOST_NAMES)),
    "measures": maybe(several(text(), MOST_NAMES)),
    "rules": maybe(table(text(), MOST_NAMES)),
}
OTHER_FILE = (
    "The plan was made with another {}: its digest there is {}, and of the file that is named {}. Name the file of "
    "then, or take it out of the plan's rules."
)
MOST_REPEATS = 10_000
MOST_YAML = 2**20  # bytes; of JSON far more is read in the same time


@dataclass(frozen=True)
class Plan:
    """What a study is.

    workflow: in API form.
    axes: what is varied.
    overrides: what is set in every cell, named as axes are.
    measures: of the table, or metrics by their code.
    repeats: each cell again with so many seeds, counted from the workflow's own.
    judge: as in `judge_of`.
    rules: digests of the rules in files that the axes name.
    Raises ValueError for repeats beside an axis of seeds, which would give some cells the same seed.
    """

    workflow: Mapping[str, Any]
    axes: tuple[Axis, ...]
    overrides: Mapping[str, Value] = field(default_factory=dict)
    measures: tuple[str, ...] = USUAL
    repeats: int = 1
    judge: str = ""
    rules: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        seeds = [axis.name for axis in self.axes if axis.kind == "seed"]
        if seeds and self.repeats > 1:
            raise ValueError(f"{seeds[0]} is an axis of seeds, and repeats is {self.repeats}. Leave out one of them.")

    @property
    def every_axis(self) -> tuple[Axis, ...]:
        """The axes, repeats among them."""
        again = Axis(REPEAT, tuple(range(self.repeats)))
        return self.axes if self.repeats == 1 else (*self.axes, again)

    @property
    def draws(self) -> int:
        """How often the model is asked about every picture; 0 where none of its measures needs that."""
        return 0 if OWN.keys().isdisjoint(self.measures) else DRAWS

    @property
    def chains(self) -> tuple[Value, ...]:
        """The chains of rules that its cells have."""
        varied = (value for axis in self.axes if axis.name == RULE for value in axis.values)
        return (*varied, self.overrides.get(RULE, ""))

    def add_digests(self) -> Plan:
        """The plan with the digests of the rules in files, of which it names none by its folder.

        Raises ValueError for one that the command line does not name, and for another than the plan was made with.
        """
        places = [RuleFile.offered(word) for word in words_of_files(self.chains)]
        for place in places:
            if self.rules.get(place.word, place.digest) != place.digest:
                raise ValueError(OTHER_FILE.format(place.word, self.rules[place.word], place.digest))
        return replace(self, rules={place.word: place.digest for place in places})

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
            **({"rules": dict(self.rules)} if self.rules else {}),
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
        claims = _parse(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}. Give the file of a plan.") from error
    try:
        with guard(path.name, "a field", MEND):
            return plan_of(claims, path.parent)
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(path.name) else f"{path.name}: {error}") from error


def _parse(path: Place) -> Any:
    """What the file says, with no other values than JSON has.  Raises OSError, ValueError."""
    if path.suffix.lower() == ".json":
        return read_json(path, MEND)
    import yaml

    written = read_text(path, MEND, MOST_YAML)
    try:
        with guard(path.name, "a list or a table", MEND):
            _refuse_bombs(path.name, yaml.scan(written))
            return json_of(path.name, json.dumps(yaml.safe_load(written)), MEND)
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name}: This is no YAML: {' '.join(str(error).split())}. Mend that line.") from error


def _refuse_bombs(name: str, tokens: Iterable[Any]) -> None:
    """Raise ValueError for YAML that is short and yet takes for ever: parts that repeat, and lists in lists."""
    depth = 0
    for token in tokens:
        kind = type(token).__name__
        depth += kind.endswith("StartToken") - kind.endswith("EndToken")
        if kind == "AliasToken" or depth > DEEPEST:
            raise ValueError(
                f"{name} repeats a part of itself (*name), or holds lists more than {DEEPEST} deep. {MEND}"
            )


def plan_of(claims: Any, folder: Place = Path()) -> Plan:
    """The plan of a table.  folder: where the file of its workflow is looked for.

    Raises ValueError for a field, a measure or a value that is not known.
    """
    if not isinstance(claims, Mapping):
        raise ValueError(f"The plan is no table. Write its fields: {', '.join(FIELDS)}.")
    if unknown := [name for name in claims if name not in FIELDS]:
        raise ValueError(f"The plan has an unknown field {quote(unknown[0])}. {suggest(str(unknown[0]), FIELDS)}")
    if missing := [name for name in FIELDS[:2] if not claims.get(name)]:
        raise ValueError(f"The plan has no {missing[0]}. Write what each cell runs, and what is varied.")
    check_claims("the plan", claims, TABLES, MEND)
    measures = tuple(claims.get("measures") or USUAL)
    check_measures(measures)
    axes = distinct(Axis(str(name), _values(str(name), values)) for name, values in claims["axes"].items())
    overrides = {str(name): _value(str(name), value) for name, value in (claims.get("overrides") or {}).items()}
    facts = {"repeats": _repeats(claims.get("repeats", 1)), "judge": str(claims.get("judge") or "")}
    facts["rules"] = claims.get("rules") or {}
    return Plan(_workflow(claims["workflow"], folder), axes, overrides, measures, **facts)


def check_measures(names: Iterable[str]) -> None:
    """Raise ValueError for a name that no measure of a run has."""
    every_name = [*MEASURES, *OF_FILMS, *METRICS, *WHOLE, *OWN]
    if unknown := [name for name in names if name not in every_name]:
        raise ValueError(f"There is no measure {quote(unknown[0])}. {suggest(str(unknown[0]), every_name)}")


def _workflow(value: Any, folder: Place) -> dict[str, dict]:
    if not isinstance(value, str):
        return check_workflow(value)
    try:
        return check_workflow(read_json(folder / value, "Export it again."))
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
        raise ValueError(f"The workflow {quote(value)} {why}. Give a file in API form.") from error


def _values(name: str, value: Any) -> tuple[Value, ...]:
    """A list as it is; a text as an axis is written, such as 0..3; a single value alone."""
    values = values_of(value, name) if isinstance(value, str) else value if isinstance(value, list) else (value,)
    return tuple(_value(name, each) for each in values)


def _value(name: str, value: Any) -> Value:
    if not isinstance(value, int | float | str):
        raise ValueError(
            f"{name} has a value that is a {type(value).__name__}. Give a number, a word or true or false."
        )
    return without_folders(value) if name == RULE and isinstance(value, str) else Axis(name, (value,)).values[0]


def _repeats(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_REPEATS:
        raise ValueError(f"repeats is {quote(value)}. Give a whole number from 1 to {MOST_REPEATS:,}.")
    return value
