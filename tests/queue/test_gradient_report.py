"""The report on runs that a gradient guides, through the real queue: who pushed, by the titles of their nodes."""

import json

from guidance_geometry.tests.queue.prompts import ASKING, fetched, runs_of, steered

LABEL = {"class_type": "GGLabelEnergy", "inputs": {"classifier": ["20", 0], "label": "robot; face", "kind": "label"}}
STEER, JUDGE = "More of a robot", "A second look"


def graph(scale, **sampler):
    """A run of the null label that a noise-aware classifier steers, its trace and its report by a judge."""
    loaders = {
        "20": {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": "pocket-noisy-1"}},
        "40": {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": "pocket-judge-1"}},
    }
    judge = {**LABEL, "inputs": {**LABEL["inputs"], "classifier": ["40", 0]}, "_meta": {"title": JUDGE}}
    found = steered(LABEL, loaders | {"41": judge}, scale, steps=12, seed=32, **sampler)
    (gradient,) = (node for node in found.values() if node["class_type"] == "GGClassifierGradient")
    gradient["_meta"] = {"title": STEER}
    (sampling,) = (name for name, node in found.items() if "latent_image" in node["inputs"])
    found["42"] = {"class_type": "GGReport", "inputs": {"trace": [sampling, 2], "energy": ["41", 0]}}
    return found


def test_at_cfg_1_the_whole_push_is_the_gradients_and_one_that_burns_is_named(client):
    job = client.run(graph(60.0, cfg=1.0, label=""), **ASKING)
    (run,) = runs_of(client, job)
    words, record = job.outputs["42"]["text"][0], fetched(client, f"tab/runs/{run['run']}")
    report = record["report"]
    assert report["push"] == {"guidance": 0, STEER: 1}
    assert "100 % of the push" in words
    assert f"{JUDGE} (" in words
    assert "rules" not in words + json.dumps(record["notes"])
    assert report["headline"]["id"] == "head.burns.gradient"
    assert STEER in report["headline"]["en"]
    assert [one["facts"]["half"] for one in report["reasons"] if one["id"] == "help.gradient"] == [30.0]
