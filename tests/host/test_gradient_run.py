"""Classifier guidance in the real host: the exact mixture, weights, memory, errors."""

import pytest
import torch

from .test_bits import guided

EVALUATIONS = ("noisy x_t", "x0 + backprop", "x0")


def chain_of(energy, **knobs):
    from guidance_geometry.guidance.chain import PLAIN
    from guidance_geometry.guidance.terms import GradientTerm

    return PLAIN.then(GradientTerm(energy, **knobs))


@pytest.fixture(scope="session")
def exact(host):
    """space -> MODEL, its null label twice, the energy of labels 0, 1, 2, the mixture."""
    from guidance_geometry.guidance.energies import LabelEnergy
    from guidance_geometry.nodes.lab import GGMixtureModel
    from guidance_geometry.nodes.start import GGClassLabel

    made = {}
    for space in ("ve", "flow"):
        with torch.inference_mode():
            model, classifier = GGMixtureModel.execute(shape="3x8x8", classes=3, kind=space, seed=0).result
            null = GGClassLabel.execute(model, "").result[0]
        made[space] = (model, null, null), LabelEnergy(classifier, ((0,), (1,), (2,))), classifier.mixture
    return made


@pytest.mark.parametrize("space", ["ve", "flow"])
@pytest.mark.parametrize("gamma", [1.0, 3.0])
def test_the_noise_aware_classifier_is_classifier_free_guidance(exact, empty_latent, space, gamma):
    parts, energy, mixture = exact[space]
    _, _, trace = guided(
        *parts, empty_latent(space), "euler", cfg=1.0, guidance=chain_of(energy, weight=gamma), capture="tensors"
    )
    labels = torch.tensor([0, 1, 2])
    for i, sigma in enumerate(trace.steps["sigma"].tolist()):
        alpha = 1 - sigma if space == "flow" else 1.0
        if alpha < 0.02:
            continue
        x = trace.tensors["x"][i].double()
        u, c = (mixture.denoised(x, sigma, alpha, label) for label in (None, labels))
        assert (trace.tensors["guided"][i] - (u + gamma * (c - u))).abs().max() <= 0.02, "captured in half precision"


@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize("name", ["euler", "heun", "euler_ancestral", "dpmpp_2m_sde", "euler_cfg_pp"])
@pytest.mark.parametrize("space", ["ve", "flow", "pocket"])
def test_weight_nought_is_bit_identical_to_no_node(exact, labelled, empty_latent, evaluation, name, space):
    _, energy, _ = exact["ve"]
    arguments = (*labelled[space], empty_latent(space), name)
    without = guided(*arguments)[0]["samples"]
    assert torch.equal(
        guided(*arguments, guidance=chain_of(energy, weight=0.0, evaluation=evaluation))[0]["samples"], without
    )
