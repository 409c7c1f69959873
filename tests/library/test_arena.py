"""An arena finds a rule that is better, tells a copy of plain guidance from nothing, and runs no cell twice."""

import json
import math
from functools import cached_property

import pytest
import torch
from jsonschema import Draft202012Validator

from guidance_geometry.cli import arena as command
from guidance_geometry.guidance.mixture import GaussianMixture
from guidance_geometry.guidance.registry import every_rule
from guidance_geometry.library.arena import cells, run, worlds
from guidance_geometry.library.arena.arena import nearest_cfg
from guidance_geometry.library.arena.distances import Moments, energy_distance, frechet_by_label
from guidance_geometry.library.arena.entrants import LEFT_OUT, PLAIN_GUIDANCE, Entrant, pack_entrants, read_entrants
from guidance_geometry.library.arena.run import Size, run_arena
from guidance_geometry.library.arena.standing import BETTER, SAME, WORSE, kendall
from guidance_geometry.library.arena.tuning import tune
from guidance_geometry.tests.project import ROOT

SCHEMA = json.loads((ROOT / "docs" / "which-rule.schema.json").read_text(encoding="utf-8"))
SIZE = Size(40, 0)


WRONG = torch.tensor([0.0, 0.2])


class Crooked(worlds.Sloppy):
    """It is wrong in the second value, with a label and without, so that no scale of plain guidance mends it."""

    def __call__(self, x, sigma, label=None):
        return super().__call__(x, sigma, label) - WRONG


class Bars(worlds.ExactWorld):
    """Two classes of one component each, that labels mix up, and a crooked network."""

    @cached_property
    def mixture(self):
        means = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
        return GaussianMixture(means, torch.full((2,), 0.25), torch.zeros(2), torch.arange(2))

    @cached_property
    def denoiser(self):
        return Crooked(self.mixture, self.wrong)


WORLD = Bars("bars", "Two bars.", shape=(2,), classes=2, wrong=0.5)


def mends(u, c, x, gamma, sigma):
    """Plain guidance of the network as it should be."""
    return c + (gamma - 1) * (c - u) + WRONG


def pushes_away(u, c, x, gamma, sigma):
    """Plain guidance that makes it worse."""
    return c + (gamma - 1) * (c - u) + 3 * -WRONG


def entrant(function):
    return Entrant(function.__name__, lambda other, values: function)


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(worlds, "STEPS", 6)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "STEPS", 6)
        rules = [PLAIN_GUIDANCE, entrant(plain_copy), entrant(mends), entrant(pushes_away), entrant(breaks)]
        return run_arena(rules, [WORLD], tmp_path_factory.mktemp("arena"), SIZE)


def plain_copy(u, c, x, gamma, sigma):
    return u + gamma * (c - u)


def breaks(u, c, x, gamma, sigma):
    raise ZeroDivisionError("so it does")


def verdicts(found, rule, beside):
    (world,) = found["worlds"]
    return [row[beside]["distance"]["verdict"] for row in world["rows"] if row["rule"] == rule]


def test_a_planted_better_rule_is_found_and_a_worse_one(found):
    assert verdicts(found, "mends", "against_plain") == [BETTER, BETTER]
    assert verdicts(found, "mends", "beyond") == [BETTER, BETTER]
    assert set(verdicts(found, "pushes_away", "against_plain")) == {WORSE}
    assert set(verdicts(found, "pushes_away", "against_chosen")) == {WORSE}


def test_a_copy_of_plain_guidance_is_not_told_apart_from_it(found):
    for rule in ("cfg", "plain_copy"):
        assert verdicts(found, rule, "against_plain") == [SAME, SAME]
        assert verdicts(found, rule, "beyond") == [SAME, SAME]
        rows = [row for row in found["worlds"][0]["rows"] if row["rule"] == rule]
        assert [row["cfg"] for row in rows] == [4, 8]
        assert all(row["along"] == pytest.approx(1) and row["scale"] == pytest.approx(row["cfg"]) for row in rows)


def test_a_rule_that_fails_has_its_reason_in_the_place_of_a_row(found):
    assert "so it does" in found["worlds"][0]["failed"]["breaks"]
    assert not verdicts(found, "breaks", "against_plain")


def test_the_result_is_what_its_schema_says(found):
    closed = {**SCHEMA, "additionalProperties": False}
    for part in closed["$defs"].values():
        if "properties" in part:
            part["additionalProperties"] = False
    Draft202012Validator(closed).validate(json.loads(json.dumps(found)))
    with pytest.raises(Exception, match="seeds"):
        Draft202012Validator(closed).validate({name: v for name, v in found.items() if name != "seeds"})


def test_what_is_done_is_not_run_again_and_a_damaged_cell_is(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(cells, "run_cell", lambda *words, real=cells.run_cell: calls.append(words) or real(*words))
    first = run_arena([entrant(plain_copy)], [WORLD], tmp_path, Size(6, 0))
    assert len(calls) > 20
    calls.clear()
    files = sorted((tmp_path / run.CELLS).rglob("*.safetensors"))
    files[0].write_bytes(files[0].read_bytes()[:100])
    files[1].unlink()
    assert run_arena([entrant(plain_copy)], [WORLD], tmp_path, Size(6, 0)) == first
    assert len(calls) == 2


def test_a_rule_file_gets_its_row_by_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "worlds", lambda: {"bars": WORLD})
    (tmp_path / "mine.py").write_text("def half(u, c, x, gamma, sigma):\n    return c + (gamma - 1) / 2 * (c - u)\n")
    words = [f"{tmp_path / 'mine.py'}:half", "TCFG", "--seeds", "6", "--trials", "0", "--output", str(tmp_path / "out")]
    assert command.main(words) == 0
    assert "| mine.py:half | " in capsys.readouterr().out
    written = json.loads((tmp_path / "out" / run.RESULT).read_text())
    rows = {(row["rule"], row["at"]): row for row in written["worlds"][0]["rows"]}
    assert [name for name, _ in rows] == ["mine.py:half"] * 2 + ["Tangential"] * 2
    assert rows["mine.py:half", 4.0]["cfg"] == pytest.approx(7, rel=0.1)  # half of what lies beyond c
    assert "## bars" in (tmp_path / "out" / run.TABLE).read_text(encoding="utf-8")


