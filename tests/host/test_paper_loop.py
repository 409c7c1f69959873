"""EDM2 in the host beside a restatement of its paper's loop, guided by an unconditional network and by a weaker one."""

from functools import cache
from typing import Any

import comfy.sample
import pytest
import torch

from guidance_geometry.denoisers.reading import denoiser_of
from guidance_geometry.denoisers.spec import choose_spec
from guidance_geometry.host.native_model import native_denoiser
from guidance_geometry.nodes.rules.autoguidance import GGAutoguidance
from guidance_geometry.nodes.start import GGClassLabel, GGEmptyCanvas
from guidance_geometry.tests.tiny_edm2 import edm2_weights

from .rule_knobs import node
from .runs import SEED, Counter, guided

STEPS, SCALE = 8, 1.9
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


OTHERS = {"autoguidance": WEAK, "unconditional": UNCONDITIONAL, "in an interval": WEAK}


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


def test_the_weak_prediction_is_recorded_in_the_place_of_u():
    strong, weak, y = denoiser(**STRONG), denoiser(**WEAK), torch.tensor(LABELS)
    _, trace = sampled(model(**STRONG), away_from(model(**WEAK)))
    assert trace.stage == ["step"] * STEPS
    assert trace.column("M1").isfinite().all()
    x, u, c, guided_ = (trace.tensors[name][3].float() for name in ("x", "uncond", "cond", "guided"))
    sigma = torch.tensor(trace.header["sigmas"][trace.captured_steps[3]])
    assert (u - weak(x, sigma, y)).abs().max() <= 0.01 * u.abs().max()
    assert (c - strong(x, sigma, y)).abs().max() <= 0.01 * c.abs().max()
    assert (guided_ - torch.lerp(u, c, SCALE)).abs().max() <= 0.01 * guided_.abs().max()
    assert "u in this record is the weak prediction" in " ".join(trace.header["notes"])
