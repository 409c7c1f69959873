"""What takes part in an arena: plain guidance, a rule of the pack, a chain of them, or anybody's in a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, NamedTuple

from ...guidance.chain import Chain
from ...guidance.contract import chain_from
from ...guidance.knobs import knobs
from ...guidance.registry import every_rule
from ...guidance.rule_file import RuleFile
from ...guidance.rules.kinds import Rule
from ...guidance.rules.negative import Negative
from ...guidance.rules.perp_neg import PerpNeg
from ...guidance.rules.schedule import ScaleSchedule
from ...sweeps.axes import suggest
from ...sweeps.rules import PLAIN, RuleNode, letters_of

HIGHEST = 16.0  # cfg
WHOLE, TIMES = 4.0, 4.0  # limits no wider than this are searched whole; wider ones up to so many times the default
LEFT_OUT = {
    "Autoguidance": "it puts a weaker network in the place of u, and no world has one",
    "Formula": "it is whatever you type; its default is plain guidance",
    "FunctionRule": "it is whatever you write: name it FILE:RULE",
    "PartScale": "it needs a sample of two parts, such as video and sound",
    "Perturbed": "it adds a further pass, which no world has",
}
EVERY = "every"  # the word for all rules of the pack


class Range(NamedTuple):
    """Where a knob is searched.  choices: in the place of numbers. logarithmic: between positive ends."""

    low: float = math.nan
    high: float = math.nan
    whole: bool = False
    logarithmic: bool = False
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Entrant:
    """A rule with the settings of its paper, and the knobs that may be tuned.

    make(other, knobs): the rule, for the labels beside the wanted ones, with other values of knobs. usual: the values
    of its paper, of those that may be tuned. space: where they are searched. highest: the largest cfg. negative: u is
    the prediction with the label beside. code: a digest of its file.
    """

    name: str
    make: Callable[[Sequence[int], Mapping[str, Any]], Any]
    usual: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Range] = field(default_factory=dict)
    highest: float = HIGHEST
    negative: bool = False
    code: str = ""

    @property
    def scales(self) -> tuple[float, ...]:
        """Values of cfg among which a strength is looked for."""
        return tuple(self.highest / 2**i for i in (4, 3, 2, 1, 0))

    def rule(self, other: Sequence[int], values: Mapping[str, Any]) -> Chain:
        """The rule.  Raises ValueError for knobs that do not fit each other."""
        return chain_from(self.make(other, values))

    def control(self, schedule: Sequence[float]) -> Chain:
        """Plain guidance at these scales, step by step."""
        return Chain((ScaleSchedule("list", values=tuple(schedule)),))


PLAIN_GUIDANCE = Entrant("cfg", lambda other, values: None)
SPECIAL: dict[str, dict[str, Any]] = {  # rules that need more than their own defaults
    "Negative": {"make": lambda other, values: Negative((other,), (-0.5,)), "space": {}},
    "PerpNeg": {"make": lambda other, values: PerpNeg(None, **values), "negative": True},
    "PlusPlus": {"highest": 1.0},
    "ScaleSchedule": {"make": lambda other, values: ScaleSchedule("linear"), "space": {}},
}


@cache
def pack_entrants() -> Mapping[str, Entrant]:
    """Every rule of the pack that a world can hold, by the name of its class."""
    return {name: entrant_of(kind) for name, kind in sorted(every_rule().items()) if name not in LEFT_OUT}


def entrant_of(kind: type[Rule]) -> Entrant:
    """A rule of the pack, from what its class states."""
    usual = {one.name: one.default for one in fields(kind)}
    general = {"make": lambda other, values: kind(**values), "usual": usual, "space": space_of(kind)}
    return Entrant(kind.__name__, **{**general, **SPECIAL.get(kind.__name__, {})})


def space_of(kind: type[Rule]) -> dict[str, Range]:
    """Where the knobs of a rule are searched."""
    stated, found = knobs(kind), {}
    for one in fields(kind):
        if one.name in stated and one.default not in (MISSING, None):
            choices = stated[one.name].choices
            values = tuple(choices.values()) if isinstance(choices, Mapping) else tuple(choices)
            found[one.name] = range_of(one.default, stated[one.name].limits, values)
    return {name: place for name, place in found.items() if place}


def range_of(default: Any, limits: Sequence[float], choices: tuple[Any, ...]) -> Range | None:
    """Where one knob is searched; None where nobody can say."""
    if isinstance(default, bool) or choices:
        return Range(choices=choices or (False, True))
    if not limits or not isinstance(default, int | float):
        return None
    low, high, whole = *limits[:2], isinstance(default, int)
    if high - low <= WHOLE or default <= 0:
        return Range(max(low, -WHOLE), min(high, WHOLE), whole)
    return Range(max(low, default / TIMES, 1.0 if whole else 0.0), min(high, default * TIMES), whole, logarithmic=True)


def read_entrants(words: Sequence[str], prepare: Callable[[Any], Any] = chain_from) -> list[Entrant]:
    """What takes part, by the words of a command line.

    prepare: makes a chain of what a file names. Raises ValueError for what is no rule, before any work.
    """
    read = [
        one for word in words for one in ([*pack_entrants().values()] if word == EVERY else [read_word(word, prepare)])
    ]
    return [*{one.name: one for one in read}.values()]


def read_word(word: str, prepare: Callable[[Any], Any]) -> Entrant:
    """One that takes part: cfg, a rule of the pack by any of its names, several with +, or FILE:RULE."""
    if place := RuleFile.of(word):
        made = prepare(place.named())
        return Entrant(place.word, lambda other, values: made, code=place.digest)
    if letters_of(word) in PLAIN:
        return PLAIN_GUIDANCE
    parts = [find_rule(part) for part in word.split("+")]
    if len(parts) == 1:
        return parts[0]
    return Entrant(
        " + ".join(one.name for one in parts),
        lambda other, values: Chain(tuple(rule for one in parts for rule in one.rule(other, {}).rules)),
        highest=min(one.highest for one in parts),
        negative=any(one.negative for one in parts),
    )


def find_rule(name: str) -> Entrant:
    """A rule of the pack.  Raises ValueError for an unknown name, and for a rule that no world can hold."""
    for kind_name, kind in every_rule().items():
        titles = filter(None, (kind_name, *RuleNode(kind.node_id, kind.name, {}).names))
        if letters_of(name) in map(letters_of, titles):
            if kind_name in LEFT_OUT:
                raise ValueError(f"{kind_name} cannot take part: {LEFT_OUT[kind_name]}.")
            return pack_entrants()[kind_name]
    offers = [*pack_entrants(), "cfg", EVERY]
    raise ValueError(
        f"There is no rule {name.strip()!r}. {suggest(name.strip(), offers)} A rule of yours is FILE:RULE."
    )
