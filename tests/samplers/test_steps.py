import math

import pytest
import torch

from guidance_geometry.samplers.steps import ddim, ddpm, level, up_and_down

LEVELS = [(False, 7.0, 3.0), (False, 0.3, 0.01), (True, 0.9, 0.7), (True, 0.2, 0.05)]


def tensors(count, shape=(2, 5)):
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(count)]


@pytest.mark.parametrize(("flow", "sigma", "sigma_next"), LEVELS)
def test_ddpm_has_the_posterior_mean_and_variance(flow, sigma, sigma_next):
    """Bayes by hand for one element: prior q(x'|x0) times likelihood q(x|x')."""
    x, x0 = tensors(2)
    now, then, zero = level(sigma, flow), level(sigma_next, flow), torch.zeros_like(x)
    a, a_next = float(now.alpha), float(then.alpha)
    link, spread = a / a_next, sigma**2 - (a / a_next * sigma_next) ** 2
    variance = 1 / (1 / sigma_next**2 + link**2 / spread)
    mean = variance * (a_next * x0 / sigma_next**2 + link * x / spread)
    step = ddpm(x, x0, now, then, torch.ones_like(x))
    assert (x + ddpm(x, x0, now, then, zero).move - mean).abs().max() <= 1e-12
    assert (step.noise - math.sqrt(variance)).abs().max() <= 1e-12


@pytest.mark.parametrize(("flow", "sigma", "sigma_next"), LEVELS)
def test_ddim_at_eta_one_is_ddpm_and_at_zero_is_the_ode(flow, sigma, sigma_next):
    x, x0, eps = tensors(3)
    now, then = level(sigma, flow), level(sigma_next, flow)
    for ours, theirs in zip(ddim(x, x0, now, then, eps, eta=1.0), ddpm(x, x0, now, then, eps), strict=True):
        assert (ours - theirs).abs().max() <= 1e-12
    ratio = sigma_next / sigma
    ode = ddim(x, x0, now, then, eps, eta=0.0)
    assert (x + ode.move - (ratio * x + (1 - ratio) * x0)).abs().max() <= 1e-12
    assert ode.noise.abs().max() == 0


@pytest.mark.parametrize(("flow", "sigma", "sigma_next"), LEVELS)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_the_next_state_has_the_next_noise_level(flow, sigma, sigma_next, eta):
    up, down = up_and_down(level(sigma, flow), level(sigma_next, flow), eta)
    assert float(up**2 + down**2) == pytest.approx(sigma_next**2, rel=1e-12)


def test_flow_starts_at_pure_noise_without_a_nan():
    x, x0, eps = tensors(3)
    step = ddpm(x, x0, level(1.0, True), level(0.9, True), eps)
    assert (step.move + x - 0.1 * x0).abs().max() <= 1e-12
    assert (step.noise - 0.9 * eps).abs().max() <= 1e-12


@pytest.mark.parametrize("flow", [False, True])
def test_the_last_step_lands_on_the_prediction(flow):
    x, x0, eps = tensors(3)
    step = ddim(x, x0, level(0.1, flow), level(0.0, flow), eps, eta=1.0)
    assert (x + step.move - x0).abs().max() <= 1e-12
    assert step.noise.abs().max() == 0
