"""One thing to try: a graph, how it is spoiled, the files it reads and how they are spoiled. All of it is data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .catalogue import Catalogue
from .edits import Edit, apply_edits
from .graphs import Graph


@dataclass(frozen=True)
class Stock:
    """What cases are made of.  folder: the host's, with its sources. graphs: seeds by name"""

    catalogue: Catalogue
    folder: Path
    graphs: Mapping[str, Graph]


@dataclass(frozen=True)
class Case:
    """kind: prompt, header or model file. graph: before the edits. files: recipes of `files.written`."""

    kind: str
    name: str
    graph: Graph
    edits: list[Edit] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)

    @property
    def prompt(self) -> Graph:
        """What is sent to the host."""
        return apply_edits(self.graph, self.edits)

    def but(self, **changes: Any) -> Case:
        """The same with other parts."""
        return replace(self, **changes)

    def save(self, path: Path, **facts: Any) -> None:
        """Keep it for a replay, with what came of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self) | {"found": facts}, indent=1), encoding="utf-8")


def read_case(path: Path) -> Case:
    """A case that was kept."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept.pop("found", None)
    return Case(**kept)
