"""Terms asked in one evaluation, what they push, and what a run remembers of them, without a host."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.gradients.evaluation import Denoised, GradientEvaluation, OwnPixels, reads_difference
from guidance_geometry.guidance.gradients.run import GradientRun
from guidance_geometry.guidance.gradients.term import GradientTerm, Strength, WatchTerm
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.guidance.run import Run
from guidance_geometry.guidance.vectors import rms

MIXTURE = make_mixture((3, 4, 4), classes=3, seed=2)
RUN = Run((8.0, 4.0, 2.0, 1.0, 0.0))
DATA = 0.5
X = MIXTURE.sample(4, generator=torch.Generator().manual_seed(0))
X = X + 4.0 * torch.randn(X.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Exact:
    labels, noise_aware, judge = ("a", "b", "c"), True, False

    def __init__(self, factor=1.0):
        self.asked, self.factor = 0, factor

    def logits(self, x, sigma, alpha):
        self.asked, self.recording = self.asked + 1, torch.is_grad_enabled()
        return self.factor * MIXTURE.label_log_prob(x, sigma, alpha)


def energy(factor=1.0) -> Any:
    return LabelEnergy(Exact(factor), ((0,), (2,)))


def run_of(*terms, told=None) -> Any:
    return GradientRun({term: OwnPixels() for term in terms}, DATA, ([] if told is None else told).append)


def evaluation(run, sigma=4.0, label=1) -> Any:
    """Of a denoiser guided at 2; label: of c, None for c = u."""

    def denoise(x):
        u, c = (MIXTURE.denoised(x, sigma, 1.0, one) for one in (None, label))
        return Denoised(u + 2 * (c - u), u, c)

    terms = run.active_terms(RUN, sigma)
    return GradientEvaluation(denoise, X, sigma, 1.0, terms, DATA, partial(run.active_term, RUN, sigma))


def pushed(run, **options) -> Any:
    """What the terms of a run add to D, and their answers."""
    one = evaluation(run, **options)
    return run.remember(one.guide(), one.sigma) - one.denoise(X).guided, run.latest


@pytest.mark.parametrize("normalise", ["none", "clip", "rms_ratio"])
@pytest.mark.parametrize("at", ["noisy x_t", "x0 + backprop", "x0"])
def test_a_push_is_as_long_as_its_normalisation_says(normalise, at):
    term = GradientTerm(energy(), weight=3.0, evaluation=at, normalise=normalise, limit=1e-3)
    run = run_of(term)
    push, (answer,) = pushed(run)
    clean = evaluation(run).denoise(X)
    length = {
        "none": abs(term.gamma(at)) * rms(answer.shift),
        "clip": torch.full((4,), 1e-3 * DATA, dtype=torch.float64),
        "rms_ratio": 3.0 * 1e-3 * rms(clean.cond - clean.uncond),
    }[normalise]
    assert torch.allclose(rms(push), length, rtol=1e-9, atol=0)
    assert torch.allclose(push, answer.weight[:, None, None, None] * answer.shift, rtol=1e-9)
    assert torch.allclose(run.total_shift(), term.gamma(at) * answer.shift)
    assert reads_difference(evaluation(run).terms) == (normalise == "rms_ratio")


def test_a_sampler_may_have_terms_act_otherwise():
    run = run_of(GradientTerm(energy(), weight=3.0))
    for strength in (Strength(2.0, 0.25), Strength(2.0, 0.0)):
        run.use(lambda *_, strength=strength: strength)
        push, (answer,) = pushed(run)
        assert torch.allclose(push, strength.gamma * strength.share * answer.shift)


def test_without_a_difference_there_is_nothing_to_measure_by():
    run = run_of(GradientTerm(energy(), normalise="rms_ratio"))
    assert not pushed(run, label=None)[0].any()
    assert any("which is 0 if positive and negative are the same" in text for text in run.sentences())


def test_what_only_watches_is_asked_without_a_graph_beside_what_needs_one():
    guide: Any = GradientTerm(energy(), evaluation="x0 + backprop")
    watch: Any = WatchTerm(energy())
    _, (watched, other) = pushed(run := run_of(watch, guide))
    assert watched.shift is None
    assert not watch.energy.classifier.recording
    assert torch.allclose(watched.log_prob, guide.energy.log_prob(evaluation(run).denoise(X).guided))
    assert (watched.name, other.name) == ("watch", "gradient")
    assert torch.allclose(pushed(run)[0], pushed(run_of(guide))[0])


def test_every_second_step_uses_the_answer_of_the_one_before():
    term: Any = GradientTerm(energy(), every=2)
    run, asked, shifts = run_of(term), [], []
    for sigma in RUN.sigmas[:-1]:
        shifts.append(pushed(run, sigma=sigma)[1][0].shift)
        asked.append(term.energy.classifier.asked)
    assert asked == [1, 1, 2, 2]
    assert torch.equal(shifts[0], shifts[1])
    assert not torch.equal(shifts[1], shifts[2])


@pytest.mark.parametrize(("factor", "words"), [(torch.nan, "values that are not finite"), (0.0, "is exactly zero at")])
def test_a_gradient_that_is_none_is_zero_and_said_once(factor, words):
    told = []
    run = run_of(GradientTerm(energy(factor)), told=told)
    for sigma in (4.0, 2.0):
        assert not pushed(run, sigma=sigma)[0].any()
    assert not told, "to read what was counted waits for the device"
    run.read_counts()
    assert [words in text for text in told] == [True]
    broken = [text for text in run.sentences() if "in the whole run" in text]
    assert [f"had {2 * X.numel()} values" in text for text in broken] == ([True] if factor else [])


def test_steps_in_which_a_gradient_pushed_nothing_are_counted():
    flow = replace(RUN, sigmas=(1.0, 0.99, 0.5, 0.0), flow=True)
    run = run_of(GradientTerm(energy()), GradientTerm(energy(), evaluation="x0"), GradientTerm(energy(), start=0.5))
    for sigma in (1.0, 0.99, 0.99, 0.5):  # a further stage of a step is none by itself
        assert len(run.active_terms(flow, sigma)) == (3 if sigma == 0.5 else 1)
    pushless = [text for text in run.sentences() if "pushed nothing" in text]
    assert ["gradient pushed nothing in 2 of 3 steps" in text for text in pushless] == [True]
    late = run_of(GradientTerm(energy(), start=0.5))
    late.active_terms(flow, 1.0)
    assert ["was asked in none of the 1 steps" in text for text in late.sentences()] == [True]
