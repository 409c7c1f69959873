"""The three evaluations against the exact toy: values at a probe, identities, and whole runs of 20,000 samples."""

import pytest
import torch

from guidance_geometry.dev.fixtures import exact_toy as toy
from guidance_geometry.dev.fixtures.toy_gradients import DATA, LEVELS, guided_denoiser, states, target
from guidance_geometry.guidance.gradients.estimators import clean_shift, noisy_shift, spread
from guidance_geometry.guidance.predictions import output_from, x0_from_output
from guidance_geometry.tests.toy_tables import BY_STEPS, SHORT, holds

PROBE = torch.tensor([[0.5, -0.5, 0.25, 1.0]], dtype=torch.float64)
AT_PROBE = [  # alpha, sigma, D, D of the class, log p
    (1, 0.5, (0.52297987, -0.18762664, 0.45823313, 0.81395216), (-0.12550306, -0.61707331, 0.45789712, 0.80049124),
     -1.838204813),
    (1, 2, (0.24757829, 0.03464366, 0.41797718, 0.26432016), (-0.36192040, -0.64066789, 0.43304203, 0.27242181),
     -1.595091750),
    (0.3, 0.7, (0.35168735, -0.03582087, 0.55794872, 0.50117471), (-0.33774418, -0.68218277, 0.59835812, 0.55949763),
     -1.577189448),
]  # fmt: skip


@pytest.mark.parametrize(("alpha", "sigma", "uncond", "cond", "log_prob"), AT_PROBE)
def test_values_at_the_probe(alpha, sigma, uncond, cond, log_prob):
    assert (toy.denoise_exactly(PROBE, sigma, alpha) - torch.tensor(uncond)).abs().max() < 1e-7
    assert (guided_denoiser("noisy", 1.0)(PROBE, sigma, alpha) - torch.tensor(cond)).abs().max() < 1e-7
    found = noisy_shift(lambda z: target(z, sigma, alpha), PROBE, sigma, alpha)
    assert float(found.log_prob) == pytest.approx(log_prob, abs=1e-8)


@pytest.mark.parametrize("kind", ["epsilon", "v", "edm", "flow", "x0"])
@pytest.mark.parametrize("gamma", [1.0, 3.0])
@pytest.mark.parametrize(("alpha", "sigma"), LEVELS)
def test_the_noise_aware_classifier_is_classifier_free_guidance(alpha, sigma, gamma, kind):
    """Whatever the network outputs: u + gamma shift = u + gamma (c - u), for c = E[x0 | x, y]."""
    x = states(alpha, sigma)
    output = output_from(kind, toy.denoise_exactly(x, sigma, alpha), x, sigma, alpha, sigma_data=DATA)
    u = x0_from_output(kind, output, x, sigma, alpha, sigma_data=DATA)
    c = toy.denoise_exactly(x, sigma, alpha, toy.TARGET)
    shift = noisy_shift(lambda z: target(z, sigma, alpha), x, sigma, alpha).shift
    assert (u + gamma * shift - (u + gamma * (c - u))).abs().max() < 1e-9
    assert (c - u).abs().max() > 1e-6


@pytest.mark.parametrize(("alpha", "sigma"), LEVELS)
def test_backprop_through_the_denoiser_multiplies_by_the_posterior_covariance(alpha, sigma):
    x = states(alpha, sigma)
    shift = guided_denoiser("through", 1.0)(x, sigma, alpha) - toy.denoise_exactly(x, sigma, alpha)
    clean = toy.denoise_exactly(x, sigma, alpha)
    slope = clean_shift(target, clean, sigma, alpha, DATA).shift / spread(sigma, alpha, DATA)
    expected = torch.einsum("bij,bj->bi", toy.covariance(x, sigma, alpha), slope)
    assert (shift - expected).abs().max() < 1e-9


def test_one_step_of_backward_guidance_is_the_evaluation_without_backprop():
    clean = toy.denoise_exactly(states(1.0, 0.7), 0.7)
    one = clean_shift(target, clean, 0.7, 1.0, DATA, weight=3.0, steps=1).shift
    assert (one - clean_shift(target, clean, 0.7, 1.0, DATA).shift).abs().max() < 1e-12
    by_hand, moved = torch.zeros_like(clean), 3.0 * spread(0.7, 1.0, DATA)
    for _ in range(3):
        leaf = (clean + by_hand).requires_grad_()
        (slope,) = torch.autograd.grad(target(leaf).sum(), leaf)
        by_hand = by_hand + moved * slope
    three = clean_shift(target, clean, 0.7, 1.0, DATA, weight=3.0, steps=3).shift
    assert (3.0 * three - by_hand).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("solver", "evaluation"), [("heun", "noisy"), ("heun", "clean"), ("ancestral", "noisy"), ("flow_euler", "noisy")]
)
def test_runs_of_twenty_steps_give_the_measured_table(solver, evaluation):
    """A flow starts at s = 1 with the exact limit of its first step."""

    def denoise(x, sigma):
        alpha = 1 - sigma if solver == "flow_euler" else 1.0
        if alpha == 0:
            return toy.denoise_exactly(x, sigma, alpha, toy.TARGET)
        return guided_denoiser(evaluation, 1.0)(x, sigma, alpha)

    found = toy.measure(getattr(toy, solver)(denoise, 20))
    holds(found, dict(zip(SHORT, BY_STEPS[solver, evaluation, 20], strict=True)))
