from dataclasses import replace

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.rules.kinds import Source
from guidance_geometry.guidance.rules.perturbed import Perturbed
from guidance_geometry.tests.toys import RUN, guide, items, largest_error, toy

WORSE = Source("cond", object())


def test_it_acts_without_the_unconditional_prediction():
    p = replace(toy(names=("perturbed",)), uncond=None)
    expected = [i["c"] + 3.0 * (i["c"] - i["perturbed"]) for i in items(replace(p, uncond=p.cond))]
    assert largest_error(guide(Perturbed(WORSE), p, 1.0), expected) <= 1e-6


def theirs(name, gamma, weight):
    """The guider of the diffusers library of that kind, in the midst of a run."""
    guiders = pytest.importorskip("diffusers").guiders
    kind, word = {
        "PAG": (guiders.PerturbedAttentionGuidance, "perturbed_guidance"),
        "SEG": (guiders.SmoothedEnergyGuidance, "seg_guidance"),
        "SLG": (guiders.SkipLayerGuidance, "skip_layer_guidance"),
    }[name]
    knobs = {f"{word}_{key}": value for key, value in {"scale": weight, "start": 0.0, "stop": 1.0, "layers": 1}.items()}
    guider = kind(guidance_scale=gamma, **knobs)
    guider.set_state(step=5, num_inference_steps=10, timestep=torch.tensor(500))
    return guider


@pytest.mark.parametrize("name", ["PAG", "SEG", "SLG"])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 4.0])
def test_at_scale_one_the_weight_of_diffusers_is_one_more(name, gamma):
    """As GGPerturbed.md says: enter their w minus 1 at cfg 1, and the same w at any other."""
    p = toy(names=("perturbed",))
    found = theirs(name, gamma, 3.0).forward(p.cond, None if gamma == 1 else p.uncond, p.extra["perturbed"]).pred
    weight = 2.0 if gamma == 1 else 3.0
    assert largest_error(guide(Perturbed(WORSE, weight), p, gamma), list(found)) <= 1e-6


def test_the_pass_is_asked_for_inside_the_window_alone_at_any_scale():
    chain = PLAIN.then(Perturbed(WORSE, start=0.25, end=0.75))
    state = chain.init(RUN)
    assert [chain.needs(state, sigma, 1.0) for sigma in RUN.sigmas[:-1]] == [
        {"cond"},
        {"cond", "0 perturbed"},
        {"cond", "0 perturbed"},
        {"cond"},
    ]


@pytest.mark.parametrize("gamma", [0.0, 1.0, 5.0])
def test_several_add_up(gamma):
    p = toy(names=("0 perturbed", "1 perturbed"))
    a, b = (p.extra[f"{i} perturbed"] for i in range(2))
    chain = PLAIN.then(Perturbed(WORSE, 1.0)).then(Perturbed(WORSE, 2.0))
    expected = p.uncond + gamma * (p.cond - p.uncond) + (p.cond - a) + 2 * (p.cond - b)
    assert largest_error(chain.step(chain.init(RUN), p, gamma)[0], list(expected)) <= 1e-12
    assert chain.text == "CFG > perturbed pass x 1 > perturbed pass x 2"
