"""The pack's table of parametrisations against the host's own arithmetic."""

import comfy.model_sampling
import pytest
import torch

from guidance_geometry.guidance.predictions import x0_from_output

CASES = [  # our kind, the host's class, its sigma_data
    ("epsilon", "EPS", 1.0),
    ("v", "V_PREDICTION", 1.0),
    ("edm", "EDM", 0.5),
    ("x0", "X0", 1.0),
    ("flow", "CONST", 1.0),
]


@pytest.mark.parametrize(("kind", "name", "sigma_data"), CASES, ids=[case[1] for case in CASES])
@pytest.mark.parametrize("shape", [(3, 4, 16), (3, 4, 8, 8), (3, 4, 2, 8, 8)], ids=["audio", "image", "video"])
def test_the_table_agrees_with_the_host(kind, name, sigma_data, shape):
    host = getattr(comfy.model_sampling, name)()
    host.sigma_data = sigma_data
    draws = torch.Generator().manual_seed(0)
    x, output = (torch.randn(shape, generator=draws, dtype=torch.float64) for _ in range(2))
    sigma = torch.tensor([0.03, 0.6, 0.97] if kind == "flow" else [0.03, 1.3, 80.0], dtype=torch.float64)
    alpha = 1 - sigma if kind == "flow" else torch.ones_like(sigma)
    expected = host.calculate_denoised(sigma, output, x)
    assert (x0_from_output(kind, output, x, sigma, alpha, sigma_data) - expected).abs().max() < 1e-12


@pytest.mark.parametrize(("kind", "name", "sigma_data"), CASES, ids=[case[1] for case in CASES])
def test_float32_stays_within_rounding_of_the_host(kind, name, sigma_data):
    host = getattr(comfy.model_sampling, name)()
    host.sigma_data = sigma_data
    draws = torch.Generator().manual_seed(0)
    sigma = torch.tensor([0.5])
    alpha = 1 - sigma if kind == "flow" else torch.ones_like(sigma)
    x, output = (torch.randn(1, 4, 8, 8, generator=draws) for _ in range(2))
    expected = host.calculate_denoised(sigma, output, x)
    assert (x0_from_output(kind, output, x, sigma, alpha, sigma_data) - expected).abs().max() < 2e-6
