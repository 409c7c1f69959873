"""What classifiers say of a run: curves at their numbers, gaps where nothing is known, and words that keep apart."""

import math
from dataclasses import replace

import pytest
import torch

from guidance_geometry.figures.classifier_curves import WIDE
from guidance_geometry.figures.order import Order
from guidance_geometry.figures.registry import draw_still
from guidance_geometry.tests.drawn import assert_apart, classifier_run, marks, run


def asked(trace, **log_probs):
    """The trace of a run in which energies said this; a function of the step, the same for all samples."""
    columns = {
        f"log_prob {name}": torch.tensor([[say(step)] * trace.batch for step in range(trace.n)], dtype=torch.float64)
        for name, say in log_probs.items()
    }
    return replace(trace, steps=trace.steps | columns)


def rising(step):
    return math.log((step + 1) / 20)


@pytest.mark.parametrize("size", ["blog", "column"])
def test_probabilities_stand_at_their_height(size):
    trace = asked(classifier_run(), gradient=rising, watch=lambda step: math.log(0.25))
    drawing = draw_still(Order(trace, step=5, sample=1, size=size), "classifier curves")
    assert_apart(drawing.canvas)
    found = marks(drawing.canvas.svg())
    if size == "blog":
        for step in range(trace.n):
            height = WIDE[0].bottom - found[f"gradient: guides-{step}"][1]
            assert height == pytest.approx(WIDE[0].h * (step + 1) / 20, abs=0.01)
    levels = {round(found[f"watch: only measures-{step}"][1], 2) for step in range(trace.n)}
    assert len(levels) == 1
    assert f"end gradient {trace.n / 20:g},  watch 0.25" in drawing.caption


def test_an_exact_classifier_is_the_difference():
    trace = asked(classifier_run(), gradient=rising)
    drawing = draw_still(Order(trace, step=5, sample=1), "classifier curves")
    assert "step 6 cosine 1, |g| / |\u03b4| = 1" in drawing.caption
    found = marks(drawing.canvas.svg())
    cosines = [found[f"cosine-{step}"][1] for step in range(trace.n)]
    assert cosines == pytest.approx([WIDE[1].y] * trace.n, abs=0.01)
    lengths = [name for name in found if name.startswith("g-")]
    assert lengths
    for name in lengths:
        same = found[name.replace("g-", r"$\delta$-")]
        assert found[name] == pytest.approx(same, abs=0.01)


def test_many_samples_become_a_band_and_unknown_steps_a_gap():
    plain = run(gamma=4.0, batch=12)
    trace = asked(plain, watch=lambda step: math.nan if step == 4 else -1.0)
    svg = draw_still(Order(trace, step=5, sample=0), "classifier curves").canvas.svg()
    assert 'id="band"' in svg
    assert "watch: only measures-4" not in marks(svg)
    assert "watch: only measures-5" in marks(svg)
    assert "cosine" not in svg  # without a gradient there is nothing beside the difference
