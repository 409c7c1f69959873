"""The programs that calibrate the verdict run on little and write their tables."""

import json
from typing import Any

import pytest
import torch

from guidance_geometry.dev.places import ROOT
from guidance_geometry.lab.markdown import section_in
from guidance_geometry.lab.verdict import (
    alarm,
    calibrate,
    card,
    cells,
    clicked,
    page,
    same_picture,
    unseen,
    worlds,
)
from guidance_geometry.verdict.card import read_card
from guidance_geometry.verdict.odds import odds_of


def test_a_look_measures_keeps_and_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(card, "QUICK", cells.Plan(("C",), (0,), 20, (1.0, 4.0, 8.0)))
    monkeypatch.setattr("sys.argv", ["card", "pocket-1", "--quick", "--cache", str(tmp_path)])
    card.main()
    found = read_card(tmp_path / "cards" / "pocket-1.guidance.json")
    assert set(found.bands) == {"ode-few"}
    assert found.bands["ode-few"].edges["high"]["overmean"] > found.bands["ode-few"].edges["low"]["overmean"]
    assert "cell 3 of 3" in capsys.readouterr().out
    card.main()
    assert "cell" not in capsys.readouterr().out, "nothing is measured twice"


def test_odds_of_a_small_exact_world_are_written_with_every_field_and_not_into_the_pack(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "QUICK", {"mixture-2": cells.Plan(("C",), (0,), 24, (0.5, 1.0, 2.0, 8.0))})
    monkeypatch.setattr("sys.argv", ["calibrate", "--quick", "--cache", str(tmp_path)])
    calibrate.main()
    written, stated = (json.loads(path.read_text()) for path in (tmp_path / "odds.json", calibrate.ODDS))
    assert written.keys() == stated.keys()
    for part in ("burn", "card", "rules", "half"):
        assert written[part].keys() == stated[part].keys()
    assert "mixture-2" in (tmp_path / "verdict.md").read_text()
    monkeypatch.setattr("sys.argv", ["calibrate", "--quick", "--write", "--cache", str(tmp_path)])
    before = calibrate.ODDS.read_bytes()
    with pytest.raises(SystemExit, match="exact and trained worlds together"):
        calibrate.main()
    assert calibrate.ODDS.read_bytes() == before


def test_the_section_of_the_alarm_and_its_odds_are_written_and_nothing_else_changes(tmp_path):
    options = calibrate.parsed_options(["--stage", "alarm", "--cache", str(tmp_path)])
    plan = cells.Plan(("C",), (0,), 24, (0.5, 1.0, 2.0))
    both: Any = (worlds.exact_worlds()["mixture-2"], unseen.made_worlds()["sparse"])
    own = [cell for world in both for cell in plan.cells(world, tmp_path)]
    for cell in own:
        cell.measure()
    calibrate.write_alarm(own, options)
    text, stated = (tmp_path / "verdict.md").read_text(), page.PAGE.read_text()
    heading = f"## {alarm.HEADING}\n"
    assert text.partition(heading)[0] == stated.partition(heading)[0]
    assert "| sparse |" in text.partition(heading)[2]
    odds, before = (json.loads(path.read_text()) for path in (tmp_path / "odds.json", calibrate.ODDS))
    odds.pop("burn")
    before.pop("burn")
    assert odds == before


def group(world, sampler, edge, wrong=0.0, n=200):
    """Pairs at distances from 0 to 2 whose colours differ beyond an edge, and those of a share of them below it."""
    apart = torch.linspace(0, 2, n)
    colours = (apart > edge) | (torch.rand(n, generator=torch.Generator().manual_seed(1)) < wrong)
    pictures = torch.rand(n, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(n, 2).long()
    return same_picture.Pairs(world, sampler, apart, apart / 2, apart > 1.8, colours, pictures, labels)


def test_odds_and_section_of_the_same_picture_are_written(tmp_path, monkeypatch):
    groups = [group("pocket-1", "A", 1.0), group("pocket-flow-1", "B", 1.2, wrong=0.02)]
    monkeypatch.setattr(same_picture, "measure", lambda options: groups)
    monkeypatch.setattr(same_picture, "WRONG", 0.05)
    monkeypatch.setattr("sys.argv", ["same_picture", "--cache", str(tmp_path)])
    same_picture.main()
    odds = odds_of(json.loads((tmp_path / "odds.json").read_text()))
    assert 0.4 < odds.half.same < 1.1
    assert 0 < odds.half.wrong <= same_picture.WRONG
    assert f"**{odds.half.same:g}**" in section_in(tmp_path / "verdict.md", page.HALF)
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {"verdict-pairs.webp", "verdict-same-wrong.webp"}


def test_the_range_is_looked_for_where_the_panel_looks():
    words = (ROOT / "web" / "lib" / "find-range.mjs").read_text(encoding="utf-8")
    assert f"const CLOSE = {clicked.CLOSE:g};" in words
    assert f"const FAR = {clicked.FAR:g};" in words
