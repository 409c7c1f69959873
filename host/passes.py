"""Further passes of a model call: a condition that was evaluated already, with something in the network changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

NAMES = {  # what is changed -> what the pass is called; of the transformer's options, then of the conditions
    "stg_self_attn_blocks": "STG",
    "a2v_cross_attn": "modality",
    "v2a_cross_attn": "modality",
    "patches_replace": "perturbed",
    "ref_audio": "reference audio",
}


class Asked(NamedTuple):
    """What the network was asked: entries of a condition, and the options of its transformer."""

    entries: list[dict]
    options: Mapping[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        """Options by name, and which conditions there are."""
        conditions = {name: True for entry in self.entries for name in entry.get("model_conds", {})}
        return {**conditions, **self.options}


def pass_name(plain: Asked, other: Asked) -> str:
    """What a second pass is called after what it changes; nothing for a change that nobody knows, or none."""
    first, second = plain.facts, other.facts
    changed = [name for name in NAMES if first.get(name) != second.get(name)]
    return " + ".join(dict.fromkeys(NAMES[name] for name in changed))
