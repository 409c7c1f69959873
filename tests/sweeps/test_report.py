"""The report of a study, against numbers worked out by hand."""

import math
import re
from typing import Any

import pytest
import torch

from guidance_geometry.sweeps import report
from guidance_geometry.sweeps.axes import Axis
from guidance_geometry.sweeps.measures import Spread
from guidance_geometry.sweeps.report import NO_JUDGE, best_of, chance_of, effects, report_text, together

AXES = (Axis("cfg", (1, 4)), Axis("sampler", ("euler", "heun")), Axis("seed", (0, 1, 2)))


def rows_with(value, axes=AXES, measure="saturation"):
    """A row for every place; value: of a place."""
    places = torch.cartesian_prod(*(torch.arange(len(axis.values)) for axis in axes)).tolist()
    found = [{a.name: a.values[i] for a, i in zip(axes, place, strict=True)} for place in places]
    return [{"id": str(k), "place": place, "measures": {measure: value(place)}} for k, place in enumerate(found)]


# cfg 4 is above cfg 1 by 1, 2 and 3 at the seeds 0, 1 and 2; the sampler changes nothing.
ROWS = rows_with(lambda p: 10 + p["seed"] + (p["cfg"] == 4) * (1 + p["seed"]), measure="difference")


RANKED = re.compile(r"\b(lowest|highest|best|prefers)\b")


def test_two_settings_are_the_paired_t_test():
    # differences 1, 2, 3: mean 2, standard deviation 1, t = 2 / (1 / sqrt 3) with 2 degrees of freedom
    t = 2 * math.sqrt(3)
    assert chance_of([[10, 11, 12], [11, 13, 15]]) == pytest.approx(1 - t / math.sqrt(t**2 + 2))


def test_three_settings_by_hand():
    # means 2, 3, 7; draws 3, 5; between 2 (4 + 1 + 9) / 2 = 14; residuals 0, +-1, -+1: within 4 / 2 = 2, so F = 7
    # with one degree of freedom t = sqrt 7 is Cauchy's: p = 1 - 2 atan(t) / pi
    assert chance_of([[1, 3], [1, 5], [7, 7]]) == pytest.approx(1 - 2 * math.atan(math.sqrt(7)) / math.pi)


def test_what_has_no_chance_in_it():
    assert chance_of([[1, 2, 3], [1, 2, 3]]) == 1
    assert chance_of([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]) == 0
    assert all(math.isnan(chance_of(grid)) for grid in ([[1], [2]], [[1, 2]], []))


def test_the_effect_of_every_axis():
    cfg, sampler = effects(ROWS, AXES)
    assert {value: (s.mean, s.count) for value, s in cfg.means.items()} == {1: (11, 3), 4: (13, 3)}
    assert cfg.means[4].high - 13 == 13 - cfg.means[4].low == pytest.approx(4.302653 * 2 / math.sqrt(3))
    assert cfg.p == pytest.approx(2 * (1 - math.sqrt(12 / 14))), "one of two tests"
    assert sampler.p == 1
    axes = (*AXES, Axis("prompt", ("a cat", "a dog")))
    rows = rows_with(lambda p: p["cfg"] + p["seed"] + 5 * (p["prompt"] == "a cat"), axes)
    assert [e.axis for e in effects(rows, axes)] == ["cfg", "sampler"], "prompts are drawn as seeds are"
    assert next(iter(effects(rows, axes))).means[1].count == 6


def test_many_axes_share_one_chance_of_a_mistake():
    *known, unknown = together([0.02, 0.001, 0.03, math.nan])
    assert known == pytest.approx([0.04, 0.003, 0.04])
    assert math.isnan(unknown)
    assert together([0.03, 0.04]) == pytest.approx([0.06, 0.06])
    assert together([0.6, 0.7, 0.8]) == [1, 1, 1]


def judged(value, axes=AXES):
    return rows_with(value, axes, "judge")


MANY = (Axis("cfg", (1, 4)), Axis("sampler", ("euler", "heun")), Axis("seed", tuple(range(6))))


