"""A saved SVG is the same picture as its PNG."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from guidance_geometry.figures.canvas import Box, Canvas
from guidance_geometry.figures.compare import draw_comparison
from guidance_geometry.figures.order import Order
from guidance_geometry.figures.palette import LIGHT
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.registry import FIGURES, draw_figure
from guidance_geometry.tests.drawn import classifier_run, run

resvg = pytest.importorskip("resvg_py", reason="resvg-py comes with `python3 dev.py test`")
REACH = (7, 25, 1)  # pixels around each in which its colour must be there: hinted letters of a long line drift apart
FAR = 64  # of 255
MOST = 5e-4  # of a sheet; a lens without its arrows is at least twice as much


def pixels_of(svg):
    """An SVG as an independent program draws it, [H, W, 3]."""
    file = io.BytesIO(bytes(resvg.svg_to_bytes(svg_string=svg)))
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def absent(one, other):
    """Share of the pixels of one picture whose colour is nowhere near in the other."""
    low, high = minimum_filter(other, REACH), maximum_filter(other, REACH)
    return (np.maximum(low - one, one - high).max(axis=-1) > FAR).mean()


def assert_same(canvas):
    png, svg = canvas.png()[..., :3].astype(int), canvas.svg()
    drawn = pixels_of(svg)
    assert png.shape == drawn.shape
    assert max(absent(png, drawn), absent(drawn, png)) < MOST
    assert not re.search(r'\b(?:width|height|r|rx|ry)="-', svg)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_an_svg_is_the_picture_of_its_png(figure):
    trace = classifier_run() if figure.by_classifier else run(gamma=4.0, sampler="ddpm")
    step = 4 if figure.of_step else None
    assert_same(draw_figure(Order(trace, step=step, sample=0, pictures=Pictures()), figure.name).last.canvas)


def test_so_is_the_page_of_two_runs():
    first, second = run(gamma=2.0), run(gamma=4.0)
    assert_same(draw_comparison(first, second, sample=0, pictures=[Pictures()] * 2)[0])


def test_a_picture_stands_upright_in_both():
    canvas = Canvas(60, 40, LIGHT)
    canvas.picture(np.array([[[1.0, 0, 0], [0, 1, 0]], [[0, 0, 1], [0, 0, 0]]]), Box(10, 5, 30, 30), LIGHT.ink)
    for drawn in (canvas.png()[..., :3], pixels_of(canvas.svg())):
        corners = [drawn[y, x].tolist() for y in (12, 28) for x in (17, 33)]
        assert corners == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]]
