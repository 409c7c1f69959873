"""What a guider predicts, by its own conditions: u, c, and further predictions that it reads.

At which scales it combines them nobody needs to say: the numbers prove it (trace/acted.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..guidance.vectors import promoted
from ..trace.recorder import Pass

COND, UNCOND = "cond", "uncond"
EMPTY = "empty_negative_prompt"  # the name by which the host's PerpNegGuider calls the condition that it counts from


def conditions_of(guider: Any, combines_itself: bool) -> dict[str, list[dict]]:
    """Conditions by what they are for: COND, UNCOND, and of a guider that combines itself the others by its names."""
    given = dict(getattr(guider, "conds", {}))
    known = {COND: given.pop("positive", None), UNCOND: given.pop(_name_of_u(guider, given), None)}
    return {name: entries for name, entries in (known | (given if combines_itself else {})).items() if entries}


def _name_of_u(guider: Any, conds: Mapping[str, Any]) -> str:
    """By which name a guider calls the condition that stands as u.

    The host's DualCFGGuider combines three: n + cfg2 (m - n) + cfg1 (c - m), or nested n + cfg2 (m + cfg1 (c - m) - n).
    In both n weighs 1 - cfg2, and both are n + cfg2 (c - n) + w (c - m): n stands as u, m is a further prediction, and
    where w is 0 one scale rules. At cfg2 = 1 there is no n in it, and m + cfg1 (c - m) is left: then m stands as u.
    """
    if EMPTY in conds:
        return EMPTY
    return "middle" if math.isclose(getattr(guider, "cfg2", math.nan), 1.0) else "negative"


def further_passes(
    guider: Any, uncond: Tensor | None, cond: Tensor | None, others: Mapping[str, Tensor]
) -> dict[str, Pass]:
    """What a guider reads beside u and c, by name: how far c is from it, [B, ...].

    The host's PerpNegGuider takes away what of n - u stands across c - u, over the whole batch.
    """
    if cond is None:
        return {}
    differences = {name: promoted(cond) - promoted(one) for name, one in others.items()}
    if uncond is not None and EMPTY in getattr(guider, "conds", {}):
        along = promoted(cond) - promoted(uncond)
        towards = {name: along - away for name, away in differences.items()}
        differences = {name: (v * along).sum() / along.square().sum() * along - v for name, v in towards.items()}
    return {name: Pass(away, 1) for name, away in differences.items()}
