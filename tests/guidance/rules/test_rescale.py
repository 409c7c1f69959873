import torch

from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.tests.toys import guide, toy


def test_on_flow_the_full_rescale_keeps_the_contrast_of_the_image():
    p = toy("flow")
    guided = guide(Rescale(1.0, "x0"), p, 7.5)
    assert torch.allclose(guided.flatten(1).std(dim=1), p.cond.flatten(1).std(dim=1), rtol=1e-12)


def test_a_flat_prediction_has_no_contrast_to_scale():
    p = toy()
    p.cond[:], p.uncond[:] = 0.5, 0.25
    assert torch.allclose(guide(Rescale(1.0, "x0"), p, 3.0), torch.full_like(p.cond, 1.0))
