"""The page about what is left of a push says what its numbers say, and the ablation is one."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from guidance_geometry.lab.pages.ablation import LATER_NUMBERS, NUMBERS, PAGE, correlate, page, settings_of
from guidance_geometry.lab.pages.ablation_runs import DEMO, EXACT, NOISE, WINDOWS, changes, estimates, run_of
from guidance_geometry.lab.pages.later_reads import estimates as estimates_of
from guidance_geometry.lab.pages.later_reads import reads_of
from guidance_geometry.samplers.response import Response, StepResponse


class OneCloud:
    """A network whose conditional pictures are one round cloud, and whose others are the same cloud somewhere else."""

    labels, shape, width = ("a", "b"), (1, 2, 2), 0.5

    def __init__(self, flow):
        self.facts = {"space": "flow" if flow else "ve", "sigma_data": self.width}

    def __call__(self, x, sigma, labels):
        alpha, middle = 1 - sigma if self.facts["space"] == "flow" else 1.0, 0.0 if labels is None else 0.4
        gain = alpha * self.width**2 / ((alpha * self.width) ** 2 + sigma**2)
        return middle + gain * (x - alpha * middle)


@pytest.fixture(scope="module")
def settings():
    return settings_of(json.loads(NUMBERS.read_text(encoding="utf-8")))


def test_the_page_is_that_of_its_numbers(settings):
    later = json.loads(LATER_NUMBERS.read_text(encoding="utf-8"))
    assert {row["model"] for row in later} == {*DEMO, EXACT}
    assert PAGE.read_text(encoding="utf-8") == page(settings, later)
    assert [(one.model, one.noise) for one in settings] == [
        (model, noise) for model in (*DEMO, EXACT) for noise in NOISE
    ]


def test_the_middle_is_the_steadiest_guess_as_the_page_says(settings):
    assert min(one.middle[0] for one in settings) > max(
        min(getattr(one, name)[0] for one in settings) for name in ("push", "left")
    )


def one_cloud(flow) -> Any:
    return OneCloud(flow)


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("noise", NOISE)
def test_where_pictures_are_one_cloud_the_end_moves_as_far_as_estimated(flow, noise):
    """But for the length of the steps."""
    (sampler, fresh), world = NOISE[noise], one_cloud(flow)
    made = run_of(world, sampler)
    _, left = estimates(made, fresh)
    change = changes(world, sampler, made.end)
    assert (change / change.sum(axis=0)) == pytest.approx(left / left.sum(axis=0), abs=0.05)
    assert change / left == pytest.approx(np.ones_like(left), abs=0.4)


def test_shares_ratios_and_order_of_made_up_runs():
    left = np.array([[2.0, 4.0], [1.0, 2.0], [0.5, 1.0], [0.25, 0.5], [0.0, 0.1]])
    found = correlate("made up", "none", left[::-1] + 1.0, left, 2 * left)
    assert [one.ratio[0] for one in found.windows] == [2.0] * 5
    assert (found.windows[0].first, found.windows[-1].last) == (1, 1 + WINDOWS[-1][-1])
    assert found.left == pytest.approx((1.0, 1.0, 1.0))
    assert found.push[0] < 0
    assert found.same == 1.0


@pytest.mark.parametrize(("states", "earlier"), [((0.5,), -0.25), ((0.25, 0.125), -0.125)])
def test_later_reads_do_not_depend_on_the_form_of_a_step(states, earlier):
    """x' = x / 2 + 3/4 D - 1/4 D of the step before, with x of the step before in the place of a part of x."""
    first = StepResponse((0.5,), ((0.5,),), ((0.0,),))
    second = StepResponse(states, ((0.75,), (earlier,)), ((0.0,), (0.0,)))
    reads = reads_of(Response((first, second)))
    assert reads == pytest.approx(np.array([[0.5, 0.0], [-0.25, 0.75]]))
    found = {key: one.tolist() for key, one in estimates_of(Response((first, second)), np.array([0.5, 1.0])).items()}
    assert found["left"] == [0.25, 0.75]
    assert found["left later"] == [0.0, 0.75]


def test_a_window_at_gamma_1_asks_for_no_unconditional_prediction_there():
    made = run_of(one_cloud(False), "euler", WINDOWS[1])
    assert made.trace.steps["gamma"].eq(1).nonzero()[:, 0].tolist() == WINDOWS[1]
    assert torch.equal(made.trace.steps["evals"] == 1, made.trace.steps["gamma"] == 1)
