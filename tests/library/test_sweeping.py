"""A sweep is the runs that it names, one a row."""

import pytest
import torch

from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.library.recording import Recording, record
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


def test_a_row_tells_at_which_plain_scale_its_run_stands():
    plain, half, turned = rows(rule=[None, halfway, AdaptiveProjected()])
    assert (plain["M19"], plain["M19a"]) == pytest.approx((4.0, 0.0), abs=1e-4)
    assert (half["M19"], half["M19a"]) == pytest.approx((2.5, 0.0), abs=1e-4)
    assert turned["M19a"] > 0.05


def test_a_function_that_changes_guidance_is_named():
    run = record(DENOISER, SIGMAS, cond=1, gamma=4.0, rule=halfway)
    told = run.sample(SIGMAS[0] * torch.randn(2, 3, 8, 8)).report()
    assert told.findings[0].text() == "halfway changes guidance: cfg 4 acts like 2.5."


def test_rules_without_a_name_have_their_own():
    found = rows(rule=[None, halfway, AdaptiveProjected(0.5)])
    assert [row["rule"][:11] for row in found] == ["CFG", "halfway", "APG eta 0.5"]


WRONG = [
    ({"cfg": [1]}, "Unknown axis cfg. There are gamma, rule"),
    ({"gamma": []}, "The axis gamma is empty"),
    ({"gamma": [1.0, float("nan")]}, "gamma is nan"),
    ({"seed": 3}, r"The axis seed is 3, but needs a list of values: \{'seed': \[3\]\}"),
    ({"sampler": "ddpm"}, "The axis sampler is 'ddpm', but needs a list"),
    ({"sampler": ["euler", "heun"]}, "'heun' is unknown"),
    ({"rule": [None, lambda u, c: c]}, "is called with"),
]


@pytest.mark.parametrize(("axes", "words"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_axis_is_refused_before_the_first_run(axes, words, monkeypatch):
    monkeypatch.setattr(Recording, "sample", None)
    with pytest.raises(ValueError, match=words):
        rows(**axes)


@pytest.mark.parametrize("name", ["gamma", "sampler"])
def test_an_axis_beside_the_axes_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name} is an axis. Give it as axes=\{{'{name}': \[1\]\}}"):
        sweep(DENOISER, (2, 3, 8, 8), SIGMAS, cond=1, axes={}, **{name: 1})
