"""Every knob that guides a run, through the real queue: whose widget it is, picks of it, and half of it."""

import pytest

from guidance_geometry.tests.queue.prompts import fetched, recorded, sent, small, steered

FILE = "a-flux-of-no-template.safetensors"


def flux(guidance=3.5, **sampler):
    """A tiny Flux at cfg 1, told a guidance by a node that stands behind another one."""
    text = {"class_type": "CLIPTextEncode"}
    settings = {"seed": 77, "steps": 4, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
    wires = {"model": ["1", 0], "positive": ["7", 0], "negative": ["3", 0], "latent_image": ["5", 0]}
    zeroed = {"conditioning": ["6", 0], "strength": 1.0, "set_cond_area": "default", "mask": ["8", 0]}
    return {
        "1": {"class_type": "TestNamedCheckpoint", "inputs": {"ckpt_name": FILE, "family": "Flux"}},
        "2": text | {"inputs": {"clip": ["1", 1], "text": "a cat"}},
        "3": text | {"inputs": {"clip": ["1", 1], "text": ""}},
        "6": {
            "class_type": "FluxGuidance",
            "inputs": {"conditioning": ["2", 0], "guidance": guidance},
            "_meta": {"title": "Told"},
        },
        "7": {"class_type": "ConditioningSetMask", "inputs": zeroed},
        "8": {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 64, "height": 64}},
        "5": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "4": {"class_type": "KSampler", "inputs": settings | wires | sampler},
        "9": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
        "10": {"class_type": "PreviewImage", "inputs": {"images": ["9", 0]}},
    }


def gradient(scale=2.0, preset="scale"):
    """A run at cfg 1 that a noise-aware classifier steers."""
    label = {"classifier": ["20", 0], "label": "robot", "kind": "label"}
    loader = {"20": {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": "pocket-noisy-1"}}}
    graph = steered({"class_type": "GGLabelEnergy", "inputs": label}, loader, scale, seed=32)
    graph["22"] |= {"inputs": graph["22"]["inputs"] | {"preset": preset}, "_meta": {"title": "More of a robot"}}
    return graph


def ruled(**rescale):
    """A run whose chain has one rule."""
    graph = small(cfg=4.0, seed=501)
    graph["20"] = {"class_type": "GGRescale", "inputs": {"phi": 0.7, "space": "v"} | rescale}
    graph["4"]["inputs"]["guidance"] = ["20", 0]
    return graph


CASES = {
    "distilled guidance": (flux, {"kind": "guidance", "title": "Told", "node": "6", "input": "guidance", "value": 3.5}),
    "the scale of a gradient under a preset": (
        lambda: gradient(7.0, "strong"),
        {"kind": "gradient", "node": "22", "input": "scale", "value": 4.0, "beside": {"preset": "scale"}},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_knob_of_a_run_is_the_widget_that_guided_it_and_picks_of_it_are_compared(client, name):
    graph, knob = CASES[name]
    record = recorded(client, graph())
    own, report = record["model"]["key"], record["report"]
    assert knob.items() <= report["knob"].items()
    assert report["headline"]["id"] in ("head.distilled", "head.gradient")
    picks = [{"cfg": cfg, "good": good} for cfg, good in ((0.5, True), (1.0, True), (1.5, False))]
    facts = {"sampler_class": report["sampler_class"], "knob": report["knob"]["key"]}
    body = {"format": "guidance-geometry/picks", "version": 1, "model": {"name": "m", "key": own}}
    try:
        status, stored = sent(client, "POST", own, body | {"picks": [one | facts for one in picks]})
        assert (status, stored["ranges"]) == (200, {}), "nothing is said of cfg"
        assert {one["knob"] for one in stored["picks"]} == {facts["knob"]}
        assert stored["knobs"][facts["knob"]][facts["sampler_class"]] == pytest.approx([0.5, 1.5**0.5])
        found = fetched(client, f"tab/runs/{record['run']}/report")
        assert (found["headline"]["id"], found["colour"]) == ("head.knob.above", "above")
        assert found["suggested"] == 0.78
        assert sent(client, "DELETE", own, sampler_class=facts["sampler_class"], knob="cfg")[1] == stored
        assert sent(client, "DELETE", own, sampler_class=facts["sampler_class"], knob=facts["knob"])[0] == 204
    finally:
        sent(client, "DELETE", own)


def test_the_main_knob_of_a_rule_can_be_tried_where_a_widget_holds_it(client):
    knobs = recorded(client, ruled())["report"]["knobs"]
    assert [(one["kind"], one["node"], one["input"]) for one in knobs] == [("cfg", "4", "cfg"), ("rule", "20", "phi")]
    assert knobs[1]["limits"] == [0, 1]
    assert "cfg 4" in knobs[1]["key"]
    record = recorded(client, ruled(phi=0.35))
    other, own = record["report"]["knobs"], record["model"]["key"]
    assert [one["key"] for one in other] == [one["key"] for one in knobs], "its own value is no part of a key"
    facts = {"sampler_class": record["report"]["sampler_class"], "knob": other[1]["key"]}
    tried = [facts | {"cfg": cfg, "good": cfg < 0.2} for cfg in (0.1, 0.2)]
    claims = {"format": "guidance-geometry/picks", "version": 1, "model": {"name": "m", "key": own}}
    try:
        assert sent(client, "POST", own, claims | {"picks": tried})[0] == 200
        found = fetched(client, f"tab/runs/{record['run']}/report")
        assert (found["headline"]["id"], found["knob"]["kind"], found["suggested"]) == ("head.knob.above", "rule", 0.12)
    finally:
        sent(client, "DELETE", own)
