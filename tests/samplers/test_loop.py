"""Steps against Bayes, and whole runs of the exact mixture."""

import math
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.run import Run
from guidance_geometry.samplers.loop import item_noise, run, step_noise
from guidance_geometry.samplers.steps import ddim, ddpm, level, up_and_down

MIXTURE = make_mixture((1, 4, 4), classes=3, seed=0)


def guided_run(x, sigmas, flow, gamma=2.0, eta=1.0, seed=5) -> Any:
    levels = [level(s, flow) for s in sigmas]
    state = PLAIN.init(Run(tuple(sigmas)))
    draw = item_noise(x, seed)

    def denoise(x, now):
        u, c = (MIXTURE.denoised(x, now.sigma, now.alpha, label) for label in (None, 1))
        p = Predictions(x, x.new_full([len(x)], now.sigma), x.new_full([len(x)], now.alpha), u, c)
        return PLAIN.step(state, p, gamma)[0]

    states = run(denoise, x, levels, lambda *a: ddim(*a, eta=eta), lambda *_: draw())
    return [s for s in states if s.step is not None]


def start(batch, flow, sigma):
    eps = torch.randn(batch, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return eps * sigma


@pytest.mark.parametrize(("flow", "sigmas"), [(False, [20.0, 5.0, 1.0, 0.2, 0.0]), (True, [1.0, 0.7, 0.4, 0.1, 0.0])])
def test_an_item_alone_is_the_item_in_a_batch(flow, sigmas):
    x = start(3, flow, sigmas[0])
    together = guided_run(x, sigmas, flow)[-1].x_next
    for i in range(3):
        alone = guided_run(x[i : i + 1], sigmas, flow)[-1].x_next
        assert (alone[0] - together[i]).abs().max() <= 1e-12


@pytest.mark.parametrize(("flow", "sigmas"), [(False, 80.0), (True, 1.0)])
def test_ancestral_sampling_of_one_class_has_its_mean(flow, sigmas):
    """400 samples at gamma = 1 against the class mean of the exact mixture: within 5 standard errors, each pixel."""
    n = 60
    ramp = torch.linspace(1, 0, n + 1, dtype=torch.float64)
    schedule = (ramp if flow else sigmas * ramp**7).tolist()
    end = guided_run(start(400, flow, sigmas), schedule, flow, gamma=1.0)[-1].x_next
    mine = MIXTURE.labels == 1
    weights = MIXTURE.log_weights[mine].softmax(dim=0)
    mean = (weights[:, None] * MIXTURE.means[mine].flatten(1)).sum(dim=0)
    error = end.flatten(1).std(dim=0) / 400**0.5
    assert ((end.flatten(1).mean(dim=0) - mean).abs() / error).max() <= 5


def test_item_noise_is_independent_of_the_starting_noise():
    seed = 11
    x = torch.randn(4, 1000, generator=torch.Generator().manual_seed(seed))
    eps = item_noise(x, seed)()
    correlation = (eps * x).mean(dim=1) / (eps.std(dim=1) * x.std(dim=1))
    assert correlation.abs().max() <= 5 / 1000**0.5
    assert eps.std(dim=1).sub(1).abs().max() <= 0.1
    assert not torch.equal(eps, item_noise(x, seed + 1)())


def test_an_item_draws_what_it_drew_in_the_first_release_and_by_its_own_start():
    x = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    drawn = item_noise(x, 7)()
    assert drawn.flatten().tolist() == pytest.approx([-0.34704, 2.76088, -0.40084, -1.72093], abs=1e-5)


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


def test_step_noise_is_a_function_of_item_step_and_seed():
    x = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))
    draw = step_noise(x, 7)
    eps = draw((5, 6), 2, 0)
    assert eps.shape == (3, 5, 6)
    assert torch.equal(draw((5, 6), 2, 0), eps)
    assert torch.equal(step_noise(x[1:2], 7)((5, 6), 2, 0), eps[1:2])
    others = [draw((5, 6), 3, 0), draw((5, 6), 2, 1), draw((5, 6), 0, 2), step_noise(x, 8)((5, 6), 2, 0)]
    correlations = torch.stack([torch.corrcoef(torch.stack([eps.flatten(), o.flatten()]))[0, 1] for o in others])
    assert correlations.abs().max() < 0.4
    assert not torch.equal(draw((2, 4), 0), item_noise(x, 7)())
