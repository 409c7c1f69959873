"""The coefficients of small samplers by hand, and what has none."""

from itertools import pairwise

import pytest
import torch

from guidance_geometry.samplers.response import MOST_CALLS, Response, Visit, measure_response

SIGMAS = [8.0, 4.0, 2.0, 1.0]


def response(loop, sigmas=SIGMAS):
    return measure_response(lambda probes: loop(probes, probes.start.clone(), list(pairwise(sigmas))), sigmas)


def asked(probes, x, sigma):
    return probes.answer(x, torch.tensor([sigma]))


def told(probes, x, sigma, denoised):
    probes.note_report({"x": x, "sigma": sigma, "denoised": denoised})


def answer(probes, x, now):
    """The guided prediction at the start of a step, which the sampler reports."""
    denoised, _ = asked(probes, x, now)
    told(probes, x, now, denoised)
    return denoised


def euler(probes, x, steps):
    for now, then in steps:
        denoised = answer(probes, x, now)
        x = denoised + then / now * (x - denoised)
    return x


def heun(probes, x, steps):
    for now, then in steps:
        denoised = answer(probes, x, now)
        slope = (x - denoised) / now
        reached = x + slope * (then - now)
        x = x + 0.5 * (slope + (reached - asked(probes, reached, then)[0]) / then) * (then - now)
    return x


def adams(probes, x, steps):
    before = None
    for now, then in steps:
        denoised = answer(probes, x, now)
        slope = (x - denoised) / now
        x, before = x + (then - now) * (slope if before is None else 1.5 * slope - 0.5 * before), slope
    return x


def ancestral(probes, x, steps):
    for now, then in steps:
        denoised = answer(probes, x, now)
        x = denoised + (then / now) ** 2 * (x - denoised) + 0.5 * then * probes.draw()
    return x


def plus_plus(probes, x, steps):
    for now, then in steps:
        denoised, uncond = asked(probes, x, now)
        told(probes, x, now, denoised)
        x = denoised + then / now * (x - uncond)
    return x


def reporting(report):
    """Two evaluations a step, and what is said of the first after both."""

    def loop(probes, x, steps):
        for now, then in steps:
            first, _ = asked(probes, x, now)
            second, _ = asked(probes, x, (now + then) / 2)
            probes.note_report(report(now, first))
            x = second + then / now * (x - second)
        return x

    return loop


late = reporting(lambda now, first: {"sigma": now, "denoised": first})


def own_noise(probes, x, steps):
    return euler(probes, x, steps) + torch.randn_like(x)


def test_a_step_is_told_by_its_coefficients():
    step = response(euler).steps[1]
    assert step.states == (pytest.approx(0.5, abs=1e-12),)
    assert (step.guided, step.uncond) == (((pytest.approx(0.5, abs=1e-12),),), ((0.0,),))
    assert (step.kappa, step.memory, step.noisy) == (pytest.approx(0.5), 0, False)


def test_the_evaluations_of_a_step_are_told_apart():
    found = response(heun, [8.0, 2.0, 1.0])
    assert found.firsts == (0, 2)
    assert found.reports == (1, 3)
    [(first, second)] = found.steps[0].guided
    assert (first, second) == (pytest.approx(-0.75), pytest.approx(1.5))
    assert not found.late
    assert found.steps[0].gain == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("report", "firsts"),
    [
        (lambda now, first: {"sigma": now, "denoised": first}, (0, 2, 4)),
        (lambda now, first: {"sigma": torch.tensor([now * 1.00005]), "denoised": first[..., :1]}, (0, 2, 4)),
        (lambda now, first: {"denoised": 1.0005 * first}, (0, 2, 4)),
        (lambda now, first: {"sigma": now * 1.01}, (1, 3, 5)),
        (lambda now, first: {"sigma": "unknown"}, (1, 3, 5)),
    ],
)
def test_a_step_begins_with_the_call_whose_prediction_or_level_its_report_names(report, firsts):
    found = response(reporting(report))
    assert (found.firsts, found.late) == (firsts, firsts[0] == 0)


def test_a_step_back_to_more_noise_asks_for_nothing():
    def travelling(probes, x, steps):
        for now, then in steps:
            x = euler(probes, x, [(now, then)])
            probes.note_report({"back": True, "x": x, "sigma": then})
            x = euler(probes, x + (now**2 - then**2) ** 0.5 * probes.draw(), [(now, then)])
        return x

    found = response(travelling, [8.0, 4.0, 2.0])
    assert found.firsts == (0, None, 1, 2, None, 3)
    assert [state.sigma for state in found.states] == [8.0, 4.0, 8.0, 4.0, 2.0, 4.0, 0.0]
    assert found.steps[1].guided == ((),)
    assert found.steps[1].draws == (pytest.approx(48**0.5),)


