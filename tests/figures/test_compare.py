import math
from dataclasses import replace

import pytest

from guidance_geometry.figures.compare import compare, draw_comparison
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.tests.drawn import assert_apart, run

HOW = (Pictures(), Pictures())


def test_distances_are_those_of_the_states():
    first, second = run(gamma=4.0), run(gamma=1.0)
    found = compare(first, second, 1)
    assert found.steps == list(range(13))
    for k, step in enumerate(found.steps):
        a, b = (t.tensors["end"] if step == 12 else t.captured_tensor("x", step) for t in (first, second))
        rms = float((a[1].double() - b[1].double()).square().mean().sqrt())
        assert found.distance[k] == pytest.approx(rms)
        assert found.relative[k] == pytest.approx(rms / math.hypot(0.4684, found.sigmas[k]))
    assert found.distance[0] == 0
    assert found.parting_step == next(
        step for step, share in zip(found.steps, found.relative, strict=True) if share > 0.01
    )


def test_rounding_of_the_captured_states_is_no_difference():
    trace, floor = run(gamma=4.0), 1e-3
    tensors = trace.tensors | {"x": trace.tensors["x"].float().mul(1 + floor / 4).half()}
    found = compare(trace, replace(trace, tensors=tensors), 0)
    assert found.parting_step is None
    assert all(d < 2 * low for d, low in zip(found.distance[:-1], found.floor[:-1], strict=True))


def test_runs_that_cannot_be_compared_are_still_shown():
    first, second = run(gamma=4.0), run(gamma=4.0, space="flow", steps=6)
    canvas, text = draw_comparison(first, second, pictures=HOW)
    words = [t for t, _ in canvas.texts()]
    assert "not comparable" in words
    assert "12 and 6 steps" in text
    assert "space ve and flow" in text
    assert "B" in words
    assert "B \u2212 A" not in words
    assert_apart(canvas)
    bare = run(gamma=1.0, capture=False)
    assert "set capture to pictures" in draw_comparison(first, bare, pictures=HOW)[1]
