"""Colours, markers and dashes of every picture: a role always looks the same, and never by colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import BACKGROUNDS


@dataclass(frozen=True)
class Theme:
    """Colours of one background, as #RRGGBB.

    name: of the background.
    paper: behind everything; None where the file stays transparent.
    halo: around text.
    ink: of text and lines.
    muted: of what matters less.
    hair: of hairlines.
    uncond, cond, guided: of the predictions.
    noise: of injected noise.
    rule: of what other rules add.
    """

    name: str
    paper: str | None
    halo: str
    ink: str
    muted: str
    hair: str
    uncond: str
    cond: str
    guided: str
    noise: str
    rule: str


@dataclass(frozen=True)
class Pen:
    """How a role is drawn, in logical pixels.  width, dash: of its lines. size: of its marker. colour: of a Theme."""

    marker: str
    width: float
    dash: tuple[float, ...] | None = None
    size: float = 7.5
    colour: str = "ink"


_DAY = {
    "halo": "#FFFFFF",
    "ink": "#222222",
    "muted": "#5C5C5C",
    "hair": "#B4B4B4",
    "uncond": "#0072B2",
    "cond": "#00785A",
    "guided": "#A8447F",
    "noise": "#C04F00",
    "rule": "#6A5ACD",
}
LIGHT = Theme("light", "#FFFFFF", **_DAY)
TRANSPARENT = Theme("transparent", None, **_DAY)
DARK = Theme(
    "dark",
    "#1E1E1E",
    halo="#1E1E1E",
    ink="#E6E6E6",
    muted="#A6A6A6",
    hair="#5E5E5E",
    uncond="#4FA8E0",
    cond="#2DC08F",
    guided="#E39AC4",
    noise="#F08A3C",
    rule="#B3A6F2",
)
THEMES: Mapping[str, Theme] = dict(zip(BACKGROUNDS, (LIGHT, DARK, TRANSPARENT), strict=True))

PENS: Mapping[str, Pen] = {
    "x": Pen("disc", 2.0, size=9.0),
    "u": Pen("circle", 1.6, colour="uncond"),
    "c": Pen("square", 1.6, (7, 3), colour="cond"),
    "G": Pen("diamond", 1.6, (2, 3), colour="guided"),
    "D": Pen("triangle", 1.6, (7, 2, 2, 2), colour="rule"),
    "next": Pen("circle", 2.0),
    "step": Pen("none", 3.0),
    "delta": Pen("none", 2.8, colour="guided"),
    "scaled": Pen("none", 1.4, colour="guided"),
    "other": Pen("none", 2.0, colour="rule"),
    "along": Pen("none", 2.0, colour="rule"),
    "across": Pen("none", 1.6, (3, 3), colour="rule"),
    "noise": Pen("none", 2.0, (5, 3), colour="noise"),
    "end": Pen("circle", 1.2, (1, 3)),
    "p": Pen("diamond", 1.6, (2, 3), colour="guided"),
    "p2": Pen("diamond", 1.6, (2, 3), colour="guided"),
    "next2": Pen("circle", 2.0),
    "step2": Pen("none", 3.0),
    "noise2": Pen("none", 2.0, (5, 3), colour="noise"),
    "ahead": Pen("circle", 1.6, colour="uncond"),
    "plain": Pen("none", 3.0, colour="uncond"),
    "gradient": Pen("none", 2.8, colour="guided"),
    "pull": Pen("none", 1.8, colour="guided"),
    "sum": Pen("none", 3.0),
}
