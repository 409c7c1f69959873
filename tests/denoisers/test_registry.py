"""What a format of denoiser files must bring, and which one a file is: with a format that nobody published."""

import pytest
import torch
from torch import nn

from guidance_geometry.denoisers.reading import denoiser_of
from guidance_geometry.denoisers.registry import FORMATS
from guidance_geometry.denoisers.schedules import Levels
from guidance_geometry.denoisers.spec import Format, Published, choose_spec, labels_of_table

LEVELS = Levels(timesteps=400)


class Tinted(nn.Module):
    def __init__(self, channels, labels, operations=nn, **place):
        super().__init__()
        self.conv = operations.Conv2d(channels, channels, 3, padding=1, **place)
        self.tint = operations.Embedding(labels + 1, channels, **place)


TINTED = Format(
    name="tinted-1",
    title="Tinted",
    recognises=lambda shapes, metadata: "old_tint" in shapes or metadata.get("made by") == "tinted",
    sizes=lambda shapes: {"channels": shapes["conv.weight"][0]},
    labels=lambda shapes: labels_of_table(shapes, "old_tint"),
    published=lambda sizes: Published(
        sizes["channels"], 16, 0, "epsilon", "vp_linear", "index", LEVELS, labels=("red", "green", "blue")
    ),
    network=lambda sizes, labels, **place: Tinted(**sizes, labels=labels, **place),
    memory=lambda sizes, batch, pixels: batch * pixels,
    own=lambda weights: {name.replace("old_tint", "tint.weight"): weight for name, weight in weights.items()},
)


def stored(**changes):
    weights = {"conv.weight": torch.zeros(4, 4, 3, 3), "conv.bias": torch.zeros(4), "old_tint": torch.zeros(4, 4)}
    return {name: weight for name, weight in (weights | changes).items() if weight is not None}


@pytest.fixture(autouse=True)
def tinted(monkeypatch):
    for name in FORMATS.keys() - {"pocket-unet-1"}:
        monkeypatch.delitem(FORMATS, name)
    monkeypatch.setitem(FORMATS, TINTED.name, TINTED)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_is_known_by_its_weights_and_says_what_was_published(prefix):
    file = denoiser_of("a", {prefix + name: weight for name, weight in stored().items()}, None)
    spec = choose_spec(file.spec)
    assert (spec.format, spec.sizes, spec.labels) == (TINTED, {"channels": 4}, ("red", "green", "blue"))
    assert (spec.parametrisation, spec.schedule, spec.time) == ("epsilon", "vp_linear", "index")
    assert (spec.levels, spec.shape, spec.multiple) == (LEVELS, (4, 16, 16), 0)
    assert set(file.weights) == {"conv.weight", "conv.bias", "tint.weight"}


@pytest.mark.parametrize(
    ("weights", "metadata", "message"),
    [
        ({"a": torch.zeros(1)}, {}, r"^a is not a denoiser that this pack knows: it knows Pocket, Tinted, and"),
        ({"double_blocks.0.img_attn.weight": torch.zeros(1)}, {}, "use Load Diffusion Model"),
        ({"lora_up": torch.zeros(1)}, {}, r"^a is a LoRA: use Load LoRA\. Load Denoiser reads pocket-unet-1, tinted-1"),
        (stored(old_tint=None), {"made by": "tinted"}, "old_tint has 0 rows but needs one per label"),
        (stored(**{"conv.bias": torch.zeros(5)}), {}, r"'conv.bias' is \(5,\) but \(4,\) is needed"),
    ],
)
def test_what_is_no_denoiser_is_told_what_is_known(weights, metadata, message):
    with pytest.raises(ValueError, match=message):
        denoiser_of("a", weights, metadata)
