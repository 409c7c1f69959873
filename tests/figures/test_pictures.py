"""Pictures of a run: differences, strips, maps and comparisons, each by its formula and with one gain."""

import math
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from guidance_geometry.figures.compare import compare, draw_comparison
from guidance_geometry.figures.difference import chosen_steps, difference_images
from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures, automatic_gain
from guidance_geometry.figures.registry import draw_still
from guidance_geometry.figures.strips import difference_size_map, heat_colours, rows_of
from guidance_geometry.tests.drawn import assert_apart, picture_named, run, thumbnails
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.trace import Trace

RUN = exact_trace(4.0, batch=2, steps=12)


def test_difference_is_grey_plus_gain_times_half_delta():
    images = difference_images(RUN, Pictures(), "5", gain=2.0)
    delta = (RUN.require_tensor("cond", 5).float() - RUN.require_tensor("uncond", 5).float()).permute(0, 2, 3, 1)
    assert torch.allclose(images.difference, (0.5 + 2.0 * 0.5 * delta).clamp(0, 1), atol=1e-6)
    assert images.clipped_share == pytest.approx(float((delta.abs() > 0.5).double().mean()))
    assert images.uncond.shape == images.cond.shape == images.guided.shape == (2, 32, 32, 3)


def test_automatic_gain_is_the_largest_power_of_two_that_clips_at_most_one_percent():
    values = torch.linspace(-0.1, 0.1, 2001)
    gain = automatic_gain(values)
    assert gain == 4.0
    assert (gain * values).abs().gt(0.5).double().mean() <= 0.01
    assert (2 * gain * values).abs().gt(0.5).double().mean() > 0.01


def test_one_gain_serves_all_steps_and_is_stated():
    images = difference_images(RUN, Pictures(), "all")
    assert len(images.difference) == 24
    assert f"{images.gain:g}" in images.note
    assert "clipped" in images.note
    assert f"steps 1, {images.steps[1] + 1}, " in images.note
    first = difference_images(RUN, Pictures(), "0", gain=images.gain)
    assert torch.equal(images.difference[:2], first.difference)


def test_a_decoder_is_applied_to_both_predictions_and_never_to_the_difference():
    seen = []

    def decode(x):
        seen.append(x)
        return (x.permute(0, 2, 3, 1) / 4 + 0.5).clamp(0, 1)

    images = difference_images(RUN, Pictures(decode=decode), "3", gain=1.0)
    u, c = RUN.require_tensor("uncond", 3).float(), RUN.require_tensor("cond", 3).float()
    assert torch.allclose(images.difference, (0.5 + decode(c) - decode(u)).clamp(0, 1), atol=1e-6)
    assert all(any(torch.equal(x, y.float()) for y in (u, c, RUN.require_tensor("guided", 3))) for x in seen)
    assert "decode(c) - decode(u)" in images.note


@pytest.mark.parametrize(
    ("words", "steps"),
    [("0", [0]), ("0, 5, 8-10", [0, 5, 8, 9, 10]), ("11;2", [11, 2]), ("all", list(range(12))), ("auto", 8), ("", 8)],
)
def test_steps_are_numbers_ranges_or_words(words, steps):
    found = chosen_steps(words, RUN)
    assert found == steps if isinstance(steps, list) else (len(found), found[0], found[-1]) == (steps, 0, 11)


def test_latents_need_a_map_or_a_decoder():
    with pytest.raises(ValueError, match="4 channels"):
        Pictures().image(torch.zeros(1, 4, 8, 8))
    factors = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0, 0, 0]])
    x = torch.zeros(1, 4, 8, 8)
    x[:, 1] = 0.6
    image = Pictures(factors=factors, bias=torch.tensor([0.1, 0.0, 0.0])).image(x)
    assert torch.allclose(image[0, 0, 0], torch.tensor([0.55, 0.8, 0.5]))


@pytest.mark.parametrize("words", ["0-99999999", "0-999999999, 3", "99999999", "1" * 400, "0-" + "9" * 5000])
def test_a_range_is_bounded_before_it_is_expanded(words):
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"^steps (asks for|has) ") as caught:
        chosen_steps(words, RUN)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert len(str(caught.value)) < 600


def test_the_filmstrip_has_one_gain_and_states_it():
    trace = run(gamma=4.0)
    drawing = draw_still(Order(trace, sample=0, pictures=Pictures()), "filmstrip")
    gain = float(re.findall(r"0\.5 \+ ([\d.]+) \u00d7", drawing.caption)[0])
    rows = rows_of(trace, trace.captured_steps, 0)
    for column, step in ((0, 0), (7, 11)):
        delta = (rows[step].cond - rows[step].uncond)[0].movedim(0, -1)
        wanted = (0.5 + gain * 0.5 * delta).clamp(0, 1)
        assert np.allclose(picture_named(drawing.canvas, f"difference-{column}"), wanted, atol=1e-3)
        guided = (0.5 + 0.5 * rows[step].guided[0].movedim(0, -1)).clamp(0, 1)
        assert np.allclose(picture_named(drawing.canvas, f"guided-{column}"), guided, atol=1e-3)


def test_the_heat_map_has_one_scale_and_states_what_it_clips():
    trace = run(gamma=4.0)
    drawing = draw_still(Order(trace, sample=0, pictures=Pictures()), "heat map")
    top = float(re.findall(r"to ([\d.]+) rms", drawing.caption)[0])
    maps = map(difference_size_map, rows_of(trace, trace.captured_steps, 0))
    sizes = torch.stack([one for one in maps if one is not None])
    assert top == pytest.approx(float(sizes.flatten().quantile(0.99)), rel=0.02)
    assert re.search(r"1(\.0)? % clipped", drawing.caption)
    assert np.allclose(picture_named(drawing.canvas, "difference, rms-0"), heat_colours(sizes[0] / top), atol=0.02)


@pytest.mark.parametrize("figure", ["filmstrip", "heat map"])
def test_a_skipped_step_is_blank(figure):
    trace = run(gamma=4.0)
    uncond = trace.tensors["uncond"].clone()
    uncond[0] = math.nan
    skipped = Trace(trace.header, trace.steps, trace.stage, trace.tensors | {"uncond": uncond})
    full, lacking = (draw_still(Order(t, sample=0, pictures=Pictures()), figure) for t in (trace, skipped))
    lost = {"filmstrip": 3, "heat map": 2}[figure]  # guided is what the sampler was given: it exists
    lost -= figure == "filmstrip"
    assert len(thumbnails(full.canvas)) - len(thumbnails(lacking.canvas)) == lost
    assert "blank" in lacking.caption
    assert "blank" not in full.caption


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
