"""EDM and EDM2 in the host, beside restatements of their papers."""

import json
import math
from functools import cache
from typing import Any

import comfy.sample
import pytest
import torch

from guidance_geometry.host.models.native_model import native_denoiser
from guidance_geometry.host.models.noise_levels import denoiser_levels
from guidance_geometry.models.denoisers.edm import EdmUNet
from guidance_geometry.models.denoisers.reading import denoiser_of
from guidance_geometry.models.denoisers.spec import choose_spec
from guidance_geometry.nodes.rules.autoguidance import GGAutoguidance
from guidance_geometry.nodes.start import GGClassLabel, GGEmptyCanvas
from guidance_geometry.tests.tiny_edm2 import edm2_weights
from guidance_geometry.tests.tiny_networks import edm_weights

from .rule_knobs import node
from .runs import SEED, Counter, guided

STEPS, SCALE = 5, 1.9
SIDE = 8
SMALL = {"multipliers": (1, 2), "side": SIDE, "depth": 1, "attends": (4,), "channels": 4}
EVALUATIONS = 2 * STEPS - 1  # of Heun
STRONG: dict[str, Any] = {"width": 64, "labels": 5, "seed": 0}
WEAK: dict[str, Any] = {"width": 32, "labels": 5, "seed": 1}
UNCONDITIONAL = {"width": 32, "labels": 0, "seed": 2}
LABELS = (3, 0)


@cache
def file_of(seed, **sizes):
    return denoiser_of("edm2", edm2_weights(seed, **SMALL, **sizes), None)


def model(dtype="fp32", **sizes):
    file = file_of(**sizes)
    return native_denoiser(choose_spec(file.spec), file.weights, dtype)


def denoiser(**sizes):
    """D(x, sigma, y) of the paper: F between c_skip, c_out, c_in and c_noise, with sigma_data 0.5."""
    file = file_of(**sizes)
    network = file.spec.format.network(file.spec.sizes, len(file.spec.labels)).requires_grad_(False)
    network.load_state_dict(dict(file.weights))

    def denoise(x, sigma, y):
        total = sigma**2 + 0.25
        told = (torch.log(sigma) / 4).expand(len(x))
        return 0.25 / total * x + sigma * 0.5 / total.sqrt() * network(x / total.sqrt(), told, y)

    return denoise


def heun(denoise, x):
    """The deterministic loop of arXiv 2206.00364, algorithm 1, on the noise levels of its eq. 5.  x: at sigma 80"""
    ramp = torch.arange(STEPS, dtype=torch.float64) / (STEPS - 1)
    levels = (80 ** (1 / 7) + ramp * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    levels = torch.cat([levels, levels.new_zeros(1)]).float()
    for i in range(STEPS):
        now, then = levels[i], levels[i + 1]
        slope = (x - denoise(x, now)) / now
        ahead = x + (then - now) * slope
        if i < STEPS - 1:
            ahead = x + (then - now) * (slope + (ahead - denoise(ahead, then)) / then) / 2
        x = ahead
    return x


def inputs(chosen_model):
    labels = GGClassLabel.execute(chosen_model, ";".join(map(str, LABELS))).args
    return *labels, GGEmptyCanvas.execute(chosen_model, 0, 0, len(LABELS))[0]


def sampled(chosen_model, chain):
    positive, negative, latent = inputs(chosen_model)
    out = guided(chosen_model, positive, negative, latent, "heun", steps=STEPS, cfg=SCALE, guidance=chain)
    return chosen_model.model.process_latent_in(out[0]["samples"]), out[2]


def away_from(weak):
    return GGAutoguidance.execute(1.0, weak)[0]


def started():
    """x_T of both loops: the host's noise for this seed times sqrt(1 + 80^2), where the host starts.

    The papers' code starts at the noise times 80: from there the loop ends about 1e-4 away, which is none of guidance.
    """
    return comfy.sample.prepare_noise(torch.zeros(len(LABELS), 4, SIDE, SIDE), SEED) * (1 + 80**2) ** 0.5


OTHERS = {"unconditional": UNCONDITIONAL, "in an interval": WEAK}


@pytest.mark.parametrize("way", OTHERS)
def test_the_host_samples_what_the_papers_loop_samples(way):
    """In an interval, and only there, the weak model is evaluated."""
    other, y = OTHERS[way], torch.tensor(LABELS)
    strong, weak = denoiser(**STRONG), denoiser(**other)

    def denoise(x, sigma):
        inside = way != "in an interval" or 0.2 <= float(sigma) <= 5.0
        return torch.lerp(weak(x, sigma, y), strong(x, sigma, y), SCALE) if inside else strong(x, sigma, y)

    counted = Counter(model(**other))
    chain = away_from(counted.model)
    if way == "in an interval":
        chain = node("GGInterval").execute("sigma", 5.0, 0.2, chain)[0]
    wanted, (found, _) = heun(denoise, started()), sampled(model(**STRONG), chain)
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert counted.items == [len(LABELS)] * len(counted.items)
    assert (len(counted.items) < EVALUATIONS) == (way == "in an interval")
    assert len(counted.items) <= EVALUATIONS


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


def baseline(name, **settings):
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
    file, sigma = baseline(name), float(levels()[place])
    model = native_denoiser(choose_spec(file.spec), file.weights, "fp32").model
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * math.hypot(sigma, 0.5)
    y = torch.tensor([2, 0])
    found, wanted = model.apply_model(x, torch.full((2,), sigma), y=y), paper(name, file, x, sigma, y)
    assert (wanted - x).abs().max() > 0.1 * sigma, "the network says nothing"
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("name", CLASSES)
def test_the_host_starts_and_ends_where_the_network_was_trained(name):
    sampling = denoiser_levels(choose_spec(baseline(name).spec))
    least, most = {"VPPrecond": (0.01, 157.4), "VEPrecond": (0.02, 100), "iDDPMPrecond": levels()[[999, 0]]}[name]
    assert float(sampling.sigma_min) == pytest.approx(float(least), rel=1e-3)
    assert float(sampling.sigma_max) == pytest.approx(float(most), rel=1e-3)
