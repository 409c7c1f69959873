"""The baseline files of EDM in the host, beside the table of its paper: D(x) = x + c_out F(c_in x, c_noise)."""

import json
import math

import pytest
import torch

from guidance_geometry.denoisers.edm import EdmUNet
from guidance_geometry.denoisers.reading import denoiser_of
from guidance_geometry.denoisers.spec import choose_spec
from guidance_geometry.host.native_model import native_denoiser
from guidance_geometry.host.noise_levels import denoiser_levels
from guidance_geometry.tests.tiny_networks import edm_weights

CLASSES = {"VPPrecond": "ddpmpp", "VEPrecond": "ncsnpp", "iDDPMPrecond": "adm"}
CONSTANTS = {
    "VPPrecond": {"beta_d": 19.9, "beta_min": 0.1, "M": 1000, "epsilon_t": 1e-5},
    "VEPrecond": {"sigma_min": 0.02, "sigma_max": 100},
    "iDDPMPrecond": {"C_1": 0.001, "C_2": 0.008, "M": 1000},
}


def levels():
    """u of iDDPM, from the most noise to none: table 1 and the recursion below it."""
    u, signal = [0.0], [math.sin(math.pi / 2 * j / 1000 / 1.008) ** 2 for j in range(1001)]
    for j in range(1000, 0, -1):
        u.append(math.sqrt((u[-1] ** 2 + 1) / max(signal[j - 1] / signal[j], 0.001) - 1))
    return torch.tensor(u[::-1])


def file_of(name, **settings):
    """A small file as the converter leaves it."""
    weights = edm_weights(CLASSES[name])
    if name == "iDDPMPrecond":
        more = edm_weights("adm")  # the variance, which nobody reads
        for key in ("model.out_conv.weight", "model.out_conv.bias"):
            weights[key] = torch.cat([weights[key], 3 * more[key]])
        weights["u"] = levels()
    return denoiser_of(name, weights, {"gg.settings": json.dumps({"class": name, **CONSTANTS[name], **settings})})


def factors(name, sigma):
    """c_out, c_in and c_noise of table 1."""
    shrunk = 1 / math.sqrt(sigma**2 + 1)
    if name == "VPPrecond":
        t = (math.sqrt(0.1**2 + 2 * 19.9 * math.log(1 + sigma**2)) - 0.1) / 19.9
        return -sigma, shrunk, 999 * t
    if name == "VEPrecond":
        return sigma, 1.0, math.log(sigma / 2)
    return -sigma, shrunk, 999 - int((levels() - sigma).abs().argmin())


def paper(name, file, x, sigma, y):
    """D of the paper, with a network of EDM's architecture for F."""
    weights = {key.removeprefix("model."): weight for key, weight in file.weights.items()}
    outputs = {"outputs": 6} if name == "iDDPMPrecond" else {}
    network = EdmUNet(file.spec.sizes | outputs, len(file.spec.labels))
    network.load_state_dict(weights)
    c_out, c_in, c_noise = factors(name, sigma)
    return x + c_out * network(c_in * x, torch.full((len(x),), float(c_noise)), y)[:, :3]


@pytest.mark.parametrize(("name", "place"), [*((name, 40) for name in CLASSES), ("iDDPMPrecond", 700)])
def test_the_host_denoises_as_the_paper_says(name, place):
    file, sigma = file_of(name), float(levels()[place])
    model = native_denoiser(choose_spec(file.spec), file.weights, "fp32").model
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * math.hypot(sigma, 0.5)
    y = torch.tensor([2, 0])
    found, wanted = model.apply_model(x, torch.full((2,), sigma), y=y), paper(name, file, x, sigma, y)
    assert (wanted - x).abs().max() > 0.1 * sigma, "the network says nothing"
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("name", CLASSES)
def test_the_host_starts_and_ends_where_the_network_was_trained(name):
    sampling = denoiser_levels(choose_spec(file_of(name).spec))
    least, most = {"VPPrecond": (0.01, 157.4), "VEPrecond": (0.02, 100), "iDDPMPrecond": levels()[[999, 0]]}[name]
    assert float(sampling.sigma_min) == pytest.approx(float(least), rel=1e-3)
    assert float(sampling.sigma_max) == pytest.approx(float(most), rel=1e-3)


def test_other_constants_are_refused():
    with pytest.raises(ValueError, match="VPPrecond"):
        file_of("VPPrecond", beta_d=10.0)
