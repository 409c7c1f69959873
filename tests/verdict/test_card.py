"""A card is read whole or not at all, and what is wrong with it is said."""

import copy
import json
import math
from dataclasses import replace

import pytest
import torch

from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.gram import triangle
from guidance_geometry.verdict.card import card_of, read_card, write_card
from guidance_geometry.verdict.sampler_class import CLASSES, class_of_sampler, sampler_class

BAND = {
    "low": 2.5,
    "centre": 3.5,
    "high": 5.4,
    "steps": 20,
    "seeds": [7, 8],
    "samples": 2000,
    "objective": {"name": "J", "points": [{"gamma": 2, "value": 6.1, "error": 0.2}]},
    "edges": {"low": {"overmean": 0.05, "push8": None}, "high": {"overmean": 0.3, "strength": 0.06}},
}
CARD = {
    "format": "guidance-geometry/card",
    "version": 1,
    "model": {"name": "pocket-1", "sha256": "AB12"},
    "sigma_data": {"value": 0.6, "source": "data"},
    "bands": {"ode": BAND, "sde-many": BAND},
    "judge": "pocket-judge-1",
    "date": "2026-11-27",
    "pack": "0.1.0",
}


def test_what_is_written_is_read(tmp_path):
    written = write_card(CARD, tmp_path / "a.json")
    assert read_card(tmp_path / "a.json") == written == card_of(CARD, "a")
    assert (written.name, written.sha256, written.sigma_data, written.source) == ("pocket-1", "ab12", 0.6, "data")
    band = written.bands["sde-many"]
    assert (band.low, band.centre, band.high, band.samples, band.objective) == (2.5, 3.5, 5.4, 4000, "J"), (
        "of both seeds"
    )
    assert band.edges == {"low": {"overmean": 0.05}, "high": {"overmean": 0.3, "strength": 0.06}}


DAMAGED = {
    "format": ("format", "a trace", "format is 'a trace'"),
    "version": ("version", 2, "version is 2"),
    "no size": ("sigma_data", {"value": 0, "source": "data"}, "sigma_data.value is 0"),
    "nobody's word": ("sigma_data", {"value": 1, "source": "guessed"}, "sigma_data.source is 'guessed'"),
    "no hash": ("model", {"name": "x"}, "model.sha256 is missing"),
    "no bands": ("bands", {}, "bands needs entries"),
    "another class": ("bands", {"euler": BAND}, "bands needs entries"),
    "an empty band": ("bands", {"ode": {}}, "bands.ode: low is missing"),
    "no band": ("bands", {"ode": 3}, "bands.ode: low is missing"),
    "out of order": ("bands", {"ode": {**BAND, "low": 9}}, "not in order"),
    "below zero": ("bands", {"ode": {**BAND, "low": 0}}, "not in order"),
    "an edge": ("bands", {"ode": {**BAND, "edges": {"high": {"push8": "far"}}}}, "edges.high.push8 is 'far'"),
    "a point": ("bands", {"ode": {**BAND, "objective": {"name": "J", "points": [3]}}}, "objective.points[0] is 3"),
}


@pytest.mark.parametrize(("field", "value", "words"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_card_is_named(field, value, words):
    claims = copy.deepcopy(CARD) | {field: value}
    with pytest.raises(ValueError, match=r"^a\.json") as told:
        card_of(claims, "a.json")
    assert words in str(told.value)
    assert "guidance-geometry card" in str(told.value)


@pytest.mark.parametrize("text", ["", "[]", '{"format"', json.dumps(CARD)[:-9], "\ufffd", "x" * 1_000_001])
def test_a_file_that_is_no_card_is_refused(tmp_path, text):
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(ValueError, match=r"^b\.json"):
        read_card(tmp_path / "b.json")


def test_nan_is_never_written(tmp_path):
    band = copy.deepcopy(BAND)
    band["objective"]["points"][0]["value"] = math.nan
    with pytest.raises(ValueError, match=r"objective\.points"):
        write_card({**CARD, "bands": {"ode": band}}, tmp_path / "c.json")
    assert not (tmp_path / "c.json").exists()


def test_a_class_is_noise_and_steps():
    found = [class_of_sampler(noisy, steps) for noisy in (False, True, None) for steps in (1, 14, 15, 35, 36)]
    assert found == ["ode-few"] * 2 + ["ode"] * 2 + ["ode-many"] + ["sde-few"] * 2 + ["sde"] * 2 + ["sde-many"] + [
        *["unseen-few"] * 2, *["unseen"] * 2, "unseen-many",
    ]  # fmt: skip
    assert set(found) == set(CLASSES)


HIDES = {
    "split": {"split": "noise not observable: their_sampler takes no noise_sampler; all of the move counts as step"},
    "library": {"split": "noise counts as part of the move"},
    "lost": {"notes": ["the noise of 3 steps could not be followed: it counts as part of the move"]},
}


@pytest.mark.parametrize("why", HIDES)
def test_a_sampler_whose_noise_was_lost_is_not_taken_for_a_deterministic_one(why):
    trace = exact_trace(4.0, batch=1, steps=16, sampler="ddpm")
    assert sampler_class(trace) == "sde"
    lost = replace(unmarked(trace), header={**trace.header, **HIDES[why]})
    assert sampler_class(lost) == "unseen"


def test_a_sampler_whose_every_step_follows_the_prediction_drew_nothing():
    trace = exact_trace(4.0, batch=1, steps=16)
    assert sampler_class(replace(trace, header={**trace.header, **HIDES["split"]})) == "ode"


def unmarked(trace):
    """The same run, had nobody seen its noise: all of it is in the move, which no multiple of D - x explains."""
    full = trace.record.matrix().clone()
    noise, move = (trace.record.vectors.index(name) for name in ("noise", "move"))
    full[..., move, :] += full[..., noise, :]
    full[..., :, move] += full[..., :, noise]
    full[..., noise, :] = full[..., :, noise] = 0
    kappa = torch.full_like(trace.steps["kappa"], math.nan)
    return replace(trace, steps={**trace.steps, "K": triangle(full), "kappa": kappa})
