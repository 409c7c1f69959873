"""Where the nodes of the templates stand, and the notes beside them: layouts.json, read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..places import ROOT

Place = tuple[int, int, int, int]  # left, top, width, height
TITLE = 30  # height of a node's title, above its place
QUIET, TITLE_ROOM, MARGIN = "#7fa3b5", 70, 20  # colour of a group, room above its nodes for two titles, and around them


@dataclass(frozen=True)
class Note:
    """Words beside the nodes."""

    title: str
    place: Place
    words: str


@dataclass(frozen=True)
class Layout:
    """One template. name: of its files; form: the file of its API form. places: by node id.

    groups: title -> the node ids, or titles of notes, that it frames. titles: of nodes that have one of their own.
    thumbnails: the nodes whose pictures make the thumbnail, and which of them; none where it is drawn without a run.
    view: scale and offset of the canvas. downloads: the file that a node needs, for the editor to offer.
    """

    name: str
    form: str
    workflow_id: str
    places: dict[str, Place]
    notes: tuple[Note, ...]
    thumbnails: dict[str, tuple[int, ...]] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    view: tuple[float, float, float] = (0.75, 90, 160)
    downloads: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def api(self):
        """The file of its API form."""
        return ROOT / self.form

    @property
    def template(self):
        """The file that the editor opens."""
        return ROOT / "example_workflows" / f"{self.name}.json"

    def frames(self) -> list[dict]:
        """The groups as a workflow stores them."""
        notes = {note.title: note.place for note in self.notes}
        places = [[(self.places | notes)[name] for name in names] for names in self.groups.values()]
        return [
            {"id": k, "title": title, "bounding": around(inside), "color": QUIET, "font_size": 24, "flags": {}}
            for k, (title, inside) in enumerate(zip(self.groups, places, strict=True), start=1)
        ]


def around(places: list[Place]) -> list[int]:
    """Left, top, width, height of a frame around places, with room for titles."""
    left, top = min(x for x, *_ in places) - MARGIN, min(y for _, y, *_ in places) - TITLE_ROOM
    right, bottom = max(x + w for x, _, w, _ in places) + MARGIN, max(y + h for _, y, _, h in places) + MARGIN
    return [left, top, right - left, bottom - top]


def layout_of(name: str, facts: dict[str, Any]) -> Layout:
    """A template's entry in layouts.json; the words of a note stand there line by line."""
    notes = tuple(Note(note["title"], note["place"], "\n".join(note["words"])) for note in facts["notes"])
    return Layout(name, **{**facts, "notes": notes})


LAYOUTS = {
    name: layout_of(name, facts)
    for name, facts in json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8")).items()
}
