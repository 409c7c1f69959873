"""An energy that needs nothing to be made guides a run and judges one: none lands that no model can use."""

import pytest
import torch

from guidance_geometry.guidance import energies
from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.energies.protocol import PictureEnergy
from guidance_geometry.guidance.energies.reference import SmoothEnergy
from guidance_geometry.guidance.gradients.term import CLEAN_X0, GradientTerm
from guidance_geometry.host.recording.judging import ask_judge
from guidance_geometry.tests.classes import made_without
from guidance_geometry.tests.host.runs import guided

ENERGIES = [SmoothEnergy(), *made_without({"SmoothEnergy"}, energies, PictureEnergy)]


@pytest.fixture(scope="module")
def unguided(pocket):
    return ran(pocket, PLAIN)[0]


def ran(pocket, chain):
    latent = {"samples": torch.zeros(2, 3, 16, 16)}
    out, _, trace = guided(*pocket(), latent, "euler", steps=3, cfg=1.0, guidance=chain, capture="pictures")
    return out["samples"], trace


@pytest.mark.parametrize("energy", ENERGIES, ids=lambda energy: type(energy).__name__)
def test_an_energy_guides_a_run_and_judges_it(energy, pocket, unguided):
    found, trace = ran(pocket, PLAIN.then(GradientTerm(energy, weight=50.0, evaluation=CLEAN_X0)))
    assert found.isfinite().all()
    assert not torch.equal(found, unguided)
    judged = ask_judge(trace, energy)
    assert judged.fault == ""
    assert judged.log_prob.shape == (2,)
    assert judged.log_prob.isfinite().all()
