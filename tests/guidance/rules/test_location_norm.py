import torch

from guidance_geometry.guidance.rules.location_norm import LocationNorm
from guidance_geometry.tests.toys import guide, toy


def test_a_place_without_length_stays_as_it_is():
    p = toy()
    p.cond[..., 0], p.uncond[..., 0] = 0.0, 0.0
    guided = guide(LocationNorm(match=True), p, 4.0)
    assert guided.isfinite().all()
    assert torch.equal(guided[..., 0], torch.zeros_like(guided[..., 0]))
