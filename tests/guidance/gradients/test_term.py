"""Gradient terms: how they are evaluated, when they act, how strong one number is in each evaluation."""

from dataclasses import replace

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.energies.composition import CombinedEnergy
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.energies.reference import SmoothEnergy
from guidance_geometry.guidance.gradients.estimators import bound_push, clean_shift, gain, is_dead, noisy_shift, spread
from guidance_geometry.guidance.gradients.run import goes_through_denoiser
from guidance_geometry.guidance.gradients.term import (
    MEASURED,
    STAND_IN,
    GradientOptions,
    GradientTerm,
    Place,
    WatchTerm,
)
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.guidance.run import Run

MIXTURE = make_mixture((3, 4, 4), classes=3, seed=2)
RUN = Run((8.0, 4.0, 2.0, 1.0, 0.0))


class Exact:
    labels, noise_aware, judge = ("a", "b", "c"), True, False

    def logits(self, x, sigma, alpha):
        return MIXTURE.label_log_prob(x, sigma, alpha)


class Judge(Exact):
    judge = True

    def __repr__(self):
        return "Judge"


ENERGY = LabelEnergy(Exact(), ((0,), (2,)))


def place(sigma=0.7):
    clean = MIXTURE.sample(4, generator=torch.Generator().manual_seed(0))
    x = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Place(x, MIXTURE.denoised(x, sigma), sigma, 1.0, MIXTURE.rms, lambda x0: x0)


def test_auto_asks_at_the_noisy_sample_where_the_energy_can_read_it():
    assert GradientTerm(ENERGY).effective_evaluation == "noisy x_t"
    assert GradientTerm(SmoothEnergy()).effective_evaluation == "x0 + backprop"
    assert GradientTerm(CombinedEnergy((ENERGY, SmoothEnergy()), (1.0, 1.0))).effective_evaluation == "x0 + backprop"
    with pytest.raises(ValueError, match="reads clean pictures only"):
        GradientTerm(SmoothEnergy(), evaluation="noisy x_t")
    assert [goes_through_denoiser((GradientTerm(one),)) for one in (ENERGY, SmoothEnergy())] == [False, True]


def test_the_roads_are_the_formulas():
    at = place()
    rows, labels = torch.arange(4), torch.tensor([0, 2, 0, 2])

    def chosen(x, sigma):
        return MIXTURE.label_log_prob(x, sigma, 1.0)[rows, labels]

    noisy = noisy_shift(lambda x: chosen(x, 0.7), at.x, 0.7).shift
    assert (GradientTerm(ENERGY).shift(at, "noisy x_t").shift - noisy).abs().max() < 1e-9
    clean = clean_shift(lambda x: chosen(x, 0.0), at.denoised, 0.7, 1.0, MIXTURE.rms).shift
    assert (GradientTerm(ENERGY).shift(at, "x0").shift - clean).abs().max() < 1e-9


@pytest.mark.parametrize("evaluation", MEASURED)
def test_the_weight_is_gamma_in_every_evaluation(evaluation):
    assert GradientTerm(ENERGY, weight=3.0, evaluation=evaluation).gamma(evaluation) == 3.0


def test_an_evaluation_that_stands_in_has_the_gamma_that_serves_it_as_well():
    term = GradientTerm(ENERGY, weight=3.0, evaluation="x0 + backprop")
    assert term.gamma("x0") == 150.0
    assert MEASURED["x0"] / MEASURED["x0 + backprop"] == 50
    assert "with 50 times the gamma" in STAND_IN, "what a trace says then"


def test_a_term_acts_in_its_part_of_the_run():
    term = GradientTerm(ENERGY, start=0.25, end=0.75)
    assert [term.active(RUN, sigma) for sigma in (8.0, 4.0, 2.0, 1.0)] == [False, True, True, False]
    assert all(GradientTerm(ENERGY).active(RUN, sigma) for sigma in (99.0, 8.0, 1.0, 0.5))
    assert [GradientTerm(ENERGY, every=2).fresh(RUN, s) for s in (8.0, 4.0, 2.0, 1.0)] == [True, False, True, False]


