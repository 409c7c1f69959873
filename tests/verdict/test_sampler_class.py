"""The class of a sampler: whether it adds noise, as far as its record shows that, and how many steps it takes."""

import math
from dataclasses import replace

import pytest
import torch

from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.gram import triangle
from guidance_geometry.verdict.case import sampler_class
from guidance_geometry.verdict.picks import CLASSES

HIDES = {
    "split": {"split": "noise not observable: their_sampler takes no noise_sampler; all of the move counts as step"},
    "library": {"split": "noise counts as part of the move"},
    "lost": {"notes": ["the noise of 3 steps could not be followed: it counts as part of the move"]},
}


@pytest.mark.parametrize("sampler", ["euler", "ddpm", "unseen"])
def test_a_class_is_noise_and_steps(sampler):
    kind = {"euler": "ode", "ddpm": "sde", "unseen": "unseen"}[sampler]
    runs = [exact_trace(4.0, batch=1, steps=n, sampler=sampler.replace("unseen", "ddpm")) for n in (2, 14, 15, 35, 36)]
    runs = [hidden(run, "split") for run in runs] if sampler == "unseen" else runs
    found = [sampler_class(run) for run in runs]
    assert found == [f"{kind}-few", f"{kind}-few", kind, kind, f"{kind}-many"]
    assert set(found) <= set(CLASSES)


@pytest.mark.parametrize("why", HIDES)
def test_a_sampler_whose_noise_was_lost_is_not_taken_for_a_deterministic_one(why):
    trace = exact_trace(4.0, batch=1, steps=16, sampler="ddpm")
    assert sampler_class(trace) == "sde"
    assert sampler_class(hidden(trace, why)) == "unseen"


def test_a_sampler_whose_every_step_follows_the_prediction_drew_nothing():
    trace = exact_trace(4.0, batch=1, steps=16)
    assert sampler_class(replace(trace, header={**trace.header, **HIDES["split"]})) == "ode"


def hidden(trace, why):
    """The same run, had nobody seen its noise."""
    return replace(unmarked(trace), header={**trace.header, **HIDES[why]})


def unmarked(trace):
    """The same run, had nobody seen its noise: all of it is in the move, which no multiple of D - x explains."""
    full = trace.record.matrix().clone()
    noise, move = (trace.record.vectors.index(name) for name in ("noise", "move"))
    full[..., move, :] += full[..., noise, :]
    full[..., :, move] += full[..., :, noise]
    full[..., noise, :] = full[..., :, noise] = 0
    kappa = torch.full_like(trace.steps["kappa"], math.nan)
    return replace(trace, steps={**trace.steps, "K": triangle(full), "kappa": kappa})
