"""Labels in any form a script may give them, and networks that were never trained without one."""

import re

import numpy
import pytest
import torch
from safetensors.torch import save_file

from guidance_geometry.library.denoisers import ExactDenoiser, load_denoiser
from guidance_geometry.library.recording import record
from guidance_geometry.tests.diffusers_folders import unet_folder
from guidance_geometry.tests.tiny_edm2 import edm2_weights
from guidance_geometry.tests.tiny_networks import adm_weights, edm_weights

from .worlds import SIGMAS, WORLD, noise

EDM2 = {"width": 64, "multipliers": (1, 2), "side": 16, "depth": 2, "attends": (8,), "labels": 3, "channels": 3}
NETWORKS = {
    "ADM": lambda: {name: weight.contiguous() for name, weight in adm_weights(3).items()},
    "EDM": lambda: edm_weights(),
    "EDM2": lambda: edm2_weights(**EDM2),
}
WITHOUT = "was never trained without a label, and this run asks for a prediction without one. Set gamma to 1, give"


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
    with pytest.raises(ValueError, match=re.escape(WITHOUT)):
        record(denoiser, [1.0, 0.5, 0.0], cond=1, gamma=3.0).sample(x)
    for gamma, uncond in ((1.0, None), (3.0, 0)):
        assert record(denoiser, [1.0, 0.5, 0.0], cond=1, gamma=gamma, uncond=uncond).sample(x).n == 2


FORMS = {
    "name": "robot",
    "capitals": " ROBOT ",
    "number": 2,
    "numpy number": numpy.int64(2),
    "numpy texts": numpy.array(["robot", "2"]),
    "list": ["robot", 2],
}


def test_a_label_has_many_forms_and_no_label_some_too(pocket):
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert pocket.labels[2] == "robot"
    robot, nobody = pocket(x, 1.0, 2), pocket(x, 1.0)
    for form, label in FORMS.items():
        assert torch.equal(pocket(x, 1.0, label), robot), form
    for none in (None, "", [None, 10]):
        assert torch.equal(pocket(x, 1.0, none), nobody), none


WRONG = {
    "There are 3 labels for 2 samples": [1, 2, 3],
    "There are no labels in the list": [],
    r"1\.5 is no label": 1.5,
    "True is no label": True,
    "Nearest: 'robot'": ["face", "robott"],
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_no_label_is_told_in_a_sentence(pocket, words):
    with pytest.raises(ValueError, match=words):
        pocket(torch.zeros(2, 3, 32, 32), 1.0, WRONG[words])


def test_networks_with_numbers_for_names_and_without_labels(networks, tmp_path):
    denoiser = networks["EDM"]
    x = torch.zeros(2, *denoiser.shape)
    assert torch.equal(denoiser(x, 1.0, "1"), denoiser(x, 1.0, 1))
    with pytest.raises(ValueError, match=r"Label index 3 is outside 0 \.\. 2: the model has 3 labels\.$"):
        denoiser(x, 1.0, 3)
    save_file(edm_weights(labels=0), tmp_path / "plain.safetensors")
    plain = load_denoiser(tmp_path / "plain.safetensors")
    assert torch.equal(plain(x, 1.0), plain(x, 1.0, "whatever its guide was asked"))


def test_the_exact_denoiser_takes_labels_alike():
    denoiser, x = ExactDenoiser(WORLD), noise()
    for form in (1, "1", torch.tensor(1), [1, 1], numpy.array([1, 1])):
        assert torch.equal(denoiser(x, SIGMAS[0], form), WORLD.denoised(x, SIGMAS[0], label=1))
    assert torch.equal(denoiser(x, SIGMAS[0], [None, 2])[1], denoiser(x, SIGMAS[0], 2)[1])
    assert torch.equal(denoiser(x, SIGMAS[0]), WORLD.denoised(x, SIGMAS[0]))
    for wrong in (3, "cat", [0, 1, 2], 0.5):
        with pytest.raises(ValueError, match="label"):
            denoiser(x, SIGMAS[0], wrong)
