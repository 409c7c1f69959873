import pytest
import torch

from guidance_geometry.guidance.rules.spaces import SPACES, view_in
from guidance_geometry.tests.toys import toy


@pytest.mark.parametrize("space", SPACES)
def test_pure_noise_and_no_noise_stay_finite(space):
    p = toy("flow")
    p.sigma[:], p.alpha[:] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert view_in(space, p).rescale(p.cond, torch.tensor([1.0, 0.5])).isfinite().all()


def test_a_factor_of_one_changes_no_bit():
    p = toy("ve", dtype=torch.float16)
    for space in SPACES:
        assert torch.equal(view_in(space, p).rescale(p.cond, torch.ones(2, dtype=torch.float64)), p.cond)
