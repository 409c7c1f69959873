"""torchvision's families, recognised by their tensors and nothing else."""

from functools import cache

import pytest
import torch

from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.models.classifiers.reading import open_classifier
from guidance_geometry.models.classifiers.torchvision_files import FAMILIES, usual_preprocessing
from guidance_geometry.models.classifiers.wired import CleanClassifier
from guidance_geometry.tests.classifier_slopes import lively, mac_error, noise, open_as, slope_error

models = pytest.importorskip("torchvision", reason="torchvision comes with the host").models
SMALLEST = {
    "resnet18": {},
    "convnext_tiny": {},
    "vit_b_32": {"image_size": 32},
    "swin_v2_t": {},
    "efficientnet_b0": {},
    "lraspp_mobilenet_v3_large": {"weights_backbone": None},
}
SEGMENT = ("deeplabv3", "lraspp")
SLOPES = ("resnet18", "lraspp_mobilenet_v3_large")  # one of each way to answer


@cache
def network_of(name, labels=4):
    network = models.get_model(name, weights=None, num_classes=labels, **SMALLEST.get(name, {}))
    return lively(network, seen=noise((4, 3, 96, 96), 5))


def stored(folder, network, metadata=None, prefix="", dtype=torch.float32):
    weights = {prefix + key: t.to(dtype) if t.is_floating_point() else t for key, t in network.state_dict().items()}
    said = {"gg.architecture": "resnet18"} if isinstance(network, models.ResNet) else {}
    write_safetensors(folder / "net.safetensors", weights, {"gg.size": "64"} | said | (metadata or {}))
    return folder / "net.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_a_stored_network_is_the_same_function_with_a_true_slope(tmp_path, name):
    network = network_of(name)
    said = {"gg.size": "32"} if name.startswith("vit") else {}
    loaded = open_as(stored(tmp_path, network, said), CleanClassifier)
    x = 0.5 * noise((1, 3, 40, 40))
    wanted = network(loaded.preprocessing(x))
    wanted = wanted["out"] if name.startswith(SEGMENT) else wanted
    assert (loaded.logits(x) - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert loaded.output == ("segmentation" if name.startswith(SEGMENT) else "labels")
    assert loaded.labels == ("0", "1", "2", "3")
    if name not in SLOPES:
        return
    assert slope_error(lambda x: loaded.logits(x).log_softmax(1)[:, 1:2].flatten(1).mean(1), x) <= 1e-2
    assert mac_error(lambda x: loaded.logits(x).log_softmax(1)[:, 1:2].flatten(1).mean(1), x) <= 1e-3


def test_members_of_a_family_are_told_apart():
    from guidance_geometry.models.classifiers.torchvision_files import family_of, fitting

    for name in ("resnet34", "resnext50_32x4d", "efficientnet_b1", "deeplabv3_resnet50"):
        extra = {"weights_backbone": None} if name.startswith(SEGMENT) else {}
        with torch.device("meta"):
            weights = models.get_model(name, weights=None, num_classes=3, **extra).state_dict()
        family = family_of(weights)
        assert family
        found, _ = fitting(models, family, weights, "file")
        assert found == name


FAMILY_STARTS = tuple(start for family in FAMILIES for start in family.starts)


def test_pictures_are_prepared_as_torchvision_prepares_them():
    names = [name for name in models.list_models() if name.startswith(FAMILY_STARTS)]
    theirs = {name: models.get_model_weights(name).DEFAULT.transforms() for name in names}
    seen = {(repr(usual_preprocessing(models, name)), repr(wanted)): name for name, wanted in theirs.items()}
    assert len(seen) > 10, "each way once"
    for name in seen.values():
        for sides in ((540, 600), (200, 264)):
            x = 0.5 * noise((1, 3, *sides)).clamp(-1, 1)
            assert (usual_preprocessing(models, name)(x) - theirs[name]((x + 1) / 2)).abs().max() <= 1e-4, name
    seen = usual_preprocessing(models, "vit_b_16", 384)
    assert (seen.shown, seen.size, seen.mode) == ((384, 384), (384, 384), "bicubic"), "weights of another size"
    assert usual_preprocessing(models, "vit_b_16", 96).shown == (96, 96)


@pytest.mark.parametrize(
    ("file", "said", "message"),
    [
        ("net", {}, "net.safetensors does not say what it is. Its tensors fit resnet18"),
        ("resnet18", {"gg.architecture": "resnetblur18"}, "says that it is 'resnetblur18'"),
        ("net", {"gg.architecture": "resnet18"}, ""),
    ],
)
def test_a_file_whose_tensors_other_networks_have_too_says_what_it_is(tmp_path, file, said, message):
    path = tmp_path / f"{file}.safetensors"
    write_safetensors(path, network_of("resnet18").state_dict(), said)
    if not message:
        assert len(open_as(path, CleanClassifier).labels) == 4
        return
    with pytest.raises(ValueError, match=message):
        open_classifier(path)


def test_names_and_normalisation_travel_in_the_file(tmp_path):
    said = {"gg.labels": '["a", "b", "c", "d"]', "gg.mean": "[0.5, 0.5, 0.5]", "gg.mode": "bicubic"}
    path = stored(tmp_path, network_of("resnet18"), said, prefix="module.", dtype=torch.float16)
    loaded = open_as(path, CleanClassifier)
    assert loaded.labels == ("a", "b", "c", "d")
    assert (loaded.preprocessing.mean, loaded.preprocessing.mode) == ((0.5, 0.5, 0.5), "bicubic")
    assert {tensor.dtype for tensor in loaded.network.parameters()} == {torch.float32}
    path.with_suffix(".json").write_text('{"labels": ["w", "x", "y", "z"], "size": [32, 48]}')
    loaded = open_as(path, CleanClassifier)
    assert (loaded.labels, loaded.preprocessing.size) == (("w", "x", "y", "z"), (32, 48))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("layer3.0.conv1.weight"), r"Nearest: resnet18, 1 tensors differ, first: 'layer3\.0\.conv1"),
        (lambda w: w.update({"layer1.0.conv1.weight": torch.zeros(3)}), r"layer1\.0\.conv1\.weight' is \(3,\) but"),
        (lambda w: w.update({"fc.weight": torch.zeros(())}), r"fc\.weight is \(\); 2 axes are needed"),
    ],
)
def test_a_changed_network_is_refused_with_the_nearest_name(tmp_path, change, message):
    weights = network_of("resnet18").state_dict()
    change(weights)
    write_safetensors(tmp_path / "net.safetensors", weights, {})
    with pytest.raises(ValueError, match=message):
        open_classifier(tmp_path / "net.safetensors")
