"""How gamma runs along a run: shapes, lists, windows in three units, CFG++; over the range of every widget."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN, Chain
from guidance_geometry.guidance.knobs import knobs
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.rules.plus_plus import PlusPlus
from guidance_geometry.guidance.rules.schedule import SHAPES, ScaleSchedule, parse_values
from guidance_geometry.guidance.run import Run
from guidance_geometry.tests.toys import RUN, draw, toy

VE = Run((14.6, 5.42, 2.0, 0.5, 0.28, 0.1, 0.0))
FLOW = Run((1.0, 0.8, 0.6, 0.4, 0.2, 0.0), flow=True)


def gammas(rule, run=RUN, gamma=7.0):
    chain = PLAIN.then(rule)
    return [chain.scale(chain.init(run), sigma, gamma) for sigma in run.sigmas[:-1]]


@pytest.mark.parametrize("gamma", [-1.0, 0.0, 1.0, 7.5])
def test_plain_guidance_is_u_plus_the_difference_times_gamma(gamma):
    p = toy()
    guided, _ = PLAIN.step(PLAIN.init(RUN), p, gamma)
    assert torch.equal(guided, p.uncond + (p.cond - p.uncond) * gamma)


def test_a_chain_is_immutable_and_a_constant_schedule_is_plain():
    longer = PLAIN.then(ScaleSchedule("linear"))
    assert Chain() == PLAIN
    assert longer.is_cfg
    assert Chain().waits(RUN) == longer.waits(RUN) == 0
    assert ScaleSchedule().neutral


def test_progress_runs_from_the_first_step_to_the_last():
    assert [RUN.progress(s) for s in RUN.sigmas] == [0.0, 1 / 3, 2 / 3, 1.0, 1.0]
    assert RUN.progress(6.0) == pytest.approx(0.5 / 3)
    assert RUN.progress(99.0) == 0.0


def test_a_level_belongs_to_the_step_that_began_before_it():
    """heun's second stage and the next step's first evaluation share a level."""
    assert [RUN.step(s) for s in (99.0, 8.0, 6.0, 4.0, 2.0, 1.0, 0.5, 0.0)] == [0, 0, 0, 1, 2, 3, 3, 3]
    assert replace(RUN, began=8.0).step(4.0) == 0
    schedule, window = ScaleSchedule("list", values=(7.0, 5.0, 3.0, 1.0)), Interval("percent", 0.0, 0.25)
    state = Chain((schedule,)).init(RUN)
    assert Chain((schedule,)).scale(state.inside(8.0), 4.0, 99.0) == 7.0
    assert [window.scale(9.0, run, 4.0) for run in (RUN, replace(RUN, began=8.0))] == [1.0, 9.0]
    chain = PLAIN.then(schedule)
    read = [chain.scale(chain.init(RUN), s, 99.0) for s in (8.0, 6.0, 4.0, 2.0, 1.0, 0.1)]
    assert read == [7.0, 7.0, 5.0, 3.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", [1.0, 3.0, 5.0, 7.0]),
        ("cosine", [1.0, 2.5, 5.5, 7.0]),
        ("power", [1.0, 1 + 6 / 9, 1 + 24 / 9, 7.0]),
        ("beta", [1.0, 1 + 6 * 8 / 9, 1 + 6 * 8 / 9, 1.0]),
    ],
)
def test_gamma_follows_the_shape_between_its_weights(shape, expected):
    assert gammas(ScaleSchedule(shape)) == pytest.approx(expected)
    assert ScaleSchedule(shape, 1.0, 1.0).scale(7.0, RUN, 3.0) == pytest.approx(7.0)
    assert ScaleSchedule(shape, 0.0, 0.0).scale(7.0, RUN, 3.0) == 1.0


@pytest.mark.parametrize(("text", "numbers"), [("7, 5 3;1", (7, 5, 3, 1)), ("2.5\n-1", (2.5, -1)), ("", ())])
def test_lists_are_read_in_any_common_form(text, numbers):
    assert parse_values(text) == numbers


def test_schedules_compose_in_wire_order():
    chain = PLAIN.then(ScaleSchedule("list", values=(5.0,))).then(ScaleSchedule("linear"))
    assert [chain.scale(chain.init(RUN), s, 99.0) for s in (8.0, 1.0)] == [1.0, 5.0]


def test_a_window_in_sigma_is_open_at_its_clean_end_and_one_in_percent_counts_steps():
    assert gammas(Interval("sigma", 5.42, 0.28), VE) == [1.0, 7.0, 7.0, 7.0, 1.0, 1.0]
    run = Run(tuple(10.0 - i for i in range(11)))
    assert gammas(Interval("percent", 0.2, 0.6), run) == [1.0] * 2 + [7.0] * 4 + [1.0] * 4
    assert gammas(Interval("percent", 0.0, 1.0), run) == [7.0] * 10


@pytest.mark.parametrize("run", [VE, FLOW], ids=["ve", "flow"])
def test_a_window_in_log_snr_is_the_same_for_both_families(run):
    ratios = [s / ((1 - s) if run.flow else 1) if s < 1 or not run.flow else math.inf for s in run.sigmas[:-1]]
    expected = [7.0 if math.exp(-2.55 / 2) < n <= math.exp(3.38 / 2) else 1.0 for n in ratios]
    assert gammas(Interval("log-SNR", -3.38, 2.55), run) == expected
    assert {1.0, 7.0} == set(expected)


def test_outside_a_window_only_cond_is_needed_and_only_the_whole_run_is_neutral():
    chain = PLAIN.then(Interval("sigma", 5.0, 0.3))
    state = chain.init(VE)
    needs = [chain.needs(state, s, chain.scale(state, s, 7.0)) for s in (14.6, 2.0, 0.1)]
    assert needs == [{"cond"}, {"cond", "uncond"}, {"cond"}]
    whole = (Interval("percent", 0, 1), Interval("sigma", math.inf, 0.0), Interval("log-SNR", -math.inf, math.inf))
    assert all(rule.neutral for rule in whole)
    assert all(set(gammas(rule, run)) == {7.0} for rule in whole for run in (VE, FLOW))
    assert not Interval().neutral


RUNS = [Run(tuple(10.0 * (1 - i / n) for i in range(n + 1))) for n in (1, 2, 3, 20, 1000)]
FLOW_RUNS = [Run(tuple(1 - i / n for i in range(n + 1)), flow=True) for n in (1, 2, 20)]
STEPS = knobs(PlusPlus)["step_of"].choices
LARGEST = 1e6  # of a weight between -10 and 10, times what a valley reaches in 1,000 steps


def levels(run):
    """Noise levels at the first step, a hair later, in the middle, at the last step, and at the end."""
    first, last = run.sigmas[0], run.sigmas[-2]
    return (2 * first, first, first * (1 - 1e-9), first * (1 - 1e-4), first / 2, last * (1 + 1e-9), last, last / 2, 0.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_finite_over_the_range_of_its_widgets(shape):
    ends = ((0.0, 1.0), (10.0, -10.0), (1.0, 0.0))
    for run, (start, end), power in itertools.product((*RUNS, *FLOW_RUNS), ends, (0.1, 10.0)):
        schedule = ScaleSchedule(shape, start, end, power)
        assert all(abs(schedule.scale(7.5, run, sigma)) < LARGEST for sigma in levels(run)), run.steps


def test_a_valley_is_the_formula_between_its_walls_and_held_half_a_step_away_from_them():
    run, valley = RUNS[3], ScaleSchedule("beta", power=0.5)
    weights = [valley.scale(2.0, run, sigma) - 1 for sigma in run.sigmas[:-1]]
    ends = (4 * 0.5 / 20 * (1 - 0.5 / 20)) ** -0.5
    inner = [(4 * i / 19 * (1 - i / 19)) ** -0.5 for i in range(1, 19)]
    assert weights == pytest.approx([ends, *inner, ends])
    assert weights[0] == max(weights)


@pytest.mark.parametrize("sigmas", [(10.0, 10.0, 1.0, 0.0), (10.0, 5.0, 5.0, 0.0), (5.0, 10.0, 0.0), (0.0, 0.0)])
def test_every_level_has_a_place_and_a_scale_also_above_the_noisiest(sigmas):
    """Samplers that add noise before a step evaluate above its level."""
    run = Run(sigmas)
    for sigma in (12.0, *sigmas, 3.0):
        assert 0 <= run.position(sigma) <= run.steps
        assert 0 <= run.progress(sigma) <= 1
        assert 0 <= run.step(sigma) < run.steps
    last_bit = Run((0.24222586006023628, math.nextafter(0.24222586006023628, 0.0), 0.0), True)
    for one in (run, Run(tuple(sigma / 10 for sigma in sigmas), flow=True), last_bit):
        for step_of, eta, sigma in itertools.product(STEPS, (0.0, 1.0), one.sigmas):
            assert math.isfinite(PlusPlus(step_of, eta).scale(0.6, one, sigma))


STEPPED = {"ve": Run((14.6, 5.0, 2.0, 0.5, 0.1, 0.0)), "flow": Run((1.0, 0.8, 0.5, 0.3, 0.1, 0.0), flow=True)}


@pytest.mark.parametrize("family", STEPPED)
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("step_of", "eta"), [("euler", 1.0), ("ddim", 0.0), ("ddim", 0.5), ("ddim", 1.0)])
def test_a_plain_step_at_the_scale_of_cfg_plus_plus_is_the_step_of_the_paper(family, weight, step_of, eta):
    """Without the noise, x' = alpha' D + down (x - alpha u) / sigma; a plain step renoises with D instead of u."""
    run, chain = STEPPED[family], PLAIN.then(PlusPlus(step_of, eta))
    for i, (now, then) in enumerate(itertools.pairwise(run.sigmas)):
        a, b = (1 - now, 1 - then) if run.flow else (1.0, 1.0)
        x, u, c = (draw((5,), 3 * i + k) for k in range(3))
        n, after = (now / a if a else math.inf), then / b
        up = 0.0 if step_of == "euler" else eta * after * math.sqrt(1 - (after / n) ** 2)
        down = b * math.sqrt(after**2 - up**2)
        guided = u + weight * (c - u)
        paper = b * guided + down * (x - a * u) / now
        gamma = chain.scale(chain.init(run), now, weight)
        plain = u + gamma * (c - u)
        ours = b * plain + down * (x - a * plain) / now
        assert (ours - paper).abs().max() <= 1e-12 * paper.abs().max()


def test_a_measured_step_at_the_scale_of_cfg_plus_plus_renoises_with_u():
    """x' = s D + n eps(D) + m eps(u); that of the paper is s D_lambda + (n + m) eps(u)."""
    signal, noise, known, weight = 0.7, 0.2, 0.1, 0.6
    sigma, alpha = 0.5, 0.5
    x, u, c = (draw((5,), k) for k in range(3))

    def eps(v):
        return (x - alpha * v) / sigma

    move = ((noise + known) / sigma, signal - alpha * noise / sigma, -alpha * known / sigma)
    chain = PLAIN.then(PlusPlus("measured"))
    gamma = chain.scale(chain.init(Run((sigma, 0.3, 0.0), True, moves=(move, move))), sigma, weight)
    guided, plain = (u + scale * (c - u) for scale in (weight, gamma))
    ours = signal * plain + noise * eps(plain) + known * eps(u)
    assert (ours - (signal * guided + (noise + known) * eps(u))).abs().max() <= 1e-12
    assert PlusPlus("measured").scale(weight, STEPPED["ve"], 5.0) == PlusPlus().scale(weight, STEPPED["ve"], 5.0)


def test_the_ancestral_step_of_flow_models_has_its_own_noise():
    weight, eta, now, then = 0.6, 1.0, 0.5, 0.3
    chain = PLAIN.then(PlusPlus("euler_ancestral", eta))
    x, u, c = (draw((5,), k) for k in range(3))
    down = then * (1 + (then / now - 1) * eta)
    guided = u + weight * (c - u)
    paper = (1 - down) * guided + down * (x - (1 - now) * u) / now
    plain = u + chain.scale(chain.init(STEPPED["flow"]), now, weight) * (c - u)
    ours = down / now * x + (1 - down / now) * plain
    assert (ours - paper).abs().max() <= 1e-12


@pytest.mark.parametrize("family", STEPPED)
def test_the_scale_falls_to_lambda_at_the_last_step(family):
    run, chain = STEPPED[family], PLAIN.then(PlusPlus())
    state = chain.init(run)
    assert chain.scale(state, run.sigmas[-2], 0.6) == 0.6
    assert chain.scale(state, run.sigmas[0] * 0.999, 0.6) == chain.scale(state, run.sigmas[0], 0.6)
