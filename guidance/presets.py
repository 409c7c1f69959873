"""Chains for a purpose: what to wire when there is no time to read about rules."""

from __future__ import annotations

from typing import NamedTuple

from .rules.adaptive_projected import AdaptiveProjected
from .rules.contract import Rule
from .rules.interval import Interval
from .rules.reuse import Reuse
from .rules.zero_star import ZeroStar


class Preset(NamedTuple):
    """Rules in wire order, and one sentence: for which models, and what to do with cfg."""

    rules: tuple[Rule, ...]
    advice: str


PRESETS = {
    "plain CFG": Preset((), "For every model."),
    "less burn (APG)": Preset((AdaptiveProjected(),), "For every model; cfg can be half as high again, or twice."),
    "flow (CFG-Zero*)": Preset(
        (ZeroStar(),), "For flow models (SD3, Flux with a negative, Wan, Lumina); on others the scale acts alone."
    ),
    "faster (interval + reuse)": Preset(
        (Interval("percent", 0.05, 0.6), Reuse(2)), "For every model and samplers without added noise; cfg as it was."
    ),
}