def test_a_further_stage_does_as_its_step():
    first = replace(RUN, began=8.0)
    assert GradientTerm(ENERGY, every=2).fresh(first, 4.0)
    assert GradientTerm(ENERGY, end=0.25).active(first, 4.0)
    assert not GradientTerm(ENERGY, end=0.25).active(RUN, 4.0)


def test_a_chain_carries_its_terms_and_stays_cfg():
    chain = PLAIN.then(GradientTerm(ENERGY, weight=0.0)).then(GradientTerm(ENERGY)).then(WatchTerm(SmoothEnergy()))
    assert chain.is_cfg
    assert chain.text.endswith("+ 2 x gradient of log p(a; c) at noisy x_t > watch smoothness")


def test_the_judge_does_not_guide():
    judge = LabelEnergy(Judge(), ((0,),))
    with pytest.raises(ValueError, match="Judge is the judge"):
        GradientTerm(judge)
    assert WatchTerm(judge).log_prob(place()).shape == (4,)


MANY = CombinedEnergy(tuple(LabelEnergy(Exact(), ((0,),)) for _ in range(64)), (1.0,) * 64)
ABSURD = {
    "64 for each picture, 64 views, 64 draws": (MANY, GradientOptions(views=64, draws=64)),
    "1 for each picture, 64 views, 64 draws": (ENERGY, GradientOptions(views=64, draws=64)),
}


@pytest.mark.parametrize("words", ABSURD)
def test_more_energies_at_once_than_any_memory_holds_are_refused(words):
    energy, options = ABSURD[words]
    with pytest.raises(ValueError, match=words):
        GradientTerm(energy, evaluation="x0", options=options)


def test_the_cloud_is_the_same_alone_and_in_a_batch():
    at, term = place(), GradientTerm(ENERGY, options=GradientOptions(draws=4, seed=3))
    whole = term.shift(at, "x0").shift
    one = term.shift(Place(at.x[:1], at.denoised[:1], 0.7, 1.0, MIXTURE.rms, at.picture), "x0").shift
    assert (whole[:1] - one).abs().max() < 1e-9
    assert (whole - GradientTerm(ENERGY).shift(at, "x0").shift).abs().max() > 1e-6


def test_a_gradient_is_found_where_the_host_forbids_them():
    with torch.inference_mode():
        x = torch.ones(2, 3)
        shift = noisy_shift(lambda point: -(point**2).sum(dim=1), x, 2.0, 0.5).shift
    assert torch.equal(shift, torch.full((2, 3), -16.0))
    assert not shift.requires_grad


def test_what_is_left_open_is_nothing_without_noise_and_everything_without_signal():
    assert spread(0.0, 1.0, 0.6) == 0
    assert spread(1.0, 0.0, 0.6) == pytest.approx(0.36)
    assert spread(80.0, 1.0, 0.6) == pytest.approx(0.36, rel=1e-3)


def test_a_push_is_bounded_item_by_item():
    push = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    rms = push.square().mean(dim=1).sqrt()
    assert torch.equal(bound_push(push, "none", 0.1), push)
    clipped = bound_push(push, "clip", float(rms[1]) * 2)
    assert torch.allclose(clipped[0], push[0] * 0.2)
    assert torch.allclose(clipped[1:], push[1:])
    equal = bound_push(push, "rms_ratio", torch.tensor([1.0, 2.0, 3.0]))
    assert torch.allclose(equal.square().mean(dim=1).sqrt(), torch.tensor([1.0, 2.0, 0.0]))
    assert is_dead(push).tolist() == [False, False, True]


def test_the_gain_is_sigma_squared_over_alpha_and_zero_where_alpha_is_tiny():
    assert gain(3.0, 1.0) == 9.0
    assert gain(0.97, 0.03) == pytest.approx(0.97**2 / 0.03)
    assert [gain(0.981, 0.019), gain(1.0, 0.0)] == [0.0, 0.0]
