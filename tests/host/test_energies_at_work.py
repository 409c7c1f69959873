"""An energy that needs nothing to be made guides a run and judges one: none lands that no model can use."""

import pytest
import torch

from guidance_geometry.guidance import energies
from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.energies.protocol import PictureEnergy
from guidance_geometry.guidance.energies.reference import SmoothEnergy
from guidance_geometry.guidance.gradients.term import CLEAN_X0, GradientTerm
from guidance_geometry.host.judging import ask_judge
from guidance_geometry.tests.classes import made_without
from guidance_geometry.tests.host.runs import guided

ENERGIES = [SmoothEnergy(), *made_without({"SmoothEnergy"}, energies, PictureEnergy)]


def name_of(energy):
    return type(energy).__name__


@pytest.mark.parametrize("energy", ENERGIES, ids=name_of)
def test_an_energy_guides_a_run(energy, pocket, empty_latent):
    def ended(scale):
        chain = PLAIN.then(GradientTerm(energy, weight=scale, evaluation=CLEAN_X0))
        return guided(*pocket(), empty_latent("pocket", 2), "euler", steps=3, cfg=1.0, guidance=chain)[0]["samples"]

    with_it, without = ended(50.0), ended(0.0)
    assert with_it.isfinite().all()
    assert not torch.equal(with_it, without)


@pytest.mark.parametrize("energy", ENERGIES, ids=name_of)
def test_an_energy_judges_a_run(energy, pocket, empty_latent):
    _, _, trace = guided(*pocket(), empty_latent("pocket", 2), "euler", steps=3, capture="pictures")
    found = ask_judge(trace, energy)
    assert found.fault == ""
    assert found.log_prob.shape == (2,)
    assert found.log_prob.isfinite().all()
