"""The host's stock templates: each of their samplers is tapped, and the page says so."""

import pytest

pytest.importorskip("comfyui_workflow_templates_json", reason="the stock templates are not installed")

from guidance_geometry.dev.fixtures.stock_workflows import (
    Literal,
    Wire,
    flatten,
    prompt_of,
    scales_of,
    stock_workflows,
    widgets,
    wires_alone,
)
from guidance_geometry.lab.pages import stock_templates

SAMPLERS = {"KSampler", "KSamplerAdvanced", "SamplerCustom"}
GUIDED = {"SamplerCustomAdvanced"}
GUIDERS = {"CFGGuider", "BasicGuider", "DualCFGGuider", "DualModelGuider", "LTXVDualCFGGuider"}
MODELS = {"model", "model_negative"}
LEAST = 240  # templates that sample


@pytest.fixture(scope="module")
def graphs():
    return {name: flatten(workflow) for name, workflow in stock_workflows().items()}


def test_every_sampler_is_tapped_and_no_other_node_is(host, graphs):
    from guidance_geometry.host.tap_places import with_taps

    sampling = 0
    for title, nodes in graphs.items():
        prompt = wires_alone(nodes)
        tapped, taps = with_taps(prompt, stock_templates.types_of(nodes), {})
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


def test_the_page_says_what_the_command_finds(host):
    found = stock_templates.every_sampling()
    assert stock_templates.PAGE.read_text(encoding="utf-8") == stock_templates.page(found)


def test_every_scale_stands_in_the_workflow(graphs):
    for title, nodes in graphs.items():
        for name, node in nodes.items():
            if node.kind in SAMPLERS | GUIDERS:
                assert all(0 <= scale <= 100 for scale in scales_of(nodes, name)), (title, name)


def node(name, kind, inputs=(), outputs=(), **more):
    """A node as the editor saves it.  inputs: name, type, link. outputs: types"""
    slots = [{"name": slot, "type": given, "link": link} for slot, given, link in inputs]
    return {"id": name, "type": kind, "inputs": slots, "outputs": [{"type": one} for one in outputs], **more}


INNER = {
    "id": "inner",
    "inputs": [{"name": "model", "linkIds": [1]}, {"name": "cfg", "linkIds": [2]}],
    "nodes": [
        node(
            3,
            "KSampler",
            [("model", "MODEL", 1), ("cfg", "FLOAT", 2)],
            ["LATENT"],
            widgets_values=[0, "fixed", 20, 8.0],
        )
    ],
    "links": [
        {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 3, "target_slot": 0},
        {"id": 2, "origin_id": -10, "origin_slot": 1, "target_id": 3, "target_slot": 1},
        {"id": 3, "origin_id": 3, "origin_slot": 0, "target_id": -20, "target_slot": 0},
    ],
}
INNER["nodes"][0]["inputs"][1]["widget"] = {"name": "cfg"}


def outside(**instance):
    """A loader, a LoRA, a reroute, the subgraph, a decoder.  instance: of the subgraph's node"""
    nodes = [
        node(1, "Loader", (), ["CLIP", "MODEL"]),
        node(2, "Lora", [("clip", "CLIP", None), ("model", "MODEL", 1)], ["MODEL"], mode=4),
        node(4, "Reroute", [("", "*", 2)], ["MODEL"]),
        node(8, "inner", [("model", "MODEL", 4)], ["LATENT"], **instance),
        node(9, "Decode", [("samples", "LATENT", 8)], ["IMAGE"]),
        node(10, "Note"),
    ]
    links = [[1, 1, 1, 2, 1, "MODEL"], [2, 2, 0, 4, 0, "MODEL"], [4, 4, 0, 8, 0, "MODEL"], [8, 8, 0, 9, 0, "LATENT"]]
    return {"nodes": nodes, "links": links, "definitions": {"subgraphs": [INNER]}}


def test_a_subgraph_a_reroute_and_a_bypassed_node_are_seen_through():
    nodes = flatten(outside(widgets_values=[3.5]))
    assert list(nodes) == ["1", "8:3", "9"]
    assert nodes["8:3"].inputs["model"].origin == Wire("1", 1)
    assert nodes["9"].inputs["samples"].origin == Wire("8:3", 0)
    assert nodes["8:3"].inputs["cfg"].origin == Literal(3.5)
    assert scales_of(nodes, "8:3") == [3.5]


@pytest.mark.parametrize("properties", [{}, {"proxyWidgets": [["3", "cfg"]]}], ids=str)
def test_a_widget_that_the_subgraph_does_not_set_keeps_its_own_value(properties):
    nodes = flatten(outside(widgets_values=[3.5] if properties else [], properties=properties))
    assert scales_of(nodes, "8:3") == [8.0]


def test_a_muted_node_gives_nothing():
    workflow = outside()
    workflow["nodes"][0]["mode"] = 2
    nodes = flatten(workflow)
    assert "1" not in nodes
    assert nodes["8:3"].inputs["model"].origin is None


@pytest.mark.parametrize(("switch", "scale"), [(True, 1.0), (False, None)])
def test_a_scale_behind_a_switch_is_the_one_that_is_chosen(switch, scale):
    nodes = [
        node(1, "PrimitiveFloat", (), ["FLOAT"], widgets_values=[1.0]),
        node(2, "Measured", (), ["FLOAT"]),
        node(
            3,
            "ComfySwitchNode",
            [("on_true", "FLOAT", 1), ("on_false", "FLOAT", 2)],
            ["FLOAT"],
            widgets_values=[switch],
        ),
        node(4, "CFGGuider", [("cfg", "FLOAT", 3)], ["GUIDER"], widgets_values=[8.0]),
    ]
    links = [[1, 1, 0, 3, 0, ""], [2, 2, 0, 3, 1, ""], [3, 3, 0, 4, 0, ""]]
    assert scales_of(flatten({"nodes": nodes, "links": links}), "4") == [scale]


def test_widgets_have_their_names_and_what_follows_a_seed_is_none():
    declared = {"model": ["MODEL"], "seed": ["INT", {}], "steps": ["INT", {}], "name": [["euler", "heun"]]}
    assert widgets([7, "randomize", 20, "heun"], declared) == {"seed": 7, "steps": 20, "name": "heun"}
    assert widgets([7, "fixed"], declared) == {"seed": 7}


def test_a_choice_brings_widgets_of_its_own():
    options = [{"key": "mp4", "inputs": {"required": {"codec": ["COMBO", {}]}}}, {"key": "auto", "inputs": {}}]
    declared = {"format": ["COMFY_DYNAMICCOMBO_V3", {"options": options}], "name": ["STRING"]}
    assert widgets(["mp4", "h264", "a"], declared) == {"format": "mp4", "format.codec": "h264", "name": "a"}
    assert widgets(["auto", "a"], declared) == {"format": "auto", "name": "a"}


def test_a_prompt_has_wires_widgets_and_what_a_subgraph_sets():
    declared = {"KSampler": {"model": ["MODEL"], "seed": ["INT"], "steps": ["INT"], "cfg": ["FLOAT"]}}
    prompt = prompt_of(flatten(outside(widgets_values=[3.5])), lambda kind: declared.get(kind, {}))
    assert prompt["8:3"] == {
        "class_type": "KSampler",
        "inputs": {"model": ["1", 1], "seed": 0, "steps": 20, "cfg": 3.5},
    }
