"""EfficientNet-Lite: its sizes and its files.  That published weights name photographs rightly: tests/conversion"""

import pytest
import torch

from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.models.classifiers.efficientnet_lite import SIZES, EfficientNetLite
from guidance_geometry.models.classifiers.reading import open_classifier
from guidance_geometry.models.classifiers.wired import CleanClassifier
from guidance_geometry.tests.classifier_slopes import lively, noise, open_as

BLOCKS = {  # of Lite 0 to 4: blocks in each stage, width of each stage
    (1.0, 1.0): ((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
    (1.0, 1.1): ((1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320)),
    (1.1, 1.2): ((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
    (1.2, 1.4): ((1, 3, 3, 5, 5, 6, 1), (24, 32, 48, 96, 136, 232, 384)),
    (1.4, 1.8): ((1, 4, 4, 6, 6, 8, 1), (24, 32, 56, 112, 160, 272, 448)),
}
LAYERS = ("depthwise", "project", "expand")  # of a block
KERNELS = (3, 3, 5, 3, 5, 5, 3)


def network_of(size=SIZES[0], labels=4):
    torch.manual_seed(0)
    return lively(EfficientNetLite(size, labels), seen=noise((4, 3, 64, 64), 5))


def stored(folder, weights, said=None):
    write_safetensors(folder / "lite.safetensors", weights, {"gg.size": "64"} | (said or {}))
    return folder / "lite.safetensors"


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_size_has_its_blocks(size):
    with torch.device("meta"):
        weights = EfficientNetLite(size, 1000).state_dict()
    repeats, widths = BLOCKS[size.width, size.depth]
    stages = [stage for stage, count in enumerate(repeats) for _ in range(count)]
    shapes = {kind: [w.shape for name, w in weights.items() if f"_{kind}_conv.weight" in name] for kind in LAYERS}
    assert [shape[-1] for shape in shapes["depthwise"]] == [KERNELS[stage] for stage in stages]
    assert [shape[0] for shape in shapes["project"]] == [widths[stage] for stage in stages]
    assert {shape[0] / shape[1] for shape in shapes["expand"]} == {6}


@pytest.mark.parametrize("size", [SIZES[0], SIZES[-1]], ids=str)
def test_a_stored_network_is_recognised_with_its_preprocessing(tmp_path, size):
    network = network_of(size)
    weights = {f"module.{key}": t.half() if t.is_floating_point() else t for key, t in network.state_dict().items()}
    write_safetensors(tmp_path / "lite.safetensors", weights, {"gg.labels": '["a", "b", "c", "d"]'})
    guide = open_as(tmp_path / "lite.safetensors", CleanClassifier)
    assert guide.labels == ("a", "b", "c", "d")
    assert guide.preprocessing.size == (size.side, size.side)
    black_and_white = torch.tensor([-1.0, 1.0])[:, None, None, None].expand(2, 3, size.side, size.side)
    shown = guide.preprocessing(black_and_white).flatten(1)
    assert torch.allclose(shown, torch.tensor([[-127 / 128], [1.0]]).expand_as(shown))


BIAS = "_blocks.3._bn1.bias"


@pytest.mark.parametrize(
    ("gone", "change", "words"),
    [
        (BIAS, {}, f"'{BIAS}' is missing"),
        ("_blocks.15.", {}, r"has 15 blocks and a head of \(1280, 320, 1, 1\); .* have 16, 21, 21, 24, 30"),
        ("nothing", {"_blocks.0._se_reduce.weight": torch.zeros(8, 32, 1, 1)}, "is not a known classifier"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, gone, change, words):
    weights = {name: tensor for name, tensor in network_of().state_dict().items() if not name.startswith(gone)}
    with pytest.raises(ValueError, match=rf"lite\.safetensors.*{words}"):
        open_classifier(stored(tmp_path, weights | change))
