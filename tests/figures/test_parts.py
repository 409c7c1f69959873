"""Figures and tables of each part of a trace of video and sound."""

import csv
import io

import pytest

from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures, step_pictures
from guidance_geometry.figures.registry import draw_figure
from guidance_geometry.figures.table import as_csv, as_text
from guidance_geometry.tests.two_parts import two_parts


@pytest.mark.parametrize("name", ["video", "audio"])
def test_a_part_is_drawn_and_named(name):
    part = two_parts().part(name)
    film = draw_figure(Order(part, step=1), "step plane")
    assert f"euler, {name}" in film.caption


def test_the_video_has_pictures_and_the_sound_has_none():
    trace = two_parts()
    assert {"x", "u", "c", "D"} <= set(step_pictures(trace, 1, 0, Pictures()))
    assert step_pictures(trace.part("audio"), 1, 0, Pictures()) == {}


def test_the_table_says_what_further_passes_cost():
    part = two_parts().part("audio")
    rows = list(csv.DictReader(io.StringIO(as_csv(part))))
    assert [row["evals STG"] for row in rows] == ["0.0", "0.0", "1.0", "1.0", "1.0", "1.0"]
    assert [row["scale STG"] for row in rows] == ["", "", "0.5", "0.5", "0.5", "0.5"]
    assert [bool(row["pass STG"]) for row in rows] == [False, False, True, True, True, True]
    assert "evals STG" in as_text(part)
