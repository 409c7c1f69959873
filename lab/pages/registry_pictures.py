"""The pictures by which the registry shows the pack: `python lab registry_pictures` draws icon and banner.

Both show one step of the demo model, as the pack's own figures do: from the noisy sample two predictions, and the arrow
of guidance from one through the other. The predictions of the banner are of a real run; its arrow stands for it.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ...dev.places import ROOT
from ...figures.canvas import Box, Canvas, Point
from ...figures.palette import DARK
from ...library.denoisers import load_denoiser
from ...library.recording import record
from ...library.sampling import karras

FOLDER = ROOT / "docs" / "registry"
ICON, BANNER = (400, 400), (1260, 540)
LABEL, GAMMA, STEPS, STEP, SEED, SAMPLE = "robot", 4.0, 20, 7, 2, 6  # of the run in docs/examples/post_figures.py
COLOURS = 128  # of a drawing without photographs


def predictions() -> list[np.ndarray]:
    """The unconditional, the conditional and the guided prediction of one step, as pictures [H, W, 3] in 0..1."""
    pocket, sigmas = load_denoiser("pocket-1"), karras(STEPS, highest=40.0)
    noise = sigmas[0] * torch.randn(8, *pocket.shape, generator=torch.Generator().manual_seed(SEED))
    trace = record(pocket, sigmas, cond=LABEL, gamma=GAMMA).sample(noise, "ddpm", seed=SEED)
    one, other = (trace.tensors[role][STEP, SAMPLE].float() for role in ("uncond", "cond"))
    shown = (one, other, torch.lerp(one, other, GAMMA))
    return [picture.add(1).div(2).clamp(0, 1).permute(1, 2, 0).numpy() for picture in shown]


def draw_rays(canvas: Canvas, sample: Point, ends: tuple[Point, Point, Point], size: float) -> None:
    """From the noisy sample to two predictions, and the arrow from the one through the other.  size: of a line"""
    one, other, guided = ends
    theme = canvas.theme
    canvas.line([sample, one], theme.uncond, size)
    canvas.line([sample, other], theme.cond, size, (3.2, 1.6))
    canvas.line([sample, guided], theme.guided, 0.6 * size, (1.0, 2.2), alpha=0.7)
    canvas.line([one, other], theme.guided, 1.8 * size)
    head(canvas, other, guided, theme.guided, 1.8 * size)
    canvas.marker(sample, "disc", theme.ink, 4.6 * size)
    canvas.marker(one, "disc", theme.uncond, 4.2 * size)
    canvas.marker(other, "square", theme.cond, 4.0 * size)


def head(canvas: Canvas, tail: Point, tip: Point, colour: str, width: float) -> None:
    """A thick arrow, whose head grows with it."""
    way = np.subtract(tip, tail)
    along = way / np.linalg.norm(way)
    across, neck = np.array([-along[1], along[0]]), np.subtract(tip, 3.4 * width * along)
    canvas.line([tail, tuple(neck + along)], colour, width)
    canvas.polygon([tip, tuple(neck + 1.9 * width * across), tuple(neck - 1.9 * width * across)], colour)


def icon() -> Canvas:
    """Two predictions of one noisy sample, and the arrow of guidance."""
    canvas = Canvas(*ICON, DARK)
    draw_rays(canvas, (326, 316), ((84, 318), (94, 226), (110, 58)), 10)
    return canvas


def banner(pictures: list[np.ndarray]) -> Canvas:
    """The name, what the pack answers, and the three predictions of one step beside their arrow."""
    canvas, theme = Canvas(*BANNER, DARK), DARK
    canvas.text((72, 150), "Guidance Geometry", 56, bold=True)
    canvas.text((74, 246), "See what guidance does at every step.", 28, theme.muted)
    canvas.text((74, 296), "Is cfg too high? What should I change?", 28, theme.muted)
    canvas.text((74, 376), "for ComfyUI", 24, theme.guided)
    side, left, shaft = 136.0, 1060.0, 988.0
    spots = ((shaft - 10, 440.0), (shaft - 4, 270.0), (shaft + 2, 80.0))
    colours = (theme.uncond, theme.cond, theme.guided)
    draw_rays(canvas, (744.0, 440.0), spots, 6)
    for picture, y, colour in zip(pictures, (372, 202, 32), colours, strict=True):
        canvas.picture(picture, Box(left, y, side, side), colour)
    return canvas


def png_of(canvas: Canvas, colours: int = 0) -> bytes:
    """A small file.  colours: of its palette; 0 is every one"""
    picture = Image.fromarray(canvas.png()).convert("RGB")
    out = BytesIO()
    (picture.quantize(colours, dither=Image.Dither.NONE) if colours else picture).save(out, "PNG", optimize=True)
    return out.getvalue()


def main(folder: Path = FOLDER) -> None:
    """Draw both."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {"icon": png_of(icon(), COLOURS), "banner": png_of(banner(predictions()), 2 * COLOURS)}
    for name, data in drawn.items():
        (folder / f"{name}.png").write_bytes(data)
        print(f"{folder / name}.png: {len(data):,} bytes")


if __name__ == "__main__":
    main()
