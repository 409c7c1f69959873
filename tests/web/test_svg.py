"""A saved SVG is the same picture as its PNG."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from guidance_geometry.figures.canvas import Box, Canvas
from guidance_geometry.figures.compare import draw_comparison
from guidance_geometry.figures.difference import difference_images
from guidance_geometry.figures.difference_grid import draw_differences
from guidance_geometry.figures.order import Order
from guidance_geometry.figures.palette import LIGHT
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.registry import FIGURES, draw_figure
from guidance_geometry.tests.drawn import classifier_run, run
from guidance_geometry.tests.pixels import same_picture

resvg = pytest.importorskip("resvg_py", reason="resvg-py comes with `python3 dev.py test`")


def pixels_of(svg):
    """An SVG as an independent program draws it, [H, W, 3]."""
    file = io.BytesIO(bytes(resvg.svg_to_bytes(svg_string=svg)))
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def assert_same(canvas):
    png, svg = canvas.png()[..., :3].astype(int), canvas.svg()
    drawn = pixels_of(svg)
    assert png.shape == drawn.shape
    assert same_picture(png, drawn)
    assert not re.search(r'\b(?:width|height|r|rx|ry)="-', svg)


OF_EVERY_KIND = {"step plane", "scaled difference", "filmstrip", "heat map", "classifier curves"}


@pytest.mark.parametrize("figure", [one for one in FIGURES if one.name in OF_EVERY_KIND], ids=lambda one: one.name)
def test_an_svg_is_the_picture_of_its_png(figure):
    trace = classifier_run() if figure.by_classifier else run(gamma=4.0, sampler="ddpm")
    step = 4 if figure.of_step else None
    assert_same(draw_figure(Order(trace, step=step, sample=0, pictures=Pictures()), figure.name).last.canvas)


def test_so_are_the_pages_of_two_runs_and_of_differences():
    first, second = run(gamma=2.0), run(gamma=4.0)
    assert_same(draw_comparison(first, second, sample=0, pictures=[Pictures()] * 2)[0])
    assert_same(draw_differences(second, difference_images(second, Pictures())))


def test_a_picture_stands_upright_in_both():
    canvas = Canvas(60, 40, LIGHT)
    canvas.picture(np.array([[[1.0, 0, 0], [0, 1, 0]], [[0, 0, 1], [0, 0, 0]]]), Box(10, 5, 30, 30), LIGHT.ink)
    for drawn in (canvas.png()[..., :3], pixels_of(canvas.svg())):
        corners = [drawn[y, x].tolist() for y in (12, 28) for x in (17, 33)]
        assert corners == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]]
