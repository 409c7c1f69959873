"""What a run can be compared with: a person's choices, the card of its model, the cfg of its stock template."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..trace.trace import model_key
from .card import Card, read_card
from .measured import ModelCurves
from .picks import Picks
from .sentences import Sentence
from .size import Size

CARDS = Path(__file__).parents[1] / "assets" / "denoisers"  # of the models that are included, beside their weights
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
    curves: what was measured of its pictures.
    """

    picks: Picks | None = None
    card: Card | None = None
    template: Template | None = None
    trouble: tuple[Sentence, ...] = ()
    size: Size | None = None
    curves: ModelCurves | None = None


def knowledge_without_host(model: Mapping[str, Any], card: Card | None = None, picks: Picks | None = None) -> Known:
    """What is known of a model by itself, with a card or picks that somebody gave.  model: of a trace's header."""
    template = template_of([str(model["file"])]) if model.get("file") else None
    return Known(picks, card or included_card(model), template)


def included_card(model: Mapping[str, Any], read: Callable[[Path], Card | None] = read_card) -> Card | None:
    """The card that came with the pack for the weights of a model.  Raises as `read`."""
    key, files = model_key(model), sorted(CARDS.glob("*.guidance.json"))
    cards = map(read, files) if key else ()
    return next((card for card in cards if card and card.sha256 == key), None)


def template_of(files: Iterable[str]) -> Template | None:
    """The template of the only known file of weights among these names; None for none, or for several.

    Folders before a name are left out: users sort their files.
    """
    table = _table()
    names = {Path(file.replace("\\", "/")).name for file in files} & table["files"].keys()
    if len(names) != 1:
        return None
    (file,) = names
    entry = table["files"][file]
    return Template(file, tuple(entry["cfg"]), entry["templates"], table["package"])


@cache
def _table() -> dict:
    return json.loads(TEMPLATES_FILE.read_text(encoding="utf-8"))
