"""What stands in each template, and beside what: layouts.json, read. Where exactly is up to the editor."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..places import ROOT


@dataclass(frozen=True)
class Layout:
    """One template.

    title: what it is called; tells: what it shows, in a few words; order: its place among the templates, from 1.
    form: the file of its API form. notes: their titles and words. columns: from left to right, each with its width and
    its nodes, which are ids of the API form and titles of notes and subgraphs. subgraphs: inner ones first, each with
    its title, its columns, and widgets that its own node shows: id, name, and name there unless it is the same.
    titles: of nodes that have one of their own. app: what App mode shows, inputs as node and widget, and outputs.
    thumbnails: the nodes whose pictures make the thumbnail, and the words under each; none where it is drawn without a
    run. downloads: the file that a node needs, for the editor to offer.
    """

    title: str
    tells: str
    order: int
    form: str
    workflow_id: str
    notes: tuple[dict[str, str], ...]
    columns: list[dict[str, Any]]
    subgraphs: list[dict[str, Any]]
    app: dict[str, list]
    titles: dict[str, str] = field(default_factory=dict)
    thumbnails: dict[str, dict[str, str]] = field(default_factory=dict)
    downloads: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def api(self) -> Path:
        """The file of its API form."""
        return ROOT / self.form

    @property
    def template(self) -> Path:
        """The file that the editor opens; its name is all that the editor tells of it, and stands in its address."""
        return ROOT / "example_workflows" / f"{self.order}-{self.title.replace(' ', '-')}.json"

    def address(self, pack: str) -> str:
        """What opens it, after the address of the server.  pack: the pack's folder in custom_nodes"""
        return f"/?template={self.template.stem}&source={pack}"


def layout_of(order: int, title: str, facts: dict[str, Any]) -> Layout:
    """A template's entry in layouts.json; the words of a note stand there line by line."""
    notes = tuple(note | {"words": "\n".join(note["words"])} for note in facts["notes"])
    return Layout(title, order=order, **{**facts, "notes": notes})


LAYOUTS = {
    title: layout_of(order, title, facts)
    for order, (title, facts) in enumerate(
        json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8")).items(), start=1
    )
}
