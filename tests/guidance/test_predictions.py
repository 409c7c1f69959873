import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance_geometry.guidance.predictions import PARAMETRISATIONS, Predictions, denoised_from, output_from
from guidance_geometry.trace.gram import VECTORS, GramRecord, gram
from guidance_geometry.trace.metrics import (
    difference_size,
    direction_agreement,
    guidance_strength,
    prediction_agreement,
    tug,
)

QUICK = settings(deadline=None, derandomize=True, max_examples=50)
SIGMA_DATA = 0.5


def draw(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def level(space, noise):
    """alpha and sigma of sigma / alpha = noise: VE, flow, variance preserving."""
    alpha = {"ve": 1.0, "flow": 1 / (1 + noise), "vp": 1 / (1 + noise**2) ** 0.5}[space]
    return alpha, alpha * noise


def by_definition(kind, x0, eps, sigma, alpha):
    """What a network of each kind is trained to output, from the clean sample and the noise."""
    x = alpha * x0 + sigma * eps
    r = (alpha**2 + sigma**2) ** 0.5
    n, d = sigma / alpha, SIGMA_DATA
    return {
        "epsilon": eps,
        "x0": x0,
        "v": (alpha * eps - sigma * x0) / r,
        "flow": eps - x0,
        "score": -eps / sigma,
        "edm": (x0 - d**2 / (n**2 + d**2) * x / alpha) / (n * d / (n**2 + d**2) ** 0.5),
    }[kind]


@pytest.mark.parametrize("space", ["ve", "flow", "vp"])
@pytest.mark.parametrize("kind", PARAMETRISATIONS)
def test_the_training_target_denoises_to_the_clean_sample(kind, space):
    x0, eps = draw((3, 2, 5), 0), draw((3, 2, 5), 1)
    for noise in (0.01, 0.5, 1.0, 20.0):
        alpha, sigma = level(space, noise)
        target, x = by_definition(kind, x0, eps, sigma, alpha), alpha * x0 + sigma * eps
        assert (denoised_from(kind, target, x, sigma, alpha, SIGMA_DATA) - x0).abs().max() < 1e-12
        assert (output_from(kind, x0, x, sigma, alpha, SIGMA_DATA) - target).abs().max() < 1e-10


@QUICK
@given(
    kind=st.sampled_from(PARAMETRISATIONS),
    space=st.sampled_from(["ve", "flow", "vp"]),
    noise=st.floats(0.01, 100),
    shape=st.sampled_from([(2, 5), (2, 3, 4, 4), (2, 2, 3, 4, 4)]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    seed=st.integers(0, 99),
)
def test_there_and_back_is_the_same_prediction(kind, space, noise, shape, dtype, seed):
    alpha, sigma = level(space, noise)
    x0, eps = draw(shape, seed).clamp(-1, 1).to(dtype), draw(shape, seed + 1).clamp(-3, 3).to(dtype)
    x = alpha * x0 + sigma * eps
    sigmas, alphas = torch.full((2,), sigma, dtype=dtype), torch.full((2,), alpha, dtype=dtype)
    output = output_from(kind, x0, x, sigmas, alphas, SIGMA_DATA)
    back = denoised_from(kind, output, x, sigmas, alphas, SIGMA_DATA)
    assert back.dtype == dtype
    limit = 1e-12 if dtype == torch.float64 else 1e-6 * (1 + noise)
    assert (back - x0).abs().max() < limit


@pytest.mark.parametrize("kind", PARAMETRISATIONS)
def test_every_item_has_its_own_noise_level(kind):
    x, output = draw((3, 2, 4), 0), draw((3, 2, 4), 1)
    sigma, alpha = torch.tensor([0.1, 1.0, 9.0]), torch.tensor([0.9, 0.5, 1.0])
    together = denoised_from(kind, output, x, sigma, alpha, SIGMA_DATA)
    for i in range(3):
        alone = denoised_from(kind, output[i : i + 1], x[i : i + 1], sigma[i], alpha[i], SIGMA_DATA)
        assert torch.equal(alone[0], together[i])


@pytest.mark.parametrize("kind", ["epsilon", "x0", "v", "score", "edm"])
def test_guiding_the_output_or_the_clean_prediction_is_the_same(kind):
    x, u, c = draw((2, 30), 0) * 3, draw((2, 30), 1), draw((2, 30), 2)
    there = [output_from(kind, x0, x, 2.5, 1.0, SIGMA_DATA) for x0 in (u, c)]
    guided = denoised_from(kind, there[0] + 4 * (there[1] - there[0]), x, 2.5, 1.0, SIGMA_DATA)
    assert (guided - (u + 4 * (c - u))).abs().max() < 1e-12


@pytest.mark.parametrize("kind", ["x0", "epsilon", "v", "flow"])
def test_every_parametrisation_measures_the_same_guidance(kind):
    noise = 1.7
    u, c, z = draw((2, 300), 0), draw((2, 300), 1), draw((2, 300), 2) * 2
    alpha, sigma = level("flow" if kind == "flow" else "ve", noise)
    there = [output_from(kind, x0, alpha * z, sigma, alpha) for x0 in (u, c)]
    u2, c2 = (denoised_from(kind, output, alpha * z, sigma, alpha) for output in there)

    def measured(u, c, x, alpha):
        vectors = (u, u - x, c - u, None, None, None)
        record = GramRecord(VECTORS, gram(dict(zip(VECTORS, vectors, strict=True))))
        return [
            guidance_strength(record, 3.0, alpha),
            difference_size(record, 300),
            direction_agreement(record, alpha),
            prediction_agreement(record),
            tug(record, alpha),
        ]

    pairs = zip(measured(u, c, z, 1.0), measured(u2, c2, alpha * z, alpha), strict=True)
    assert all((here - twin).abs().max() < 1e-6 for here, twin in pairs)


def test_half_precision_outputs_are_denoised_in_the_precision_of_x():
    x = draw((1, 64), 0).float() * 80
    assert denoised_from("epsilon", (x / 80).half(), x, 80.0, 1.0).dtype == torch.float32
    assert denoised_from("v", x.half(), x.half(), 80.0, 1.0).isfinite().all()


def test_an_unknown_parametrisation_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'eps' is unknown. Use one of epsilon, x0, v, flow, score, edm"):
        denoised_from("eps", torch.zeros(1, 2), torch.zeros(1, 2), 1.0, 1.0)


def test_edm_without_sigma_data_is_refused():
    with pytest.raises(ValueError, match="needs sigma_data"):
        output_from("edm", torch.zeros(1, 2), torch.zeros(1, 2), 1.0, 1.0)


def test_delta_is_cond_minus_uncond():
    one = torch.ones(1)
    p = Predictions(x=torch.zeros(1, 2), sigma=one, alpha=one, uncond=torch.ones(1, 2), cond=torch.full((1, 2), 3.0))
    assert p.delta.tolist() == [[2.0, 2.0]]


def test_half_precision_is_promoted_before_anything_is_subtracted():
    one, half = torch.ones(1), torch.tensor([[2048.0, 1.0]], dtype=torch.float16)
    p = Predictions(x=half, sigma=one, alpha=one, uncond=half, cond=-half)
    assert [v.dtype for v in p.pair] == [torch.float32, torch.float32]
    assert p.delta.dtype == torch.float16
    assert p.delta.tolist() == [[-4096.0, -2.0]]


def test_delta_without_uncond_says_what_is_missing():
    one = torch.ones(1)
    p = Predictions(x=torch.zeros(1, 2), sigma=one, alpha=one, uncond=None, cond=torch.ones(1, 2))
    with pytest.raises(ValueError, match="no unconditional prediction"):
        _ = p.delta
