"""Runs to draw, and what the figures of the tests show: marks, lengths, words that meet."""

import math
import re
import unicodedata
from xml.etree import ElementTree

import numpy as np
import torch
from matplotlib.image import BboxImage
from matplotlib.patches import Polygon
from matplotlib.text import Text

from guidance_geometry.dev.fixtures.classifier_run import ClassifierRun
from guidance_geometry.figures.canvas import Box
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.tests.traces import exact_trace

SVG = "{http://www.w3.org/2000/svg}"
RUNS = {}


def run(**settings):
    """One exact run, computed once for all tests."""
    key = tuple(sorted(settings.items()))
    if key not in RUNS:
        RUNS[key] = exact_trace(**{"batch": 2, "steps": 12, **settings})
    return RUNS[key]


def parts(canvas, kind):
    """Everything of one kind on a sheet, in the order in which it was drawn."""
    return [artist for artist in canvas._figure.artists if isinstance(artist, kind)]


def picture_named(canvas, name=None) -> np.ndarray:
    """The pixels of the first picture of this name on a sheet, whatever its name unless one is given."""
    pictures = (one.get_array() for one in parts(canvas, BboxImage) if name in (None, one.get_gid()))
    return next(pixels for pixels in pictures if pixels is not None)


def marks(svg):
    """Pixel of every named marker in an SVG."""
    found = {}
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        use = group.find(f".//{SVG}use[@x]")
        if use is not None and "-" in group.get("id", ""):
            found.setdefault(group.get("id"), (float(use.attrib["x"]), float(use.attrib["y"])))
    return found


def segment(svg, name):
    """End points of a named line in an SVG."""
    group = next(g for g in ElementTree.fromstring(svg).iter(f"{SVG}g") if g.get("id") == name)
    path = next(group.iter(f"{SVG}path")).attrib["d"]
    numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", path)]
    return numbers[:2], numbers[-2:]


def printed_scale(drawing, where, svg):
    """Pixels per rms unit as a reader finds it: length of the bar over the number under it."""
    (x0, _), (x1, _) = segment(svg, f"{where}-bar")
    label = next(t for t in parts(drawing.canvas, Text) if t.get_gid() == f"{where}-bar-text").get_text()
    return (x1 - x0) / read_number(label)


def read_number(words):
    """Undo the typography of a printed number."""
    mantissa, _, power = words.removesuffix(" rms").replace("\u2212", "-").partition("\u00b710")
    return float(mantissa) * 10.0 ** int(unicodedata.normalize("NFKC", power).replace("\u2212", "-") or 0)


def expected(trace, step, sample):
    """Coordinates of u, c and G straight from K, in rms units, derived a second time."""
    record, count = trace.record, trace.count
    aa, ad, dd = (float(record.dot(*pair)[step, sample]) for pair in (("a", "a"), ("a", "delta"), ("delta", "delta")))
    along, gamma = ad / math.sqrt(aa), float(trace.steps["gamma"][step])
    across = math.sqrt(dd - along**2)
    places = {"x": (0, 0), "u": (math.sqrt(aa), 0), "c": (math.sqrt(aa) + along, across)}
    places["G"] = (math.sqrt(aa) + gamma * along, gamma * across)
    return {role: (p / math.sqrt(count), q / math.sqrt(count)) for role, (p, q) in places.items()}


def thumbnails(canvas):
    """Name and box of every picture on a sheet."""
    return [(image.get_gid(), canvas._box(image.get_window_extent())) for image in parts(canvas, BboxImage)]


def assert_apart(canvas):
    """No text and no picture overlaps another one, the caption's box stays clear, and nothing leaves the sheet."""
    sheet, boxes = Box(0, 0, canvas.width, canvas.height), [*canvas.texts(), *thumbnails(canvas)]
    for k, (words, box) in enumerate(boxes):
        assert sheet.holds(box), words
        clashes = [other for other, place in boxes[k + 1 :] if box.meets(place, -0.6)]
        assert not clashes, (words, clashes)
    for k, (name, box) in enumerate(found := frames(canvas)):
        assert sheet.holds(box), name
        assert not any(box.meets(place) for _, place in found[k + 1 :]), name
        crossed = [w for w, place in boxes if box.meets(place) and not box.holds(place)]
        assert not crossed, (name, crossed)


MIXTURE = make_mixture((3, 16, 16), classes=3, seed=0)


def classifier_run(weight=3.0, **settings):
    """A run that an exact classifier guided, 12 steps of 2 images."""
    return ClassifierRun(MIXTURE, torch.tensor([0, 1]), weight, **settings).trace(steps=12)


def frames(canvas):
    """Name and box of the caption."""
    named = [(patch.get_gid(), patch.get_xy()) for patch in parts(canvas, Polygon) if patch.get_gid()]
    found = {name: corners for name, corners in named if name == "caption"}
    return [(name, Box(*c.min(axis=0), *(c.max(axis=0) - c.min(axis=0)))) for name, c in found.items()]
