"""A sweep is the runs that it names, one a row."""

import json

import pytest
import torch

from guidance_geometry import library as gg
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.library.classifiers import exact_classifier
from guidance_geometry.library.recording import Recording, record
from guidance_geometry.library.sampling import karras
from guidance_geometry.library.sweeping import sweep

from .worlds import DENOISER, SIGMAS, WORLD


def sure(x):
    return WORLD.label_log_prob(x, 0.02)[:, 1].exp()


def rows(**axes):
    return sweep(DENOISER, (2, 3, 8, 8), SIGMAS, cond=1, axes=axes, measures={"sure": sure})


def halfway(u, c, x, gamma, sigma):
    return c + (gamma - 1) / 2 * (c - u)


def test_every_combination_has_a_row():
    found = rows(gamma=[1.0, 4.0], rule={"plain": None, "APG": AdaptiveProjected()}, sampler=["ddpm"], seed=range(2))
    assert [(row["gamma"], row["rule"], row["seed"]) for row in found] == [
        (gamma, rule, seed) for gamma in (1.0, 4.0) for rule in ("plain", "APG") for seed in (0, 1)
    ]
    assert {row["evaluations"] for row in found if row["gamma"] == 1} == {8}
    assert all(row["seconds"] > 0 for row in found)


def test_a_row_is_the_run_by_itself():
    (row,) = rows(gamma=[3.0], sampler=["ddpm"], seed=[7])
    start = SIGMAS[0] * torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(7))
    run = record(DENOISER, SIGMAS, cond=1, gamma=3.0)
    trace = run.sample(start, "ddpm", seed=7)
    assert row["sure"] == float(sure(run.end).double().mean())
    assert row["M1"] == pytest.approx(float(trace.column("M1").quantile(0.5, dim=0).mean()))
    (same,) = rows(cfg=[3.0], sampler=["ddpm"], seed=[7])
    assert list(same) == ["cfg", *list(row)[1:]], "the scale goes by either word"
    assert (same["M1"], same["sure"]) == (row["M1"], row["sure"])


WRONG = [
    ({"cgf": [1]}, "Unknown axis cgf. There are gamma, rule"),
    ({"steps": [4]}, "steps needs sigmas as a function"),
    ({"seed": 3}, r"The axis seed is 3, but needs a list of values: \{'seed': \[3\]\}"),
    ({"seed": range(1000), "gamma": range(1, 1001)}, "1,000,000 cells"),
    ({"APF.eta": [0], "rule": [AdaptiveProjected()]}, r"There are AdaptiveProjected\.eta"),
]


@pytest.mark.parametrize(("axes", "words"), WRONG)
def test_a_wrong_axis_is_refused_before_the_first_run(axes, words, monkeypatch):
    monkeypatch.setattr(Recording, "sample", None)
    with pytest.raises(ValueError, match=words):
        rows(**axes)


def test_steps_schedules_and_labels_are_axes():
    found = sweep(DENOISER, (1, 3, 8, 8), karras, cond=0, axes={"steps": [3, 5], "label": [1, 2]}, progress=False)
    assert [(row["steps"], row["label"], row["evaluations"]) for row in found] == [
        (steps, label, 2 * steps) for steps in (3, 5) for label in (1, 2)
    ]
    (own,) = sweep(DENOISER, (1, 3, 8, 8), karras(5), cond=2, axes={})
    assert own["M1"] == found[3]["M1"] != found[2]["M1"]
    schedules = {"karras": karras(5), "short": karras(3)}
    (first, last) = sweep(DENOISER, (1, 3, 8, 8), SIGMAS, cond=2, axes={"scheduler": schedules})
    assert (first["scheduler"], first["M1"], last["evaluations"]) == ("karras", own["M1"], 6)
    with pytest.raises(ValueError, match="number of steps is needed"):
        sweep(DENOISER, (1, 3, 8, 8), karras, cond=2, axes={})


HALFWAY = "def halfway(u, c, x, gamma, sigma):\n    return c + (gamma - 1) / {} * (c - u)\n"


def test_a_rule_in_a_file_is_a_value(tmp_path):
    file = tmp_path / "my_rule.py"
    file.write_text(HALFWAY.format(2))
    plain, own, there = rows(rule=["cfg", halfway, f"{file}:halfway"])
    assert (plain["M19"], plain["M19a"]) == pytest.approx((4.0, 0.0), abs=1e-4)
    assert (own["M19"], own["M19a"]) == pytest.approx((2.5, 0.0), abs=1e-4), "at which plain scale it stands"
    assert there["rule"] == f"{file}:halfway"
    assert [there[name] for name in ("M1", "sure", "M19")] == [own[name] for name in ("M1", "sure", "M19")]
    assert plain["M1"] != own["M1"]


@pytest.fixture
def counted(monkeypatch):
    """How many runs began."""
    ran, real = [], Recording.sample
    monkeypatch.setattr(Recording, "sample", lambda run, *given: ran.append(run) or real(run, *given))
    return ran


