"""The alarm of burning in worlds that set no threshold, and what is said of it."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from guidance_geometry.lab.markdown import section_in
from guidance_geometry.lab.verdict import (
    alarm,
    batches,
    calibrate,
    cells,
    evidence,
    galaxies,
    limits,
    page,
    runs,
    unseen,
)
from guidance_geometry.sweeps.comfyui.process import StartError
from guidance_geometry.verdict.features import features_of, length_over_end
from guidance_geometry.verdict.good_scales import GoodScales
from guidance_geometry.verdict.odds import ODDS

ORIGINAL = {  # the package's own networks, run by JAX, at three pixels of 3 cos(0.3 i + 0.7 j), t = 1
    ("ZTF", 32): (-3.95122, 2.49725, 0.90674),
    ("hsc", 32): (-4.17012, 2.96459, 1.20039),
    ("ZTF", 64): (-4.51053, 2.53644, -1.52181),
    ("hsc", 64): (-5.15571, 3.10145, -1.60155),
}


@pytest.fixture(scope="module")
def weights():
    try:
        return calibrate.galaxies_in(cells.CACHE)
    except StartError as fault:
        pytest.skip(f"the galaxies' weights cannot be fetched: {fault}")


@pytest.mark.parametrize(("survey", "side"), ORIGINAL)
def test_galaxies_are_scored_as_by_the_networks_of_their_package(weights, survey, side):
    i, j = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    network = galaxies.network(weights / galaxies.WEIGHTS.format(survey, side), side)
    score = network((3 * torch.cos(0.3 * i + 0.7 * j))[None, None], 1.0)[0, 0]
    assert [float(score[place]) for place in ((0, 0), (5, 10), (-1, -3))] == pytest.approx(
        ORIGINAL[survey, side], abs=2e-5
    )


def test_no_galaxy_without_guidance_is_called_burnt(weights, monkeypatch):
    """Some end so dark that a prediction is several times as long; none is longer than any unguided one."""
    monkeypatch.setattr(galaxies, "OWN", 4)
    world = galaxies.galaxy_worlds(weights)["galaxies-32"]
    _, trace = runs.record_run(world, runs.SAMPLERS["C"], 1.0, 24, 0)
    alone = [runs.Trace(trace.header, {**trace.steps, "K": trace.steps["K"][:, [k]]}, trace.stage) for k in range(24)]
    assert max(float(length_over_end(one).max()) for one in alone) > ODDS.sure
    assert max(features_of(one).overshoot for one in alone) <= 1


@pytest.mark.parametrize("name", unseen.made_worlds())
def test_pictures_of_an_unseen_world_differ_much_in_length(name):
    world: Any = unseen.made_worlds()[name]
    lengths = world.truth(400, 0).flatten(1).norm(dim=1)
    assert lengths.max() / lengths.min() > 4
    assert world.predictions(0, 4)(torch.zeros(4, *world.shape, dtype=torch.float64), 1.0)[0].isfinite().all()


def test_good_scales_are_those_of_the_pages_table():
    found = alarm.bands_in(page.PAGE.read_text(encoding="utf-8"))
    assert len(found) == 30
    band = found["pocket-1", "dpmpp_2m karras", "20"]
    assert (band.low, band.centre, band.high, band.open) == (1.9, 2.7, 3.8, False)
    assert found["mixture-32", "euler_ancestral karras", "20"].open
    own = [setting("pocket-1", key=key) for key in alarm.RULED]
    kinds = {(one.world, one.kind, str(runs.SAMPLERS[one.sampler].steps)) for one in own}
    assert kinds <= found.keys(), "every setting is found again by its words"
    with pytest.raises(SystemExit, match="no table of good scales"):
        alarm.bands_in("| a | b |")


def setting(world, lengths=(1.0, 1.5, 4.0), key="A", weak=None):
    """Runs of given overshoot without guidance, in the middle of the band, and four times as high."""
    rows = [np.array([[one, 0.0, 0.0, 0.1, far]] * 10) for one, far in zip(lengths, weak or lengths, strict=True)]
    parts = tuple(({"f1": row, "f4": row[:4], "f8": row[:2], "count": np.array(10)},) for row in rows)
    band = GoodScales(2.0, 3.0, 4.0)
    return evidence.Setting(world, key, (1.0, 3.0, 12.0), parts, (2.0, 1.0, 9.0), band)


def test_alarms_are_counted_by_size_of_batch_and_by_scale():
    own = [setting("a"), setting("a", (1.0, 3.0, 9.0), "B", weak=(1.0, 5.0, 9.0))]
    assert alarm.false_by_size(own, 4.0) == [0.5, 0.5, 0.5], "counted where the condition is blurred most"
    assert alarm.hits_by_size(own, 4.0, 3.5) == [1.0, 1.0, 1.0]
    assert all(math.isnan(one) for one in alarm.hits_by_size(own, 2.0, 3.5))
    assert alarm.alarms_at(own, 3.0, 2.0) == [0.5, 0.5, 0.5]
    assert alarm.alarms_without(own, 3.0) == (0, 32, 1.0)
    assert alarm.alarms_without(own, 0.5)[0] == 32


def test_the_limits_tell_the_worst_world_and_an_alarm_without_guidance():
    bad = limits.of_unseen({"dark": 0.01, "bright": 0.2})[0]
    assert (bad.holds, "bright" in bad.measured) == (False, True)
    assert [limits.without_guidance(count, 9, 1.0).holds for count in (0, 1)] == [True, False]
    assert limits.of_unseen({}) == []


def test_a_rule_is_said_to_push_further_only_with_a_sign_of_burning():
    card = setting("a")
    far = setting("a", (1.0, 1.5, 4.0), "A-apg")
    for seeds in far.cells:
        seeds[0]["f1"][:, 1], seeds[0]["f1"][:, 3] = 9.0, 9.0
    vain, by_lengths, found, missed = alarm.rates_of(alarm.Ruled(card, far), 2.0)
    assert (vain[0], by_lengths[0], found[0], missed[0]) == (0.0, 1.0, 1.0, 0.0)


def test_the_section_and_the_odds_are_written_and_nothing_else_changes(tmp_path, monkeypatch):
    options = calibrate.parsed_options(["--stage", "alarm", "--cache", str(tmp_path)])
    plan = cells.Plan(("C",), (0,), 24, (0.5, 1.0, 2.0))
    worlds = {"mixture-2": calibrate.exact_worlds()["mixture-2"], "sparse": unseen.made_worlds()["sparse"]}
    own = [cell for world in worlds.values() for cell in plan.cells(world, tmp_path)]
    for cell in own:
        cell.measure()
    calibrate.write_alarm(own, options)
    text, stated = (tmp_path / "verdict.md").read_text(), page.PAGE.read_text()
    heading = f"## {alarm.HEADING}\n"
    assert text.partition(heading)[0] == stated.partition(heading)[0]
    assert section_in(tmp_path / "verdict.md", alarm.HEADING).startswith(heading)
    assert "| sparse |" in text.partition(heading)[2]
    odds, before = (json.loads(path.read_text()) for path in (tmp_path / "odds.json", calibrate.ODDS))
    assert odds["burn"]["command"].endswith("/lab/verdict/calibrate.py --stage alarm")
    assert {name: part for name, part in odds.items() if name != "burn"} == {
        name: part for name, part in before.items() if name != "burn"
    }


def test_batches_are_of_one_label_and_evenly_chosen():
    found = batches.batches(24, 3, 4, 100)
    assert [{sample % 3 for sample in one} for one in found] == [{0}, {0}, {1}, {1}, {2}, {2}]
    assert sorted(sample for one in found for sample in one) == list(range(24))
    assert len(batches.batches(24, 3, 4, 4)) == 4
    assert batches.batches(24, 3, 9, 100) == []
