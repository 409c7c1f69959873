"""What a user chose of the knob that guided a run, and a second run, over the addresses that browsers ask."""

import pytest

from guidance_geometry.tests.queue.prompts import (
    ASKING,
    distilled,
    fetched,
    recorded,
    runs_of,
    sent,
    small,
    steered,
)

ALIKE = {"half.same", "half.all", "half.some", "half.close", "half.close.all", "half.close.some", "half.mixed"}


def picks(key, values, **facts):
    """Picks as they are sent: values that were liked or not, of a kind of sampler and perhaps of a knob."""
    one = [{"cfg": value, "good": good, "sampler_class": "ode-few", **facts} for value, good in values.items()]
    return {"format": "guidance-geometry/picks", "version": 1, "model": {"name": "m", "key": key}, "picks": one}


def test_picks_are_added_shown_and_forgotten(client):
    key = "file:a folder/some model & more.safetensors"
    assert sent(client, "GET", key) == (204, None)
    status, first = sent(client, "POST", key, picks(key, {2: True, 4: False}))
    assert status == 200
    assert first["ranges"]["ode-few"] == pytest.approx([2, 8**0.5])
    status, more = sent(client, "POST", key, picks(key, {4: True, 8: False}))
    assert {one["cfg"]: one["good"] for one in more["picks"]} == {2: True, 4: True, 8: False}
    assert sent(client, "GET", key) == (200, more)
    assert sent(client, "POST", key, more)[1] == more, "what was exported can be sent again"
    assert sent(client, "DELETE", key, sampler_class="sde")[1] == more
    left = sent(client, "DELETE", key, sampler_class="ode-few", value=2)[1]
    assert left["picks"] == more["picks"][1:], "one value alone"
    assert sent(client, "DELETE", key, sampler_class="ode-few") == (204, None)
    assert sent(client, "GET", key) == (204, None)


def masked():
    """A distilled model that is told its guidance behind another node."""
    graph = distilled()
    graph["4"]["inputs"]["positive"] = ["7", 0]
    masked = {"conditioning": ["6", 0], "strength": 1.0, "set_cond_area": "default", "mask": ["10", 0]}
    graph["7"] = {"class_type": "ConditioningSetMask", "inputs": masked}
    graph["10"] = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 64, "height": 64}}
    return graph


def gradient(scale, preset="scale", **sampler):
    """A run at cfg 1 that a noise-aware classifier steers."""
    label = {"classifier": ["20", 0], "label": "robot", "kind": "label"}
    loader = {"20": {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": "pocket-noisy-1"}}}
    graph = steered({"class_type": "GGLabelEnergy", "inputs": label}, loader, scale, seed=32, **sampler)
    graph["22"] |= {"inputs": graph["22"]["inputs"] | {"preset": preset}, "_meta": {"title": "More of a robot"}}
    return graph


def ruled():
    """A run whose chain has one rule."""
    graph = small(cfg=4.0, seed=501)
    graph["20"] = {"class_type": "GGRescale", "inputs": {"phi": 0.7, "space": "v"}}
    graph["4"]["inputs"]["guidance"] = ["20", 0]
    return graph


KNOBS = {
    "cfg": (small(seed=4242, steps=6, cfg=8.0), {"kind": "cfg", "node": "4", "input": "cfg", "value": 8.0}),
    "distilled guidance": (
        masked(),
        {"kind": "guidance", "title": "Told", "node": "6", "input": "guidance", "value": 3.5},
    ),
    "the scale of a gradient under a preset": (
        gradient(7.0, "strong"),
        {"kind": "gradient", "node": "22", "input": "scale", "value": 4.0, "beside": {"preset": "scale"}},
    ),
    "a rule's": (ruled(), {"kind": "rule", "node": "20", "input": "phi", "limits": [0, 1]}),
}


@pytest.mark.parametrize("name", KNOBS)
def test_the_knob_of_a_run_is_the_widget_that_guided_it_and_picks_of_it_are_compared(client, name):
    graph, expected = KNOBS[name]
    record = recorded(client, graph)
    own, report = record["model"]["key"], record["report"]
    (knob,) = (one for one in report["knobs"] if one["kind"] == expected["kind"])
    assert expected.items() <= knob.items()
    facts = {"sampler_class": report["sampler_class"], "knob": knob["key"]}
    low, high = knob["value"] / 8, knob["value"] / 4
    try:
        status, stored = sent(client, "POST", own, picks(own, {low: True, high: False}, **facts))
        assert status == 200
        found = fetched(client, f"tab/runs/{record['run']}/report")
        headline = "head.picks.above" if name == "cfg" else "head.knob.above"
        assert (found["headline"]["id"], found["colour"]) == (headline, "above")
        assert found["knob"]["key"] == knob["key"]
        assert found["suggested"] == pytest.approx((low * (low * high) ** 0.5) ** 0.5, rel=0.05)
        other = "guidance" if name == "cfg" else "cfg"
        assert sent(client, "DELETE", own, sampler_class=facts["sampler_class"], knob=other)[1] == stored
    finally:
        sent(client, "DELETE", own)


def test_at_cfg_1_the_whole_push_is_the_gradients_and_one_that_burns_is_named(client):
    graph = gradient(60.0, cfg=1.0, steps=12)
    graph["40"] = {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": "pocket-judge-1"}}
    judge = {"classifier": ["40", 0], "label": "robot", "kind": "label"}
    graph["41"] = {"class_type": "GGLabelEnergy", "inputs": judge, "_meta": {"title": "A second look"}}
    graph["42"] = {"class_type": "GGReport", "inputs": {"trace": ["4", 2], "energy": ["41", 0]}}
    job = client.run(graph, **ASKING)
    (run,) = runs_of(client, job)
    report = fetched(client, f"tab/runs/{run['run']}")["report"]
    assert report["push"] == {"guidance": 0, "More of a robot": 1}
    assert report["headline"]["id"] == "head.burns.gradient"
    assert "More of a robot" in report["headline"]["en"]
    assert [one["facts"]["half"] for one in report["reasons"] if one["id"] == "help.gradient"] == [30.0]
    assert "A second look (" in job.outputs["42"]["text"][0]


def shown(client, cfg, save=False):
    """The run of a latent model in a job that shows or saves its pictures."""
    graph = small(denoiser="pocket-flow-1", seed=4344, steps=6, cfg=cfg, capture="pictures")
    graph["5"] = {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 1]}}
    kind = {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "a/half"}}
    graph["6"] = kind if save else {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}}
    return recorded(client, graph)["run"]


def test_the_pictures_that_both_jobs_showed_decide_whether_they_are_the_same(client):
    own, half, near = (shown(client, cfg, save) for cfg, save in ((8.0, True), (4.0, False), (7.99, False)))

    def about_pictures(second, node):
        findings = fetched(client, f"tab/runs/{own}/report", half=second, shown=node)["findings"]
        (said,) = (one["id"] for one in findings if "distance" in one["facts"])
        return said

    assert fetched(client, "tab/runs/gone/report") is None
    assert about_pictures(half, "6") in ALIKE | {"half.other", "half.none"}
    assert about_pictures(near, "6") == "half.all"
    assert about_pictures(near, "gone") == "half.near", "where no picture is known, the numbers are compared"
