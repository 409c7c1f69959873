"""The curve of a training: to scale, and everything on the sheet."""

import math

import pytest

from guidance_geometry.figures.canvas import Box
from guidance_geometry.figures.loss import FRAME, draw_loss, running_mean
from guidance_geometry.tests.drawn import segment


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


def test_all_words_lie_on_the_sheet_and_none_on_another():
    canvas = draw_loss([math.log(10) * 0.99**step for step in range(200)], 10)
    boxes = [box for _, box in canvas.texts()]
    assert all(Box(0, 0, canvas.width, canvas.height).holds(box) for box in boxes)
    assert not any(a.meets(b) for i, a in enumerate(boxes) for b in boxes[:i])
