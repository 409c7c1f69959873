"""The figure of rules on the plane: every curve named, every word on the sheet, in every look."""

import itertools

import pytest

from guidance_geometry.figures.canvas import Box
from guidance_geometry.figures.rule_plane import draw_plane
from guidance_geometry.measure.estimates import Estimate
from guidance_geometry.measure.plane import Plane
from guidance_geometry.tests.plane_worlds import World

WORLD = World(0)
SPREAD = [Estimate(v, 0.9 * v, 1.1 * v) for v in (1, 0.8, 0.6, 0.5, 0.4)]
NAMES = ("Skimmed", "a rule with $a_very$ long name that goes on and on", "CFGNorm")


def plane():
    rules = [(name, 0.9 - 0.2 * i, 0.2 * i, {"variety": SPREAD}) for i, name in enumerate(NAMES)]
    curves = [WORLD.curve(name, weaker, lift, **more) for name, weaker, lift, more in rules]
    return Plane(WORLD.curve("plain"), curves)


@pytest.mark.parametrize(("size", "theme"), [("blog", "light"), ("slide", "dark"), ("column", "transparent")])
def test_every_curve_is_named_on_the_sheet_and_no_two_names_meet(size, theme):
    canvas = draw_plane(plane(), size, theme).last.canvas
    texts = canvas.texts()
    for words, box in texts:
        assert Box(0, 0, canvas.width, canvas.height).pad(1).holds(box), words
    names = [box for words, box in texts if words in ("plain", "Skimmed", "CFGNorm") or words.startswith("a rule")]
    assert len(names) == 4
    assert not any(one.meets(other) for one, other in itertools.combinations(names, 2))
    assert any("as strong as plain cfg" in words for words, _ in texts)


def test_the_marked_strength_is_the_one_that_is_asked_for():
    words = [words for words, _ in draw_plane(plane(), at=4).last.canvas.texts()]
    assert "as strong as plain cfg 4" in words
