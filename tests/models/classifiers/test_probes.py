"""Probes on the features of a network in another folder."""

import pytest
import torch

from guidance_geometry.dev.fixtures.tiny_folders import save_tiny
from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.models.classifiers.wired import CleanClassifier, ImageTextModel
from guidance_geometry.tests.classifier_slopes import noise, open_as, slope_error

pytest.importorskip("transformers", reason="transformers comes with the host")
SAID = {"gg.features": "clip/", "gg.labels": '["cat", "dog", "sky"]', "gg.unit_features": "true"}
LINEAR = {"weight": noise((3, 16), 1), "bias": noise((3,), 2)}
LAYERS = {"layers.0.weight": noise((8, 16), 3), "layers.0.bias": noise((8,), 4), "layers.2.weight": noise((3, 8), 5)}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "clip").mkdir()
    save_tiny(tmp_path / "clip", "clip")
    return tmp_path


def probe(folder, weights, **said):
    write_safetensors(folder / "probe.safetensors", weights, SAID | {f"gg.{key}": text for key, text in said.items()})
    return open_as(folder / "probe.safetensors", CleanClassifier)


@pytest.mark.parametrize("weights", [LINEAR, LAYERS], ids=["linear", "perceptron"])
def test_a_probe_has_labels_and_a_true_slope(folder, weights):
    guide = probe(folder, weights, activation="silu")
    assert (guide.labels, guide.output) == (("cat", "dog", "sky"), "labels")
    assert slope_error(lambda x: guide.logits(x).log_softmax(1)[:, 1], 0.5 * noise((1, 3, 40, 40)), 1e-2) <= 1e-2


def test_the_head_is_applied_to_the_extractors_features(folder):
    x, towers = noise((2, 3, 40, 40)), open_as(folder / "clip", ImageTextModel)
    unit = towers.image_features(x)
    wanted = unit @ LINEAR["weight"].T + LINEAR["bias"]
    assert (probe(folder, LINEAR).logits(x) - wanted).abs().max() <= 1e-5
    hidden = torch.relu(unit @ LAYERS["layers.0.weight"].T + LAYERS["layers.0.bias"])
    found = probe(folder, LAYERS, activation="relu").logits(x)
    assert (found - hidden @ LAYERS["layers.2.weight"].T).abs().max() <= 1e-5


@pytest.mark.parametrize(
    ("weights", "said", "message"),
    [
        (LINEAR, {"activation": "sign"}, "'sign'"),
        (LAYERS, {}, "must say .*gg.activation"),
        ({"bias": noise((3,))}, {}, "needs a weight"),
        (LAYERS | {"layers.2.weight": noise((3, 9))}, {"activation": "relu"}, "gives 8 numbers, the next one takes 9"),
    ],
)
def test_a_probe_that_does_not_fit_is_named(folder, weights, said, message):
    with pytest.raises(ValueError, match=message):
        probe(folder, weights, **said)


def test_a_probe_whose_features_do_not_fit_is_refused(folder):
    (folder / "vit").mkdir()
    save_tiny(folder / "vit", "vit")
    with pytest.raises(ValueError, match="is a probe on vit, which has no features"):
        probe(folder, LINEAR, features="vit")
    with pytest.raises(ValueError, match="reads 9 features but clip/ gives 16"):
        probe(folder, {"weight": noise((3, 9))}, features="clip/")
