import math

import pytest

from guidance_geometry.figures.order import Order
from guidance_geometry.figures.registry import WALK, draw_still
from guidance_geometry.tests.drawn import marks, printed_scale, run


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
