"""The figures of the story that are drawn from many runs: true positions, and words that keep apart."""

import numpy as np
import pytest
import torch

from guidance_geometry.figures.caption import Caption
from guidance_geometry.figures.strips import level_head
from guidance_geometry.guidance.mixture import GaussianMixture
from guidance_geometry.lab.pages.density import Panel, contours, draw_panels
from guidance_geometry.lab.pages.expectation import Shown, draw_expectation
from guidance_geometry.lab.pages.reweighting import reweight
from guidance_geometry.lab.pages.straight_line import Ends, draw_ends
from guidance_geometry.tests.drawn import assert_apart, marks

CAPTION = Caption("heading", "One sentence about the figure.", (("numbers", "rms over all samples"),))
MIXTURE = GaussianMixture(torch.zeros(1, 2), torch.tensor([0.25]), torch.zeros(1), torch.tensor([0]))


def test_contour_of_a_gaussian_is_its_circle():
    density = reweight(MIXTURE, 0, 1.0, 3.0)
    for mass in (0.5, 0.9):
        (line,) = contours(density, mass)
        radius = 0.5 * np.sqrt(-2 * np.log(1 - mass))
        assert np.abs(np.hypot(*line.T) - radius).max() <= 0.02


def test_panels_stand_apart_in_every_theme():
    density = reweight(MIXTURE, 0, 1.0, 3.0, n=50)
    samples = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    panels = [Panel(gamma, density, density, samples, 0.1234, 0.0056) for gamma in (0.0, 1.0, 2.0, 4.0)]
    for theme in ("light", "dark"):
        canvas = draw_panels(panels, CAPTION, 3.0, theme)
        assert_apart(canvas)
        assert "distance 0.123" in [words for words, _ in canvas.texts()]


@pytest.mark.parametrize("columns", [3, 9])
def test_predictions_and_their_numbers_keep_apart(columns):
    pictures = [None, *[np.full((32, 32, 3), 0.5)] * (columns - 1)]
    rows = [Shown("$x$", f"row {k}\nsecond line", "u", pictures, ["", *["0.123"] * (columns - 1)]) for k in range(3)]
    heads = ["mean", *[level_head(43.9)] * (columns - 1)]
    assert_apart(draw_expectation(heads, rows, CAPTION))


def test_ends_stand_at_their_numbers():
    pictures = [np.full((8, 8, 3), 0.5)] * 5
    ends = Ends((1.0, 2.0, 4.0, 8.0), [0.5, 1.0, 2.0, 4.0], [0.5, 0.6, 0.7, 0.8], pictures, pictures)
    canvas = draw_ends(ends, CAPTION)
    assert_apart(canvas)
    found = marks(canvas.svg())
    zero, full = found["predicted-0"], found["predicted-4"]
    for k, (gamma, value) in enumerate(zip(ends.gammas, ends.measured, strict=True), start=1):
        x, y = found[f"measured-{k}"]
        assert (x - zero[0]) / (full[0] - zero[0]) == pytest.approx(gamma / 8, abs=1e-3)
        assert (y - zero[1]) / (full[1] - zero[1]) == pytest.approx(value / 4, abs=1e-3)
