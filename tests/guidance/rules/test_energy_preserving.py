import torch

from guidance_geometry.guidance.rules.energy_preserving import EnergyPreserving, middle_energy
from guidance_geometry.tests.toys import draw, guide, toy


def test_the_robust_energy_forgets_an_outlier():
    v = draw((1, 400), 0)
    spiked = v.clone()
    spiked[0, 7] = 1e4
    assert abs(middle_energy(spiked) / middle_energy(v) - 1) < 0.05


def test_zero_predictions_stay_zero():
    p = toy()
    p.cond[:], p.uncond[:] = 0.0, 0.0
    assert torch.equal(guide(EnergyPreserving(space="x0"), p, 3.0), torch.zeros_like(p.cond))
