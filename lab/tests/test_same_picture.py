"""How often "the same picture" is wrong: the truth, the threshold that others choose, and what is written."""

import json

import pytest
import torch

from guidance_geometry.lab.markdown import section_in
from guidance_geometry.lab.verdict import same_picture, seen_colours
from guidance_geometry.lab.verdict.page import HALF, PAGE
from guidance_geometry.verdict.odds import odds_of

GREEN, LIME, BLUE, WHITE = ((0.3, 0.7, 0.4), (0.45, 0.7, 0.3), (0.3, 0.5, 0.9), (0.95, 0.95, 0.95))


def drawn(body, ground=(0.75, 0.9, 1.0)):
    picture = torch.tensor(ground)[:, None, None].expand(3, 32, 32).clone()
    picture[:, 10:22, 12:20] = torch.tensor(body)[:, None, None]
    return picture[None]


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        (drawn(GREEN), False),
        (drawn(GREEN) + 0.02, False),
        (drawn(GREEN).roll(5, dims=3), False),
        (drawn(BLUE), True),
        (drawn(LIME), True),
        (drawn(WHITE), True),
        (drawn((0.25, 0.55, 0.33)), True),
        (drawn(GREEN, (0.6, 0.9, 1.0)), True),
    ],
)
def test_colours_are_counted_wherever_they_lie(other, changed):
    assert seen_colours.colours_changed(drawn(GREEN), other).item() is changed


def test_hues_move_the_short_way_round():
    at = torch.eye(seen_colours.BINS)
    assert seen_colours.hue_shift(at[[1]], at[[23]]).item() == pytest.approx(30)
    assert seen_colours.hue_shift(at[[0]], at[[12]]).item() == pytest.approx(180)


def group(world, sampler, edge, wrong=0.0, n=200):
    """Pairs at distances from 0 to 2 that differ beyond an edge, and a share of them below it."""
    apart = torch.linspace(0, 2, n)
    draws = torch.rand(n, generator=torch.Generator().manual_seed(len(sampler)))
    colours = (apart > edge) | (draws < wrong)
    subject = apart > 1.8
    pictures = torch.rand(n, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return same_picture.Pairs(world, sampler, apart, apart / 2, subject, colours, pictures, torch.zeros(n, 2).long())


def test_a_threshold_is_what_holds_in_every_group_and_in_those_left_out(monkeypatch):
    monkeypatch.setattr(same_picture, "WRONG", 0.05)
    alike = [group("pocket-1", name, 1.0) for name in ("A", "B", "C")]
    assert same_picture.limit_of(alike) == 1.05
    assert same_picture.chosen(alike) == (1.05, 1.0)
    odd = [*alike, group("pocket-1", "odd", 0.5)]
    same, margin = same_picture.chosen(odd)
    assert margin <= 0.55, "the others would have said 1"
    assert same == pytest.approx(margin * same_picture.limit_of(odd), abs=1e-3)
    assert max(same_picture.left_out(odd, margin)) <= same_picture.WRONG
    assert same_picture.limit_of([group("pocket-1", "bad", 1.0, wrong=0.5)]) == same_picture.TRIED[0]


def test_odds_and_section_are_written_and_read(tmp_path, monkeypatch):
    groups = [group("pocket-1", "A", 1.0), group("pocket-flow-1", "B", 1.2, wrong=0.02)]
    monkeypatch.setattr(same_picture, "measure", lambda options: groups)
    monkeypatch.setattr(same_picture, "WRONG", 0.05)
    monkeypatch.setattr("sys.argv", ["same_picture", "--cache", str(tmp_path)])
    same_picture.main()
    odds = odds_of(json.loads((tmp_path / "odds.json").read_text()))
    assert 0.4 < odds.half.same < 1.1
    assert 0 < odds.half.wrong <= same_picture.WRONG
    assert 0 < odds.half.colours < 0.02, "of the ends below 0.4"
    section = section_in(tmp_path / "verdict.md", HALF)
    assert f"**{odds.half.same:g}**" in section
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {"verdict-pairs.webp", "verdict-same-wrong.webp"}
    assert section_in(PAGE, HALF) != section, "the page of the pack is left alone"
