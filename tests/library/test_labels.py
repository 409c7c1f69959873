"""Labels in any form a script may give them, and networks that were never trained without one."""

import numpy
import pytest
import torch
from safetensors.torch import save_file

from guidance_geometry.library.denoisers import load_denoiser
from guidance_geometry.library.recording import record
from guidance_geometry.tests.diffusers_folders import unet_folder
from guidance_geometry.tests.tiny_networks import adm_weights, edm_weights

NETWORKS = {
    "ADM": lambda: {name: weight.contiguous() for name, weight in adm_weights(3).items()},
    "EDM": lambda: edm_weights(),
}


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    place, found = tmp_path_factory.mktemp("denoisers"), {}
    for name, weights in NETWORKS.items():
        save_file(weights(), place / f"{name}.safetensors")
        found[name] = load_denoiser(place / f"{name}.safetensors")
    found["UNet2D"] = load_denoiser(unet_folder(place / "unet"))
    return found


@pytest.fixture(scope="module")
def pocket():
    return load_denoiser()


@pytest.mark.parametrize("name", [*NETWORKS, "UNet2D"])
def test_a_network_without_a_null_label_says_so(networks, name):
    denoiser = networks[name]
    x = torch.randn(2, *denoiser.shape, generator=torch.Generator().manual_seed(0))
    assert denoiser.spec.null_index is None
    with pytest.raises(ValueError, match="was never trained without a label"):
        record(denoiser, [1.0, 0.5, 0.0], cond=1, gamma=3.0).sample(x)
    for gamma, uncond in ((1.0, None), (3.0, 0)):
        assert record(denoiser, [1.0, 0.5, 0.0], cond=1, gamma=gamma, uncond=uncond).sample(x).n == 2


FORMS = ("robot", " ROBOT ", 2, numpy.int64(2), numpy.array(["robot", "2"]), ["robot", 2])


def test_a_label_has_many_forms_and_no_label_some_too(pocket):
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert pocket.labels[2] == "robot"
    robot, nobody = pocket(x, 1.0, 2), pocket(x, 1.0)
    for label in FORMS:
        assert torch.equal(pocket(x, 1.0, label), robot), label
    for none in (None, "", [None, 10]):
        assert torch.equal(pocket(x, 1.0, none), nobody), none


def test_what_is_no_label_is_refused(pocket):
    for label, words in (([1, 2, 3], "3 labels for 2"), ([], "no labels"), (1.5, "no label"), ("robott", "'robot'")):
        with pytest.raises(ValueError, match=words):
            pocket(torch.zeros(2, 3, 32, 32), 1.0, label)
