"""On a device without float64 that does not meet the CPU's tensors: rules, terms, pushes, mixtures and measures.

Chains are tried where they are held to their formulas, energies where they are held to theirs.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from guidance_geometry.dev.fixtures.mac_tensor import MacTensor, count_waits, mac
from guidance_geometry.guidance import rules, vectors
from guidance_geometry.guidance.chain import PLAIN, Chain, chain_of
from guidance_geometry.guidance.energies.protocol import CLEAN
from guidance_geometry.guidance.gradients.estimators import EVALUATIONS
from guidance_geometry.guidance.gradients.term import GradientOptions, GradientTerm, Place
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.feedback import Feedback
from guidance_geometry.guidance.rules.function import FunctionRule
from guidance_geometry.guidance.rules.kinds import Rule
from guidance_geometry.guidance.side_by_side import Lane, batch_chain
from guidance_geometry.guidance.synthetic_run import map_tensors, play, steps_of
from guidance_geometry.tests.classes import made_without
from guidance_geometry.tests.toys import draw, near

APG = AdaptiveProjected(0.2, 0.3, -0.5)
PICTURES = 0.3 * draw((3, 3, 8, 8), 0, torch.float32)


class LeastSquares:
    """Another pack's rule: it computes in float64, by a kernel that a Mac has not, and remembers."""

    text = "least squares"

    def init(self, run):
        return torch.zeros(1, dtype=torch.float64)

    def step(self, state, p, gamma):
        delta = (p.cond - p.uncond).double()
        rows = delta.flatten(1)
        state = 0.5 * state + torch.linalg.eigvalsh(rows @ rows.mT).mean()
        return (p.cond + (gamma - 1) * delta * (1 + 0.01 * state)).to(p.cond.dtype), state


CHAINS = {
    "another pack's": chain_of(LeastSquares()),
    "a function": Chain((FunctionRule(lambda u, c, x, gamma, sigma: u + gamma * torch.from_numpy((c - u).numpy())),)),
    "side by side": batch_chain((Lane(Chain((APG,)), 3.0), Lane(PLAIN, 2.0), Lane(Chain((Feedback(),)), 5.0))),
    "plain": PLAIN,
}


def there(p, device):
    return map_tensors(p, lambda v: v.to(device), lambda v: v.to(device))


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
def test_what_a_rule_does_here_it_does_there(chain):
    steps = [map_tensors(p, lambda v: v.to(torch.float16)) for p in steps_of(chain)]
    with mac() as device:
        found = play(chain, [there(p, device) for p in steps])
    assert all(isinstance(one, MacTensor) and one.dtype == torch.float16 for one in found)
    assert all(near(one, right) for one, right in zip(found, play(chain, steps), strict=True))


DTYPES = (torch.float32, torch.float32, torch.float16, torch.float16)
HARSH = {  # of a step: changes of x, u and c
    "nearly equal": lambda p: replace(p, uncond=p.cond * (1 + 1e-3) + 1e-4 * p.uncond),
    "nothing": lambda p: map_tensors(p, torch.zeros_like),
    "unequal items": lambda p: map_tensors(p, lambda v: v * torch.tensor([1e-3, 1.0, 1e3]).reshape(3, 1, 1, 1)),
    "at the end of half precision": lambda p: map_tensors(p, lambda v: (v * 6e4).clamp(-65_504, 65_504)),
}


@pytest.mark.parametrize(("change", "dtype"), zip(HARSH.values(), DTYPES, strict=True), ids=HARSH.keys())
@pytest.mark.parametrize("rule", made_without((), rules, Rule), ids=lambda rule: type(rule).__name__)
def test_a_rule_does_there_what_it_does_here_within_a_few_roundings(rule, change, dtype):
    chain = Chain((rule,))
    steps = [map_tensors(change(p), lambda v: v.to(dtype)) for p in steps_of(chain)]
    with mac() as device:
        found = play(chain, [there(p, device) for p in steps])
    for p, one, right in zip(steps, found, play(chain, steps), strict=True):
        assert near(one, right, p.x, p.uncond, p.cond)


class Bright:
    """An energy that reads noisy samples too."""

    text, noise_aware, classifiers = "bright", True, ()

    def log_prob(self, x, at=CLEAN):
        return -(x - 1).square().flatten(1).sum(dim=1) / (1 + at.sigma) / at.temperature


TERMS = {
    "noisy": {"evaluation": EVALUATIONS[0]},
    "backprop": {"evaluation": EVALUATIONS[1]},
    "x0": {"evaluation": EVALUATIONS[2], "options": GradientOptions(backward_steps=3)},
    "a cloud": {"evaluation": EVALUATIONS[2], "options": GradientOptions(draws=4)},
    "views": {"evaluation": EVALUATIONS[1], "options": GradientOptions(views=3, temperature=2.0)},
}