def test_a_sampler_of_other_levels_that_asks_often_or_refuses_float64_has_a_response():
    def between(probes, x, steps):
        for now, then in steps:
            if x.dtype == torch.float64:
                raise TypeError
            x = euler(probes, x, [(1.1 * now, then)])
            for _ in range(29):
                asked(probes, x, then)
        return x

    found = response(between)
    assert found.firsts == (0, 30, 60)
    assert found.levels[::30] == pytest.approx((8.8, 4.4, 2.2))
    assert found.moves == (pytest.approx((0.5 / 1.1, 1 - 0.5 / 1.1, 0)),) * 3


def test_what_a_step_remembers_is_the_states_and_predictions_before_it():
    steps = response(adams).steps
    assert [step.memory for step in steps] == [0, 1, 1]
    assert steps[2].states == (pytest.approx(0.25), pytest.approx(0.125))
    assert steps[2].guided == ((pytest.approx(0.75),), (pytest.approx(-0.125),))
    assert response(adams).memory == 1


def test_draws_stand_for_themselves_and_hidden_ones_are_measured():
    steps = response(ancestral).steps
    assert [step.draws for step in steps] == [(pytest.approx(0.5 * then),) for then in SIGMAS[1:]]
    assert not any(step.hidden for step in steps)
    last = response(own_noise).steps[-1]
    assert last.guided == ((pytest.approx(0.5),),), "the same noise in both runs goes out"
    assert 0.5 < last.hidden < 1.5
    assert last.noisy


def test_the_unconditional_prediction_is_told_from_the_guided_one():
    step = response(plus_plus).steps[0]
    assert step.uncond == ((pytest.approx(-0.5),),)
    assert step.kappa == 1
    assert step.reads_uncond


def test_the_states_of_a_whole_run_say_how_much_of_everything_is_in_them():
    states = response(euler).states
    assert [state.start for state in states] == [1, 0.5, 0.25, 0.125]
    assert [state.start + state.predicted for state in states] == [1, 1, 1, 1]
    assert response(ancestral).states[1].noise == pytest.approx(2.0)


def beside(factor, back=0):
    """Euler, and so much of a prediction beside it: of this step, or of one so many steps before."""

    def loop(probes, x, steps):
        seen = []
        for now, then in steps:
            denoised, _ = asked(probes, x, now)
            told(probes, x, now, denoised)
            seen.append(denoised)
            x = denoised + then / now * (x - denoised) + (factor * seen[-1 - back] if len(seen) > back else 0.0)
        return x

    return loop


@pytest.mark.parametrize(("factor", "excess"), [(0.0, 0.0), (0.25, 0.375), (-0.25, -0.375)])
def test_a_state_that_holds_more_of_the_clean_sample_than_belongs_to_its_level_is_told(factor, excess):
    """After one and two steps from 1: 0.5 + 0.5 + f, and 0.5 (1 + f) + 0.5 + f."""
    assert response(beside(factor)).excess_signal(False) == pytest.approx(excess, abs=1e-12)
    assert response(euler, [0.8, 0.4, 0.2, 0.1]).excess_signal(True) == pytest.approx(0.0, abs=1e-12)
    assert Response().excess_signal(False) == 0


def test_a_step_may_look_back_six_steps_and_no_further():
    sigmas = [2.0 ** (5 - i) for i in range(10)]
    assert [step.memory for step in response(beside(0.25, back=6), sigmas).steps] == [0] * 6 + [6] * 3
    further = response(beside(0.25, back=7), sigmas)
    assert not further.steps
    assert "6 steps" in further.why


def test_the_result_is_at_the_level_whose_noise_is_left_in_it():
    def renoised(probes, x, steps):
        x, uncond = euler(probes, x, steps), x
        while probes.calls < probes.room:
            _, uncond = asked(probes, x, 1.0)
        return x + uncond + 2.001 * probes.draw()

    def stopped(probes, x, steps):
        return euler(probes, x, steps[:-1])

    assert response(euler, [8.0, 4.0, 2.0, 0.0]).end == 0.0
    assert response(renoised, [8.0, 4.0, 2.0, 0.0]).end == 2.0
    assert response(stopped, [8.0, 4.0, 2.0, 0.0]).end == 2.0
    assert response(endless).end is None


