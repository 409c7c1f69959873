"""What lies in the folders of a fuzzed host before it is used: tiny networks, odd latents, traces of real runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ...dev.fixtures.tiny_folders import lively, save_tiny
from ...dev.places import ROOT
from .catalogue import Catalogue
from .graphs import Builder, Graph, around
from .watched import Watched

TINY = ("clip", "segformer", "dpt", "vit")
SMALLEST = "lraspp_mobilenet_v3_large"  # of what torchvision has
ASSETS = ROOT / "assets"


def equip(folder: Path) -> None:
    """Write what needs no host.  folder: the host's own folders lie in it"""
    torch.manual_seed(0)
    sources = folder / "sources"
    for kind in ("classifiers", "denoisers"):
        shutil.copytree(ASSETS / kind, sources / kind, ignore=shutil.ignore_patterns("*.json"))
    for kind in TINY:
        place = sources / "models" / f"tiny-{kind}"
        place.mkdir(parents=True)
        save_tiny(place, kind)
        shutil.copytree(place, folder / "models" / "classifiers" / place.name)
    save_networks(sources / "models")
    ramp(folder / "input" / "ramp.png")
    for name, latent in odd_latents().items():
        content = {"latent_tensor": latent, "latent_format_version_0": torch.zeros(1)}
        save_file(content, folder / "input" / f"odd {name}.latent")


def save_networks(folder: Path) -> None:
    """A network of torchvision in half precision, and a probe on the features of a folder."""
    from torchvision import models

    network = lively(models.get_model(SMALLEST, weights=None, weights_backbone=None, num_classes=3))
    weights = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in network.state_dict().items()
    }
    save_file(weights, folder / "network.safetensors", {"gg.size": "64", "gg.labels": '["cat", "dog", "sky"]'})
    said = {"gg.features": "tiny-clip/", "gg.labels": '["cat", "dog"]', "gg.unit_features": "true", "gg.noisy": "false"}
    save_file({"weight": torch.ones(2, 16), "bias": torch.zeros(2)}, folder / "probe.safetensors", said)


def record(folder: Path, host: Watched, catalogue: Catalogue) -> None:
    """Write what a host makes: traces, and a classifier that it has trained.  Raises RuntimeError where it fails."""
    for name, graph in made_by_a_host(catalogue).items():
        if host.run(graph).error:
            raise RuntimeError(f"the host could not make {name}: {host.run(graph).error}")
    sources = folder / "sources"
    shutil.copytree(folder / "output" / "traces", sources / "traces")
    for file in (folder / "models" / "classifiers").glob("*.safetensors"):
        shutil.move(file, sources / "classifiers" / file.name)


def ramp(path: Path) -> None:
    """A picture that is dark on the left and bright on the right."""
    from PIL import Image

    Image.linear_gradient("L").rotate(90).resize((32, 32)).convert("RGB").save(path)


def odd_latents() -> dict[str, Tensor]:
    """Name -> a latent that no canvas makes."""
    usual = torch.zeros(1, 3, 32, 32)
    poisoned = usual.clone()
    poisoned[0, 0, 5, 5] = torch.nan
    return {
        "empty batch": torch.zeros(0, 3, 32, 32),
        "no places": torch.zeros(1, 3, 0, 0),
        "one pixel": torch.zeros(1, 3, 1, 1),
        "odd sides": torch.zeros(1, 3, 33, 17),
        "narrow": torch.zeros(2, 3, 8, 128),
        "four channels": torch.ones(2, 4, 32, 32),
        "video": torch.zeros(1, 3, 2, 32, 32),
        "sound": torch.zeros(1, 3, 64),
        "flat": torch.zeros(3, 32),
        "not a number": poisoned,
        "infinite": usual + torch.inf,
        "very large": usual + 1e30,
        "half": usual.half(),
        "double": usual.double(),
        "whole numbers": usual.long(),
    }


def made_by_a_host(catalogue: Catalogue) -> dict[str, Graph]:
    """Name -> a run whose trace is saved, with numbers only, with pictures, with a gradient; and a training."""
    found = {"classifier": around(catalogue, "GGTrainNoisyClassifier", ("latent",))}
    for name, capture, guided in (
        ("seed", "pictures", True),
        ("numbers", "numbers", False),
        ("plain", "pictures", False),
    ):
        builder = Builder(catalogue)
        wires = {"guidance": [builder.add("GGClassifierGradient"), 0]} if guided else {}
        run = builder.add("GGGuidedSampler", wires, capture=capture, steps=4)
        builder.add("GGSaveTrace", {"trace": [run, 2]}, filename_prefix=name)
        found[name] = builder.graph
    return found
