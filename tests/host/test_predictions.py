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
@pytest.mark.parametrize(("dtype", "most"), [(torch.float64, 1e-12), (torch.float32, 2e-6)], ids=str)
def test_the_table_agrees_with_the_host(kind, name, sigma_data, dtype, most):
    host = getattr(comfy.model_sampling, name)()
    host.sigma_data = sigma_data
    draws = torch.Generator().manual_seed(0)
    x, output = (torch.randn((3, 4, 2, 8, 8), generator=draws, dtype=dtype) for _ in range(2))
    sigma = torch.tensor([0.03, 0.6, 0.97] if kind == "flow" else [0.03, 0.5, 1.3], dtype=dtype)
    alpha = 1 - sigma if kind == "flow" else torch.ones_like(sigma)
    expected = host.calculate_denoised(sigma, output, x)
    assert (x0_from_output(kind, output, x, sigma, alpha, sigma_data) - expected).abs().max() < most
