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
    "half.changed": SHARE,
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
class Odds:
    """What was measured of the verdict itself; docs/verdict-card.md says what each number is.

    sure, likely: of overshoot. false: share of fine runs above `sure`. hits: (times the good scale, share found) pairs.
    beyond: times the upper end of a card's band, from which a scale is too high. ratio: high / low of the range about
    its centre that holds the best scale in a share `card_coverage`. same: distance of two ends that show one picture.
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
    same: float
    change: float


def odds_of(claims: Any, file: str = ODDS_FILE.name) -> Odds:
    """The odds that a file says.  Raises ValueError for a field that is not what it must be."""
    check_claims(file, claims, FIELDS, "Write it again with the command that it names.")
    burn, card, rules, half = (claims[name] for name in ("burn", "card", "rules", "half"))
    hits = tuple(sorted((float(hit["times"]), float(hit["share"])) for hit in burn["hits"]))
    numbers = (card["beyond"], card["ratio"], card["false"], card["coverage"])
    numbers += (RuleOdds(rules["further"], rules["false"], rules["missed"]), half["same"], half["changed"])
    return Odds(burn["sure"], burn["likely"], burn["false"], hits, *numbers)


ODDS = odds_of(json.loads(ODDS_FILE.read_text(encoding="utf-8")))
