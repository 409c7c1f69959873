"""CADS: the annealed embedding against its formula, written out with numpy."""

import numpy as np
import pytest
import torch

from guidance_geometry.guidance.rules.condition_annealing import ConditionAnnealing
from guidance_geometry.guidance.run import Run

TEN = Run(tuple(float(10 - i) for i in range(11)))  # ten steps, at sigma 10 to 1: t is sigma / 10
SHAPE = (3, 7, 5)


def by_hand(rule, y, n, t):
    keep = 1 if t <= rule.tau1 else 0 if t >= rule.tau2 else (rule.tau2 - t) / (rule.tau2 - rule.tau1)
    noisy = np.sqrt(keep) * y + rule.noise_scale * np.sqrt(1 - keep) * n
    same = (noisy - noisy.mean()) / noisy.std() * y.std() + y.mean()
    return rule.psi * same + (1 - rule.psi) * noisy


@pytest.fixture
def drawn():
    generator = torch.Generator().manual_seed(1)
    return 0.3 + 2 * torch.randn(SHAPE, generator=generator), torch.randn(SHAPE, generator=generator)


@pytest.mark.parametrize(
    "rule", [ConditionAnnealing(), ConditionAnnealing(0.5, 0.2, 0.8, 0.25), ConditionAnnealing(psi=0)]
)
def test_the_embedding_is_annealed_by_the_formula_item_by_item(drawn, rule):
    y, n = drawn
    for sigma in (10.0, 9.0, 8.0, 7.0, 3.0):
        made = rule.embed(y, n, TEN, sigma)
        expected = [
            by_hand(rule, *pair, sigma / 10) for pair in zip(y.double().numpy(), n.double().numpy(), strict=True)
        ]
        assert np.allclose(made.numpy(), np.stack(expected), atol=1e-5)
        assert torch.equal(rule.embed(y[1:2], n[1:2], TEN, sigma), made[1:2])
        half = rule.embed(y.half(), n, TEN, sigma)
        assert half.dtype == torch.float16
        assert torch.allclose(half.float(), made, atol=1e-2)


def test_noise_alone_comes_first_and_the_clean_condition_last():
    rule = ConditionAnnealing(tau1=0.45, tau2=0.85)
    kept = [rule.keep(TEN, 10.0 - i) for i in range(10)]
    assert kept == pytest.approx([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1, 1, 1])
    assert [rule.acts(TEN, 10.0 - i) for i in range(10)] == [True] * 6 + [False] * 4


def test_a_stage_is_told_what_its_step_was():
    """Heun's second evaluation of the step from 8 stands at 7, where the next step begins."""
    rule, stage = ConditionAnnealing(), Run(TEN.sigmas, began=8.0)
    assert rule.keep(stage, 7.0) == rule.keep(TEN, 8.0) != rule.keep(TEN, 7.0)


def test_a_run_that_begins_late_begins_with_a_clear_condition():
    late = Run((5.0, 4.0, 0.0), first=0.5)
    assert not ConditionAnnealing().acts(late, 5.0)


def test_an_embedding_without_spread_stays_finite():
    flat = torch.full((2, 4), 0.5)
    assert torch.isfinite(ConditionAnnealing(noise_scale=0.0).embed(flat, torch.zeros(2, 4), TEN, 10.0)).all()
