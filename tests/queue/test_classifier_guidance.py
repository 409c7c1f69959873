"""Classifier guidance through the real queue: every evaluation, also of a latent model, and what its node says."""

import numpy as np
import pytest
import torch

from guidance_geometry.classifiers.wired import CleanClassifier
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.tests.classifier_files import CLASSIFIERS
from guidance_geometry.tests.classifier_slopes import open_as
from guidance_geometry.tests.queue.prompts import in_batches, latents, picture, steered


def guided(classifier="pocket-clean-1", evaluation="auto", scale=None, label="robot; face", dtype="default", **sampler):
    """A short run of the null label that a classifier steers."""
    loader = {"20": {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": classifier}}}
    wanted = {"classifier": ["20", 0], "label": label, "kind": "label"}
    graph = steered({"class_type": "GGLabelEnergy", "inputs": wanted}, loader, scale, evaluation, **sampler)
    graph["1"]["inputs"]["weight_dtype"] = dtype
    return graph


@pytest.fixture(scope="module")
def belief():
    """Mean log p of the two labels that `guided` asks for, by the demo's clean classifier."""
    clean = open_as(CLASSIFIERS / "pocket-clean-1.safetensors", CleanClassifier)
    wanted = tuple((clean.labels.index(label),) for label in ("robot", "face"))
    return lambda images: float(LabelEnergy(clean, wanted).log_prob(images).mean())


@pytest.mark.parametrize(
    ("classifier", "evaluation", "scale", "name", "dtype"),
    [
        ("pocket-clean-1", "auto", 0.2, "heun", "fp32"),
        ("pocket-noisy-1", "auto", 2.0, "dpmpp_2m_sde", "fp32"),
        ("pocket-clean-1", "x0", 50.0, "euler", "fp16"),
    ],
)
def test_every_evaluation_makes_what_was_asked_for(client, belief, classifier, evaluation, scale, name, dtype):
    """The guided images are e^3 times as likely what was asked for."""
    run = {"steps": 12, "seed": 32, "sampler_name": name, "dtype": dtype}
    plain, found = (
        latents(client, client.run(in_batches(guided(classifier, evaluation, size, **run)))) for size in (0.0, scale)
    )
    assert found.isfinite().all()
    assert belief(found) > belief(plain) + 3


def test_the_included_latent_model_is_guided_through_its_own_decoder(client, belief):
    found = []
    for scale in (0.0, None):
        graph = in_batches(guided(evaluation="x0 + backprop", scale=scale, steps=12, seed=39))
        graph["1"]["inputs"]["denoiser_name"] = "pocket-flow-1"
        graph["22"]["inputs"]["vae"] = ["1", 1]
        graph["40"] = {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 1]}}
        graph["41"] = {"class_type": "PreviewImage", "inputs": {"images": ["40", 0]}}
        shown = [picture(client, entry) for entry in client.run(graph).outputs["41"]["images"]]
        found.append(belief(torch.tensor(np.stack(shown)).permute(0, 3, 1, 2) / 127.5 - 1))
    assert found[1] > found[0] + 3


def test_what_a_run_has_to_say_stands_on_its_node(client):
    """A mask without a white place leaves no gradient, and is named; the sampler shows it while it runs."""
    loader = {"20": {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": "pocket-clean-1"}}}
    label = {"class_type": "GGLabelEnergy", "inputs": {"classifier": ["20", 0], "label": "0", "kind": "label"}}
    black = {"class_type": "SolidMask", "inputs": {"value": 0.0, "width": 32, "height": 32}}
    masked = {"class_type": "GGMaskedEnergy", "inputs": {"energy": ["30", 0], "mask": ["31", 0]}}
    done = client.run(steered(masked, loader | {"30": label, "31": black}, None, "x0", seed=38))
    said = [data["bytes"] for kind, data in done.events if kind == "preview"]
    assert any(b"Classifier guidance: gradient is exactly zero" in text for text in said)
    assert any(b"its mask is black everywhere." in text for text in said)
