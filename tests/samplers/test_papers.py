"""Steps with gradients, each against its paper's algorithm written out in the paper's own coordinates, in float64.

Papers work on states of unit variance, z = a x, and know one number a step: abar, the share of the signal.
"""

import math
import re
from itertools import pairwise
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.energies.composition import draws_at
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.energies.reference import MeasuredEnergy
from guidance_geometry.guidance.gradients.term import BACKPROP, CLEAN_X0, GradientOptions, GradientTerm, Place
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.samplers.loop import Recurrence, item_noise, run
from guidance_geometry.samplers.shifts import ShiftLaw, lean_noise, shifted_steps
from guidance_geometry.samplers.steps import ddim, level, renoise, up_and_down

MIXTURE = make_mixture((3, 4, 4), classes=3, seed=2)
SIGMAS = {"ve": (20.0, 3.0, 0.7, 0.1, 0.0), "flow": (0.97, 0.8, 0.5, 0.2, 0.0)}
MASK = torch.zeros(1, 4, 4, dtype=torch.float64)
MASK[..., :2] = 1
WANTED = torch.tensor([0, 1, 2])


class Exact:
    labels, noise_aware, judge = ("a", "b", "c"), True, False

    def logits(self, x, sigma, alpha):
        return MIXTURE.label_log_prob(x, sigma, alpha)


LABEL = LabelEnergy(Exact(), ((0,), (1,), (2,)))
MEASURED = MeasuredEnergy(MIXTURE.sample(1, generator=torch.Generator().manual_seed(7)), MASK, 1.0, length=True)
every = pytest.mark.parametrize(
    ("space", "index", "eta"), [(s, i, (0.6, 1.0, 0.0, 0.6)[i]) for s in SIGMAS for i in range(4)]
)


def levels_of(space):
    return [level(sigma, space == "flow") for sigma in SIGMAS[space]]


