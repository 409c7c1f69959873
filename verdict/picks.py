"""Which scales a person, or a judge, found good: kept for each model, compared within one class of samplers.

The file is JSON: {"format": "guidance-geometry/picks", "version": 1, "model": {"name", "key"}, "picks": [{"cfg",
"sampler_class", "chain", "good", "by", "when", "knob"}, ...]}. host/editor/choices.py shows and changes it. A pick of
another knob than cfg has that knob's value in "cfg", and its key in "chain" too.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..files.claims import PAGE, check_claims, maybe, number, one_of, read_as, require, switch, text, whole
from ..files.writing import write_atomically

FORMAT, VERSION = "guidance-geometry/picks", 1
MOST = 1000
LARGEST = 1_000_000  # bytes
REMEDY = "Choose your runs again, or delete the file."
FORGET = "Forget a kind of sampler first."
PLAIN = "CFG"  # chain of a run without rules
CFG = "cfg"  # key of the knob that most runs have
LONGEST = 2000  # characters of a key
# Classes of samplers within which one scale means as much: with or without fresh noise, and how many steps.
CLASSES = ("ode-few", "ode", "ode-many", "sde-few", "sde", "sde-many", "unseen-few", "unseen", "unseen-many")
FILE = {
    "format": require(one_of(FORMAT)),
    "version": require(whole(VERSION, VERSION)),
    "model.name": require(text()),
    "model.key": require(text(PAGE)),
}
PICK = {
    "cfg": require(number(0, 1e6)),
    "sampler_class": require(one_of(*CLASSES)),
    "chain": maybe(text(LONGEST)),
    "good": require(switch()),
    "by": maybe(text()),
    "when": maybe(text()),
    "knob": maybe(text(LONGEST)),
}


@dataclass(frozen=True)
class Pick:
    """One run that somebody judged.

    cfg: value of the knob.
    sampler_class: of CLASSES.
    good: whether it was chosen.
    chain: rules that guided the run, as text.
    by: the judge's name, None for the user.
    when: date, or None.
    knob: key of the knob.
    """

    cfg: float
    sampler_class: str
    good: bool
    chain: str = PLAIN
    by: str | None = None
    when: str | None = None
    knob: str = CFG

    @property
    def of(self) -> tuple:
        """What was judged, and by whom."""
        return self.cfg, self.sampler_class, self.chain, self.by, self.knob

    @property
    def compared(self) -> bool:
        """Whether runs are compared with it: a key tells what else guided, but for cfg, which is alone then."""
        return self.knob != CFG or self.chain == PLAIN


def half_way(low: float, high: float) -> float:
    """The middle of two values of a knob: by their ratio, but from 0 by their difference."""
    return math.sqrt(low * high) if low > 0 else (low + high) / 2


@dataclass(frozen=True)
class Picks:
    """What was chosen of one model.  key: of `model_key`."""

    name: str
    key: str
    picks: tuple[Pick, ...] = ()

    def of_class(self, sampler_class: str, knob: str = CFG) -> list[Pick]:
        """The picks of one knob with one class of samplers, of runs that others are compared with."""
        return [p for p in self.picks if (p.sampler_class, p.knob) == (sampler_class, knob) and p.compared]

    def range(self, sampler_class: str, knob: str = CFG) -> tuple[float, float] | None:
        """The good values: from the least to the largest that was chosen, each half way to what was tried beyond it.

        None: none was chosen.
        """
        tried = self.of_class(sampler_class, knob)
        good = [pick.cfg for pick in tried if pick.good]
        if not good:
            return None
        low, high = min(good), max(good)
        below, above = ([p.cfg for p in tried if (p.cfg < low, p.cfg > high)[side]] for side in (0, 1))
        return half_way(max(below, default=low), low), half_way(high, min(above, default=high))

    def ranges(self, knob: str = CFG) -> dict[str, tuple[float, float]]:
        """The good values of a knob with every class of samplers that has any."""
        return {key: bounds for key in CLASSES if (bounds := self.range(key, knob))}

    def ranges_by_knob(self) -> dict[str, dict[str, tuple[float, float]]]:
        """The good values of every knob that has any."""
        keys = dict.fromkeys(pick.knob for pick in self.picks)
        return {key: ranges for key in keys if (ranges := self.ranges(key))}

    def merge(self, others: Iterable[Pick]) -> Picks:
        """The picks with further ones; one of the same run takes the place of what was said of it before."""
        return replace(self, picks=tuple({pick.of: pick for pick in (*self.picks, *others)}.values()))

    def without(self, sampler_class: str, knob: str | None = None, values: Collection[float] = ()) -> Picks:
        """What is left when one class of samplers is forgotten.  knob: of one knob alone. values: of these alone"""
        of_class = [p for p in self.picks if p.sampler_class == sampler_class and knob in (None, p.knob)]
        gone = [p for p in of_class if not values or p.cfg in values]
        return replace(self, picks=tuple(pick for pick in self.picks if pick not in gone))

    def as_json(self) -> dict[str, Any]:
        """The picks as their file has them."""
        claims = {"format": FORMAT, "version": VERSION, "model": {"name": self.name, "key": self.key}}
        return claims | {"picks": [asdict(pick) for pick in self.picks]}


def read_picks(path: str | os.PathLike) -> Picks:
    """The picks in a file.  Raises ValueError that says what is damaged, OSError where it cannot be read."""
    return read_as(picks_of, Path(path), "picks", REMEDY, LARGEST)


def write_picks(picks: Picks, path: str | os.PathLike) -> None:
    """Write picks so that `read_picks` finds the same, all or nothing.  Raises ValueError as it does, NotWritten."""
    claims = picks.as_json()
    picks_of(claims, Path(path).name)
    written = (json.dumps(claims, indent=1) + "\n").encode()
    if len(written) > LARGEST:
        raise ValueError(f"{Path(path).name}: it would have {len(written):,} bytes; {LARGEST:,} are read. {FORGET}")
    write_atomically(path, [written], ours=True)


def picks_of(claims: Any, file: str) -> Picks:
    """What such a file says.  Raises ValueError for the first field that is not what it must be."""
    if not isinstance(claims, Mapping) or not isinstance(claims.get("picks"), list) or len(claims["picks"]) > MOST:
        raise ValueError(f"{file}: a JSON object with a list of at most {MOST:,} picks is needed. {REMEDY}")
    check_claims(file, claims, FILE, REMEDY)
    picks = []
    for i, pick in enumerate(claims["picks"]):
        check_claims(f"{file}, picks[{i}]", pick if isinstance(pick, Mapping) else {}, PICK, REMEDY)
        knob, chain, by, when = pick.get("knob") or CFG, pick.get("chain") or PLAIN, pick.get("by"), pick.get("when")
        picks.append(Pick(float(pick["cfg"]), pick["sampler_class"], pick["good"], chain, by, when, knob))
    return Picks(claims["model"]["name"], claims["model"]["key"], tuple(picks))
