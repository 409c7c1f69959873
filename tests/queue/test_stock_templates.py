"""Stock templates of the host, whole, with tiny random models: each of their samplers shows its run in the tab."""

import itertools
import json
from typing import NamedTuple

import pytest

from guidance_geometry.dev.fixtures.stock_workflows import flatten, prompt_of, stock_workflows
from guidance_geometry.sweeps.comfyui.process import DIRECT
from guidance_geometry.tests.queue.prompts import ASKING, fetched, picture, runs_of

STAND_INS = {  # of the loaders; every other node of a template is the host's own
    "CheckpointLoaderSimple": "TestCheckpoint",
    "UNETLoader": "TestModel",
    "CLIPLoader": "TestText",
    "DualCLIPLoader": "TestText",
    "VAELoader": "TestPictures",
    "LoraLoaderModelOnly": "TestPatch",
}
SMALL = {"width": 64, "height": 64, "length": 9}  # of whatever makes an empty latent


class Stock(NamedTuple):
    """A template and what its runs are: node and steps of each. changes: class or id -> inputs set beside SMALL.

    against: what the extra evaluations at cfg 1 are held against; empty where there are none.
    """

    name: str
    family: str
    runs: tuple[tuple[str, int], ...]
    scale: float
    changes: dict
    against: str = ""


STEPS = {"KSampler": {"steps": 4}}
STOCK = [
    Stock(
        "sdxl_simple_example",
        "SDXL",
        (("10", 3), ("11", 2)),
        8.0,
        {"10": {"steps": 5, "end_at_step": 3}, "11": {"steps": 5, "start_at_step": 3}},
    ),
    Stock("flux_dev_full_text_to_image", "Flux", (("194:50", 4),), 1.0, STEPS, "embedded guidance 1"),
    Stock("text_to_video_wan", "WAN21_T2V", (("3", 4),), 6.0, STEPS),
    Stock("image_qwen_image_2512_with_2steps_lora", "QwenImage", (("106", 2),), 1.0, {}, "the negative"),
    Stock("ltxv_text_to_video", "LTXV", (("72", 4),), 3.0, {"LTXVScheduler": {"steps": 4}}),
]


@pytest.fixture(scope="module")
def workflows():
    pytest.importorskip("comfyui_workflow_templates_json", reason="the stock templates are not installed")
    return stock_workflows()


@pytest.fixture(scope="module")
def declared(server):
    """class -> name and declaration of its inputs, as this host says."""
    with DIRECT.open(f"{server.address}/object_info") as answer:
        facts = json.loads(answer.read())
    return lambda kind: {**facts[kind]["input"].get("required", {}), **facts[kind]["input"].get("optional", {})}


def small_prompt(stock, workflow, declared):
    """A template's job with stand-ins for its loaders, small sizes and few steps."""
    prompt = prompt_of(flatten(workflow), declared)
    for name, node in prompt.items():
        kind, inputs = node["class_type"], node["inputs"]
        node["inputs"] |= {size: value for size, value in SMALL.items() if isinstance(inputs.get(size), int)}
        node["inputs"] |= stock.changes.get(kind, {}) | stock.changes.get(name, {})
        if kind in STAND_INS:
            wires = {slot: wire for slot, wire in inputs.items() if isinstance(wire, list)}
            prompt[name] = {"class_type": STAND_INS[kind], "inputs": {"family": stock.family} | wires}
    return prompt


def pictures(client, job):
    """Pixels of everything that was saved as a picture."""
    entries = [entry for output in job.outputs.values() for entry in output.get("images", [])]
    return [picture(client, entry) for entry in entries if entry["filename"].endswith(".png")]


@pytest.mark.parametrize("stock", STOCK, ids=lambda stock: stock.name)
def test_a_stock_template_runs_whole_and_every_sampler_is_recorded(client, workflows, declared, stock):
    prompt = small_prompt(stock, workflows[stock.name], declared)
    before = pictures(client, client.run(prompt))
    job = client.run(prompt, **ASKING)
    for one, other in zip(before, pictures(client, job), strict=True):
        assert (one == other).all()
    runs = runs_of(client, job)
    assert [(run["node"], run["steps"], run["ended"]) for run in runs] == [(*run, "") for run in stock.runs]
    records = [fetched(client, f"tab/runs/{run['run']}") for run in runs]
    assert {record["cfg"] for record in records} == {stock.scale}
    for record in records:
        assert not record.get("faults")
        looked = [step["i"] for step in record["steps"] if step["stage"] == "afterwards"]
        said = record.get("afterwards") or {"steps": [], "against": "", "evaluations": 0}
        assert (said["steps"], said["against"]) == (looked, stock.against)
        assert said["evaluations"] == 2 * len(looked)
        assert bool(looked) == bool(stock.against)
    for one, next_one in itertools.pairwise(records):
        assert one["sigmas"][-1] == next_one["sigmas"][0] > 0
