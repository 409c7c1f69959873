"""Every schedule of gamma over the range of its widgets, in short and long runs, at the ends and close to them."""

import itertools
import math

import pytest

from guidance_geometry.guidance.knobs import knobs
from guidance_geometry.guidance.rules.plus_plus import PlusPlus
from guidance_geometry.guidance.rules.schedule import SHAPES, ScaleSchedule
from guidance_geometry.guidance.run import Run

RUNS = [Run(tuple(10.0 * (1 - i / n) for i in range(n + 1))) for n in (1, 2, 3, 20, 1000)]
FLOW_RUNS = [Run(tuple(1 - i / n for i in range(n + 1)), flow=True) for n in (1, 2, 20)]
POWERS = (0.1, 1.0, 10.0)  # the widget's range is 0.1 to 10
STEPS = knobs(PlusPlus)["step_of"].choices
WEIGHTS = ((0.0, 1.0), (10.0, -10.0), (1.0, 0.0))
LARGEST = 1e6  # of a weight between -10 and 10, times what a valley reaches in 1,000 steps


def levels(run):
    """Noise levels at the first step, a hair later, in the middle, at the last step, and at the end."""
    first, last = run.sigmas[0], run.sigmas[-2]
    return (2 * first, first, first * (1 - 1e-9), first * (1 - 1e-4), first / 2, last * (1 + 1e-9), last, last / 2, 0.0)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_finite_over_the_range_of_its_widgets(shape, power):
    for run, (start, end) in itertools.product((*RUNS, *FLOW_RUNS), WEIGHTS):
        schedule = ScaleSchedule(shape, start, end, power)
        found = [schedule.scale(7.5, run, sigma) for sigma in levels(run)]
        assert all(abs(gamma) < LARGEST for gamma in found), (run.steps, found)


def test_a_valley_is_the_formula_between_its_walls_and_held_half_a_step_away_from_them():
    run, valley = RUNS[3], ScaleSchedule("beta", power=0.5)
    weights = [valley.scale(2.0, run, sigma) - 1 for sigma in run.sigmas[:-1]]
    ends = (4 * 0.5 / 20 * (1 - 0.5 / 20)) ** -0.5
    inner = [(4 * i / 19 * (1 - i / 19)) ** -0.5 for i in range(1, 19)]
    assert weights == pytest.approx([ends, *inner, ends])
    assert weights[0] == max(weights)


@pytest.mark.parametrize("sigmas", [(10.0, 10.0, 1.0, 0.0), (10.0, 0.0, 0.0), (0.0, 10.0, 0.0), (10.0, 0.0, 5.0, 0.0)])
@pytest.mark.parametrize(("step_of", "eta"), itertools.product(STEPS, (0.0, 1.0)))
def test_cfg_plus_plus_is_lambda_where_a_step_does_not_lower_the_noise(sigmas, step_of, eta):
    for scale in (1.0, 0.05):
        run = Run(tuple(scale * sigma for sigma in sigmas))
        flow = Run(tuple(sigma / 10 for sigma in sigmas), flow=True)
        for one in (run, flow):
            found = [PlusPlus(step_of, eta).scale(0.6, one, sigma) for sigma in one.sigmas]
            assert all(math.isfinite(gamma) for gamma in found)


@pytest.mark.parametrize("flow", [False, True], ids=["ve", "flow"])
def test_cfg_plus_plus_is_finite_where_two_levels_differ_in_their_last_bit(flow):
    for level in (0.9, 0.5, 0.24222586006023628, 0.11239757415151286):  # the last two have the same noise per signal
        run = Run((level, math.nextafter(level, 0.0), 0.0), flow)
        assert all(math.isfinite(PlusPlus(step_of).scale(0.6, run, level)) for step_of in STEPS)


@pytest.mark.parametrize("sigmas", [(10.0, 10.0, 1.0, 0.0), (10.0, 5.0, 5.0, 0.0), (5.0, 10.0, 0.0), (0.0, 0.0)])
def test_every_level_has_a_place_in_any_schedule_also_above_its_noisiest(sigmas):
    """Samplers that add noise before a step evaluate above its level."""
    run = Run(sigmas)
    for sigma in (12.0, *sigmas, 3.0):
        assert 0 <= run.position(sigma) <= run.steps
        assert 0 <= run.progress(sigma) <= 1
        assert 0 <= run.step(sigma) < run.steps
