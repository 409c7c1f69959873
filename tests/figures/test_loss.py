"""The curve of a training: to scale, and everything on the sheet."""

import math

import pytest

from guidance_geometry.figures.canvas import Box
from guidance_geometry.figures.loss import FRAME, draw_loss, height_of, points_of, running_mean


def test_the_scale_starts_at_zero_and_is_linear():
    assert height_of(0.0, 2.0) == FRAME.bottom
    assert height_of(1.0, 2.0) == pytest.approx((FRAME.bottom + FRAME.y) / 2)


@pytest.mark.parametrize("count", [1, 2, 300])
def test_the_curve_fills_the_frame_and_stays_inside(count):
    losses = [3.0 / (1 + step) for step in range(count)]
    points = points_of(losses, max(losses) * 1.05)
    assert (points[0][0], points[-1][0]) == (FRAME.x, FRAME.right if count > 1 else FRAME.x)
    assert all(FRAME.y <= y <= FRAME.bottom for _, y in points)


def test_the_running_mean_of_a_line_lags_and_of_a_constant_is_itself():
    assert running_mean([2.0] * 40) == [2.0] * 40
    assert running_mean([float(i) for i in range(40)])[-1] == pytest.approx(38.5)


def test_all_words_lie_on_the_sheet_and_none_on_another():
    canvas = draw_loss([math.log(10) * 0.99**step for step in range(200)], 10)
    boxes = [box for _, box in canvas.texts()]
    assert all(Box(0, 0, canvas.width, canvas.height).holds(box) for box in boxes)
    assert not any(a.meets(b) for i, a in enumerate(boxes) for b in boxes[:i])
