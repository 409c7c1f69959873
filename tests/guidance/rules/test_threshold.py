from math import inf

import pytest
import torch

from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rules.threshold import DynamicThreshold, quantile_of
from guidance_geometry.tests.toys import guide, toy


def guided(rule, p, gamma):
    return guide(rule, p, gamma)


def test_mimicking_the_scale_itself_is_plain_guidance_bit_for_bit():
    p = toy(shape=(2, 3, 4, 5), dtype=torch.float32)
    plain = p.uncond + (p.cond - p.uncond) * 5.0
    assert torch.equal(guided(DynamicThreshold("mimic", mimic_scale=5.0), p, 5.0), plain)
    assert torch.equal(guided(DynamicThreshold("percentile", bound=inf), p, 5.0), plain)
    assert DynamicThreshold("percentile", bound=inf).neutral
    assert DynamicThreshold("mimic", mimic_scale=inf).neutral


@pytest.mark.parametrize("method", ["percentile", "mimic"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_constant_and_half_precision_predictions_stay_finite(method, dtype):
    p = toy(shape=(2, 3, 4, 5), dtype=dtype)
    flat = Predictions(p.x, p.sigma, p.alpha, torch.zeros_like(p.x), torch.zeros_like(p.x))
    for one in (p, flat):
        found = guided(DynamicThreshold(method), one, 7.0)
        assert found.dtype == dtype
        assert found.isfinite().all()


def test_the_quantile_is_the_librarys():
    rows = torch.randn(3, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for q in (0.0, 0.33, 0.995, 1.0):
        assert (quantile_of(rows, q) - rows.quantile(q, dim=-1)).abs().max() <= 1e-12


def test_bad_knobs_are_refused():
    with pytest.raises(ValueError, match=r"quantile is 1\.5"):
        DynamicThreshold(quantile=1.5)
