"""The three evaluations against the exact toy: values at a probe, identities, and whole runs of 20,000 samples."""

from functools import cache
from itertools import pairwise

import pytest
import torch

from guidance_geometry.dev.fixtures import exact_toy as toy
from guidance_geometry.dev.fixtures.toy_gradients import DATA, LEVELS, guided_denoiser, states, target
from guidance_geometry.guidance.gradients.estimators import at_denoised, noise_aware, spread
from guidance_geometry.guidance.predictions import output_from, x0_from_output
from guidance_geometry.tests.toy_tables import BY_STEPS, HEUN_80, SHORT, holds

PROBE = torch.tensor([[0.5, -0.5, 0.25, 1.0]], dtype=torch.float64)
AT_PROBE = [  # alpha, sigma, D, D of the class, log p
    (
        1,
        0.5,
        (0.52297987, -0.18762664, 0.45823313, 0.81395216),
        (-0.12550306, -0.61707331, 0.45789712, 0.80049124),
        -1.838204813,
    ),
    (
        1,
        2,
        (0.24757829, 0.03464366, 0.41797718, 0.26432016),
        (-0.36192040, -0.64066789, 0.43304203, 0.27242181),
        -1.595091750,
    ),
    (
        0.3,
        0.7,
        (0.35168735, -0.03582087, 0.55794872, 0.50117471),
        (-0.33774418, -0.68218277, 0.59835812, 0.55949763),
        -1.577189448,
    ),
]


def test_the_toy_is_the_one_that_was_measured():
    assert pytest.approx(0.69478125, abs=1e-12) == toy.VARIANCE
    mean, spread_of_all = toy.moments(toy.TARGET)
    assert mean.tolist() == pytest.approx([-0.375, -0.649519, 0.36, 0.12], abs=1e-6)
    assert float(spread_of_all.trace()) == pytest.approx(2.256, abs=1e-9)


@pytest.mark.parametrize(("alpha", "sigma", "uncond", "cond", "log_prob"), AT_PROBE)
def test_values_at_the_probe(alpha, sigma, uncond, cond, log_prob):
    assert (toy.denoise_exactly(PROBE, sigma, alpha) - torch.tensor(uncond)).abs().max() < 1e-7
    assert (guided_denoiser("noisy", 1.0)(PROBE, sigma, alpha) - torch.tensor(cond)).abs().max() < 1e-7
    found = noise_aware(lambda z: target(z, sigma, alpha), PROBE, sigma, alpha)
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
    shift = noise_aware(lambda z: target(z, sigma, alpha), x, sigma, alpha).shift
    assert (u + gamma * shift - (u + gamma * (c - u))).abs().max() < 1e-9
    assert (c - u).abs().max() > 1e-6


@pytest.mark.parametrize(("alpha", "sigma"), LEVELS)
def test_the_jacobian_of_the_denoiser_is_the_posterior_covariance(alpha, sigma):
    x = states(alpha, sigma, count=2)
    for row, item in enumerate(x):
        jacobian = torch.autograd.functional.jacobian(lambda z: toy.denoise_exactly(z[None], sigma, alpha)[0], item)
        expected = alpha / sigma**2 * toy.covariance(x, sigma, alpha)[row]
        assert (jacobian - expected).abs().max() < 1e-9 * expected.abs().max().clamp(min=1e-6)


@pytest.mark.parametrize(("alpha", "sigma"), LEVELS)
def test_backprop_through_the_denoiser_multiplies_by_the_posterior_covariance(alpha, sigma):
    x = states(alpha, sigma)
    shift = guided_denoiser("through", 1.0)(x, sigma, alpha) - toy.denoise_exactly(x, sigma, alpha)
    clean = toy.denoise_exactly(x, sigma, alpha)
    slope = at_denoised(target, clean, sigma, alpha, DATA).shift / spread(sigma, alpha, DATA)
    expected = torch.einsum("bij,bj->bi", toy.covariance(x, sigma, alpha), slope)
    assert (shift - expected).abs().max() < 1e-9