def test_the_move_is_made_of_what_was_seen():
    x, first, second = torch.randn(3, 2, 1, 4, generator=torch.Generator().manual_seed(0)).unbind()
    [step] = response(heun, [8.0, 2.0]).steps
    found = step.move([Visit(x, ((first, None), (second, None)))])
    assert found is not None
    assert torch.allclose(found, -0.75 * first + 1.5 * second + (0.25 - 1) * x, atol=1e-6)
    assert step.move([Visit(x, ((first, None),))]) is None, "an evaluation is missing"
    now, before = Visit(x, ((first, None),)), Visit(second, ((x + first, None),))
    expected = 0.75 * first - 0.125 * (x + first) - 0.75 * x + 0.125 * second
    moved = response(adams).steps[2].move([now, before])
    assert moved is not None
    assert torch.allclose(moved, expected, atol=1e-6)
    assert response(adams).steps[2].move([now]) is None, "the step before is missing"
    assert response(plus_plus).steps[0].move([Visit(x, ((first, None),))]) is None, "u was not evaluated"


def adaptive(probes, x, steps):
    while len(steps) > 1:
        denoised, _ = asked(probes, x, steps[0][0] * 1.1)
        told(probes, x, steps[0][0] * 1.1, denoised)
        x = 0.5 * (x + denoised)
        steps = steps[1 + (float(denoised.abs().sum()) == 0) :]
    return x


def with_old_noise(probes, x, steps):
    before = torch.zeros_like(x)
    for now, then in steps:
        denoised = answer(probes, x, now)
        fresh = probes.draw()
        x, before = denoised + then / now * (x - denoised) + fresh + 0.5 * before, fresh
    return x


def test_what_remembers_its_noise_is_followed_but_not_told():
    found = response(with_old_noise, [2.0 ** (6 - i) for i in range(13)])
    assert not found.steps
    assert "earlier noise" in found.why
    assert found.firsts == tuple(range(12))
    assert found.reports == tuple(range(1, 13))
    assert len(found.states) == 13


def endless(probes, x, steps):
    while True:
        asked(probes, x, 1.0)


def broken(probes, x, steps):
    raise ZeroDivisionError("by zero")


def silent(probes, x, steps):
    return asked(probes, x, steps[0][0])[0]


def walking_back(probes, x, steps):
    probes.note_report({"back": True, "x": x})
    return euler(probes, x, steps)


def reporting_on(probes, x, steps):
    while True:
        probes.note_report({})


def larger(probes, x, steps):
    return asked(probes, torch.cat([x, x]), 1.0)[0]


def infinite(probes, x, steps):
    return euler(probes, x, steps) / 0.0


@pytest.mark.parametrize(
    ("loop", "why"),
    [
        (infinite, "not finite"),
        (larger, "changes the shape"),
        (reporting_on, f"more than {MOST_CALLS}"),
        (walking_back, "reports no step"),
        (adaptive, "depend on what is predicted"),
        (endless, f"more than {MOST_CALLS}"),
        (broken, "ZeroDivisionError: by zero"),
        (silent, "reports no step"),
    ],
)
def test_a_sampler_without_a_response_says_why(loop, why):
    found = response(loop)
    assert not found.steps
    assert why in found.why
    assert not found.late
    if loop not in (silent, walking_back):
        after_stages = response(lambda probes, x, steps: loop(probes, late(probes, x, steps), steps))
        assert after_stages.late
        assert why in after_stages.why


def test_nobody_elses_random_numbers_are_drawn():
    torch.manual_seed(3)
    expected = torch.randn(2)
    torch.manual_seed(3)
    found = response(own_noise)
    assert torch.equal(torch.randn(2), expected)
    assert response(own_noise) == found, "whatever was drawn before"


def test_what_is_small_beside_the_start_is_not_rounding():
    """A step from sigma 80 that keeps a ten-thousandth of the state still keeps 0.008 of it."""
    response_of = response(adams, [80.0, 0.02, 0.01, 0.005])
    assert [step.memory for step in response_of.steps] == [0, 1, 1]
    assert response_of.states[0].start == 1
    assert response_of.states[1].start == pytest.approx(0.02 / 80)


def test_a_sampler_that_takes_its_time_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("guidance_geometry.samplers.response.MOST_SECONDS", 0.0)
    assert "takes longer than 0 s" in response(euler).why
