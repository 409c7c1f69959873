"""The host's stock templates: each of their samplers is tapped, and no other node is."""

import pytest

pytest.importorskip("comfyui_workflow_templates_json", reason="the stock templates are not installed")

from guidance_geometry.dev.fixtures.stock_workflows import (
    flatten,
    stock_workflows,
    wires_alone,
)
from guidance_geometry.lab.studies.stock_templates import types_of

SAMPLERS = {"KSampler", "KSamplerAdvanced", "SamplerCustom"}
GUIDED = {"SamplerCustomAdvanced"}
GUIDERS = {"CFGGuider", "BasicGuider", "DualCFGGuider", "DualModelGuider", "LTXVDualCFGGuider"}
MODELS = {"model", "model_negative"}
LEAST = 240  # templates that sample


@pytest.fixture(scope="module")
def graphs():
    return {name: flatten(workflow) for name, workflow in stock_workflows().items()}


def test_every_sampler_is_tapped_and_no_other_node_is(host, graphs):
    from guidance_geometry.host.editor.tap_places import add_taps

    sampling = 0
    for title, nodes in graphs.items():
        prompt = wires_alone(nodes)
        tapped, taps = add_taps(prompt, types_of(nodes), {})
        sources = {tap: tapped[tap]["inputs"]["model"] for tap in taps}
        for name, node in prompt.items():
            reads = MODELS if node["class_type"] in SAMPLERS | GUIDERS else set()
            for slot, wire in node["inputs"].items():
                now = tapped[name]["inputs"][slot]
                assert (sources[now[0]] if slot in reads else now) == wire, (title, name, slot)
            if node["class_type"] in GUIDED:
                assert prompt[node["inputs"]["guider"][0]]["class_type"] in GUIDERS, (title, name)
        sampling += any(node["class_type"] in SAMPLERS | GUIDED for node in prompt.values())
    assert sampling >= LEAST