BAD = {  # words, and what is said of them
    "no_such_rule": "There is no rule 'no_such_rule'.",
    "Rescal": "Did you mean Rescale?",
    "PartScale": "PartScale cannot take part: it needs a sample of two parts",
    "nowhere.py:rule": "names no file",
    "APG + Formula": "Formula cannot take part",
}


@pytest.mark.parametrize("word", BAD)
def test_what_is_no_rule_gets_its_sentence_before_any_work(word, tmp_path, capsys):
    assert command.main([word, "--trials", "0", "--output", str(tmp_path / "out")]) == 2
    assert BAD[word] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_rule_that_fails_at_its_first_step_and_an_unknown_world_are_told_before_any_work(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("def rule(u, c, x, gamma, sigma):\n    return u.guided\n")
    for words in ([f"{tmp_path / 'mine.py'}:rule"], ["cfg", "--worlds", "exakt"]):
        assert command.main([*words, "--trials", "0", "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "fails at its first step" in said
    assert "There is no world 'exakt'. Did you mean exact?" in said
    assert not (tmp_path / "out").exists()


def test_every_rule_of_the_pack_takes_part_or_there_is_a_reason():
    assert pack_entrants().keys() | LEFT_OUT.keys() == every_rule().keys()
    assert not pack_entrants().keys() & LEFT_OUT.keys()
    for one in pack_entrants().values():
        assert not all(rule.neutral for rule in one.rule([1, 0], {}).rules), one.name
        usual = {name: one.usual[name] for name in one.space}
        for name, place in one.space.items():
            assert usual[name] in place.choices or place.low <= usual[name] <= place.high, (one.name, name)
        assert one.rule([1, 0], usual).text == one.rule([1, 0], {}).text


def test_a_chain_and_other_names_of_a_rule_are_read():
    (one, chain) = read_entrants(["APG (Adaptive Projected Guidance)", "TCFG + GGRescale"])
    assert one.name == "AdaptiveProjected"
    assert [type(rule).__name__ for rule in chain.rule([0], {}).rules] == ["Tangential", "Rescale"]


def test_a_strength_is_looked_for_between_two_scales_and_else_the_nearest_is_taken():
    assert nearest_cfg((1.0, 2.0, 4.0), (1.0, 2.0, 3.0), 2.5) == 2.83
    assert nearest_cfg((1.0, 2.0, 4.0), (1.0, 2.0, 3.0), 3.0) == 4.0
    assert nearest_cfg((1.0, 2.0, 4.0), (1.0, 2.0, 1.5), 9.0) == 2.0
    assert nearest_cfg((1.0, 2.0, 4.0), (1.5, 2.0, 3.0), 1.0) == 1.0


def test_the_energy_distance_is_that_of_its_formula_and_is_0_for_true_samples():
    draws = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, 2, 3, generator=draws, dtype=torch.float64) for n in (400, 500))
    far = torch.stack([torch.cdist(x[:, k], y[:, k]).mean(dim=1) for k in (0, 1)], dim=1)
    apart = torch.stack([torch.cdist(x[:, k], x[:, k]) for k in (0, 1)])
    size = torch.stack([torch.cdist(y[:, k], y[:, k]).sum() / (500 * 499) for k in (0, 1)])
    ones = torch.ones(1, 400, 2, dtype=torch.float64)
    within = apart.sum(dim=(1, 2)) / (400 * 399)
    expected = ((2 * far.mean(dim=0) - within - size) / size).mean()
    assert energy_distance(far, apart, size, ones)[0] == pytest.approx(expected)
    assert abs(expected) < 0.01
    assert energy_distance(far, apart, size, 2 * ones)[0] == pytest.approx(float(expected), abs=0.01)


def test_the_class_wise_distance_is_the_one_between_gaussians():
    """Of one label and diagonal covariances it is |m - m'|^2 + sum (s - s')^2."""
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 2, generator=draws, dtype=torch.float64) * torch.tensor([1.0, 2.0]) + 3
    true = Moments(torch.tensor([[1.0, 3.0]]).double(), torch.diag(torch.tensor([4.0, 4.0])).double())
    found = frechet_by_label(x, true, torch.ones(1, 20_000, 1, dtype=torch.float64))
    assert float(found) == pytest.approx(4 + 1, rel=0.05)


def test_kendalls_tau():
    one, other = dict(zip("abcd", (1, 2, 3, 4), strict=True)), dict(zip("abcd", (1, 2, 4, 3), strict=True))
    assert kendall(one, other) == (pytest.approx(4 / 6), 6)
    assert kendall(one, other, only={("c", "d")}) == (-1, 1)
    assert math.isnan(kendall(one, one, only=set())[0])


def test_tuning_comes_near_the_best_cfg_and_skips_what_does_not_fit():
    pytest.importorskip("optuna")

    def distance(cfg, knobs):
        if knobs["phi"] > 0.9:
            raise ValueError("no")
        return abs(math.log(cfg / 2)) + knobs["phi"]

    rule = pack_entrants()["Rescale"]
    cfg, knobs = tune(rule, distance, 40, seed=1)
    assert distance(cfg, knobs) < 0.4
    assert tune(rule, distance, 40, seed=1) == (cfg, knobs)
