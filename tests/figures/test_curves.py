"""Curves of a run at their numbers, gaps where nothing is known, and words that keep apart."""

import math
from dataclasses import replace

import pytest
import torch

from guidance_geometry.figures import classifier_curves
from guidance_geometry.figures.effective_scale import NARROW, WIDE
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
            height = classifier_curves.WIDE[0].bottom - found[f"gradient: guides-{step}"][1]
            assert height == pytest.approx(classifier_curves.WIDE[0].h * (step + 1) / 20, abs=0.01)
    levels = {round(found[f"watch: only measures-{step}"][1], 2) for step in range(trace.n)}
    assert len(levels) == 1
    assert f"end gradient {trace.n / 20:g},  watch 0.25" in drawing.caption


def test_an_exact_classifier_is_the_difference():
    trace = asked(classifier_run(), gradient=rising)
    drawing = draw_still(Order(trace, step=5, sample=1), "classifier curves")
    assert "step 6 cosine 1, |g| / |\u03b4| = 1" in drawing.caption
    found = marks(drawing.canvas.svg())
    cosines = [found[f"cosine-{step}"][1] for step in range(trace.n)]
    assert cosines == pytest.approx([classifier_curves.WIDE[1].y] * trace.n, abs=0.01)
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


def acting(scales, shares, cfg: float | None = 8.0, **settings):
    """A run in which plain guidance comes nearest at these scales, a function of the step, in all samples."""
    trace = run(gamma=4.0, **settings)
    columns = {
        name: torch.tensor([[value(step)] * trace.batch for step in range(trace.n)], dtype=torch.float64)
        for name, value in (("gamma_eff", scales), ("across", shares))
    }
    kappa = 1 / trace.record.dot("delta", "delta")[:, 0].sqrt()  # every step pushes alike at one unit of scale
    return replace(trace, steps=trace.steps | columns | {"kappa": kappa}, header=trace.header | {"cfg": cfg})


def drawn(trace, **settings):
    drawing = draw_still(Order(trace, sample=0, **settings), "effective scale")
    assert_apart(drawing.canvas)
    return drawing


@pytest.mark.parametrize(
    ("size", "boxes", "theme"), [("blog", WIDE, "light"), ("slide", WIDE, "dark"), ("column", NARROW, "transparent")]
)
def test_scales_and_shares_stand_at_their_height(size, boxes, theme):
    drawing = drawn(acting(lambda step: 1 + step / 4, lambda step: step / 22), size=size, theme=theme)
    assert drawing.caption.startswith("cfg 8 acts like 1 to 3.8; 25 % of the push goes across. ")
    found, (upper, lower) = marks(drawing.canvas.svg()), boxes
    for step in range(12):
        assert (upper.bottom - found[f"scale-{step}"][1]) / upper.h == pytest.approx((1 + step / 4) / 8, abs=1e-3)
        assert (lower.bottom - found[f"across-{step}"][1]) / lower.h == pytest.approx(step / 22, abs=1e-3)
    words = [words for words, _ in drawing.canvas.texts()]
    assert "cfg 8" in words
    assert any(line.startswith("cfg 8 acts like 1 to 3.8; 25 % of the push") for line in words)


def test_steps_that_do_not_know_are_gaps_and_never_zeros():
    unknown = {2, 3, 9}

    def half(step):
        return math.nan if step in unknown else 0.5

    drawing = drawn(acting(half, half))
    found = marks(drawing.canvas.svg())
    for name in ("scale", "across"):
        assert {int(key.rpartition("-")[2]) for key in found if key.startswith(f"{name}-")} == {*range(12)} - unknown
    assert drawing.canvas.svg().count('id="curve-scale') == 3
    assert "gaps no difference above rounding" in drawing.caption


@pytest.mark.parametrize(
    ("usual", "last", "push", "beyond", "on_top"),
    [
        (4.0, 500.0, 1e-3, True, "acts like 4. "),  # next to nothing is pushed: it does not stretch the axis
        (2.0, 1001.0, 0.02, False, "acts like 2 to 1001. "),  # most is pushed, however small the difference
    ],
)
def test_the_axis_holds_what_pushes(usual, last, push, beyond, on_top):
    trace = acting(lambda step: last if step == 11 else usual, lambda step: 0.0)
    kappa = trace.steps["kappa"].clone()
    kappa[11] *= push
    drawing = drawn(replace(trace, steps=trace.steps | {"kappa": kappa}))
    found = marks(drawing.canvas.svg())
    assert on_top in drawing.caption
    assert ("beyond-11" in found, "scale-11" in found) == (beyond, not beyond)
    assert ("beyond " in drawing.caption) == beyond
    assert ("on top " in drawing.caption) == (push == 1e-3 and abs(last - usual) > 1)
    if last > 8:
        assert found["beyond-11" if beyond else "scale-11"][1] == pytest.approx(WIDE[0].y, abs=0.01)
