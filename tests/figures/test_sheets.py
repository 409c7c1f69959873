"""Sheets of pictures, curves of a training, and how numbers are written on any sheet."""

import math

import numpy as np
import pytest
import torch

from guidance_geometry.figures.contact_sheet import contact_sheet
from guidance_geometry.figures.labels import nice_length
from guidance_geometry.figures.loss import FRAME, draw_loss, running_mean
from guidance_geometry.figures.words import number, percent
from guidance_geometry.tests.drawn import segment


def columns(count=3, rows=2, height=5, width=7):
    """Plain pictures, each of its own green."""
    greens = torch.linspace(0.1, 0.9, count * rows).reshape(count, rows)
    colour = torch.tensor([0.0, 1.0, 0.0])
    return [
        (f"\u03b3 = {k}", (greens[k, :, None] * colour)[:, None, None].expand(rows, height, width, 3), "92 %")
        for k in range(count)
    ]


def cells(page, colour):
    """Bounding box of one colour on a page."""
    pixels = np.array(page)
    ys, xs = np.nonzero((pixels == (colour * 255).round().byte().numpy()).all(axis=2))
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def test_every_picture_stands_in_its_column_and_row_at_the_exact_zoom():
    parts = columns()
    page = contact_sheet(parts, title="Guidance", scale=12)
    boxes = [[cells(page, images[r, 0, 0]) for r in range(2)] for _, images, _ in parts]
    for column in boxes:
        for left, top, right, bottom in column:
            assert (right - left, bottom - top) == (7 * 12, 5 * 12)
        assert column[0][0] == column[1][0]
        assert column[1][1] > column[0][3]
    assert boxes[0][0][1] == boxes[2][0][1]
    assert boxes[1][0][0] - boxes[0][0][0] == boxes[2][0][0] - boxes[1][0][0] > 7 * 12


@pytest.mark.parametrize("count", [1, 2, 300])
def test_the_curve_fills_the_frame_and_its_scale_starts_at_zero(count):
    losses = [3.0 / (1 + step) for step in range(count)]
    svg = draw_loss(losses, 2).svg()
    (x0, y0), (x1, y1) = segment(svg, "loss")
    assert (x0, x1) == (FRAME.x, FRAME.right if count > 1 else FRAME.x)
    top = max(losses) * 1.05
    for y, loss in ((y0, losses[0]), (y1, losses[-1])):
        assert (FRAME.bottom - y) / FRAME.h == pytest.approx(loss / top, abs=1e-3)


def test_the_running_mean_of_a_line_lags_and_of_a_constant_is_itself():
    assert running_mean([2.0] * 40) == [2.0] * 40
    assert running_mean([float(i) for i in range(40)])[-1] == pytest.approx(38.5)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (2.3444, "2.34"),
        (-0.51, "\u22120.51"),
        (12345.0, "12300"),
        (3.14e-5, "3.14\u00b710\u207b\u2075"),
        (2e6, "2\u00b710\u2076"),
        (math.nan, "not known"),
        (1e-8, "10\u207b\u2078"),
    ],
)
def test_numbers_have_three_digits(value, words):
    assert number(value) == words


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0 %"), (1e-5, "under 0.1 %"), (0.004, "0.4 %"), (0.716, "72 %"), (1.0, "100 %")]
)
def test_shares_are_whole_percent(share, words):
    assert percent(share) == words


@pytest.mark.parametrize("least", [1e-7, 0.9, 1.0, 1.01, 2.0, 4.9, 5.0, 7.0, 3e5])
def test_scale_bars_are_round_and_long_enough(least):
    length = nice_length(least)
    assert least <= length * (1 + 1e-9) <= 2.5 * least * (1 + 1e-6)
    assert f"{length:e}"[0] in "125"
