import pytest
import torch

from guidance_geometry.guidance.gradients import noise_aware
from guidance_geometry.guidance.mixture import make_mixture

MIXTURE = make_mixture((3, 8, 8), classes=3, seed=2)


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("sigma", [0.05, 0.4, 0.9])
def test_the_exact_classifier_shifts_the_prediction_to_the_conditional_one(sigma, flow):
    alpha = 1 - sigma if flow else 1.0
    clean = MIXTURE.sample(4, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x, labels = alpha * clean + sigma * noise, torch.tensor([0, 1, 2, 0])
    u, c = (MIXTURE.denoised(x, sigma, alpha, label) for label in (None, labels))
    rows = torch.arange(4)
    shift = noise_aware(lambda point: MIXTURE.label_log_prob(point, sigma, alpha)[rows, labels], x, sigma, alpha)
    assert (shift - (c - u)).abs().max() <= 1e-9
    assert (c - u).abs().max() > 1e-6


def test_a_gradient_is_found_where_the_host_forbids_them():
    with torch.inference_mode():
        x = torch.ones(2, 3)
        shift = noise_aware(lambda point: -(point**2).sum(dim=1), x, 2.0, 0.5)
    assert torch.equal(shift, torch.full((2, 3), -16.0))
    assert not shift.requires_grad
