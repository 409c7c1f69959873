"""The report of a study, against numbers worked out by hand."""

import math

import pytest
import torch

from guidance_geometry.studies import report
from guidance_geometry.studies.axes import Axis
from guidance_geometry.studies.report import (
    bests,
    chance_of,
    effects,
    grid_of,
    report_text,
    share_of,
    significant,
    student_tail,
)

AXES = (Axis("cfg", (1, 4)), Axis("sampler", ("euler", "heun")), Axis("seed", (0, 1, 2)))


def rows_with(value, axes=AXES, measure="saturation"):
    """A row for every place; value: of a place."""
    places = torch.cartesian_prod(*(torch.arange(len(axis.values)) for axis in axes)).tolist()
    found = [{a.name: a.values[i] for a, i in zip(axes, place, strict=True)} for place in places]
    return [{"id": str(k), "place": place, "measures": {measure: value(place)}} for k, place in enumerate(found)]


# cfg 4 is above cfg 1 by 1, 2 and 3 at the seeds 0, 1 and 2; the sampler changes nothing.
ROWS = rows_with(lambda p: 10 + p["seed"] + (p["cfg"] == 4) * (1 + p["seed"]))


@pytest.mark.parametrize(
    ("t", "freedom", "p"),
    [(1, 1, 0.5), (math.sqrt(2), 2, 1 - math.sqrt(0.5)), (12.7062, 1, 0.05), (3.18245, 3, 0.05), (2.04227, 30, 0.05)],
)
def test_the_tail_of_student(t, freedom, p):
    assert student_tail(t, freedom) == pytest.approx(p, abs=2e-6)
    assert (student_tail(0, freedom), student_tail(math.inf, freedom)) == (1, pytest.approx(0, abs=1e-15))


def test_two_settings_are_the_paired_t_test():
    # differences 1, 2, 3: mean 2, standard deviation 1, t = 2 / (1 / sqrt 3) with 2 degrees of freedom
    t = 2 * math.sqrt(3)
    assert chance_of([[10, 11, 12], [11, 13, 15]]) == pytest.approx(1 - t / math.sqrt(t**2 + 2))


def test_three_settings_by_hand():
    # means 2, 3, 7; draws 3, 5; between 2 (4 + 1 + 9) / 2 = 14; residuals 0, +-1, -+1: within 4 / 2 = 2, so F = 7
    assert chance_of([[1, 3], [1, 5], [7, 7]]) == pytest.approx(student_tail(math.sqrt(7), 1))


def test_what_has_no_chance_in_it():
    assert chance_of([[1, 2, 3], [1, 2, 3]]) == 1
    assert chance_of([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]) == 0
    assert all(math.isnan(chance_of(grid)) for grid in ([[1], [2]], [[1, 2]], []))


