"""Prompt strength, denoising ratio and variety in sweeps: asked for by name, and taken from the traces of the cells."""

import math

import pytest
import torch

from guidance_geometry.measure.levels import DRAWS
from guidance_geometry.sweeps.cells import cells_of
from guidance_geometry.sweeps.curves import add_diversity
from guidance_geometry.sweeps.measures import measure
from guidance_geometry.sweeps.plan import plan_of
from guidance_geometry.sweeps.rules import NOTHING
from guidance_geometry.tests.traces import exact_trace

WORKFLOW = {
    "1": {"class_type": "KSampler", "inputs": {"cfg": 4.0, "seed": 0, "latent_image": ["2", 0]}},
    "2": {"class_type": "EmptyLatentImage", "inputs": {}},
    "3": {"class_type": "VAEDecode", "inputs": {"samples": ["1", 0]}},
}
SAID = {
    "evaluations": 8,
    "sigmas": [1.6, 0.2],
    "along": [[2.0, 4.0], [None, None]],
    "length": [[2.0, 2.0], [None, None]],
}
SAID |= {"error": [[2.0, 2.0], [8.0, 8.0]], "expected": [[1.0, 1.0], [1.0, 1.0]]}


@pytest.mark.parametrize(("measures", "draws"), [(["strength"], None), (["strength", "denoising_ratio"], DRAWS)])
def test_cells_ask_the_model_only_where_a_measure_needs_it(measures, draws):
    plan = plan_of({"workflow": WORKFLOW, "axes": {"cfg": [1, 2]}, "measures": measures})
    cells = cells_of(plan, NOTHING, {}, "1")
    assert [cell.prompt["1"]["inputs"].get("measure") for cell in cells] == [draws, draws]
    assert cells[0].prompt["1"]["class_type"] == "GGGuidedSampler"


def test_a_trace_says_what_was_measured_of_all_samples_of_some_and_of_a_damaged_record():
    trace = exact_trace(steps=2, batch=2)
    names = ["prompt_strength", "denoising_ratio"]
    assert all(map(math.isnan, measure(trace, names).values()))
    trace.header["measured"] = SAID
    assert measure(trace, names) == pytest.approx({"prompt_strength": 1.5, "denoising_ratio": 4.0})
    assert measure(trace.of_samples(slice(1, 2)), names)["prompt_strength"] == pytest.approx(2)
    trace.header["measured"] = {**SAID, "error": [[2.0], [8.0, 8.0]]}
    assert all(map(math.isnan, measure(trace, names).values()))


def test_variety_is_the_diversity_over_that_at_cfg_1_with_all_else_alike():
    far = {("a", 1): 0.4, ("a", 8): 0.2, ("b", 8): 0.1}
    rows = [{"id": f"{label} {cfg} {seed}", "place": {"label": label, "cfg": cfg, "seed": seed}, "measures": {}}
            for label, cfg in far for seed in (0, 1)]  # fmt: skip

    def picture_of(cell):
        label, cfg, seed = cell.split()
        return torch.full([2, 2, 3], int(seed) * far[label, int(cfg)])

    found = {row["id"]: row["measures"] for row in add_diversity(rows, picture_of)}
    assert found["a 8 0"] == pytest.approx({"diversity": 0.2, "variety": 0.5})
    assert found["a 1 1"]["variety"] == pytest.approx(1)
    assert "variety" not in found["b 8 0"]