def test_what_a_folder_holds_is_not_run_again_and_says_the_same(tmp_path, counted):
    pytest.importorskip("scipy", reason="the report of a sweep needs scipy: pip install '.[studies]'")
    file = tmp_path / "my_rule.py"
    file.write_text(HALFWAY.format(2))
    label = LabelEnergy(exact_classifier(WORLD), ((1,),))

    def swept(gammas=(1.0, 3.0), **more):
        axes = {"gamma": gammas, "rule": {"plain": None, "half": f"{file}:halfway"}, "seed": range(2)}
        return sweep(DENOISER, (2, 3, 8, 8), SIGMAS, cond=1, axes=axes, folder=tmp_path / "out", progress=False, **more)

    first = swept(measures={"judge": label})
    assert len(counted) == len(first) == 8
    assert repr(swept(measures={"judge": label})) == repr(first)
    assert len(counted) == 8, "nothing ran again"
    assert [row["gamma"] for row in swept((3.0, 5.0), measures={"judge": label})][::4] == [3.0, 5.0]
    assert len(counted) == 12, "only what is new ran"
    swept(measures={"judge": label, "sure": sure})
    assert len(counted) == 20, "a measure that is new needs the samples"
    file.write_text(HALFWAY.format(3))
    swept(measures={"judge": label, "sure": sure})
    assert len(counted) == 24, "so does a rule that was changed"
    shown = [row["place"] for row in json.loads((tmp_path / "out" / "results.json").read_text())["rows"]]
    assert [sum(one["rule"] == rule for one in shown) for rule in ("plain", "half")] == [6, 4], "5.0 of the old is out"


def test_a_folder_has_the_page_of_a_sweep(tmp_path):
    pytest.importorskip("scipy", reason="the report of a sweep needs scipy: pip install '.[studies]'")
    judges = {"judge": LabelEnergy(exact_classifier(WORLD), ((1,),)), "sure": sure}
    axes = {"gamma": [1.0, 3.0], "seed": range(3)}
    found = sweep(DENOISER, (2, 3, 8, 8), SIGMAS, cond=1, axes=axes, measures=judges, folder=tmp_path, progress=False)
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {*["index.html", "report.txt", "sheet.png", "results.csv", "results.json", "plan.json", "cells"]}
    kept = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["measures"]["judge"] for row in kept] == [row["judge"] for row in found]
    assert [row["measures"]["strength"] for row in kept][3:] == [row["M1"] for row in found][3:]
    report = (tmp_path / "report.txt").read_text()
    assert "Judge, mean log-probability" in report
    assert "\nsure\n" in report
    with pytest.raises(ValueError, match="holds the results of another plan"):
        sweep(DENOISER, (1, 3, 8, 8), SIGMAS, cond=1, axes=axes, folder=tmp_path)


def test_a_sweep_that_is_broken_off_leaves_its_page_and_goes_on(tmp_path, counted):
    pytest.importorskip("scipy", reason="the report of a sweep needs scipy: pip install '.[studies]'")
    begin = {"axes": {"gamma": [1.0, 2.0, 3.0]}, "folder": tmp_path, "progress": False}

    def broken(x):
        if len(counted) == 2:
            raise KeyboardInterrupt
        return sure(x)

    with pytest.raises(KeyboardInterrupt):
        sweep(DENOISER, (1, 3, 8, 8), SIGMAS, cond=1, measures={"sure": broken}, **begin)
    assert len(json.loads((tmp_path / "results.json").read_text())["rows"]) == 1
    assert len(sweep(DENOISER, (1, 3, 8, 8), SIGMAS, cond=1, measures={"sure": sure}, **begin)) == 3
    assert len(counted) == 4


def test_a_knob_of_a_rule_is_an_axis():
    owner = "APG"
    found = rows(**{f"{owner}.eta": [0.0, 0.5], "rule": {"plain": None, "APG": AdaptiveProjected()}})
    assert [(row["rule"], row[f"{owner}.eta"]) for row in found] == [
        (rule, eta) for rule in ("plain", "APG") for eta in (0.0, 0.5)
    ]
    (own,) = rows(rule=[AdaptiveProjected(0.5)])
    assert found[3]["M1"] == own["M1"] != found[2]["M1"]
    assert found[0]["M1"] == found[1]["M1"]
    for axis, words in (("APG.etta", "Did you mean eta"), ("APG.eta", "cannot take the place of 0.0")):
        with pytest.raises(ValueError, match=words):
            rows(**{axis: ["high"], "rule": [AdaptiveProjected(0.0)]})


def test_the_denoiser_itself_says_how_strongly_its_samples_show_the_prompt_and_how_strange_they_are():
    exact = gg.ExactDenoiser(gg.make_mixture((2, 12, 12), 4, seed=0))
    rows = gg.sweep(
        exact, (8, 2, 12, 12), gg.karras(20), [0, 1, 2, 3] * 2,
        axes={"gamma": [0.0, 1.0, 8.0]}, measures=["prompt_strength", "denoising_ratio"], progress=False,
    )  # fmt: skip
    strengths = [row["prompt_strength"] for row in rows]
    assert strengths == sorted(strengths)
    assert abs(strengths[0]) < 0.4 < 0.7 < strengths[1] < 1.3 < strengths[2]
    assert all(0.7 < row["denoising_ratio"] < 1.3 for row in rows)
