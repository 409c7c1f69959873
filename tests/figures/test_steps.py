"""Figures of a step and of the next one: arrows, triangles and curves are the record, to scale."""

import json
import math
import re
from itertools import combinations
from xml.etree import ElementTree

import pytest
import torch
from matplotlib.image import BboxImage

from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.pull import pull_of
from guidance_geometry.figures.registry import PULL, WALK, draw_still
from guidance_geometry.figures.words import number, percent
from guidance_geometry.tests.drawn import (
    assert_apart,
    classifier_run,
    expected,
    marks,
    parts,
    printed_scale,
    run,
    segment,
)
from guidance_geometry.tests.traces import exact_trace

CASES = [
    ("ve", "euler", 1.0, 2),
    ("ve", "euler", 4.0, 5),
    ("ve", "ddpm", 4.0, 1),
    ("flow", "euler", 8.0, 6),
    ("ve", "ddpm", 30.0, 6),
]


@pytest.mark.parametrize(("space", "sampler", "gamma", "step"), CASES)
def test_positions_in_the_svg_are_the_record_times_the_printed_scale(space, sampler, gamma, step):
    trace = run(gamma=gamma, space=space, sampler=sampler)
    drawing = draw_still(Order(trace, step=step, sample=1, size="column" if gamma == 4.0 else "blog"), "step plane")
    svg, places = drawing.svg(), expected(trace, step, 1)
    seen, gain = marks(svg), printed_gain(drawing)
    assert_distances(seen, "overview", printed_scale(drawing, "overview", svg), places)
    assert (gain > 1) == ("enlarged-u" in seen)
    if gain > 1:
        assert gain >= 4
        assert gain & (gain - 1) == 0
        where = "enlarged" if 'id="enlarged-bar"' in svg else "overview"
        assert_distances(seen, "enlarged", printed_scale(drawing, where, svg), enlarged(places, gain))


def assert_distances(seen, where, scale, places):
    """Points of a plane are as far from each other as their places, whichever way the plane is turned."""
    for (role, place), (other, there) in combinations(places.items(), 2):
        drawn = math.dist(seen[f"{where}-{role}"], seen[f"{where}-{other}"])
        assert drawn == pytest.approx(scale * math.dist(place, there), abs=0.6), (role, other)


def printed_gain(drawing):
    """How many times as large as it is what guidance adds is drawn, as a reader finds it."""
    words = " ".join(t for t, _ in drawing.canvas.texts())
    return int((re.findall(r"(\d+) \u00d7 as large", words) or [1])[0])


def enlarged(places, gain):
    """The same with u -> c and u -> G so many times as long."""
    u = places["u"]
    far = {role: tuple(p + gain * (q - p) for p, q in zip(u, places[role], strict=True)) for role in ("c", "G")}
    return places | far


def shown_at(svg):
    """Where the whole step is drawn: in the drawing that is larger than it is, or in the only one."""
    return "enlarged" if "enlarged-x" in marks(svg) else "overview"


@pytest.mark.parametrize("size", ["blog", "column"])
def test_the_step_ends_where_the_record_says(size):
    trace = run(gamma=4.0)
    drawing = draw_still(Order(trace, step=5, sample=0, size=size), "step plane")
    svg, where = drawing.svg(), shown_at(drawing.svg())
    kappa = 1 - float(trace.steps["sigma_next"][5] / trace.steps["sigma"][5])
    x, G, after = (marks(svg)[f"{where}-{role}"] for role in ("x", "G", "next"))
    assert math.dist(after, [a + kappa * (b - a) for a, b in zip(x, G, strict=True)]) < 0.6
    start, tip = segment(svg, "overview-step")  # the shaft ends inside the head
    long = printed_scale(drawing, "overview", svg) * kappa * math.hypot(*expected(trace, 5, 0)["G"])
    assert long - 9.5 < math.dist(start, tip) <= long


def test_noise_has_its_true_length_across_the_ray_or_is_marked_as_cut():
    lengths = {}
    for step, size in ((6, "blog"), (6, "column"), (0, "column")):
        trace = run(gamma=4.0, sampler="ddpm")
        drawing = draw_still(Order(trace, step=step, sample=0, size=size), "step plane")
        svg, where = drawing.svg(), shown_at(drawing.svg())
        tip, end = (torch.tensor(p) for p in segment(svg, f"{where}-noise"))
        rms = float(trace.column("M8")[step, 0])
        bar = where if f'id="{where}-bar"' in svg else "overview"
        drawn = float((end - tip).norm()) / printed_scale(drawing, bar, svg)
        cut = 'id="cut"' in svg
        lengths[step, size] = cut
        assert drawn < rms if cut else drawn == pytest.approx(rms, rel=5e-3)
        words = " ".join(t for t, _ in drawing.canvas.texts())
        assert ("shortened" in words) == cut
        assert "out of the plane" in words
        x, G = (torch.tensor(marks(svg)[f"{where}-{role}"]) for role in ("x", "G"))
        direction = (end - tip) / (end - tip).norm()
        assert abs(float(direction @ (G - x))) < 5e-3 * float((G - x).norm())
    assert set(lengths.values()) == {True, False}


