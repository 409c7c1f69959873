"""The thresholds of the verdict and how often they err: odds.json beside this file, written by the command it names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.claims import check_claims, number, require, several, table

SHARE = require(number(0, 1))
ODDS_FILE = Path(__file__).with_name("odds.json")
FIELDS = {
    "burn.sure": require(number(1, 1e6)),
    "burn.likely": require(number(1, 1e6)),
    "burn.false": SHARE,
    "burn.hits": require(several(table(number(0, 1e6), 2), 100, 1)),
    "card.beyond": require(number(1, 1e6)),
    "card.false": SHARE,
    "card.coverage": SHARE,
    "card.ratio": require(number(1, 1e6)),
    "rules.further": require(number(1, 1e6)),
    "rules.false": SHARE,
    "rules.missed": SHARE,
    "half.same": require(number(0, 1e6)),
    "half.wrong": SHARE,
    "half.close": require(number(0, 1e6)),
    "half.changed": SHARE,
    "half.near": require(number(0, 1e6)),
    "half.subject": SHARE,
    "half.colours": SHARE,
}


@dataclass(frozen=True)
class RuleOdds:
    """Of runs with rules.  further: times both lengths at the top of a card's band, from which one pushes further.

    false: share of good runs of which that is said. miss: of runs far too high that are said to push no further.
    """

    further: float
    false: float
    miss: float


@dataclass(frozen=True)
class HalfOdds:
    """Of two runs with the same noise.

    same: distance of two pictures below which they count as one. wrong: share of such pairs with another subject or
    other colours. close: distance from there up to which a picture changes a little. changed: the share of those. near:
    distance of two latents below which the subject hardly changes. subject, colours: share of such pairs in which
    either does.
    """

    same: float
    wrong: float
    close: float
    changed: float
    near: float
    subject: float
    colours: float


@dataclass(frozen=True)
class Odds:
    """What was measured of the verdict itself; docs/verdict-card.md says what each number is.

    sure, likely: of overshoot. false: share of fine runs above `sure`. hits: (times the good scale, share found) pairs.
    beyond: times the upper end of a card's band, from which a scale is too high. ratio: high / low of the range about
    its centre that holds the best scale in a share `card_coverage`.
    """

    sure: float
    likely: float
    false: float
    hits: tuple[tuple[float, float], ...]
    beyond: float
    ratio: float
    card_false: float
    card_coverage: float
    rules: RuleOdds
    half: HalfOdds


def odds_of(claims: Any, file: str = ODDS_FILE.name) -> Odds:
    """The odds that a file says.  Raises ValueError for a field that is not what it must be."""
    check_claims(file, claims, FIELDS, "Write it again with the command that it names.")
    burn, card, rules, half = (claims[name] for name in ("burn", "card", "rules", "half"))
    hits = tuple(sorted((float(hit["times"]), float(hit["share"])) for hit in burn["hits"]))
    numbers = (card["beyond"], card["ratio"], card["false"], card["coverage"])
    of_rules = RuleOdds(rules["further"], rules["false"], rules["missed"])
    of_half = HalfOdds(*(half[name] for name in ("same", "wrong", "close", "changed", "near", "subject", "colours")))
    return Odds(burn["sure"], burn["likely"], burn["false"], hits, *numbers, of_rules, of_half)


ODDS = odds_of(json.loads(ODDS_FILE.read_text(encoding="utf-8")))
