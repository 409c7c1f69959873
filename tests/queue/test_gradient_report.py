"""The report on runs that a gradient guides, through the real queue: who pushed, by the titles of their nodes."""

import json

import pytest

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


KEPT = {}


@pytest.fixture
def reports(client):
    """scale of the gradient, cfg -> the report as text, and the record of the run; each is made once."""

    def report(scale, cfg=1.0):
        if (scale, cfg) not in KEPT:
            job = client.run(graph(scale, cfg=cfg, label="robot" if cfg > 1 else ""), **ASKING)
            (run,) = runs_of(client, job)
            KEPT[scale, cfg] = job.outputs["42"]["text"][0], fetched(client, f"tab/runs/{run['run']}")
        return KEPT[scale, cfg]

    return report


@pytest.mark.parametrize("scale", [2.0, 60.0])
def test_at_cfg_1_the_whole_push_is_the_gradients(reports, scale):
    words, record = reports(scale)
    assert record["report"]["push"] == {"guidance": 0, STEER: 1}
    assert [STEER in one["en"] for one in record["report"]["findings"] if one["id"] == "classifier.moved"] == [True]
    assert "100 % of the push" in words
    assert f"{JUDGE} (" in words
    assert "rules" not in words + json.dumps(record["notes"])
    assert not {one["id"] for one in record["report"]["findings"]} & {"rule.off", "acts.nowhere", "skip.none"}


def test_a_gradient_that_burns_is_named_and_its_scale_is_to_be_halved(reports):
    report = reports(60.0)[1]["report"]
    assert report["headline"]["id"] == "head.burns.gradient"
    assert STEER in report["headline"]["en"]
    assert [one["facts"]["half"] for one in report["reasons"] if one["id"] == "help.gradient"] == [30.0]


def test_of_a_gradient_that_does_not_burn_it_is_said_what_is_known_and_what_not(reports):
    report = reports(2.0)[1]["report"]
    assert (report["headline"]["id"], report["suggested"]) == ("head.gradient", None)
    assert [one["id"] for one in report["reasons"]] == ["why.gradient", "why.not_long", "help.scales"]


def test_beside_cfg_the_shares_are_told_apart(reports):
    report = reports(1.0, cfg=3.0)[1]["report"]
    assert set(report["push"]) == {"guidance", STEER}
    assert 0.05 < report["push"][STEER] < 0.95
    assert sum(report["push"].values()) == pytest.approx(1)