def test_the_judge_prefers_what_it_can_tell_apart():
    best: Any = best_of(judged(lambda p: -p["cfg"] - 0.01 * p["seed"] * p["cfg"]), ["cfg"])
    assert (best.setting, best.rivals) == ((("cfg", 1),), ())
    assert best.mean.mean == pytest.approx(-1.01)
    # cfg 4 is below cfg 1 by 1, 2 and 3: t = 2 sqrt 3 with 2 degrees of freedom, p .074
    close = judged(lambda p: -10 - p["seed"] - (p["cfg"] == 4) * (1 + p["seed"]))
    best = best_of(close, ["cfg"])
    assert best.rivals == ((("cfg", 4),),)
    assert best_of(close, []) is None


def test_without_a_judge_nothing_is_ranked_and_the_text_says_that_nothing_tells_quality():
    for measure in ("saturation", "strength", "evaluations", "seconds", "diversity"):
        text = report_text(rows_with(lambda p: p["cfg"] / 100 + 0.0001 * p["seed"], MANY, measure), MANY)
        assert "cfg (differs" in text or measure == "diversity", "one value for all seeds is one draw"
        assert NO_JUDGE in text
        assert not RANKED.search(text.replace(NO_JUDGE, "")), text


def test_a_judge_ranks_on_the_axes_that_make_a_difference_and_no_other_measure_does():
    rows = judged(lambda p: -p["cfg"] - 0.01 * p["seed"] * p["cfg"], MANY)
    for row in rows:
        row["measures"]["saturation"] = row["place"]["cfg"] / 100
    text = report_text(rows, MANY)
    assert NO_JUDGE not in text
    assert RANKED.findall(text) == ["best"]
    assert re.search(r"^  best for the judge: cfg 1: -1\.025 \(-1\.045 to -1\.005\)$", text, re.M)


def test_chance_alone_is_never_called_the_best():
    draws = torch.Generator().manual_seed(0)
    claims = 0
    for _ in range(100):
        text = report_text(judged(lambda _: -float(torch.rand((), generator=draws)), MANY), MANY)
        claims += bool(RANKED.search(text))
        assert bool(RANKED.search(text)) != ("the judge tells no setting from another" in text)
        assert not (RANKED.search(text) and text.count("not significant") == 2)
    assert claims <= 0.08 * 100


@pytest.mark.parametrize(
    ("spread", "unit", "words"),
    [
        ((0.0443812, 0.00012, 0.291), "percent", "4 % (0 to 29)"),
        ((0.10479, 0.09576, 0.11382), "number", "0.1048 (0.0958 to 0.1138)"),
        ((1.25, 0.94, 1.56), "seconds", "1.25 s (0.94 to 1.56)"),
        ((-0.07, -0.82, 0.0), "number", "-0.07 (-0.82 to 0.00)"),
    ],
)
def test_a_mean_has_no_more_digits_than_its_interval(spread, unit, words):
    assert report._number(Spread(*spread, count=3), unit) == words


def test_a_study_of_one_draw_tells_no_difference():
    axes = AXES[:2]
    text = report_text(rows_with(lambda p: p["cfg"], axes), axes)
    assert "cfg (too few draws to tell): 1: 100 %, 4: 400 %" in text
    assert text.endswith("Too few draws to tell any difference. Run more seeds or prompts.\n")
    assert report_text([], AXES).startswith("There is nothing to compare")


def test_what_the_judge_cannot_tell_apart_is_named_together():
    axes = (Axis("cfg", (1, 4, 8)), MANY[2])
    wobble = (0.1, -0.1, 0.2, -0.2, 0.15, -0.15)
    rows = judged(lambda p: -5.0 * (p["cfg"] == 1) - 1 - wobble[p["seed"]] * (p["cfg"] == 8), axes)
    text = report_text(rows, axes)
    assert re.search(r"prefers one of these, and it cannot be told which: cfg (4; cfg 8|8; cfg 4)\n", text)
    assert "best" not in text
