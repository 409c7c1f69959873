"""What the pack's own engine says with a card that was made of one part of the measurements, of a run of another part.

A case in which that is wrong: its sentences, what is true, and the pictures. And whether it keeps silent with a card of
other weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ...trace.trace import Trace
from ...verdict.card import Band, Card
from ...verdict.good_scales import SLACK
from ...verdict.known import Known
from ...verdict.odds import ODDS
from ...verdict.report import Case, answer_of
from .evidence import Setting
from .misses import Shown, grid
from .odds import Carded
from .runs import SAMPLERS, record_run
from .worlds import World

MARK, OTHER = "0" * 64, "1" * 64  # hash of the weights of a run that was made here, and of others
SAMPLES = 4


@dataclass(frozen=True)
class Wrong:
    """A card, a setting it is held against, and a scale of that setting of which it says what is not so."""

    card: Carded
    gamma: float

    @property
    def error(self) -> float:
        """How wrong: ln of the objective over its least value where it says good, of 1.25 times that over it else."""
        setting, band = self.card.other, self.card.band
        excess = math.log(setting.values[setting.gammas.index(self.gamma)] / min(setting.values))
        return excess if band.holds(self.gamma) else math.log(SLACK) - excess


def candidates(known: Sequence[Carded], beyond: float) -> list[Wrong]:
    """Scales that a card places on the wrong side; those that it calls too high in vain come first."""
    found = [Wrong(one, gamma) for one in known for gamma in one.other.gammas if _is_wrong(one, gamma, beyond)]
    return sorted(found, key=lambda one: (one.card.band.holds(one.gamma), -one.error))


def _is_wrong(one: Carded, gamma: float, beyond: float) -> bool:
    if one.other.band.holds(gamma):
        return gamma > beyond * one.band.high
    return one.band.holds(gamma)


def worst_case(known: Sequence[Carded], beyond: float, worlds: Mapping[str, World]) -> tuple[str, Shown] | None:
    """What the verdict says in the worst case, what is true, and its picture; None where it never errs."""
    found = next(iter(candidates(known, beyond)), None)
    if found is None:
        return None
    one, setting = found.card, found.card.other
    odds = replace(ODDS, beyond=beyond)
    run = own_run(worlds[setting.world], setting, found.gamma)
    said = answer_of(Case.of(run, Known(card=card_of(one)), odds))
    above = math.log(setting.values[setting.gammas.index(found.gamma)] / min(setting.values))
    true = f"L is {above:.2f} above the least there (good: at most {math.log(SLACK):.2f})"
    truth = f"{true}; the good scales of that part are {setting.band.low:.2g} to {setting.band.high:.2g}."
    words = f"> {replace(said.headline, then=None).text()}"
    text = f"A card made of {one.card}, and a run of {setting.words} at \u03b3 {found.gamma:g}. The verdict:\n\n{words}"
    return f"{text}\n\nIt is wrong: {truth}", _picture(setting, found.gamma)


def keeps_silent(one: Carded, worlds: Mapping[str, World]) -> bool:
    """Whether the verdict on a run refuses a card of other weights, and uses the same card of its own."""
    setting, card = one.other, card_of(one)
    run = own_run(worlds[setting.world], setting, setting.band.centre)
    own, other = (answer_of(Case.of(run, Known(card=known), ODDS)) for known in (card, replace(card, sha256=OTHER)))
    return own.against == "card" and "why.card.other" in {why.id for why in other.reasons}


def own_run(world: World, setting: Setting, gamma: float) -> Trace:
    """A small run of that kind, with what a verdict reads of a record beside its inner products."""
    _, trace = record_run(world, SAMPLERS[setting.sampler], gamma, SAMPLES, 0)
    header = {**trace.header, "model": {"name": setting.world, "hash": MARK}}
    return Trace(header, {**trace.steps, **absent_columns(trace.n)}, trace.stage)


def absent_columns(n: int) -> dict[str, torch.Tensor]:  # -> {name: [n]}
    """Columns of a run that a verdict reads beside its inner products, where nothing but these was kept."""
    return {"floor": torch.zeros(n), "evals": torch.full((n,), 2.0), "kappa": torch.full((n,), math.nan)}


def card_of(one: Carded) -> Card:
    """The band as a card of the weights of `own_run`."""
    band = Band(one.band.low, one.band.centre, one.band.high, _samples(one.other), "L", {"low": {}, "high": {}})
    return Card(one.other.world, MARK, 1.0, "data", {one.other.group: band}, None, "")


def _samples(setting: Setting) -> int:
    return sum(int(cell["count"]) for cell in setting.cells[0])


def _picture(setting: Setting, gamma: float) -> Shown:
    at = setting.gammas.index(gamma)
    columns = range(max(0, at - 2), min(len(setting.gammas), at + 2))
    scales = tuple(setting.gammas[k] for k in columns)
    cells = [setting.cells[k][0] for k in columns]
    return grid("wrong", "the verdict is wrong", setting, (scales, scales.index(gamma)), cells, setting.first(SAMPLES))
