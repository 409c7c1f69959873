import torch

from guidance_geometry.guidance.rules.tangential_amplify import TangentialAmplify
from guidance_geometry.tests.toys import guide, toy


def test_at_a_zero_sample_everything_is_across():
    p = toy()
    p.x[:] = 0.0
    assert torch.allclose(guide(TangentialAmplify(1.5), p, 2.0), 1.5 * (2 * p.cond - p.uncond))