@pytest.mark.parametrize(
    ("size", "theme", "shape"),
    [("blog", "transparent", (540, 960)), ("slide", "dark", (1080, 1920)), ("column", "light", (760, 600))],
)
def test_a_figure_has_the_size_and_the_paper_asked_for(size, theme, shape):
    pixels = draw_still(Order(run(gamma=4.0), sample=0, size=size, theme=theme), "step plane").png()
    assert pixels.shape == (*shape, 4)
    paper = {"light": (255, 255, 255, 255), "dark": (30, 30, 30, 255)}.get(theme)
    assert tuple(pixels[2, 2]) == paper if paper else pixels[2, 2, 3] == 0
    assert len(set(map(tuple, pixels[::7, ::7].reshape(-1, 4)))) > 20


@pytest.mark.parametrize("made", [{"gamma": 4.0, "skip": (5,)}, {"gamma": 1.0, "skip": tuple(range(12))}])
def test_of_one_prediction_the_step_towards_it_is_drawn_and_the_caption_says_why(made):
    trace = run(**made)
    drawing = draw_still(Order(trace, step=5, sample=0), "step plane")
    assert "Only the prediction with the prompt was made" in drawing.canvas.svg("t", "")
    assert {"overview-x", "overview-c", "overview-next"} <= set(marks(drawing.svg()))
    assert "overview-step" in drawing.svg()
    difference = draw_still(Order(trace, step=5, sample=0), "difference")
    assert "no prediction without the prompt at this step" in [t for t, _ in difference.canvas.texts()]
    assert "overview-x" not in difference.svg()


def shrinking():
    """A run whose rule leaves the plane: the guided prediction scaled down."""
    return exact_trace(4.0, batch=1, steps=6, rule=lambda u, c, guided: 0.8 * guided)


def test_a_push_is_split_into_what_goes_along_and_what_goes_across():
    trace = shrinking()
    drawing = draw_still(Order(trace, step=2), "step plane")
    assert_apart(drawing.canvas)
    words = [t for t, _ in drawing.canvas.texts()]
    scale, share = (float(trace.column(name)[2, 0]) for name in ("M19", "M19a"))
    assert {"along", f"\u03b3 = {number(scale)}", "across", percent(share)} <= {*words}
    assert any(re.fullmatch(r"\d+ % out of the plane", t) for t in words)
    assert f"acts like {number(scale)}" in drawing.caption
    svg = drawing.svg()
    found, where = marks(svg), shown_at(svg)
    u, c, D = (found[f"{where}-{role}"] for role in ("u", "c", "D"))
    foot = tuple(p + scale * (q - p) for p, q in zip(u, c, strict=True))
    start, end = segment(svg, f"{where}-across")
    assert math.dist(start, foot) < 0.5
    assert math.dist(end, D) < 0.5
    assert "other rules" not in words


def test_embedded_workflow_comes_back_from_the_svg():
    facts = {"workflow": {"nodes": ["]]>", "\u03b3"]}, "prompt": {"1": {}}}
    svg = draw_still(Order(run(gamma=4.0), sample=0), "step plane").svg(facts)
    (block,) = re.findall(r"<metadata>\s*<!\[CDATA\[([\s\S]*?)\]\]>\s*</metadata>", svg)
    assert json.loads(block) == facts
    assert svg.isascii() or block.isascii()
    ElementTree.fromstring(svg)


def lengths(trace, step, sample):
    """Distances between states and predictions from the captured tensors, in rms units."""
    x, guided = ((trace.tensors[name][:, sample].double().flatten(1)) for name in ("x", "guided"))
    end = trace.tensors["end"][sample].double().flatten()

    def rms(v):
        return float(v.norm()) * trace.count**-0.5

    return {
        ("x", "p"): rms(guided[step] - x[step]),
        ("x", "next"): rms(x[step + 1] - x[step]),
        ("x", "end"): rms(end - x[step]),
        ("p", "end"): rms(end - guided[step]),
        ("next", "p2"): rms(guided[step + 1] - x[step + 1]),
        ("x", "p2"): rms(guided[step + 1] - x[step]),
        ("next", "next2"): rms(x[step + 2] - x[step + 1]),
    }


@pytest.mark.parametrize(("sampler", "space", "size"), [("ddpm", "ve", "blog"), ("euler", "flow", "column")])
def test_triangles_keep_the_distances_of_the_run(sampler, space, size):
    trace = run(gamma=4.0, sampler=sampler, space=space)
    drawing = draw_still(Order(trace, step=5, sample=1, size=size), "next step")
    svg = drawing.svg()
    found, scale = marks(svg), printed_scale(drawing, "overview", svg)
    for (first, second), length in lengths(trace, 5, 1).items():
        drawn = math.dist(found[f"overview-{first}"], found[f"overview-{second}"]) / scale
        assert drawn == pytest.approx(length, rel=0.03, abs=1.0 / scale), (first, second)


@pytest.mark.parametrize(("steady", "pages"), [(True, (slice(0, 6),)), (False, (slice(0, 3), slice(3, 6)))])
def test_the_figures_add_parts_and_move_nothing(steady, pages):
    """All pages of an animation; on their own those before any noise are as large as the sheet allows."""
    trace = run(gamma=4.0, sampler="ddpm")
    order = Order(trace, step=5, sample=0, steady=steady)
    seen = [marks(draw_still(order, figure.name).svg()) for figure in WALK]
    assert [len(each) for each in seen] == [2, 3, 3, 4, 5, 6]
    for some in pages:
        for each in seen[some]:
            for name, place in each.items():
                assert math.dist(seen[some][-1][name], place) < 0.01
    first, last = (math.dist(each["overview-x"], each["overview-end"]) for each in (seen[0], seen[-1]))
    assert first == pytest.approx(last) if steady else first > last


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
