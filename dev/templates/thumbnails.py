"""Thumbnails of the templates: pictures of a run with their words, or one guided prediction, exact, in a plane.

The second kind is for those whose networks do not come with the pack. A network with random weights would draw noise,
so a Gaussian mixture takes its place: every point and every arrow is computed by its formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
import torch
from torch import Tensor

from ...figures.canvas import Box, Canvas, extent
from ...figures.palette import DARK
from ...guidance.mixture import GaussianMixture

SIDE, SCALE, WORDS = 512, 72.0, 40.0  # pixels of the square; pixels of one unit of the plane; size of the words
MIDDLE = (-0.1, -0.1)  # of the plane, in the middle of the square
SIGMA, DOTS = 1.8, 300
WANTED, ANY = 0, -1
MEANS = torch.tensor([[-2.0, 0.2], [-1.2, -1.3], [2.4, -1.9], [1.3, 2.3]], dtype=torch.float64)
CLASSES = torch.tensor([WANTED, WANTED, 1, 2])
NARROW, WIDE = 0.08, 1.2  # variances


def labelled(tells: str, pictures: Sequence[tuple[str, np.ndarray]]) -> Canvas:
    """Four pictures [H, W, 3] in 0..1, each with its words, under what the template shows."""
    canvas, side, gap = Canvas(SIDE, SIDE, DARK), 196.0, 32.0
    centred(canvas, (SIDE / 2, 10), tells, 28, bold=True)
    for k, (words, picture) in enumerate(pictures):
        box = Box(SIDE / 2 - side - gap / 2 + k % 2 * (side + gap), 54 + k // 2 * (side + gap), side, side)
        canvas.picture(picture, box, DARK.hair)
        centred(canvas, (box.x + side / 2, box.bottom + 2), words, 22)
    return canvas


def centred(canvas: Canvas, at: tuple[float, float], words: str, size: float, bold: bool = False) -> None:
    """Words with the middle of their upper edge at a point."""
    canvas.text((at[0] - extent(words, size, bold)[0] / 2, at[1]), words, size, bold=bold)


def jpeg(canvas: Canvas) -> bytes:
    """A drawing as a file that the editor shows with a template."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(canvas.png()).convert("RGB").save(file, "JPEG", quality=82)
    return file.getvalue()


def world(variance: float) -> GaussianMixture:
    """Three classes, of which the wanted one has two modes."""
    count = len(MEANS)
    return GaussianMixture(MEANS, torch.full((count,), variance), torch.zeros(count), CLASSES)


def to_sheet(points: Tensor) -> np.ndarray:  # [n, 2] -> [n, 2]
    """Points of the plane on the sheet, whose y points down."""
    x, y = (points - torch.tensor(MIDDLE)).mul(SCALE).unbind(1)
    return torch.stack([SIDE / 2 + x, SIDE / 2 - y], dim=1).numpy()


def draw_samples(canvas: Canvas, found: GaussianMixture, label: int, colour: str, alpha: float) -> None:
    """Samples of a class, as dots."""
    draws = found.sample(DOTS, label, torch.Generator().manual_seed(0))
    canvas.dots(to_sheet(draws), colour, 7, alpha=alpha)


def arrows(canvas: Canvas, x: Tensor, start: Tensor, end: Tensor, scale: float, words: tuple[str, str]) -> None:
    """From the noisy sample x to the prediction at `start`, and `scale` times the way from there to `end`."""
    colours = canvas.theme
    sample, one, other, guided = (
        tuple(spot) for spot in to_sheet(torch.stack([x, start, end, torch.lerp(start, end, scale)]))
    )
    for tip in (one, other):
        canvas.line([sample, tip], colours.hair, 3)
    canvas.arrow(one, guided, colours.guided, 7)
    canvas.marker(sample, "disc", colours.ink, 24)
    canvas.marker(one, "disc", colours.uncond, 24)
    canvas.marker(other, "square", colours.cond, 22)
    canvas.text((one[0] - 40, one[1] - 62), words[0], WORDS, colours.uncond, bold=True)
    canvas.text((other[0] + 32, other[1] + 8), words[1], WORDS, colours.cond, bold=True)
    canvas.text((guided[0] - 40, guided[1] + 12), f"\u00d7 {scale:g}", WORDS, colours.guided, bold=True)


def autoguidance() -> Canvas:
    """A narrow world, a blurred one, and the prediction beyond the narrow one's."""
    canvas, x = Canvas(SIDE, SIDE, DARK), torch.tensor([2.6, 1.6], dtype=torch.float64)
    strong, weak = world(NARROW), world(WIDE)
    draw_samples(canvas, weak, WANTED, canvas.theme.uncond, 0.25)
    draw_samples(canvas, strong, WANTED, canvas.theme.cond, 0.4)
    better, worse = (found.denoised(x[None], SIGMA, label=WANTED)[0] for found in (strong, weak))
    arrows(canvas, x, worse, better, 2.1, ("weak", "strong"))
    return canvas


def imagenet_classifier() -> Canvas:
    """A world of three classes, and the gradient of the exact classifier on the prediction without a label."""
    canvas, x = Canvas(SIDE, SIDE, DARK), torch.tensor([1.9, 0.6], dtype=torch.float64)
    found, at = world(NARROW), x[None].clone().requires_grad_()
    for label in (1, 2):
        draw_samples(canvas, found, label, canvas.theme.muted, 0.4)
    draw_samples(canvas, found, WANTED, canvas.theme.cond, 0.4)
    (gradient,) = torch.autograd.grad(found.label_log_prob(at, SIGMA)[0, WANTED], at)
    start = found.denoised(x[None], SIGMA)[0]
    arrows(canvas, x, start, start + SIGMA**2 * gradient[0], 1.5, ("no label", "class"))
    return canvas


DRAWN: dict[str, Callable[[], Canvas]] = {
    "Autoguidance": autoguidance,
    "ImageNet class with a classifier": imagenet_classifier,
}
