"""A network as the library's function against the same file as a MODEL."""

import pytest
import torch
from safetensors.torch import save_file

from guidance_geometry.denoisers.dit import DiT, DiTSizes
from guidance_geometry.denoisers.reading import read_denoiser
from guidance_geometry.denoisers.spec import choose_spec
from guidance_geometry.files.included import included_weights
from guidance_geometry.host.native_model import native_denoiser
from guidance_geometry.library.denoisers import load_denoiser
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
