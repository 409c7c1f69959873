"""Energies through the real queue: each one steers the demo denoiser, which was trained on none of them."""

import pytest
import torch

from guidance_geometry.classifiers.reading import open_classifier
from guidance_geometry.classifiers.wired import CleanClassifier
from guidance_geometry.dev.fixtures.tiny_folders import save_tiny
from guidance_geometry.guidance.energies.perception import DepthEnergy, SegmentationEnergy, TextEnergy
from guidance_geometry.guidance.energies.reference import FeatureEnergy, StyleEnergy
from guidance_geometry.tests.classifier_slopes import open_as
from guidance_geometry.tests.queue.prompts import ROOT, in_batches, latents, refusal, steered

pytest.importorskip("transformers", reason="transformers comes with the host")
ORANGE = 0xE06020
RUN = {"steps": 8, "seed": 43, "sampler_name": "euler_ancestral"}


def reference(compare, spread=0.1, **inputs):
    """A reference energy with an orange picture."""
    picture = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": ORANGE}}
    given = {"compare": compare, "spread": spread, "image": ["30", 0], **inputs}
    return {"class_type": "GGReferenceEnergy", "inputs": given}, {"30": picture}


def from_orange(x0):
    """Distance of the mean colour from orange, per image."""
    return (x0.clamp(-1, 1).mean(dim=(2, 3)) - orange()).square().mean(dim=1).sqrt()


def orange():
    return torch.tensor([ORANGE >> shift & 255 for shift in (16, 8, 0)]) / 127.5 - 1


@pytest.mark.parametrize(
    ("compare", "evaluation", "scale", "left"),
    [("mean colour", "auto", 4.0, 0.5), ("mean colour", "x0", 100.0, 0.3), ("colours", "auto", 4.0, 0.8)],
)
def test_a_colour_that_the_denoiser_was_never_told_comes_out(client, compare, evaluation, scale, left):
    """The same two labels and noise with and without it: what is left of the distance to orange, on average."""
    run = {"label": "robot; landscape", "cfg": 2.0, "steps": 10, "seed": 41, "sampler_name": "euler_ancestral"}
    plain, found = (
        from_orange(latents(client, client.run(in_batches(steered(*reference(compare), size, evaluation, **run)))))
        for size in (0.0, scale)
    )
    assert found.mean() <= left * plain.mean()


FOLDERS = {"text": "clip", "sigmoid": "siglip", "map": "segformer", "depth": "dpt", "features": "dino"}
ORANGE_PICTURE = {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 1, "color": ORANGE}}
HALF = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 32, "height": 16}}
NONE = {"class_type": "SolidMask", "inputs": {"value": 0.0, "width": 32, "height": 32}}
UPPER = {
    "class_type": "MaskComposite",
    "inputs": {"destination": ["32", 0], "source": ["31", 0], "x": 0, "y": 0, "operation": "add"},
}
UPPER_PICTURE = {"class_type": "MaskToImage", "inputs": {"mask": ["33", 0]}}
INPUTS = {
    "text": {"text": "a photo of a cat; a dog", "negative": "a photo", "kind": "probability"},
    "map": {"classes": "sky; dog", "average": "classes", "ignore_index": 255, "mask": ["33", 0]},
    "depth": {"image": ["34", 0], "shows": "white is near", "distance": "L1", "spread": 0.1},
    "reference": {"compare": "features", "spread": 0.1, "image": ["30", 0]},
}
NODES = {
    "text": ("GGTextEnergy", INPUTS["text"]),
    "sigmoid": ("GGTextEnergy", INPUTS["text"]),
    "map": ("GGSegmentationEnergy", INPUTS["map"]),
    "depth": ("GGDepthEnergy", INPUTS["depth"]),
    "features": ("GGReferenceEnergy", INPUTS["reference"]),
    "style": ("GGReferenceEnergy", INPUTS["reference"] | {"compare": "style"}),
}


@pytest.fixture(scope="module")
def folder(server):
    """The server's own models/classifiers."""
    return server.log.parent / "models" / "classifiers"


@pytest.fixture(scope="module")
def networks(folder):
    """Tiny networks of every kind in that folder; name of an energy -> what it loads."""
    for kind in FOLDERS.values():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        save_tiny(folder / kind, kind)
    own = {"style": "pocket-clean-1", "judge": "pocket-judge-1"}
    return {name: f"{kind}/" for name, kind in FOLDERS.items()} | own


