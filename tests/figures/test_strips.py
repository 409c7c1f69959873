import math
import re

import numpy as np
import pytest
import torch

from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.registry import draw_still
from guidance_geometry.figures.strips import difference_size_map, heat_colours, rows_of
from guidance_geometry.tests.drawn import picture_named, run, thumbnails
from guidance_geometry.trace.trace import Trace


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
