"""The class of a sampler: whether it adds noise, as far as its record shows that, and how many steps it takes."""

import math
from dataclasses import replace

import pytest
import torch

from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.gram import triangle
from guidance_geometry.verdict.case import class_of_sampler, sampler_class
from guidance_geometry.verdict.picks import CLASSES


def test_a_class_is_noise_and_steps():
    found = [class_of_sampler(noisy, steps) for noisy in (False, True, None) for steps in (1, 14, 15, 35, 36)]
    assert found == ["ode-few"] * 2 + ["ode"] * 2 + ["ode-many"] + ["sde-few"] * 2 + ["sde"] * 2 + ["sde-many"] + [
        *["unseen-few"] * 2, *["unseen"] * 2, "unseen-many",
    ]  # fmt: skip
    assert set(found) == set(CLASSES)


HIDES = {
    "split": {"split": "noise not observable: their_sampler takes no noise_sampler; all of the move counts as step"},
    "library": {"split": "noise counts as part of the move"},
    "lost": {"notes": ["the noise of 3 steps could not be followed: it counts as part of the move"]},
}


@pytest.mark.parametrize("why", HIDES)
def test_a_sampler_whose_noise_was_lost_is_not_taken_for_a_deterministic_one(why):
    trace = exact_trace(4.0, batch=1, steps=16, sampler="ddpm")
    assert sampler_class(trace) == "sde"
    lost = replace(unmarked(trace), header={**trace.header, **HIDES[why]})
    assert sampler_class(lost) == "unseen"


def test_a_sampler_whose_every_step_follows_the_prediction_drew_nothing():
    trace = exact_trace(4.0, batch=1, steps=16)
    assert sampler_class(replace(trace, header={**trace.header, **HIDES["split"]})) == "ode"


def unmarked(trace):
    """The same run, had nobody seen its noise: all of it is in the move, which no multiple of D - x explains."""
    full = trace.record.matrix().clone()
    noise, move = (trace.record.vectors.index(name) for name in ("noise", "move"))
    full[..., move, :] += full[..., noise, :]
    full[..., :, move] += full[..., :, noise]
    full[..., noise, :] = full[..., :, noise] = 0
    kappa = torch.full_like(trace.steps["kappa"], math.nan)
    return replace(trace, steps={**trace.steps, "K": triangle(full), "kappa": kappa})
