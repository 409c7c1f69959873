import pytest
import torch

from guidance_geometry.guidance.predictions import PARAMETRISATIONS, Predictions, output_from, x0_from_output
from guidance_geometry.tests.toys import draw

SIGMA_DATA = 0.5


def level(space, noise):
    """alpha and sigma of sigma / alpha = noise: VE, flow, variance preserving."""
    alpha = {"ve": 1.0, "flow": 1 / (1 + noise), "vp": 1 / (1 + noise**2) ** 0.5}[space]
    return alpha, alpha * noise


def by_definition(kind, x0, eps, sigma, alpha):
    """What a network of each kind is trained to output, from the clean sample and the noise."""
    x = alpha * x0 + sigma * eps
    r = (alpha**2 + sigma**2) ** 0.5
    n, d = sigma / alpha, SIGMA_DATA
    return {
        "epsilon": eps,
        "x0": x0,
        "v": (alpha * eps - sigma * x0) / r,
        "flow": eps - x0,
        "score": -eps / sigma,
        "edm": (x0 - d**2 / (n**2 + d**2) * x / alpha) / (n * d / (n**2 + d**2) ** 0.5),
    }[kind]


@pytest.mark.parametrize("space", ["ve", "flow", "vp"])
@pytest.mark.parametrize("kind", PARAMETRISATIONS)
def test_the_training_target_denoises_to_the_clean_sample(kind, space):
    x0, eps = draw((3, 2, 5), 0), draw((3, 2, 5), 1)
    for noise in (0.01, 0.5, 1.0, 20.0):
        alpha, sigma = level(space, noise)
        target, x = by_definition(kind, x0, eps, sigma, alpha), alpha * x0 + sigma * eps
        assert (x0_from_output(kind, target, x, sigma, alpha, SIGMA_DATA) - x0).abs().max() < 1e-12
        assert (output_from(kind, x0, x, sigma, alpha, SIGMA_DATA) - target).abs().max() < 1e-10


@pytest.mark.parametrize("kind", PARAMETRISATIONS)
def test_every_item_has_its_own_noise_level(kind):
    x, output = draw((3, 2, 4), 0), draw((3, 2, 4), 1)
    sigma, alpha = torch.tensor([0.1, 1.0, 9.0]), torch.tensor([0.9, 0.5, 1.0])
    together = x0_from_output(kind, output, x, sigma, alpha, SIGMA_DATA)
    for i in range(3):
        alone = x0_from_output(kind, output[i : i + 1], x[i : i + 1], sigma[i], alpha[i], SIGMA_DATA)
        assert torch.equal(alone[0], together[i])


def test_half_precision_is_promoted_before_anything_is_subtracted():
    one, half = torch.ones(1), torch.tensor([[2048.0, 1.0]], dtype=torch.float16)
    p = Predictions(x=half, sigma=one, alpha=one, uncond=half, cond=-half)
    assert [v.dtype for v in p.pair] == [torch.float32, torch.float32]
    assert p.delta.dtype == torch.float16
    assert p.delta.tolist() == [[-4096.0, -2.0]]
