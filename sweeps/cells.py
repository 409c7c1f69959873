"""The cells of a plan: the workflow of each, and an id that two cells share only if they would make the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from ..files.claims import guard
from .axes import Value, places
from .graph import Workflow
from .plan import MEND, Plan
from .rules import Nodes, rule_in_file, words_of_files
from .workflow import add_results, set_values, write_knobs

VERSION = re.compile(r'^version = "(.+)"$', re.MULTILINE)  # in pyproject.toml
HEX = 16  # digits of an id: two of a million cells share one with a chance of 3e-8


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    id: of its content. place: its value on every axis. prompt: what a server is sent. also: other places with the same
    prompt, such as those of a widget of a rule that the chain has not.
    """

    id: str
    place: Mapping[str, Value]
    prompt: Workflow
    also: tuple[Mapping[str, Value], ...] = ()


@guard("The plan", "its workflow", MEND)
def cells_of(plan: Plan, nodes: Nodes, models: Mapping[str, Any], version: str) -> list[Cell]:
    """Every cell of a plan, each prompt once.

    nodes: the nodes of the server. models: what tells the model files apart, {name: size or hash}. version: of
    the pack. Raises ValueError for an axis or an override that the workflow does not have, before anything runs.
    """
    in_files = [rule_in_file(word, nodes.rules) for word in words_of_files(plan.chains)]
    nodes = nodes._replace(rules=[*nodes.rules, *in_files])
    workflow = set_values(add_results(plan.workflow, plan.judge, nodes, plan.draws), plan.overrides, nodes)
    by_id: dict[str, Cell] = {}
    for place in places(plan.every_axis):
        prompt = write_knobs(set_values(workflow, place, nodes))
        cell = Cell(cell_id(prompt, models, version), place, prompt)
        first = by_id.setdefault(cell.id, cell)
        if first is not cell:
            by_id[cell.id] = replace(first, also=(*first.also, place))
    return list(by_id.values())


def cell_id(prompt: Workflow, models: Mapping[str, Any], version: str) -> str:
    """The hash of what decides the result: the nodes without their titles, the models that they name, the version."""
    content = {name: {"class_type": node["class_type"], "inputs": node["inputs"]} for name, node in prompt.items()}
    named = {str(value) for node in prompt.values() for value in node["inputs"].values() if isinstance(value, str)}
    used = {name: mark for name, mark in models.items() if name in named}
    text = json.dumps([content, used, version], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HEX]


def pack_version() -> str:
    """The version of this pack, as its project states it, or as it was installed."""
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    if not project.exists():
        return metadata.version("guidance-geometry")
    return VERSION.findall(project.read_text(encoding="utf-8"))[0]