@pytest.mark.parametrize("knobs", TERMS.values(), ids=TERMS.keys())
def test_a_term_shifts_there_as_here(knobs):
    term = GradientTerm(Bright(), weight=2.0, **knobs)

    def shifted(start):
        x = start.clone().requires_grad_()
        place = Place(x, 0.5 * x, 0.7, 1.0, 0.6, lambda x0: x0)
        return term.shift(place, term.effective_evaluation)

    with mac() as device:
        found = shifted(PICTURES.to(device))
    right = shifted(PICTURES)
    assert torch.allclose(found.shift.cpu(), right.shift, rtol=1e-4, atol=1e-6)
    assert torch.allclose(found.log_prob.cpu(), right.log_prob, rtol=1e-4)


MIXTURE = make_mixture((3, 8, 8), classes=3, seed=2)
ASKED = {
    "denoised": MIXTURE.denoised,
    "of classes": lambda x, sigma, alpha: MIXTURE.denoised(x, sigma, alpha, torch.tensor([0, 1, -1]).to(x.device)),
    "density": lambda x, sigma, alpha: MIXTURE.log_prob(x, sigma, alpha, 1),
    "classifier": MIXTURE.label_log_prob,
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())
def test_a_mixture_answers_there(ask):
    at = torch.full((3,), 0.5), torch.full((3,), 0.8)
    with mac() as device:
        found = ask(PICTURES.to(device), *(v.to(device) for v in at))
        assert found.device == device
    assert torch.equal(found.cpu(), ask(PICTURES, *at))


MEASURED = {  # how large an error is compared to
    vectors.square: lambda a, b: vectors.square(a),
    vectors.norm: lambda a, b: vectors.norm(a),
    vectors.rms: lambda a, b: vectors.rms(a),
    vectors.std: lambda a, b: vectors.std(a),
    vectors.mean: lambda a, b: vectors.rms(a),
    vectors.dot: lambda a, b: vectors.norm(a) * vectors.norm(b),
    vectors.cosine: lambda a, b: torch.ones(3),
    vectors.angle: lambda a, b: torch.ones(3),
    vectors.share_along: lambda a, b: vectors.ratio(vectors.norm(a), vectors.norm(b)),
}
COMPARED = (vectors.dot, vectors.cosine, vectors.angle, vectors.share_along)
NOISE, OTHER = draw((3, 4, 250_007), 1, torch.float32), draw((3, 4, 250_007), 2, torch.float32)
UNEQUAL = torch.tensor([1e-12, 1.0, 1e12]).reshape(3, 1, 1)
PAIRS = {
    "far from zero": (NOISE + 100, OTHER + 100),
    "unequal items": (NOISE * UNEQUAL, OTHER.abs() * UNEQUAL + NOISE * UNEQUAL),
    "nothing": (0 * NOISE, 0 * OTHER),
    "half precision at its end": ((NOISE.tanh() * 65_504).half(), (NOISE.tanh() * 65_000 + OTHER).half()),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
@pytest.mark.parametrize("measure", MEASURED, ids=lambda measure: measure.__name__)
def test_vectors_are_measured_there_without_a_wait(measure, pair):
    """A million numbers each: their float32 sums keep the precision of one."""
    given = pair[: 1 + (measure in COMPARED)]
    with mac() as device:
        moved = [v.to(device) for v in given]
        with count_waits() as waits:
            found = measure(*moved)
    right = measure(*given)
    off = (found.cpu() - right).abs()
    assert found.device == device
    assert not waits
    assert torch.equal(off.isnan(), right.isnan())
    assert (off.nan_to_num(0) <= 4 * torch.finfo(torch.float32).eps * MEASURED[measure](*pair)).all()


def test_a_float32_sum_is_precise_in_whatever_order_a_device_adds(monkeypatch):
    def in_turn(v, dim):
        return torch.from_numpy(np.add.accumulate(v.numpy(), axis=dim)).select(dim, -1)

    rows = NOISE.abs().flatten(1)
    right = rows.sum(dim=1, dtype=torch.float64)
    monkeypatch.setattr(torch.Tensor, "sum", in_turn)
    off = [float((found / right - 1).abs().max()) for found in (in_turn(rows, 1), vectors.total(rows))]
    assert off[0] > 1e-4
    assert off[1] < 4 * torch.finfo(torch.float32).eps


def test_a_device_is_asked_whether_it_has_float64():
    assert vectors.has_float64(torch.device("cpu"))
    with mac() as device:
        vectors.has_float64.cache_clear()
        assert not vectors.has_float64(device)
        table = vectors.where_float64_is({"x": PICTURES.to(device), "more": (PICTURES.to(device), 1.0, None)})
    assert type(table["x"]) is type(table["more"][0]) is torch.Tensor
    assert table["more"][1:] == (1.0, None)
    assert vectors.where_float64_is(PICTURES) is PICTURES
