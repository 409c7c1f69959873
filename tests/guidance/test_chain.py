from dataclasses import replace
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN, Chain
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.rules.schedule import ScaleSchedule, parse_values
from guidance_geometry.guidance.run import Run

RUN = Run((8.0, 4.0, 2.0, 1.0, 0.0))


def predictions(shape=(2, 3, 4)) -> Any:
    generator = torch.Generator().manual_seed(0)
    x, u, c = (torch.randn(shape, generator=generator) for _ in range(3))
    return Predictions(x, torch.ones(2), torch.ones(2), u, c)


@pytest.mark.parametrize("gamma", [-1.0, 0.0, 1.0, 2.0, 7.5])
def test_plain_guidance_is_u_plus_the_difference_times_gamma(gamma):
    p = predictions()
    guided, _ = PLAIN.step(PLAIN.init(RUN), p, gamma)
    assert torch.equal(guided, p.uncond + (p.cond - p.uncond) * gamma)


def test_a_chain_is_immutable_and_a_constant_schedule_is_plain():
    longer = PLAIN.then(ScaleSchedule("linear"))
    assert Chain() == PLAIN
    assert longer.text == "gamma linear 0 to 1 > CFG"
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


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", [1.0, 3.0, 5.0, 7.0]),
        ("cosine", [1.0, 2.5, 5.5, 7.0]),
        ("power", [1.0, 1 + 6 / 9, 1 + 24 / 9, 7.0]),
        ("beta", [1.0, 1 + 6 * 8 / 9, 1 + 6 * 8 / 9, 1.0]),
    ],
)
def test_gamma_follows_the_shape(shape, expected):
    chain = PLAIN.then(ScaleSchedule(shape))
    gammas = [chain.scale(chain.init(RUN), sigma, 7.0) for sigma in RUN.sigmas[:-1]]
    assert gammas == pytest.approx(expected)


def test_weights_of_one_leave_gamma_alone_and_of_zero_give_cond():
    for shape in ("linear", "cosine", "power", "beta"):
        assert ScaleSchedule(shape, 1.0, 1.0).scale(7.0, RUN, 3.0) == pytest.approx(7.0)
        assert ScaleSchedule(shape, 0.0, 0.0).scale(7.0, RUN, 3.0) == 1.0


def test_a_list_is_read_step_by_step_also_between_the_steps():
    chain = PLAIN.then(ScaleSchedule("list", values=(7.0, 5.0, 3.0, 1.0)))
    chain.init(RUN)
    assert [chain.scale(chain.init(RUN), s, 99.0) for s in (8.0, 6.0, 4.0, 2.0, 1.0, 0.1)] == [
        7.0,
        7.0,
        5.0,
        3.0,
        1.0,
        1.0,
    ]


@pytest.mark.parametrize(("text", "numbers"), [("7, 5 3;1", (7, 5, 3, 1)), ("2.5\n-1", (2.5, -1)), ("", ())])
def test_lists_are_read_in_any_common_form(text, numbers):
    assert parse_values(text) == numbers


def test_schedules_compose_in_wire_order():
    chain = PLAIN.then(ScaleSchedule("list", values=(5.0,))).then(ScaleSchedule("linear"))
    assert [chain.scale(chain.init(RUN), s, 99.0) for s in (8.0, 1.0)] == [1.0, 5.0]
