"""Picks are read as they were written, or what is wrong is named."""

import json
import os

import pytest

from guidance_geometry.trace.trace import model_key
from guidance_geometry.verdict import measured, picks, size
from guidance_geometry.verdict.measured import read_curves
from guidance_geometry.verdict.picks import Pick, Picks, picks_of, read_picks, write_picks
from guidance_geometry.verdict.size import read_size

PICKS = Picks("m", "ab12", (Pick(4.0, "ode", True), Pick(8.0, "ode", False, "APG eta 0 > CFG", "CLIP", "2026-11-27")))


def claims():
    return json.loads(json.dumps({
        "format": "guidance-geometry/picks", "version": 1, "model": {"name": "m", "key": "ab12"},
        "picks": [{"cfg": 4.0, "sampler_class": "ode", "good": True}],
    }))  # fmt: skip


def test_what_is_written_is_read(tmp_path):
    write_picks(PICKS, tmp_path / "p.json")
    assert read_picks(tmp_path / "p.json") == PICKS
    assert picks_of(claims(), "p").picks == PICKS.picks[:1]


def test_a_range_ends_half_way_to_what_was_not_chosen_of_runs_without_rules():
    assert PICKS.of_class("ode") == [PICKS.picks[0]]
    pairs = ((1.0, False), (4.0, True), (6.0, True), (24.0, False))
    several = Picks("m", "k", tuple(Pick(cfg, "ode", good) for cfg, good in pairs))
    assert several.ranges() == {"ode": pytest.approx((2.0, 12.0))}
    assert several.range("sde") is None
    from_none = Picks("m", "k", tuple(Pick(cfg, "ode", good) for cfg, good in ((0.0, False), (0.5, True))))
    assert from_none.range("ode") == (0.25, 0.5), "half way from 0 is in the middle"
    assert Picks("m", "k", several.picks[:1]).range("ode") is None


def test_picks_of_each_knob_are_kept_compared_and_forgotten_apart(tmp_path):
    told = [Pick(2.0, "ode", True, knob="guidance"), Pick(4.0, "ode", False, knob="guidance")]
    both = PICKS.merge(told)
    assert (both.ranges(), both.ranges("guidance")) == (PICKS.ranges(), {"ode": pytest.approx((2.0, 8**0.5))})
    assert both.ranges_by_knob().keys() == {"cfg", "guidance"}
    assert both.without("ode", "guidance") == PICKS
    assert both.without("ode", "guidance", [2.0]) == PICKS.merge(told[1:])
    assert not both.without("ode").picks
    write_picks(both, tmp_path / "p.json")
    read = read_picks(tmp_path / "p.json")
    assert read.ranges_by_knob() == both.ranges_by_knob()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 3}, "version is 3"),
        ({"model": {"name": "m"}}, "model.key is missing"),
        ({"picks": None}, "a list of at most"),
        ({"picks": [{"cfg": -1, "sampler_class": "ode", "good": True}]}, "cfg is -1"),
        ({"picks": [{"cfg": 1, "sampler_class": "euler", "good": True}]}, "sampler_class is 'euler'"),
        ({"picks": [{"cfg": 1, "sampler_class": "ode", "good": 1}]}, "good is 1"),
        ({"picks": [7]}, "cfg is missing"),
        ({"picks": [{"cfg": 1, "sampler_class": "ode", "good": True, "knob": 7}]}, "knob is 7"),
    ],
)
def test_damaged_picks_are_named(tmp_path, change, words):
    (tmp_path / "p.json").write_text(json.dumps(claims() | change))
    with pytest.raises(ValueError, match=r"^p\.json") as told:
        read_picks(tmp_path / "p.json")
    assert words in str(told.value)


def test_a_model_is_told_by_its_weights_or_their_file():
    assert model_key({"name": "a", "hash": "AB"}) == "ab"
    assert model_key({"name": "a", "hash": None, "file": "b.safetensors"}) == "file:b.safetensors"
    assert model_key({"name": "SDXL", "hash": None}) is None


@pytest.mark.parametrize(
    ("read", "most"), [(read_picks, picks.LARGEST), (read_size, size.LARGEST), (read_curves, measured.LARGEST)]
)
def test_a_file_that_is_too_large_is_not_read(tmp_path, read, most):
    path = tmp_path / "large.json"
    path.touch()
    os.truncate(path, 1000 * most)
    with pytest.raises(ValueError, match=f"large.json has .*{most:,}"):
        read(path)


def test_more_than_can_be_read_is_not_written(tmp_path):
    many = tuple(Pick(float(i), "ode", True, f"{i} {'rule ' * 300}") for i in range(1, 800))
    with pytest.raises(ValueError, match="Forget a kind of sampler"):
        write_picks(Picks("m", "ab", many), tmp_path / "p.json")
    assert not (tmp_path / "p.json").exists()
