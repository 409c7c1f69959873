"""Every sentence that a report can say, by its id, in every language: the one list is sentences.json.

`{count:step|steps}` stands for the word that goes with a number, `{range}` for `low` to `high`. An id `plain.X` is what
X says to someone who knows only KSampler: with the same facts, and without the numbers that only a researcher needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..guidance.printing import Words

SENTENCES: Mapping[str, Mapping[str, str]] = json.loads(
    Path(__file__).with_name("sentences.json").read_text(encoding="utf-8")
)
LANGUAGES = ("en", "zh")
GAPS = {"en": " ", "zh": ""}  # between two sentences
RANGE = {"en": "{low} to {high}", "zh": "{low} \u5230 {high}"}
DIGITS = 3


@dataclass(frozen=True)
class Sentence:
    """One sentence of a report.

    facts: what its template names; numbers, texts, or sentences that stand inside it. then: what follows at once.
    """

    id: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    then: Sentence | None = None

    def text(self, language: str = "en") -> str:
        """The sentence in a language of LANGUAGES."""
        facts: dict[str, Words] = {}
        for name, value in self.facts.items():
            if isinstance(value, Sentence):
                facts[name] = Words(value.text(language))
            else:
                facts[name] = Words(short(value) if isinstance(value, float) else str(value))
        if {"low", "high"} <= facts.keys():
            is_one_value = facts["low"] == facts["high"]
            facts["range"] = facts["low"] if is_one_value else Words(RANGE[language].format_map(facts))
        whole = SENTENCES[self.id][language].format_map(facts)
        whole += GAPS[language] + self.then.text(language) if self.then else ""
        return whole.replace("\uff09 ", "\uff09")  # a full-width bracket brings its own gap

    @property
    def plain(self) -> Sentence | None:
        """What it says to someone who knows only KSampler, where that is other words."""
        name = f"plain.{self.id}"
        return Sentence(name, self.facts) if name in SENTENCES else None

    def as_json(self) -> dict[str, Any]:
        """Id, facts and the sentence in all languages, for scripts and browsers."""
        facts = {name: v.id if isinstance(v, Sentence) else v for name, v in self.facts.items()}
        return {"id": self.id, "facts": facts} | {language: self.text(language) for language in LANGUAGES}


def say(name: str, /, **facts: Any) -> Sentence:
    """The sentence of an id of SENTENCES."""
    return Sentence(name, facts)


def short(value: float) -> str:
    """A number with three digits; whole ones stay whole, up to a million."""
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.{DIGITS}g}"


def about(value: float) -> str:
    """A number with two digits, which is all that a mean over steps and samples is good for."""
    return short(value) if abs(value) >= 10 else f"{value:.2g}"


def percent(share: float) -> str:
    """A share in percent, with two digits."""
    return f"{100 * share:.2g}" if abs(share) < 0.995 else f"{100 * share:.0f}"


def comma_list(values: Any) -> str:
    """Numbers in a row."""
    return ", ".join(map(short, values))
