"""A run that an exact classifier guides: what it records, and that files keep it."""

import pytest
import torch

from guidance_geometry.dev.fixtures.classifier_run import ClassifierRun
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.trace.checks import check

MIXTURE = make_mixture((3, 8, 8), classes=3, seed=0)


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("sampler", ["euler", "gg_ddpm"])
def test_the_gradient_with_weight_one_is_the_difference_of_both_predictions(sampler, flow):
    run = ClassifierRun(MIXTURE, torch.tensor([0, 1]), 1.0, sampler, flow)
    trace = run.trace(steps=8)
    assert len(run.predictions) == 8
    for u, c, gradient in run.predictions:
        assert (gradient - (c - u)).abs().max() <= 1e-9
    record = trace.record
    missed = record.square({"gradient": 1.0, "delta": -1.0})
    assert (missed <= 1e-18 + 1e-15 * record.dot("u", "u")).all()
    assert (record.square({"D-G": 1.0, "gradient": -1.0}) <= 1e-15 * record.dot("u", "u")).all()
    assert check(trace) == []
