"""Energies of networks through the real queue: a map that a picture draws is reached, and what cannot be is named."""

import pytest
import torch

from guidance_geometry.classifiers.wired import CleanClassifier
from guidance_geometry.dev.fixtures.tiny_folders import save_tiny
from guidance_geometry.guidance.energies.perception import SegmentationEnergy
from guidance_geometry.tests.classifier_slopes import open_as
from guidance_geometry.tests.queue.prompts import latents, refusal, small, steered

pytest.importorskip("transformers", reason="transformers comes with the host")
ORANGE = {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": 0xE06020}}
HALF = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 32, "height": 16}}
DRAWN = {"30": ORANGE, "31": HALF}
NODES = {
    "text": ("GGTextEnergy", {"text": "a photo of a cat; a dog", "negative": "a photo", "kind": "probability"}),
    "map": ("GGSegmentationEnergy", {"classes": "sky; dog", "average": "classes", "ignore_index": 255}),
    "reference": ("GGReferenceEnergy", {"compare": "features", "spread": 0.1}),
}
FOLDERS = {"text": "clip", "map": "segformer", "reference": "dino"}


@pytest.fixture(scope="module")
def folder(server):
    """The server's own models/classifiers, with tiny networks of every kind."""
    folder = server.log.parent / "models" / "classifiers"
    for kind in FOLDERS.values():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        save_tiny(folder / kind, kind)
    return folder


def seen(name, network="", **changed):
    """An energy of this name and the nodes that it reads."""
    kind, inputs = NODES[name]
    loader = {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": network or f"{FOLDERS[name]}/"}}
    given = {key: value for key, value in {**inputs, "classifier": ["20", 0], **changed}.items() if value is not None}
    return {"class_type": kind, "inputs": given}, {"20": loader, **DRAWN}


def test_a_map_may_be_a_picture(client, folder):
    """Two images of one noise with and without it: the network finds both guided ones more like sky everywhere."""
    run = {"steps": 8, "seed": 43, "sampler_name": "euler_ancestral"}
    energy = seen("map", image=["30", 0], classes="#e06020 sky")
    plain, found = (latents(client, client.run(steered(*energy, scale, "x0", **run))) for scale in (0.0, 10.0))
    guide = open_as(folder / FOLDERS["map"], CleanClassifier)
    everywhere = SegmentationEnergy(guide, torch.full((1, 32, 32), guide.labels.index("sky")))
    assert (everywhere.log_prob(found) > everywhere.log_prob(plain)).all()


BAD = {
    "another kind of network": (seen("text", "pocket-clean-1"), "but how well a text fits is needed. Choose a CLIP"),
    "three classes in a mask": (seen("map", mask=["31", 0], classes="sky; dog; cat"), "a mask has one or two"),
    "no map": (seen("map"), "exactly one of them"),
    "a class without a colour": (seen("map", image=["30", 0]), "'sky' is not a colour with a class"),
    "no reference": (seen("reference"), "needs a reference, and none is connected"),
    "no network": (seen("reference", image=["30", 0], classifier=None), "needs a network"),
}


@pytest.mark.usefixtures("folder")
def test_what_cannot_be_is_named_and_the_next_job_runs(client):
    said = {name: refusal(client, steered(*energy)) for name, (energy, _) in BAD.items()}
    assert [said[name] for name, (_, words) in BAD.items() if words not in said[name]] == []
    assert latents(client, client.run(small())).isfinite().all()
