"""Every network of labels answers embeddings of labels as it answers the labels themselves."""

import pytest
import torch
from torch import nn

from guidance_geometry.dev.fixtures.tiny_folders import lively
from guidance_geometry.models.denoisers.reading import denoiser_of
from guidance_geometry.models.denoisers.spec import label_vectors
from guidance_geometry.models.denoisers.unet2d import SETTINGS, UNet2D
from guidance_geometry.tests.flow_files import flow_weights
from guidance_geometry.tests.tiny_networks import NETWORKS, transformer_weights

from .networks import network_of, pictures

FILES = {**NETWORKS, "pocket flow": flow_weights}
FILES |= {kind: lambda kind=kind: transformer_weights(kind) for kind in ("dit", "jit")}
SMALL = {"block_out_channels": (32, 32), "layers_per_block": 1, "norm_num_groups": 8}
SMALL |= {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}


def network_and_sample(kind):
    if kind == "unet2d":
        usual = {name: value for name, (value, _) in SETTINGS.items()}
        return lively(UNet2D(usual | SMALL, 3)), (3, 16)
    file = denoiser_of("a", FILES[kind](), None)
    return network_of(file), (file.spec.shape[0], file.spec.image_size)


@pytest.mark.parametrize("kind", [*FILES, "unet2d"])
def test_embeddings_stand_for_their_labels_bit_for_bit_and_others_are_read_too(kind):
    network, size = network_and_sample(kind)
    x, t, y = pictures(2, *size), torch.full((2,), 0.5), torch.tensor([1, 2])
    vectors = label_vectors(network, y)
    assert vectors is not None
    assert len(vectors) == 2
    answer = network(x, t, y)
    assert torch.equal(network(x, t, vectors), answer)
    assert not torch.allclose(network(x, t, vectors + 1), answer, atol=1e-4)


def test_a_network_without_labels_has_no_embeddings_of_them():
    assert label_vectors(nn.ReLU(), torch.tensor([0])) is None
