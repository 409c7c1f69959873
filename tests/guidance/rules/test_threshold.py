from math import inf

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rules.threshold import DynamicThreshold, quantile_of
from guidance_geometry.guidance.run import Run

SHAPES = [(2, 3, 7), (2, 3, 4, 5), (2, 3, 2, 4, 3)]


def predictions(shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x, u, c = (torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(3))
    return Predictions(x, torch.ones(shape[0]), torch.ones(shape[0]), u, c)


def guided(rule, p, gamma):
    chain = PLAIN.then(rule)
    return chain.step(chain.init(Run((1.0, 0.0))), p, gamma)[0]


def quantile(values, q):
    values = sorted(values)
    place = q * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


@pytest.mark.parametrize("shape", SHAPES, ids=["audio", "image", "video"])
@pytest.mark.parametrize("bound", [0.5, 1.0, 100.0])
def test_percentile_is_the_formula_of_imagen(shape, bound):
    p, gamma, q = predictions(shape), 5.0, 0.9
    found = guided(DynamicThreshold("percentile", q, bound), p, gamma)
    for b in range(2):
        plain = (p.uncond + gamma * (p.cond - p.uncond))[b].flatten().tolist()
        limit = max(bound, quantile([abs(v) for v in plain], q))
        expected = torch.tensor([min(max(v, -limit), limit) * bound / limit for v in plain], dtype=torch.float64)
        assert (found[b].flatten() - expected).abs().max() <= 1e-6 * expected.abs().max()


@pytest.mark.parametrize("shape", SHAPES, ids=["audio", "image", "video"])
@pytest.mark.parametrize(("gamma", "mimic"), [(8.0, 3.0), (3.0, 8.0), (0.5, 3.0)])
def test_mimic_holds_every_channel_to_the_range_of_the_smaller_scale(shape, gamma, mimic):
    p, q = predictions(shape), 0.9
    found = guided(DynamicThreshold("mimic", q, mimic_scale=mimic), p, gamma)
    for b in range(2):
        for channel in range(3):
            u, c = p.uncond[b, channel].flatten().tolist(), p.cond[b, channel].flatten().tolist()
            plain = [i + gamma * (j - i) for i, j in zip(u, c, strict=True)]
            example = [i + min(mimic, gamma) * (j - i) for i, j in zip(u, c, strict=True)]
            mean, middle = sum(plain) / len(plain), sum(example) / len(example)
            reach = max(abs(v - middle) for v in example)
            limit = max(reach, quantile([abs(v - mean) for v in plain], q))
            expected = [mean + min(max(v - mean, -limit), limit) * reach / limit for v in plain]
            assert found[b, channel].flatten().tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_mimicking_the_scale_itself_is_plain_guidance_bit_for_bit():
    p = predictions((2, 3, 4, 5), torch.float32)
    plain = p.uncond + (p.cond - p.uncond) * 5.0
    assert torch.equal(guided(DynamicThreshold("mimic", mimic_scale=5.0), p, 5.0), plain)
    assert torch.equal(guided(DynamicThreshold("percentile", bound=inf), p, 5.0), plain)
    assert DynamicThreshold("percentile", bound=inf).neutral
    assert DynamicThreshold("mimic", mimic_scale=inf).neutral


@pytest.mark.parametrize("method", ["percentile", "mimic"])
def test_at_scale_one_nothing_is_held(method):
    p = predictions((2, 3, 4, 5))
    found = guided(DynamicThreshold(method, 0.5, 0.1, 0.5), p, 1.0)
    assert (found - p.cond).abs().max() <= 1e-12


@pytest.mark.parametrize("method", ["percentile", "mimic"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_constant_and_half_precision_predictions_stay_finite(method, dtype):
    p = predictions((2, 3, 4, 5), dtype)
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
