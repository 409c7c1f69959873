"""What a run can be compared with: a person's choices, the card of its model, the cfg of its stock template."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .card import Card
from .picks import Picks
from .sentences import Sentence
from .size import Size

TEMPLATES_FILE = Path(__file__).with_name("template_scales.json")


@dataclass(frozen=True)
class Template:
    """What the host's own templates do with a file of weights.

    scales: every cfg that they give their samplers, from the least. count: of templates. package: with its version.
    """

    file: str
    scales: tuple[float, ...]
    count: int
    package: str


@dataclass(frozen=True)
class Known:
    """What is known of the model of a run.

    trouble: why something that is there could not be used. size: of its data, where neither card nor model says it.
    """

    picks: Picks | None = None
    card: Card | None = None
    template: Template | None = None
    trouble: tuple[Sentence, ...] = ()
    size: Size | None = None


def template_of(files: Iterable[str]) -> Template | None:
    """The template of the only known file of weights among these names; None for none, or for several.

    Folders before a name are left out: users sort their files.
    """
    table = _table()
    names = {Path(file.replace("\\", "/")).name for file in files} & table["files"].keys()
    if len(names) != 1:
        return None
    (file,) = names
    found = table["files"][file]
    return Template(file, tuple(found["cfg"]), found["templates"], table["package"])


@cache
def _table() -> dict:
    return json.loads(TEMPLATES_FILE.read_text(encoding="utf-8"))