def test_an_axis_without_a_difference_is_told_so_as_often_as_it_says():
    draws = torch.randn(2000, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wrong = sum(chance_of(grid) < 0.05 for grid in draws.tolist()) / 2000
    pairs = sum(chance_of(grid[:2]) < 0.05 for grid in draws.tolist()) / 2000
    assert (wrong < 0.05, 0.04 < pairs < 0.06) == (True, True), (wrong, pairs)


def test_the_effect_of_every_axis():
    cfg, sampler = effects(ROWS, AXES)
    assert {value: (s.mean, s.count) for value, s in cfg.means.items()} == {1: (11, 3), 4: (13, 3)}
    assert cfg.means[4].half == pytest.approx(4.303 * 2 / math.sqrt(3))
    assert cfg.p == pytest.approx(1 - math.sqrt(12 / 14))
    assert sampler.p == 1


def test_prompts_are_drawn_as_seeds_are():
    axes = (*AXES, Axis("prompt", ("a cat", "a dog")))
    rows = rows_with(lambda p: p["cfg"] + p["seed"] + 5 * (p["prompt"] == "a cat"), axes)
    assert [e.axis for e in effects(rows, axes)] == ["cfg", "sampler"]
    assert next(iter(effects(rows, axes))).means[1].count == 6


def test_only_draws_with_every_cell_are_compared():
    assert grid_of(ROWS[:-1], "saturation", ["cfg"]) == {(("cfg", 1),): [10, 11], (("cfg", 4),): [11, 13]}
    lone = [row for row in ROWS if row["place"]["cfg"] == 1]
    assert grid_of(lone, "saturation", ["cfg"]) == {(("cfg", 1),): [10, 11, 12]}


def test_many_axes_share_one_chance_of_a_mistake():
    found = [report.Effect("m", name, {}, p) for name, p in (("a", 0.02), ("b", 0.001), ("c", 0.03), ("d", math.nan))]
    assert significant(found) == [True, True, True, False]
    assert significant([report.Effect("m", "a", {}, 0.03), report.Effect("m", "b", {}, 0.04)]) == [False, False]


def test_the_best_setting_has_its_rivals_and_its_share():
    (best,) = bests(ROWS, AXES)
    assert best.setting == (("cfg", 1), ("sampler", "euler"))
    assert (best.mean.mean, best.share) == (11, 1)
    # cfg 4 differs by 2 on average, half 4.303 / sqrt 3 = 2.48: not told apart
    assert set(best.rivals) == {(("cfg", c), ("sampler", s)) for c in (1, 4) for s in ("euler", "heun")} - {
        best.setting
    }
    far = rows_with(lambda p: p["cfg"] + 0.01 * p["seed"])
    assert next(bests(far, AXES)).rivals == ((("cfg", 1), ("sampler", "heun")),)
    assert next(bests(rows_with(lambda p: p["cfg"], measure="diversity"), AXES)).setting[0] == ("cfg", 4)
    assert list(bests(rows_with(lambda p: p["cfg"], measure="strength"), AXES)) == []


def test_how_often_a_setting_is_best_is_that_of_its_draws():
    # of two draws, the second setting is ahead only where the draw in which it leads is drawn twice: 1 time in 4
    values = torch.tensor([[3.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert share_of(values, 0) == pytest.approx(0.75, abs=0.04)
    assert math.isnan(share_of(values[:, :1], 0))


def test_the_text_says_what_differs_and_what_does_not():
    axes = (Axis("cfg", (1, 4)), Axis("sampler", ("euler", "heun")), Axis("seed", tuple(range(6))))
    text = report_text(rows_with(lambda p: p["cfg"] / 100 + 0.0001 * p["seed"], axes), axes)
    assert text.startswith("24 cells, 6 draws of seeds and prompts.")
    assert "cfg (differs, p < 0.0001): 1: 1.025 \u00b1 0.020 %, 4: 4.025 \u00b1 0.020 %" in text
    assert "sampler (not significant, p 1): euler: 2.525 \u00b1 0.020 %" in text
    assert "lowest: cfg 1, sampler euler: 1.025 \u00b1 0.020 %; lowest in 100 % of resamples of the draws." in text
    assert "Not told apart: cfg 1, sampler heun." in text
    assert text.endswith("No significant difference in any measure: sampler.\n")


def test_a_study_of_one_draw_tells_no_difference():
    axes = AXES[:2]
    text = report_text(rows_with(lambda p: p["cfg"], axes), axes)
    assert "cfg (too few draws to tell): 1: 100 %, 4: 400 %" in text
    assert text.endswith("Too few draws to tell any difference. Run more seeds or prompts.\n")
    assert report_text([], AXES).startswith("There is nothing to compare")


@pytest.mark.parametrize(
    ("mean", "half", "unit", "words"),
    [
        (0.0443812, 0.1371, "percent", "4 \u00b1 14 %"),
        (0.10479, 0.00903, "number", "0.1048 \u00b1 0.0090"),
        (35.0, 0.0, "number", "35"),
        (0.3123, math.nan, "number", "0.3123"),
        (1.25, 0.31, "seconds", "1.25 \u00b1 0.31 s"),
    ],
)
def test_a_mean_has_no_more_digits_than_its_interval(mean, half, unit, words):
    assert report._number(report.Spread(mean, half, 3), unit) == words


def test_a_study_in_which_every_axis_counts_says_so():
    axes = (Axis("cfg", (1, 4)), Axis("seed", tuple(range(6))))
    text = report_text(rows_with(lambda p: p["cfg"] + 0.01 * p["seed"], axes), axes)
    assert text.endswith("Every axis of which anything can be told makes a difference in some measure.\n")