def draw(seed, count=3):
    return torch.randn(count, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def state(now):
    clean = MIXTURE.sample(3, generator=torch.Generator().manual_seed(0))
    return now.alpha * clean + now.sigma * draw(1)


def slope(function, point):
    leaf = point.detach().clone().requires_grad_()
    return torch.autograd.grad(function(leaf).sum(), leaf)[0]


class Paper:
    """Coordinates of a step as a paper has them."""

    def __init__(self, now, then, eta):
        self.now, self.a, self.a_next = now, *((at.alpha**2 + at.sigma**2) ** -0.5 for at in (now, then))
        self.abar, self.abar_next = (self.a * now.alpha) ** 2, (self.a_next * then.alpha) ** 2
        fresh = (1 - self.abar_next) / (1 - self.abar) * (1 - self.abar / self.abar_next)
        self.fresh = eta * math.sqrt(max(fresh, 0.0))

    def denoised(self, z):
        return MIXTURE.denoised(z / self.a, self.now.sigma, self.now.alpha)

    def eps(self, z, x0):
        return (z - self.abar**0.5 * x0) / (1 - self.abar) ** 0.5

    def step(self, x0, eps, xi):
        """Song et al. 2020, eq. 12."""
        along = math.sqrt(max(1 - self.abar_next - self.fresh**2, 0.0))
        return self.abar_next**0.5 * x0 + along * eps + self.fresh * xi


def ours(terms, now, then, eta, xi, strength):
    """One DDIM step of the prediction that terms have moved."""
    x = state(now).requires_grad_()
    denoised = MIXTURE.denoised(x, now.sigma, now.alpha)
    place = Place(x, denoised, now.sigma, now.alpha, 1.0, lambda x0: x0)
    moved = denoised.detach()
    for k, term in enumerate(terms):
        gamma, carried = strength(term, term.effective_evaluation, now.sigma)
        shift = term.shift(place, term.effective_evaluation, again=k + 1 < len(terms), gamma=gamma).shift
        moved = moved + gamma * carried * shift
    taken = ddim(x.detach(), moved, now, then, xi, eta=eta)
    return x.detach() + taken.move + taken.noise


def law_of(name, space, eta):
    law = ShiftLaw(name, shifted_steps(levels_of(space), lambda now, then: up_and_down(now, then, eta)[1]), 1.0)
    return lambda term, evaluation, sigma: law(term.weight, evaluation, sigma)


def through(energy, scale, **options):
    return GradientTerm(energy, weight=scale, evaluation=BACKPROP, options=GradientOptions(**options))


def at_clean(energy, scale, **options):
    return GradientTerm(energy, weight=scale, evaluation=CLEAN_X0, options=GradientOptions(**options))


def of_label(x0):
    """log p of the wanted label."""
    return MIXTURE.label_log_prob(x0, 0.0, 1.0)[torch.arange(len(x0)), WANTED]


def close(found, expected):
    assert (found - expected).abs().max() <= 1e-9 * expected.abs().max().clamp(min=1)


def case(space, index, eta):
    now, then = levels_of(space)[index : index + 2]
    return now, then, Paper(now, then, eta), draw(5)


@every
def test_dps(space, index, eta):
    """Alg. 1 with the step size that its section on experiments names: zeta / |y - A D| on the squared residual."""
    now, then, paper, xi = case(space, index, eta)
    z = paper.a * state(now)

    def square(z):
        return (MASK * (MEASURED.reference - paper.denoised(z))).flatten(1).square().sum(dim=1)

    x0, zeta = paper.denoised(z), 0.3
    length = square(z).sqrt()[:, None, None, None]
    expected = paper.step(x0, paper.eps(z, x0), xi) - zeta / (2 * length) * slope(square, z)
    found = ours([through(MEASURED, zeta)], now, then, eta, xi, law_of("DPS", space, eta))
    close(paper.a_next * found, expected)


@every
def test_freedom(space, index, eta):
    """Alg. 1 with the step size of its code, scale times the root of abar, on the energy -log p."""
    now, then, paper, xi = case(space, index, eta)
    z = paper.a * state(now)
    x0, rho = paper.denoised(z), 0.4 * paper.abar**0.5
    gradient = slope(lambda z: -of_label(paper.denoised(z)), z)
    expected = paper.step(x0, paper.eps(z, x0), xi) - rho * gradient
    found = ours([through(LABEL, 0.4)], now, then, eta, xi, law_of("FreeDoM", space, eta))
    close(paper.a_next * found, expected)


@every
def test_mpgd(space, index, eta):
    """Alg. 1 without its autoencoder: the prediction moves, the noise estimate does not."""
    now, then, paper, xi = case(space, index, eta)
    z = paper.a * state(now)
    x0 = paper.denoised(z)
    moved = x0 - 0.2 / paper.abar**0.5 * slope(lambda point: -of_label(point), x0)
    expected = paper.step(moved, paper.eps(z, x0), xi)
    found = ours([at_clean(LABEL, 0.2)], now, then, eta, xi, law_of("MPGD", space, eta))
    close(paper.a_next * found, expected)


@every
@pytest.mark.parametrize("radius", [0.0, 0.1])
def test_tfg(space, index, eta, radius):
    """Alg. 1: smoothed f, variance guidance, N mean-guidance steps; schedules rise with abar / abar' at a mean kept."""
    now, then, paper, xi = case(space, index, eta)
    z, count, draws = paper.a * state(now), 3, 4
    pairs = [Paper(*pair, eta) for pair in pairwise(levels_of(space))]
    shares = [p.abar / p.abar_next for p in pairs]
    rho, mu = (s * shares[index] * len(shares) / sum(shares) for s in (0.5, 0.25))
    cloud = torch.randn(draws, 3, 4, 4, generator=draws_at(3, now.sigma)).double()

    def smooth(point):
        spread = radius * (1 - paper.abar) ** 0.5
        mean = torch.stack([of_label(point + spread * eps).exp() for eps in cloud]).mean(dim=0)
        return mean.log()

    x0 = paper.denoised(z)
    delta_t = rho * slope(lambda z: smooth(paper.denoised(z)), z)
    delta_0 = torch.zeros_like(x0)
    for _ in range(count):
        delta_0 = delta_0 + mu * slope(smooth, x0 + delta_0)
    expected = paper.step(x0, paper.eps(z, x0), xi)
    expected = expected + delta_t / shares[index] ** 0.5 + paper.abar_next**0.5 * delta_0
    options = {"draws": draws, "radius": radius, "seed": 3}
    terms = [through(LABEL, 0.5, **options), at_clean(LABEL, 0.25, backward_steps=count, **options)]
    close(paper.a_next * ours(terms, now, then, eta, xi, law_of("TFG", space, eta)), expected)


@every
def test_dsg(space, index, eta):
    """Alg. 1: the noise lies on the sphere of its own length and leans towards the steepest descent."""
    now, then, paper, xi = case(space, index, eta)
    z, weight = paper.a * state(now), 0.2
    x0 = paper.denoised(z)
    mean = paper.step(x0, paper.eps(z, x0), torch.zeros_like(xi))
    gradient = slope(lambda z: -of_label(paper.denoised(z)), z)
    radius = math.sqrt(48) * paper.fresh

    def length(v):
        return v.flatten(1).norm(dim=1)[:, None, None, None]

    descent = -radius * gradient / length(gradient)
    mixed = xi * paper.fresh + weight * (descent - xi * paper.fresh)
    expected = mean + (radius * mixed / length(mixed) if radius else 0)
    taken = ddim(state(now), x0, now, then, lean_noise(xi, -gradient, weight), eta=eta)
    close(paper.a_next * (state(now) + taken.move + taken.noise), expected)


@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_noise_that_leans_keeps_its_sphere(weight):
    eps, wanted = draw(1), draw(2)
    found = lean_noise(eps, wanted, weight)
    assert (found.flatten(1).norm(dim=1) - math.sqrt(48)).abs().max() <= 1e-6
    towards = torch.nn.functional.cosine_similarity(found.flatten(1), wanted.flatten(1))
    alike = torch.nn.functional.cosine_similarity(found.flatten(1), eps.flatten(1))
    assert ((towards if weight == 1 else alike if weight == 0 else torch.ones(3)) - 1).abs().max() <= 1e-12
    quiet = lean_noise(eps, torch.zeros_like(eps), weight)
    assert torch.nn.functional.cosine_similarity(quiet.flatten(1), eps.flatten(1)).min() >= 1 - 1e-12


@pytest.mark.parametrize("space", SIGMAS)
def test_time_travel_is_the_forward_process(space):
    """FreeDoM, alg. 2: z = sqrt(abar / abar') z' + sqrt(1 - abar / abar') xi."""
    for now, then in pairwise(levels_of(space)):
        paper, x, xi = Paper(now, then, 0.0), state(then), draw(9)
        kept = paper.abar / paper.abar_next
        expected = kept**0.5 * paper.a_next * x + (1 - kept) ** 0.5 * xi
        back = renoise(x, x, then, now, xi)
        close(paper.a * (x + back.move + back.noise), expected)


def test_at_the_start_of_a_flow_nothing_comes_back():
    xi = draw(9)
    back = renoise(draw(1), draw(2), level(0.9, True), level(1.0, True), xi)
    assert torch.equal(draw(1) + back.move + back.noise - xi, torch.zeros_like(xi))


def repeated(x, recurrence, flow=False) -> Any:
    levels = levels_of("flow" if flow else "ve")
    asked = []

    def denoise(x, now):
        asked.append(now.sigma)
        return MIXTURE.denoised(x, now.sigma, now.alpha)

    noise = item_noise(x, 3)
    states = list(run(denoise, x, levels, lambda *a: ddim(*a, eta=1.0), lambda *_: noise(), recurrence))
    return [s for s in states if s.step is not None], asked


@pytest.mark.parametrize("flow", [False, True])
def test_recurrence_counts_and_each_item_is_itself(flow):
    x, recurrence = state(levels_of("flow" if flow else "ve")[0]), Recurrence(3, 0.25, 0.75)
    states, asked = repeated(x, recurrence, flow)
    once, fewer = repeated(x, Recurrence(), flow)
    sigmas = SIGMAS["flow" if flow else "ve"]
    assert asked == [sigmas[0], *[sigmas[1]] * 3, *[sigmas[2]] * 3, sigmas[3]]
    assert len(states) == recurrence.count(4) == len(asked) + 4
    assert [s.back for s in states].count(True) == 4
    assert fewer == list(sigmas[:4])
    assert torch.equal(states[0].x_next, once[0].x_next)
    alone, _ = repeated(x[1:2], recurrence, flow)
    assert (alone[-1].x_next[0] - states[-1].x_next[1]).abs().max() <= 1e-12
    for now, after in pairwise(states):
        assert torch.equal(now.x + now.step.move + now.step.noise, after.x)


@pytest.mark.parametrize(("paper", "right", "wrong"), [("DPS", BACKPROP, CLEAN_X0), ("MPGD", CLEAN_X0, BACKPROP)])
def test_a_paper_asked_elsewhere_names_where_it_asks(paper, right, wrong):
    law = ShiftLaw(paper, shifted_steps(levels_of("ve"), lambda now, then: then.sigma), 1.0)
    with pytest.raises(
        ValueError, match=f"{paper} evaluates its energy at '{re.escape(right)}', .* uses '{re.escape(wrong)}'"
    ):
        law(1.0, wrong, 3.0)


def test_the_rates_of_a_shift_are_those_of_the_first_and_the_last_step_and_none_where_nothing_of_the_sample_is_left():
    steps = [level(sigma, True) for sigma in (0.99, 0.8, 0.5, 0.0)]
    law = ShiftLaw("DPS", shifted_steps(steps, lambda now, then: then.sigma), 1.0)
    assert law.rates(2.0, BACKPROP)[0] == 0.0
    assert law.rates(2.0, BACKPROP)[1] == pytest.approx(law(2.0, BACKPROP, 0.49).gamma)
    assert law.rates(2.0, BACKPROP)[1] == pytest.approx(2.0 * 2**-0.5 * 0.5 / 0.5**2)
