"""Numbers and names as a reader sees them: three digits, real exponents, the symbols of the post."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context

SYMBOLS = {
    "x": r"$x_t$",
    "u": r"$\hat{x}_0$",
    "c": r"$\hat{x}_0|\,y$",
    "G": r"$\hat{x}_0+\gamma\delta$",
    "D": r"$D$",
    "next": r"$x_{t-1}$",
    "delta": r"$\delta$",
    "scaled": r"$\gamma\cdot\delta$",
    "noise": r"$\varepsilon$",
    "step": "step",
    "other": "other rules",
    "along": "along",
    "across": "across",
    "end": r"$x_0$",
    "p": r"$\hat{x}_0$",
    "p2": r"$\hat{x}_0\prime$",
    "next2": r"$x_{t-2}$",
    "step2": "step",
    "noise2": r"$\varepsilon$",
    "ahead": r"$\hat{x}_0$",
    "gradient": r"$\nabla\log p(y|x_t)$",
    "pull": r"$\gamma\cdot\nabla\log p$",
    "plain": "step",
    "sum": "sum",
    "density": "$p(x)$",
    "tilted": r"$p(x)\,p(y|x)^\gamma$",
}
_THREE_DIGITS = Context(prec=3, rounding=ROUND_HALF_UP)
_RAISED = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


_PLAIN = {"u": "x\u0302\u2080", "c": "x\u0302\u2080|y", "x": "x_t", "delta": "\u03b4"}


def spell_out(words: str) -> str:
    """Words with plain characters in the place of symbols, for text outside a picture."""
    for role in ("c", "u", "x", "delta"):
        words = words.replace(SYMBOLS[role], _PLAIN[role])
    return words


def holds_formula(words: str) -> bool:
    """Whether words hold symbols of this table and no other sign of a formula, as the text of a file may."""
    plain = words
    for symbol in SYMBOLS.values():
        plain = plain.replace(symbol, "") if "$" in symbol else plain
    return plain != words and not {"$", "\\"} & set(plain)


def number(value: float) -> str:
    """Three significant digits; powers of ten below 0.001 and from 100000 on; 'not known' where it is not finite.

    Ties go away from zero, as in the panel.
    """
    if not math.isfinite(value):
        return "not known"
    short = float(_THREE_DIGITS.create_decimal(value))
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{short:.10g}".replace("-", "\u2212")
    mantissa, exponent = f"{short:.2e}".split("e")
    front = "" if float(mantissa) == 1 else f"{float(mantissa):g}\u00b7"
    return f"{front}10{str(int(exponent)).translate(_RAISED)}".replace("-", "\u2212")


def percent(share: float) -> str:
    """A share in whole percent, with one digit below 1 %, and never 0 for what is more."""
    if 0 < share < 0.0005:
        return "under 0.1 %"
    return f"{100 * share:.1f} %" if 0 < share < 0.00995 else f"{100 * share:.0f} %"
