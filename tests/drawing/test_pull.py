import math

import pytest
import torch

from guidance_geometry.drawing.page import BEFORE, PULL
from guidance_geometry.drawing.pictures import Pictures, step_pictures
from guidance_geometry.drawing.pull import draw_pull, pull_of
from guidance_geometry.guidance.gram import VECTORS, gram
from guidance_geometry.guidance.trace import Trace

from .test_step_figure import expected, printed_scale, run, segment
from .test_walk import assert_apart


@pytest.mark.parametrize(("sampler", "step", "gamma"), [("euler", 5, 4.0), ("ddpm", 3, 4.0), ("ddpm", 9, 30.0)])
def test_arrows_are_kappa_times_the_record_to_scale(sampler, step, gamma):
    trace = run(gamma=gamma, sampler=sampler)
    drawing = draw_pull(trace, "scaled sum", step=step, sample=1)
    svg = drawing.svg()
    where = "lens" if 'id="lens-pull"' in svg else "overview"
    scale, kappa = printed_scale(drawing, where, svg), float(trace.steps["kappa"][step])
    place = expected(trace, step, 1)
    difference = [c - u for u, c in zip(place["u"], place["c"], strict=True)]
    for name, factor in (("gradient", kappa), ("pull", kappa * gamma)):
        if factor * scale * math.hypot(*difference) < 9:
            continue  # drawn as a dot
        start, end = segment(svg, f"{where}-{name}")[0], _tip(svg, f"{where}-{name}")
        wanted = (-factor * scale * difference[0], factor * scale * difference[1])
        assert math.dist((end[0] - start[0], end[1] - start[1]), wanted) < 3.5  # the shaft ends inside the head
    plain = pull_of(trace, step, 1).scene.points["u"]
    assert math.dist(plain, (kappa * place["u"][0], 0.0)) < 2e-3 * place["u"][0]


def _tip(svg, name):
    """Where an arrow's shaft, lengthened by what the head covers, ends."""
    start, end = segment(svg, name)
    length = math.dist(start, end)
    return [e + (e - s) / length * 8.8 for s, e in zip(start, end, strict=True)]


def test_the_sum_ends_where_the_sampler_went():
    trace = run(gamma=4.0)
    pull = pull_of(trace, 5, 0)
    kappa, guided = float(trace.steps["kappa"][5]), expected(trace, 5, 0)["G"]
    assert math.dist(pull.scene.points["tip"], [kappa * v for v in guided]) < 1e-9
    assert pull.implied


def test_a_recorded_gradient_takes_the_place_of_the_difference():
    trace, draws = run(gamma=4.0), torch.Generator().manual_seed(1)
    x, u = (trace.tensors[name].double() for name in ("x", "uncond"))
    shape = x.shape[1:]
    rows = []
    for i in range(trace.n):
        g = 0.1 * torch.randn(shape, generator=draws, dtype=torch.float64)
        kappa = float(trace.steps["kappa"][i])
        vectors = (u[i], u[i] - x[i], torch.full_like(g, torch.nan), 3 * g, kappa * (u[i] - x[i] + 3 * g), None, g)
        rows.append(gram(dict(zip((*VECTORS, "gradient"), vectors, strict=True))))
    header = trace.header | {"vectors": [*VECTORS, "gradient"]}
    guided = Trace(header, trace.steps | {"K": torch.stack(rows)}, trace.stage)
    pull = pull_of(guided, 5, 0)
    assert not pull.implied
    assert pull.scene.gamma == pytest.approx(3.0)
    length = math.hypot(*pull.gradient)
    assert length == pytest.approx(0.1 * float(trace.steps["kappa"][5]), rel=0.05)
    drawing = draw_pull(guided, "scaled sum", step=5, sample=0)
    assert "implied" not in drawing.caption
    assert "of the classifier" in drawing.caption


def test_the_implied_classifier_is_called_that():
    for figure in PULL:
        assert "(implied classifier)" in draw_pull(run(gamma=4.0), figure, step=5, sample=0).caption


def test_what_is_missing_is_said():
    trace = run(gamma=4.0)
    unknown = Trace(trace.header, trace.steps | {"kappa": trace.steps["kappa"] * torch.nan}, trace.stage)
    words = " ".join(t for t, _ in draw_pull(unknown, step=5).canvas.texts())
    assert "is unknown" in words
    assert "euler" in words
    words = " ".join(t for t, _ in draw_pull(run(gamma=4.0, skip=(5,)), step=5, sample=0).canvas.texts())
    assert "no unconditional prediction" in words
    assert "\u03b5 = 0" in draw_pull(trace, "gradient and noise", step=5).caption


@pytest.mark.parametrize("gamma", [0.5, 8.0, 30.0])
@pytest.mark.parametrize(("sampler", "space"), [("ddpm", "ve"), ("euler", "flow")])
def test_no_words_overlap_or_leave_the_sheet(gamma, sampler, space):
    trace = run(gamma=gamma, sampler=sampler, space=space)
    for step, size, figure in ((0, "blog", PULL[4]), (5, "column", PULL[4]), (10, "blog", PULL[3])):
        shown = step_pictures(trace, step, 0, Pictures())
        assert_apart(draw_pull(trace, figure, step=step, sample=0, size=size, pictures=shown).canvas)


def test_frames_of_the_animation_share_one_plane():
    trace = run(gamma=4.0, sampler="ddpm")
    first, last = (draw_pull(trace, f, step=3, sample=0, steady=True) for f in (BEFORE[1], PULL[4]))
    rays = [segment(d.svg(), "overview-ray-ahead") for d in (first, last)]
    assert rays[0] == rays[1]
