"""EfficientNet-Lite against a second statement of it, on random weights."""

import pytest
import torch
from torch.nn import functional

from guidance_geometry.classifiers.efficientnet_lite import SIZES, EfficientNetLite
from guidance_geometry.classifiers.reading import open_classifier
from guidance_geometry.classifiers.wired import CleanClassifier
from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.tests.classifier_slopes import lively, noise, open_as, slope_error

BLOCKS = {  # of Lite 0 to 4: blocks in each stage, width of each stage
    (1.0, 1.0): ((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
    (1.0, 1.1): ((1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320)),
    (1.1, 1.2): ((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
    (1.2, 1.4): ((1, 3, 3, 5, 5, 6, 1), (24, 32, 48, 96, 136, 232, 384)),
    (1.4, 1.8): ((1, 4, 4, 6, 6, 8, 1), (24, 32, 56, 112, 160, 272, 448)),
}
LAYERS = ("depthwise", "project", "expand")  # of a block
KERNELS, STRIDES = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1)


def network_of(size=SIZES[0], labels=4):
    torch.manual_seed(0)
    return lively(EfficientNetLite(size, labels), seen=noise((4, 3, 64, 64), 5))


def stored(folder, weights, said=None):
    write_safetensors(folder / "lite.safetensors", weights, {"gg.size": "64"} | (said or {}))
    return folder / "lite.safetensors"


def convolved(x, weight, stride=1, groups=1):
    """Every place of a convolution that keeps the sides; of a stride of 2 each second, the last among them."""
    every = functional.conv2d(x, weight, padding="same", groups=groups)
    return every if stride == 1 else every[:, :, (x.shape[2] + 1) % 2 :: 2, (x.shape[3] + 1) % 2 :: 2]


def second_statement(weights, x, repeats):
    """The whole network, block after block, from its weights alone."""

    def normed(h, name):
        moments = (weights[f"{name}.running_mean"], weights[f"{name}.running_var"])
        return functional.batch_norm(h, *moments, weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-3)

    h = normed(convolved(x, weights["_conv_stem.weight"], 2), "_bn0").clamp(0, 6)
    strides = [
        stride if first == 0 else 1 for stride, count in zip(STRIDES, repeats, strict=True) for first in range(count)
    ]
    for index, stride in enumerate(strides):
        block, before = f"_blocks.{index}", h
        if f"{block}._expand_conv.weight" in weights:
            h = normed(convolved(h, weights[f"{block}._expand_conv.weight"]), f"{block}._bn0").clamp(0, 6)
        alone = weights[f"{block}._depthwise_conv.weight"]
        h = normed(convolved(h, alone, stride, len(alone)), f"{block}._bn1").clamp(0, 6)
        h = normed(convolved(h, weights[f"{block}._project_conv.weight"]), f"{block}._bn2")
        h = h + before if h.shape == before.shape else h
    h = normed(convolved(h, weights["_conv_head.weight"]), "_bn1").clamp(0, 6)
    return h.mean((2, 3)) @ weights["_fc.weight"].T + weights["_fc.bias"]


@pytest.mark.parametrize("sides", [(64, 64), (65, 50)])
def test_the_network_is_what_a_second_statement_says(sides):
    network, x = network_of().double(), noise((2, 3, *sides)).double()
    wanted = second_statement(network.state_dict(), x, BLOCKS[1.0, 1.0][0])
    with torch.no_grad():
        assert (network(x) - wanted).abs().max() <= 1e-9 * wanted.abs().max()


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


def test_its_gradient_is_a_true_slope():
    network, x = network_of().double(), 0.5 * noise((1, 3, 64, 64)).double()
    assert slope_error(lambda x: network(x).log_softmax(1)[:, 1], x, step=1e-6) <= 1e-5


BIAS = "_blocks.3._bn1.bias"


@pytest.mark.parametrize(
    ("gone", "change", "words"),
    [
        (BIAS, {}, f"'{BIAS}' is missing"),
        (BIAS, {BIAS: torch.zeros(7)}, rf"'{BIAS}' is \(7,\)"),
        ("_blocks.15.", {}, r"has 15 blocks and a head of \(1280, 320, 1, 1\); .* have 16, 21, 21, 24, 30"),
        ("_fc.weight", {"_fc.weight": torch.zeros(0)}, r"has _fc\.weight of \(0,\)"),
        ("nothing", {"_blocks.0._se_reduce.weight": torch.zeros(8, 32, 1, 1)}, "is not a known classifier"),
    ],
    ids=["missing", "misshapen", "shorter", "headless", "one that excites"],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, gone, change, words):
    weights = {name: tensor for name, tensor in network_of().state_dict().items() if not name.startswith(gone)}
    with pytest.raises(ValueError, match=rf"lite\.safetensors.*{words}"):
        open_classifier(stored(tmp_path, weights | change))
