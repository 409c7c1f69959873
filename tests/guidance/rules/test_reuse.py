from itertools import pairwise
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rules.reuse import Reuse
from guidance_geometry.guidance.run import Run
from guidance_geometry.tests.oracles import COUNT, ReferenceModel, reference_sigmas

LEVELS = {"ve": (9.0, 4.0, 2.0, 1.0, 0.5, 0.1, 0.0), "flow": (1.0, 0.9, 0.7, 0.5, 0.3, 0.1, 0.0)}


def at(sigma, space="ve", shape=(2, 3, 4), seed=0, close=None) -> Any:
    """Predictions at a level; close: how near u is to c, one number per item."""
    generator = torch.Generator().manual_seed(seed)
    x, u, c = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    if close is not None:
        u = c + torch.tensor(close, dtype=torch.float64).reshape(-1, *(1,) * (len(shape) - 1)) * u
    level = torch.full((shape[0],), sigma, dtype=torch.float64)
    return Predictions(x, level, 1 - level if space == "flow" else torch.ones_like(level), u, c)


def walk(rule, steps, gamma=5.0, space="ve"):
    """Guide a list of predictions, u withheld where the rule says so: guided results, and whether u was needed."""
    chain = PLAIN.then(rule)
    state = chain.init(Run((*(float(p.sigma[0]) for p in steps), 0.0), space == "flow"))
    guided, evaluated = [], []
    for p in steps:
        evaluated.append("uncond" in chain.needs(state, float(p.sigma[0]), gamma))
        seen = p if evaluated[-1] else Predictions(p.x, p.sigma, p.alpha, None, p.cond)
        result, state = chain.step(state, seen, gamma)
        guided.append(result)
    return guided, evaluated


def test_the_line_saves_nine_of_twenty_passes_of_the_exact_model_at_two_percent():
    model, gamma, rule = ReferenceModel(8), 4.0, Reuse(2)
    start = 20 * torch.randn(8, COUNT, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ends, passes = [], []
    for chain in (PLAIN, PLAIN.then(rule)):
        x, state, count = start, chain.init(Run(tuple(reference_sigmas()))), 0
        for sigma, after in pairwise(reference_sigmas()):
            there = "uncond" in chain.needs(state, sigma, gamma)
            count += there
            level = torch.full((8,), sigma, dtype=torch.float64)
            u = model.uncond(x, sigma) if there else None
            guided, state = chain.step(state, Predictions(x, level, torch.ones(8), u, model.cond(x, sigma)), gamma)
            x = guided + after / sigma * (x - guided)
        ends.append(x)
        passes.append(count)
    assert passes == [20, 11]
    error = (ends[1] - ends[0]).norm(dim=1) / ends[0].norm(dim=1)
    assert error.mean() <= 0.02


def test_an_item_ends_when_its_noise_predictions_agree_and_the_pass_when_all_have():
    near, far = 1e-6, 1.0
    steps = [
        at(s, close=(near if i > 0 else far, near if i > 1 else far), seed=i) for i, s in enumerate(LEVELS["ve"][:-1])
    ]
    guided, evaluated = walk(Reuse(1, stop=0.999, patience=2), steps)
    assert evaluated == [True] * 4 + [False] * 2
    assert torch.equal(guided[2][0], steps[2].cond[0])
    assert not torch.equal(guided[2][1], steps[2].cond[1])
    assert all(torch.equal(result, p.cond) for p, result in zip(steps[3:], guided[3:], strict=True))


def test_agreement_before_any_difference_is_the_noise_and_does_not_count():
    """At high noise both noise predictions are the noise itself."""
    close = (1e-6, 1e-6, 1e-6, 1.0, 1e-6, 1e-6)
    pairs = zip(LEVELS["ve"][:-1], close, strict=True)
    steps = [at(sigma, close=(one,) * 2, seed=i) for i, (sigma, one) in enumerate(pairs)]
    assert walk(Reuse(1, stop=0.999, patience=1), steps)[1] == [True] * 5 + [False]


def test_agreement_is_measured_in_noise_predictions_of_flow_too():
    """The same noise prediction u in both coordinates: the cosine is that of x - alpha x0."""
    p = at(0.5, "flow", close=(0.05, 0.05))
    e_c, e_u = ((p.x - 0.5 * v).flatten(1) for v in (p.cond, p.uncond))
    expected = (e_c * e_u).sum(1) / (e_c.norm(dim=1) * e_u.norm(dim=1))
    lower, upper = expected.min().item(), expected.max().item()
    far = at(0.6, "flow", close=(1.0, 1.0))
    assert walk(Reuse(1, stop=upper + 1e-9, patience=1), [far, p, p], space="flow")[1] == [True, True, True]
    assert walk(Reuse(1, stop=lower - 1e-9, patience=1), [far, p, p], space="flow")[1] == [True, True, False]


@pytest.mark.parametrize("levels", [(1.0, 1.0, 0.9), (0.5, 0.5, 0.4), (0.6, 0.5, 0.0)])
def test_levels_without_a_line_give_finite_results(levels):
    steps = [at(s, "flow", seed=i) for i, s in enumerate(levels)]
    guided, evaluated = walk(Reuse(2), steps, space="flow")
    assert evaluated == [True, True, False]
    assert guided[2].isfinite().all()
