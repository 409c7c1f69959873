import math
import re

import pytest
import torch
from matplotlib.image import BboxImage

from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.pull import pull_of
from guidance_geometry.figures.registry import PULL, draw_still
from guidance_geometry.tests.drawn import assert_apart, classifier_run, expected, parts, printed_scale, run, segment
from guidance_geometry.trace.gram import VECTORS
from guidance_geometry.trace.trace import Trace


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


def test_a_classifier_run_and_the_same_run_with_guidance_are_drawn_alike():
    guided = classifier_run()
    record = guided.record
    bare = Trace(
        {**guided.header, "vectors": list(VECTORS)},
        {**guided.steps, "K": _as_guidance(record, 3.0), "gamma": torch.full_like(guided.steps["gamma"], 3.0)},
        guided.stage,
    )
    drawn, implied = (pull_of(trace, 5, 1) for trace in (guided, bare))
    assert implied.by_difference
    for name, place in drawn.scene.positions.points.items():
        assert math.dist(place, implied.scene.positions.points[name]) < 1e-7, name
    assert math.dist(drawn.gradient, implied.gradient) < 1e-7
    assert drawn.scene.facts.strength == pytest.approx(implied.scene.facts.strength)


def _as_guidance(record, weight):
    """The same inner products with the whole change of the classifier counted as gamma delta: D - G = 0."""
    rows = ({"u": 1.0}, {"a": 1.0}, {"delta": 1.0}, {"D-G": 1.0, "delta": -weight}, {"move": 1.0}, {"noise": 1.0})
    pairs = [record.combination(v, w) for k, v in enumerate(rows) for w in rows[k:]]
    return torch.stack([pair.expand(record.K.shape[:-1]) for pair in pairs], dim=-1)
