"""Networks and parametrisations of the pack beside the host's own arithmetic."""

import comfy.model_sampling
import pytest
import torch
from safetensors.torch import save_file

from guidance_geometry.files.included import included_weights
from guidance_geometry.guidance.predictions import x0_from_output
from guidance_geometry.host.models.native_model import native_denoiser
from guidance_geometry.library.denoisers import load_denoiser
from guidance_geometry.models.denoisers.dit import DiT, DiTSizes
from guidance_geometry.models.denoisers.reading import read_denoiser
from guidance_geometry.models.denoisers.spec import choose_spec
from guidance_geometry.tests.diffusers_folders import random_weights

SIZES = DiTSizes(channels=4, out=8, patch=2, grid=4, width=64, depth=2, heads=1, mlp=128, classes=3)


@pytest.mark.parametrize("name", ["pocket-1", "DiT-S-2", "SiT-S-2"])
def test_the_function_is_the_model(host, tmp_path, name):
    path = included_weights("denoisers", name) or tmp_path / f"{name}.safetensors"
    if not path.exists():
        save_file(random_weights({n: w.shape for n, w in DiT(SIZES, device="meta").state_dict().items()}), path)
    file = read_denoiser(path)
    model = native_denoiser(choose_spec(file.spec), file.weights).model
    denoiser = load_denoiser("pocket-1" if name == "pocket-1" else path)
    sigmas = (0.9, 0.2) if denoiser.facts["space"] == "flow" else (14.0, 1.0)
    for sigma in sigmas:
        x = torch.randn(2, *denoiser.shape, generator=torch.Generator().manual_seed(0)) * max(sigma, 1)
        for condition, y in ((denoiser.labels[1], [1, 1]), ([0, None], [0, len(denoiser.labels)])):
            with torch.no_grad():
                wanted = model.apply_model(x, torch.tensor([sigma] * 2), y=torch.tensor(y))
            assert torch.allclose(denoiser(x, sigma, condition), wanted, atol=1e-4)


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
