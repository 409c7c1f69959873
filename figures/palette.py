"""Colours, markers and dashes of every picture: a role always looks the same, and never by colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Colours of one background. paper is None where the file stays transparent; halo surrounds text."""

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
    """How a role is drawn: marker and its size, width and dash pattern of its lines (logical pixels)."""

    marker: str
    width: float
    dash: tuple[float, ...] | None = None
    size: float = 7.5


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
THEMES: Mapping[str, Theme] = {theme.name: theme for theme in (LIGHT, DARK, TRANSPARENT)}

PENS: Mapping[str, Pen] = {
    "x": Pen("disc", 2.0, size=9.0),
    "u": Pen("circle", 1.6),
    "c": Pen("square", 1.6, (7, 3)),
    "G": Pen("diamond", 1.6, (2, 3)),
    "D": Pen("triangle", 1.6, (7, 2, 2, 2)),
    "next": Pen("circle", 2.0),
    "step": Pen("none", 3.0),
    "delta": Pen("none", 2.8),
    "scaled": Pen("none", 1.4),
    "other": Pen("none", 2.0),
    "noise": Pen("none", 2.0, (5, 3)),
    "end": Pen("circle", 1.2, (1, 3)),
    "p": Pen("diamond", 1.6, (2, 3)),
    "p2": Pen("diamond", 1.6, (2, 3)),
    "next2": Pen("circle", 2.0),
    "step2": Pen("none", 3.0),
    "noise2": Pen("none", 2.0, (5, 3)),
    "ahead": Pen("circle", 1.6),
    "plain": Pen("none", 3.0),
    "gradient": Pen("none", 2.8),
    "pull": Pen("none", 1.8),
    "sum": Pen("none", 3.0),
}


_GUIDED = ("delta", "scaled", "p", "p2", "gradient", "pull")


def role_colour(theme: Theme, role: str) -> str:
    """Colour of a point or vector by its name in the record."""
    named = {
        "u": theme.uncond,
        "c": theme.cond,
        "G": theme.guided,
        "D": theme.rule,
        "other": theme.rule,
        "noise": theme.noise,
        "noise2": theme.noise,
        "ahead": theme.uncond,
        "plain": theme.uncond,
    }
    return named.get(role, theme.guided if role in _GUIDED else theme.ink)
