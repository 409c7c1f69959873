import math
import re

import pytest
from matplotlib.image import BboxImage

from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.pull import pull_of
from guidance_geometry.figures.registry import PULL, draw_still
from guidance_geometry.tests.drawn import assert_apart, classifier_run, expected, parts, printed_scale, run, segment


@pytest.mark.parametrize(("sampler", "step", "gamma"), [("euler", 5, 4.0), ("ddpm", 3, 4.0), ("ddpm", 9, 30.0)])
def test_arrows_are_kappa_times_the_record_to_scale(sampler, step, gamma):
    trace = run(gamma=gamma, sampler=sampler)
    drawing = draw_still(Order(trace, step=step, sample=1), "scaled sum")
    svg = drawing.svg()
    where = "enlarged" if 'id="enlarged-pull"' in svg else "overview"
    bar = where if f'id="{where}-bar"' in svg else "overview"
    scale, kappa = printed_scale(drawing, bar, svg), float(trace.steps["kappa"][step])
    words = " ".join(t for t, _ in drawing.canvas.texts())
    scale *= int((re.findall(r"(\d+) \u00d7 as large", words) or [1])[0])
    place = expected(trace, step, 1)
    difference = [c - u for u, c in zip(place["u"], place["c"], strict=True)]
    ray = [b - a for a, b in zip(*segment(svg, f"{where}-ray-ahead"), strict=True)]
    for name, factor in (("gradient", kappa), ("pull", kappa * gamma)):
        if factor * scale * math.hypot(*difference) < 9:
            continue  # drawn as a dot
        start, end = segment(svg, f"{where}-{name}")[0], _tip(svg, f"{where}-{name}")
        arrow = [b - a for a, b in zip(start, end, strict=True)]
        along = sum(p * q for p, q in zip(arrow, ray, strict=True)) / math.hypot(*ray)
        across = (arrow[0] * ray[1] - arrow[1] * ray[0]) / math.hypot(*ray)
        wanted = [factor * scale * value for value in difference]
        assert math.dist((along, across), wanted) < 3.5  # the shaft ends inside the head
    plain = pull_of(trace, step, 1).scene.positions.points["u"]
    assert math.dist(plain, (kappa * place["u"][0], 0.0)) < 2e-3 * place["u"][0]


def _tip(svg, name):
    """Where an arrow's shaft, lengthened by what the head covers, ends."""
    start, end = segment(svg, name)
    length = math.dist(start, end)
    return [e + (e - s) / length * 8.8 for s, e in zip(start, end, strict=True)]


@pytest.mark.parametrize(("sampler", "flow"), [("gg_ddpm", False), ("euler", True)])
def test_every_figure_of_a_classifier_run_shows_its_gradient(sampler, flow):
    order = Order(classifier_run(sampler=sampler, flow=flow), step=5, sample=1, pictures=Pictures())
    pull = pull_of(order.trace, 5, 1)
    assert pull.scene.facts.gamma == pytest.approx(3.0)
    assert pull.agreement == pytest.approx((1.0, 1.0), abs=1e-9)
    assert pull.other == pytest.approx(0.0, abs=1e-6)
    for figure in PULL:
        drawing = draw_still(order, figure.name)
        assert "implied" not in drawing.caption
        assert "cosine 1, ratio of lengths 1" in drawing.caption
        assert "of the gradient" not in drawing.caption
        assert "its change" in drawing.caption
        assert_apart(drawing.canvas)
    names = [image.get_gid() for image in parts(draw_still(order, PULL[-1].name).canvas, BboxImage)]
    assert "label-gradient-picture" in names
