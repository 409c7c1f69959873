"""Pictures keep their proportions on every figure, and no name leaves its sheet, however long."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import BboxImage

from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.registry import FIGURES, draw_figure
from guidance_geometry.tests.drawn import assert_apart, classifier_run, parts, picture_named, run

SHEETS = (  # shape of the pictures, size of the sheet, name of the model
    ((24, 36), "blog", "a" * 120),
    ((36, 24), "column", "a model of many words " * 5 + "and no end"),
    ((24, 36), "blog", "never ending " * 99),
)
TRACES = {}


def shaped(shape, by_classifier=False):
    """A run whose pictures are of another shape, made once for all tests."""
    key = (shape, by_classifier)
    if key not in TRACES:
        trace = classifier_run() if by_classifier else run(gamma=4.0, sampler="ddpm")
        TRACES[key] = of_shape(trace, shape)
    return TRACES[key]


def of_shape(trace, shape):
    """The same numbers with smooth pictures of another shape in the place of its own."""
    sides = torch.linspace(-1, 1, shape[0])[:, None], torch.linspace(-1, 1, shape[1])[None]
    latent = torch.stack([sides[0].expand(shape), sides[1].expand(shape), sides[0] * sides[1]])
    tensors = {
        name: latent.to(tensor) * tensor.flatten(-3).float().std(dim=-1)[..., None, None, None].to(tensor)
        for name, tensor in trace.tensors.items()
    }
    return replace(trace, header=trace.header | {"latent": {"shape": [3, *shape]}}, tensors=tensors)


def proportions(canvas):
    """Width over height of every picture as it is drawn, and of its pixels."""
    for image in parts(canvas, BboxImage):
        box = image.get_window_extent()
        height, width = image.get_size()
        yield image.get_gid(), abs(box.width / box.height), width / height


@given(st.sampled_from(FIGURES), st.sampled_from(SHEETS))
@settings(max_examples=18, deadline=None, derandomize=True)
def test_pictures_keep_their_proportions_and_no_name_leaves_the_sheet(figure, sheet):
    shape, size, name = sheet
    trace = shaped(shape, figure.by_classifier)
    trace = replace(trace, header=trace.header | {"model": {"name": name}})
    order = Order(trace, 4 if figure.of_step else None, 0, size, pictures=Pictures())
    drawing = draw_figure(order, figure.name).last
    for picture, drawn, own in proportions(drawing.canvas):
        assert drawn == pytest.approx(own, rel=1e-6), picture
        assert own == shape[1] / shape[0], picture
    assert_apart(drawing.canvas)
    assert name in drawing.caption, "the words beside the picture have all of it"


def test_a_photo_is_shown_whole():
    photo = torch.rand(40, 120, 3, generator=torch.Generator().manual_seed(0))
    canvas = draw_figure(Order(shaped((24, 36)), photo=photo, pictures=Pictures()), "noise levels").last.canvas
    assert np.allclose(picture_named(canvas), photo.numpy())
