"""Guided samples over the density that reweighting promises, one panel a scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from ...figures.canvas import Box, Canvas, extent
from ...figures.caption import Caption, caption_box, set_caption
from ...figures.palette import THEMES
from ...figures.typeset import SMALL
from ...figures.words import number
from .reweighting import PlaneDensity

WIDTH = 960
LEFT, TOP, GAP, ROOM = 20.0, 42.0, 12.0, 58.0  # the last below the panels, for their numbers
MASSES = (0.5, 0.9)  # inside the contours
MOST = 900  # dots of a panel


@dataclass(frozen=True)
class Panel:
    """One scale. before: the density of all labels, as a backdrop. distance, floor: sliced Wasserstein distances."""

    gamma: float
    density: PlaneDensity
    before: PlaneDensity
    samples: Tensor
    distance: float
    floor: float


def draw_panels(panels: Sequence[Panel], caption: Caption, reach: float, theme: str = "light") -> Canvas:
    """Dots are guided samples, lines the contours of p(x) p(y|x)^gamma. reach: half the side of the plane shown."""
    side = (WIDTH - 2 * LEFT + GAP) / len(panels) - GAP
    foot = caption_box(Box(LEFT, 0, WIDTH - 2 * LEFT, 0), caption)
    canvas = Canvas(WIDTH, round(TOP + side + ROOM + foot.h + 12), THEMES[theme])
    for k, panel in enumerate(panels):
        _panel(canvas, panel, Box(LEFT + k * (side + GAP), TOP, side, side), reach)
    set_caption(canvas, replace(foot, y=canvas.height - foot.h - 12), caption)
    return canvas


def _panel(canvas: Canvas, panel: Panel, box: Box, reach: float):
    theme = canvas.theme
    scale = box.w / (2 * reach)
    for points in contours(panel.before, MASSES[1]):
        canvas.polygon(_pixels(points, box, scale), theme.hair, within=box, alpha=0.3)
    places = np.array(_pixels(panel.samples[:MOST].numpy(), box, scale))
    canvas.dots(places, theme.guided, 3.0, alpha=0.4, within=box, name=f"samples-{panel.gamma:g}")
    for mass, width in zip(MASSES, (2.0, 1.3), strict=True):
        for points in contours(panel.density, mass):
            canvas.line(_pixels(points, box, scale), theme.ink, width, within=box)
    canvas.rectangle(box, None, theme.hair, 1.0)
    canvas.text((box.x, box.y - 28), f"\u03b3 = {number(panel.gamma)}", 18.0, theme.ink, bold=True, halo=False)
    words = (f"distance {panel.distance:.3f}", f"of exact samples {panel.floor:.3f}")
    for k, line in enumerate(words):
        x = box.x + (box.w - extent(line, SMALL)[0]) / 2
        canvas.text((x, box.bottom + 6 + 21 * k), line, SMALL, (theme.ink, theme.muted)[k], halo=False)


def _pixels(points: np.ndarray, box: Box, scale: float) -> list[tuple[float, float]]:
    """Pixels of points of the plane, y upwards."""
    middle = (box.x + box.w / 2, box.y + box.h / 2)
    return [(middle[0] + scale * float(x), middle[1] - scale * float(y)) for x, y in points]


def contours(density: PlaneDensity, mass: float) -> list[np.ndarray]:
    """The lines [k, 2] that enclose this part of the mass."""
    from contourpy import contour_generator

    centres = density.centres.numpy()
    lines = contour_generator(centres, centres, density.share.numpy()).lines(density.level(mass))
    return [np.asarray(line) for line in lines]
