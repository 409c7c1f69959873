import math

import pytest

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.run import Run

VE = Run((14.6, 5.42, 2.0, 0.5, 0.28, 0.1, 0.0))
FLOW = Run((1.0, 0.8, 0.6, 0.4, 0.2, 0.0), flow=True)


def gammas(rule, run, gamma=7.0):
    chain = PLAIN.then(rule)
    return [chain.scale(chain.init(run), sigma, gamma) for sigma in run.sigmas[:-1]]


def test_the_window_in_sigma_is_open_at_its_clean_end_as_in_the_paper():
    assert gammas(Interval("sigma", 5.42, 0.28), VE) == [1.0, 7.0, 7.0, 7.0, 1.0, 1.0]


def test_the_window_in_percent_counts_steps():
    run = Run(tuple(10.0 - i for i in range(11)))
    assert gammas(Interval("percent", 0.2, 0.6), run) == [1.0] * 2 + [7.0] * 4 + [1.0] * 4
    assert gammas(Interval("percent", 0.0, 1.0), run) == [7.0] * 10


@pytest.mark.parametrize("run", [VE, FLOW], ids=["ve", "flow"])
def test_the_window_in_log_snr_is_the_same_for_both_families(run):
    ratios = [s / ((1 - s) if run.flow else 1) if s < 1 or not run.flow else math.inf for s in run.sigmas[:-1]]
    expected = [7.0 if math.exp(-2.55 / 2) < n <= math.exp(3.38 / 2) else 1.0 for n in ratios]
    assert gammas(Interval("log-SNR", -3.38, 2.55), run) == expected
    assert {1.0, 7.0} == set(expected)


def test_outside_the_window_only_cond_is_needed():
    chain = PLAIN.then(Interval("sigma", 5.0, 0.3))
    state = chain.init(VE)
    assert [chain.needs(state, s, chain.scale(state, s, 7.0)) == {"cond"} for s in (14.6, 2.0, 0.1)] == [
        True,
        False,
        True,
    ]


def test_only_the_whole_run_is_neutral():
    whole = (Interval("percent", 0, 1), Interval("sigma", math.inf, 0.0), Interval("log-SNR", -math.inf, math.inf))
    assert all(rule.neutral for rule in whole)
    assert all(set(gammas(rule, run)) == {7.0} for rule in whole for run in (VE, FLOW))
    assert not Interval().neutral
