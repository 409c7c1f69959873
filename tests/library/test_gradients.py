"""Gradients of energies without a host: the same terms, the same numbers, in any loop."""

from typing import Any

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.gradients.estimators import EVALUATIONS
from guidance_geometry.guidance.gradients.term import GradientTerm, WatchTerm
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.library.classifiers import exact_classifier, load_classifier
from guidance_geometry.library.denoisers import load_denoiser
from guidance_geometry.library.recording import record
from guidance_geometry.trace.checks import check

from .worlds import DENOISER, FLOW, FLOW_SIGMAS, SIGMAS, WORLD, noise

NOISY, BACKPROP, CLEAN_X0 = EVALUATIONS
WANTED = LabelEnergy(exact_classifier(WORLD), ((1,),))


class Clean:
    """Log-probabilities of a clean sample, as a classifier that was never shown noise."""

    labels, noise_aware, judge = ("0", "1", "2"), False, False

    def logits(self, x, sigma, alpha):
        return WORLD.label_log_prob(x, 0.5)


BLURRED = LabelEnergy(Clean(), ((1,),))


def unguided(rule, denoiser: Any = DENOISER, sigmas=SIGMAS):
    """A run without a condition, whose only guidance is the rule."""
    run = record(denoiser, sigmas, cond=None, gamma=1.0, rule=rule)
    return run, run.sample(noise(scale=sigmas[0]))


@pytest.mark.parametrize(("denoiser", "sigmas"), [(DENOISER, SIGMAS), (FLOW, FLOW_SIGMAS)], ids=["ve", "flow"])
def test_the_gradient_of_the_exact_classifier_is_classifier_free_guidance(denoiser, sigmas):
    run, trace = unguided(GradientTerm(WANTED, weight=3.0), denoiser, sigmas)
    plain = record(denoiser, sigmas, cond=1, gamma=3.0)
    plain.sample(noise(scale=sigmas[0]))
    assert (run.end - plain.end).abs().max() < 1e-9
    assert check(trace) == []
    assert trace.header["terms"]["gradient"] == "+ 3 x gradient of log p(1) at noisy x_t"
    assert [term.name for term in trace.terms] == ["gradient"]


def test_through_the_denoiser_it_is_the_gradient_by_hand():
    x, sigma = noise(), SIGMAS[0]
    seen = record(DENOISER, SIGMAS, cond=2, gamma=1.0, rule=GradientTerm(BLURRED, weight=1.0, evaluation=BACKPROP))
    leaf = x.clone().requires_grad_()
    clean = DENOISER(leaf, sigma, 2)
    (gradient,) = torch.autograd.grad(BLURRED.log_prob(clean).sum(), leaf)
    assert torch.allclose(seen(x, sigma), clean.detach() + sigma**2 * gradient, rtol=1e-9)


@pytest.mark.parametrize(("evaluation", "normalise"), zip(EVALUATIONS, ["none", "rms_ratio", "clip"], strict=True))
def test_every_gradient_is_recorded_and_adds_up(evaluation, normalise):
    energy = WANTED if evaluation == NOISY else BLURRED
    term = GradientTerm(energy, weight=1.0, evaluation=evaluation, normalise=normalise)
    run = record(DENOISER, SIGMAS, cond=2, gamma=3.0, rule=PLAIN.then(AdaptiveProjected()).then(term))
    trace = run.sample(noise())
    assert check(trace) == []
    assert (trace.column("M18r gradient") > 0).all()
    assert trace.steps["log_prob gradient"].isfinite().all()
    plain = record(DENOISER, SIGMAS, cond=2, gamma=3.0, rule=AdaptiveProjected())
    plain.sample(noise())
    assert not torch.equal(run.end, plain.end)


def test_what_only_watches_changes_no_bit_and_is_recorded():
    run, trace = unguided(PLAIN.then(WatchTerm(BLURRED)))
    plain, _ = unguided(None)
    assert torch.equal(run.end, plain.end)
    assert trace.steps["log_prob watch"].isfinite().all()


def test_a_latent_model_brings_its_decoder():
    """A gradient passes it, figures and sweeps show it, and a term that names none uses it."""
    model, guide = load_denoiser("pocket-flow-1"), load_classifier("pocket-clean-1")
    assert model.decoder
    assert model.decode
    noise = torch.randn(4, *model.shape, generator=torch.Generator().manual_seed(0))
    sigmas, robot, found = [1 - i / 10 for i in range(11)], LabelEnergy(guide, ((guide.labels.index("robot"),),)), []
    for weight in (0.0, 10.0):
        run = record(model, sigmas, None, gamma=1.0, rule=GradientTerm(robot, weight=weight, evaluation="x0"))
        run.sample(noise)
        pictures = model.decoder(run.end)
        assert pictures.shape == (4, 3, 32, 32)
        assert model.decode(run.end).shape == (4, 32, 32, 3)
        found.append(float(robot.log_prob(pictures).mean()))
    assert found[1] > found[0] + 1
    assert load_denoiser().decode is None