def test_one_step_of_backward_guidance_is_the_evaluation_without_backprop():
    clean = toy.denoise_exactly(states(1.0, 0.7), 0.7)
    one = at_denoised(target, clean, 0.7, 1.0, DATA, weight=3.0, steps=1).shift
    assert (one - at_denoised(target, clean, 0.7, 1.0, DATA).shift).abs().max() < 1e-12
    by_hand, moved = torch.zeros_like(clean), 3.0 * spread(0.7, 1.0, DATA)
    for _ in range(3):
        leaf = (clean + by_hand).requires_grad_()
        (slope,) = torch.autograd.grad(target(leaf).sum(), leaf)
        by_hand = by_hand + moved * slope
    three = at_denoised(target, clean, 0.7, 1.0, DATA, weight=3.0, steps=3).shift
    assert (3.0 * three - by_hand).abs().max() < 1e-12


@cache
def samples(solver, evaluation, steps, gamma=1.0):
    """A whole run; a flow starts at s = 1 with the exact limit of its first step."""

    def denoise(x, sigma):
        alpha = 1 - sigma if solver == "flow_euler" else 1.0
        if alpha == 0:
            return toy.denoise_exactly(x, sigma, alpha, toy.TARGET)
        return guided_denoiser(evaluation, gamma)(x, sigma, alpha)

    return getattr(toy, solver)(denoise, steps)


def test_a_short_run_gives_the_measured_table():
    found = toy.measure(samples("heun", "noisy", 20))
    holds(found, dict(zip(SHORT, BY_STEPS["heun", "noisy", 20], strict=True)))


@pytest.mark.slow
@pytest.mark.matrix(parts=12)
@pytest.mark.parametrize(("evaluation", "gamma"), HEUN_80)
def test_runs_of_eighty_steps_give_the_measured_table(evaluation, gamma):
    x = samples("heun", evaluation, 80, gamma)
    found = toy.measure(x) | {"ed": toy.energy_distance(x[:10_000], toy.samples_of(toy.TARGET, 10_000))}
    names = ("acc", "p", "fd", "ed", "spread", "minor", "log_p")
    holds(found, dict(zip(names, HEUN_80[evaluation, gamma], strict=True)))


@pytest.mark.slow
@pytest.mark.matrix(parts=12)
@pytest.mark.parametrize(("solver", "evaluation", "steps"), BY_STEPS)
def test_other_solvers_and_steps_give_the_measured_table(solver, evaluation, steps):
    found = toy.measure(samples(solver, evaluation, steps))
    holds(found, dict(zip(SHORT, BY_STEPS[solver, evaluation, steps], strict=True)))


@pytest.mark.slow
@pytest.mark.matrix(parts=4)
@pytest.mark.parametrize("evaluation", ["none", "noisy", "through", "clean"])
def test_the_number_of_steps_does_not_change_what_guidance_does(evaluation):
    few, many = (toy.measure(samples("heun", evaluation, steps)) for steps in (20, 160))
    assert abs(few["acc"] - many["acc"]) <= 0.01
    assert abs(few["p"] - many["p"]) <= 0.01


@pytest.mark.slow
@pytest.mark.turn("constant shift")
def test_a_constant_shift_a_step_depends_on_the_number_of_steps():
    """What the rates are held against: a fixed step of the gradient per sampler step keeps climbing."""

    def run(steps):
        sigmas, zeta = toy.karras(steps), 0.02
        after = dict(pairwise(sigmas))

        def denoise(x, sigma):
            kept = 1 - after[sigma] / sigma  # a shift of the next state is this much of a shift of x0-hat
            leaf = x.clone().requires_grad_()
            found = toy.denoise_exactly(leaf, sigma)
            (slope,) = torch.autograd.grad(target(found).sum(), leaf)
            return found.detach() + zeta * slope / kept

        return toy.measure(toy.euler(denoise, steps))["p"]

    few, many = run(20), run(160)
    assert few == pytest.approx(0.823, abs=0.01)
    assert many == pytest.approx(0.989, abs=0.01)


@pytest.mark.slow
def test_the_first_step_of_a_flow_is_skipped_without_harm():
    """At s = 1 the factor is infinite and the exact limit is c - u; leaving that step out costs under 0.005."""

    def exact(x, s):
        return toy.denoise_exactly(x, s, 1 - s, toy.TARGET)

    def skipping(x, s):
        return guided_denoiser("noisy", 1.0)(x, s, 1 - s)

    limit, skipped = (toy.measure(toy.flow_euler(denoise, 80)) for denoise in (exact, skipping))
    assert limit["acc"] == pytest.approx(0.911, abs=0.002)
    assert abs(skipped["acc"] - limit["acc"]) <= 0.005
    assert skipping(torch.ones(2, 4, dtype=torch.float64), 1.0).isfinite().all()