def seen(name, networks, loaded=None, **changed):
    """An energy of this name and the nodes it reads."""
    kind, inputs = NODES[name]
    loader = {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": networks[loaded or name]}}
    drawn = {"30": ORANGE_PICTURE, "31": HALF, "32": NONE, "33": UPPER, "34": UPPER_PICTURE}
    given = {key: value for key, value in (inputs | {"classifier": ["20", 0]} | changed).items() if value is not None}
    return {"class_type": kind, "inputs": given}, {"20": loader, **drawn}


def made(name, guide):
    """The same energy, without a host."""
    half = (torch.arange(32)[:, None] >= 16).long().expand(1, 32, 32)
    return {
        "text": lambda: TextEnergy(guide, ("a photo of a cat", "a dog"), ("a photo",)),
        "sigmoid": lambda: TextEnergy(guide, ("a photo of a cat", "a dog"), ("a photo",)),
        "map": lambda: SegmentationEnergy(guide, half),
        "depth": lambda: DepthEnergy(guide, 1.0 - half),
        "features": lambda: FeatureEnergy(guide, orange_picture()),
        "style": lambda: StyleEnergy(guide, orange_picture()),
    }[name]()


def orange_picture():
    return orange()[None, :, None, None].expand(1, 3, 32, 32)


@pytest.mark.parametrize("name", NODES)
def test_what_a_network_sees_is_reached(client, networks, folder, name):
    """Two images of one noise with and without it: the network finds both guided ones more like what was asked for."""
    plain, found = (
        latents(client, client.run(steered(*seen(name, networks), scale, "x0", **RUN))) for scale in (0.0, 10.0)
    )
    own = ROOT / "assets" / "classifiers" / "pocket-clean-1.safetensors"
    energy = made(name, open_classifier(own if name == "style" else folder / FOLDERS[name]))
    assert found.isfinite().all()
    assert (energy.log_prob(found) > energy.log_prob(plain)).all()


@pytest.mark.parametrize(("classes", "wanted"), [("#e06020 sky", "sky"), ("*", "dog")])
def test_a_map_may_be_a_picture(client, networks, folder, classes, wanted):
    """The orange picture as sky; a nearly black one as class 1, dog."""
    energy, more = seen("map", networks, mask=None, image=["30", 0], classes=classes)
    if classes == "*":
        more["30"] = {**ORANGE_PICTURE, "inputs": ORANGE_PICTURE["inputs"] | {"color": 0x010101}}
    plain, found = (latents(client, client.run(steered(energy, more, scale, "x0", **RUN))) for scale in (0.0, 10.0))
    guide = open_as(folder / FOLDERS["map"], CleanClassifier)
    everywhere = SegmentationEnergy(guide, torch.full((1, 32, 32), guide.labels.index(wanted)))
    assert (everywhere.log_prob(found) > everywhere.log_prob(plain)).all()


BAD = {
    "another kind of network": ("text", {"loaded": "style"}, "but how well a text fits is needed. Choose a CLIP"),
    "no text": ("text", {"text": ""}, "A text is empty"),
    "nothing to weigh against": ("text", {"negative": ""}, "Add a negative text"),
    "three classes in a mask": ("map", {"classes": "sky; dog; cat"}, "a mask has one or two"),
    "no map": ("map", {"mask": None}, "exactly one of them"),
    "a map of another shape": ("map", {"mask": ["31", 0]}, "is 32 x 16 but the picture 32 x 32"),
    "a level without a class": ("map", {"mask": None, "image": ["30", 0], "classes": "*"}, "asks for class 224 but"),
    "a colour nobody drew": ("map", {"mask": None, "image": ["30", 0], "classes": "#00ff00 sky"}, "A map is empty"),
    "a class without a colour": ("map", {"mask": None, "image": ["30", 0]}, "'sky' is not a colour with a class"),
    "a flat depth": ("depth", {"image": ["30", 0]}, "is flat"),
    "features for depth": ("depth", {"loaded": "features"}, "gives features, but depth is needed"),
    "no reference": ("features", {"image": None}, "needs a reference, and none is connected"),
    "no network": ("features", {"classifier": None}, "needs a network"),
    "a style without convolutions": ("style", {"loaded": "features"}, "no convolutions of several sizes"),
}


@pytest.mark.parametrize(("name", "changed", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_is_named_and_the_next_job_runs(client, networks, name, changed, words):
    assert words in refusal(client, steered(*seen(name, networks, **changed)))
