"""Knobs that make no sense, through the queue: the message names them, and the next job runs."""

import math

import pytest

from guidance_geometry.tests.queue.prompts import latents, small
from guidance_geometry.tools.api_client import JobError, RefusedError

APG = {"eta": 0.0, "threshold": 0.06, "momentum": -0.5, "threshold_unit": "per element", "space": "x0"}
OTHER, NULL = ["6", 0], ["2", 1]  # a second label, and the null label
SECOND = {"second": OTHER, "form": "sum", "second_weight": 0.5, "third_weight": -0.5, "fourth_weight": 0.0}
PERPENDICULAR = {"empty": OTHER, "weight": 1.0}
TURN = {"max_angle": 60.0, "keep_norm": True}


def with_rule(name, knobs):
    """The short run with a chain of one rule; node 6 is a second label."""
    graph = small()
    graph["6"] = {"class_type": "GGClassLabel", "inputs": {"model": ["1", 0], "label": "7"}}
    graph["7"] = {"class_type": name, "inputs": knobs}
    graph["4"]["inputs"]["guidance"] = ["7", 0]
    return graph


BAD = {
    "phi is NaN": ("GGRescale", {"phi": math.nan, "space": "v"}, "phi is nan"),
    "space of no rule": ("GGTangential", {"space": "score"}, "'score', which"),
    "two middle conditions": ("GGNegative", SECOND | {"third": NULL, "form": "nested"}, "one middle condition, and 2"),
    "momentum of one": ("GGAdaptiveProjected", APG | {"momentum": 1.0}, "0.95"),
}


@pytest.mark.parametrize(("name", "knobs", "words"), BAD.values(), ids=BAD.keys())
def test_bad_knobs_are_named_and_the_next_job_runs(client, name, knobs, words):
    with pytest.raises((RefusedError, JobError)) as caught:
        client.run(with_rule(name, knobs))
    message = str(caught.value)
    assert words in message
    assert "Traceback" not in message
    assert latents(client, client.run(small())).isfinite().all()


def test_two_rules_that_combine_are_refused_by_name(client):
    graph = with_rule("GGPerpNeg", PERPENDICULAR)
    graph["8"] = {"class_type": "GGAngle", "inputs": TURN | {"guidance": ["7", 0]}}
    graph["4"]["inputs"]["guidance"] = ["8", 0]
    with pytest.raises(JobError, match="'Perp-Neg 1' and 'ADG up to 60 deg"):
        client.run(graph)
