import pytest
import torch

from guidance_geometry.guidance.mixture import GaussianMixture, make_mixture
from guidance_geometry.tests.oracles import components_of, mixture_denoised, mixture_log_density

LEVELS = [(0.05, 1.0), (0.9, 1.0), (20.0, 1.0), (0.1, 0.9), (0.6, 0.4), (0.98, 0.02)]
SHAPES = [(2, 6), (3, 4, 4), (2, 2, 4, 4)]


def small(shape=(2, 6), classes=3):
    """A mixture with unequal weights, variances and numbers of components, so that nothing cancels by chance."""
    draws = torch.Generator().manual_seed(5)
    count = 2 * classes - 1
    means = 0.7 * torch.randn(count, *shape, generator=draws, dtype=torch.float64)
    variances = 0.05 + 0.4 * torch.rand(count, generator=draws, dtype=torch.float64)
    weights = torch.randn(count, generator=draws, dtype=torch.float64)
    return GaussianMixture(means, variances, weights, torch.arange(count) % classes)


def noisy(mixture, sigma, alpha, batch=4, seed=0):
    draws = torch.Generator().manual_seed(seed)
    x0 = mixture.sample(batch, generator=draws)
    return alpha * x0 + sigma * torch.randn(x0.shape, generator=draws, dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("label", [None, 1])
def test_denoised_and_density_equal_the_plain_formula(shape, label):
    mixture = small(shape)
    for sigma, alpha in LEVELS:
        x = noisy(mixture, sigma, alpha, batch=2)
        parts = components_of(mixture, label)
        expected = torch.stack([mixture_denoised(row, sigma, alpha, parts) for row in x])
        density = torch.tensor([mixture_log_density(row, sigma, alpha, parts) for row in x], dtype=torch.float64)
        limit = 1e-12 * (1 + sigma**2 / alpha)
        assert (mixture.denoised(x, sigma, alpha, label) - expected).abs().max() < limit
        assert (mixture.log_prob(x, sigma, alpha, label) - density).abs().max() < 1e-10


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("sigma", "alpha"), LEVELS)
def test_the_difference_is_the_classifier_gradient(shape, sigma, alpha):
    mixture, labels = small(shape), torch.tensor([0, 1, 2, 0])
    x = noisy(mixture, sigma, alpha).requires_grad_()
    chosen = mixture.label_log_prob(x, sigma, alpha).gather(1, labels[:, None])
    (gradient,) = torch.autograd.grad(chosen.sum(), x)
    delta = mixture.denoised(x, sigma, alpha, labels) - mixture.denoised(x, sigma, alpha)
    assert (delta - sigma**2 / alpha * gradient).abs().max() < 1e-9


def test_every_item_has_its_own_noise_level():
    mixture, sigma, alpha = small(), torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.9, 0.5, 0.1])
    x = noisy(mixture, 0.5, 0.5, batch=3)
    together = mixture.denoised(x, sigma, alpha)
    for i in range(3):
        assert (mixture.denoised(x[i : i + 1], sigma[i], alpha[i])[0] - together[i]).abs().max() < 1e-13


def test_far_away_is_finite_and_near_zero_noise_is_x():
    mixture = make_mixture((3, 8, 8), 3, 0)
    x = noisy(mixture, 1.0, 1.0)
    assert mixture.label_log_prob(1e4 * x, 1e-3).isfinite().all()
    assert (mixture.denoised(x, 1e-6) - x).abs().max() < 1e-9
    assert (mixture.denoised(0.5 * x, 0.0, 0.5) - x).abs().max() < 1e-9


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_results_have_the_dtype_of_x(dtype):
    mixture = small()
    x = noisy(mixture, 0.5, 1.0).to(dtype)
    assert mixture.denoised(x, 0.5).dtype == mixture.label_log_prob(x, 0.5).dtype == dtype
    limit = {torch.float16: 2e-3, torch.float32: 2e-7, torch.float64: 0.0}[dtype]
    assert (mixture.denoised(x, 0.5).double() - mixture.denoised(x.double(), 0.5)).abs().max() <= limit


def test_a_made_mixture_is_the_same_every_time_and_has_the_promised_size():
    first, second = make_mixture((3, 32, 32), 3, 7), make_mixture((3, 32, 32), 3, 7)
    assert torch.equal(first.means, second.means)
    assert not torch.equal(first.means, make_mixture((3, 32, 32), 3, 8).means)
    assert first.classes == 3
    assert first.shape == (3, 32, 32)
    sizes = first.means.flatten(1).square().mean(dim=1).sqrt()
    assert ((sizes - 0.5).abs() < 0.1).all()
    assert first.rms == pytest.approx(0.6, abs=0.02)


def test_samples_have_the_moments_of_the_mixture():
    mixture = small((2, 6))
    x0 = mixture.sample(20000, 1, torch.Generator().manual_seed(0))
    parts = components_of(mixture, 1)
    mean = sum(weight * mean for weight, mean, _ in parts)
    square = sum(weight * (mean**2 + variance) for weight, mean, variance in parts)
    assert (x0.mean(dim=0) - mean).abs().max() < 0.03
    assert (x0.square().mean(dim=0) - square).abs().max() < 0.05
