"""The features of a run follow from its vectors, in both spaces, for one sample and for a batch."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.gram import VECTORS, gram
from guidance_geometry.trace.trace import PER_SAMPLE, Trace
from guidance_geometry.verdict.features import features_of, texture_of, value_at, whole_run
from guidance_geometry.verdict.known import Known
from guidance_geometry.verdict.picks import Pick, Picks
from guidance_geometry.verdict.report import report_of

DATA = 0.4684


def rms(x):
    return float(x.double().square().mean().sqrt())


def from_tensors(trace, data):
    """The same features from the predictions themselves, batch and all, straight from their definitions."""
    lengths, push, strength, unguided = [], [], [], []
    for i in range(trace.n):
        x, u, c, guided = (trace.captured_tensor(name, i).double() for name in ("x", "uncond", "cond", "guided"))
        sigma, alpha = float(trace.steps["sigma"][i]), float(trace.steps["alpha"][i])
        lengths.append((sigma / alpha / data, rms(guided) / rms(trace.tensors["end"])))
        unguided += [rms(u), rms(c)]
        push.append((sigma / alpha / data, math.log(float(trace.steps["gamma"][i]) * rms(c - u) / data)))
        strength.append((sigma / alpha / data, math.log(rms(guided - u) / rms(u - x / alpha))))
    noisy = [math.log(length) for r, length in lengths if r > 1]
    return {
        "overshoot": max(length for _, length in lengths) * rms(trace.tensors["end"]) / max(unguided),
        "overmean": sum(noisy) / len(noisy),
        "push8": between(push, 8.0),
        "strength": math.exp(between(strength, 1.25)),
        "end": rms(trace.tensors["end"]),
    }


@pytest.mark.parametrize("shape", [(2, 4, 64), (2, 3, 16, 16), (1, 4, 3, 16, 16)], ids=["sound", "picture", "video"])
def test_the_texture_of_noise_a_slope_and_a_flat_picture(shape):
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).half()
    contrast, grain = texture_of(0.5 * noise + 3)
    assert (contrast, grain) == pytest.approx((0.5, 1.0), rel=0.1)
    slope = torch.linspace(-1, 1, shape[-1]).expand(shape)
    contrast, grain = texture_of(slope)
    assert contrast == pytest.approx(rms(slope), rel=1e-3)
    assert 0 < grain < 0.2
    channels = torch.arange(shape[1]).view(1, -1, *[1] * (len(shape) - 2)).expand(shape)
    contrast, grain = texture_of(channels.half())
    assert contrast == 0, "every channel is flat"
    assert math.isnan(grain)


def test_the_texture_is_of_samples_that_were_kept():
    kept, numbers = (features_of(exact_trace(4.0, batch=2, steps=8, capture=capture)) for capture in (True, False))
    assert kept.contrast > 0
    assert math.isnan(numbers.contrast)
    assert kept.end == pytest.approx(numbers.end, rel=1e-3)


def between(pairs, where):
    above = min((p for p in pairs if p[0] >= where), key=lambda p: p[0])
    below = max((p for p in pairs if p[0] <= where), key=lambda p: p[0])
    share = math.log(where / below[0]) / math.log(above[0] / below[0])
    return below[1] + share * (above[1] - below[1])


@pytest.mark.parametrize("space", ["ve", "flow"])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_inner_products_say_what_the_tensors_say(space, batch):
    trace = exact_trace(4.0, space=space, batch=batch, steps=12, rule=lambda u, c, g: 0.9 * g)
    found = features_of(trace)
    for name, value in from_tensors(trace, DATA).items():
        assert math.isclose(getattr(found, name), value, rel_tol=5e-3, abs_tol=2e-3), name  # captured in half precision


@given(
    gamma=st.floats(0, 1), batch=st.integers(1, 8), flow=st.booleans(), seed=st.integers(0, 2**31),
    sizes=st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1e3)), min_size=2, max_size=9), end=st.floats(0, 1e-3),
)  # fmt: skip
@settings(max_examples=50, deadline=None, derandomize=True)
def test_no_run_with_gamma_up_to_one_overshoots_however_dark_its_picture_is(gamma, batch, flow, seed, sizes, end):
    trace = random_trace(gamma, batch, flow, seed, sizes, end)
    found = features_of(trace)
    assert math.isnan(found.overshoot) or found.overshoot <= 1 + 1e-9
    known = Known(picks=Picks("m", "k", (Pick(0.5, "ode-few", True), Pick(2.0, "ode-few", False))))
    said = {one.id for known in (Known(), known) for one in report_of(trace, known).sentences}
    assert not said & {"head.burns", "head.may_burn", "head.inside_burns", "why.burns"}


def random_trace(gamma, batch, flow, seed, sizes, end):
    """Plain guidance of predictions of any lengths.  sizes: of u and of delta, a pair a step. end: of the picture."""
    g = torch.Generator().manual_seed(seed)
    n, sigmas = len(sizes), torch.linspace(0.99 if flow else 80.0, 0, len(sizes) + 1, dtype=torch.float64)
    rows, x = [], torch.randn(batch, 5, generator=g, dtype=torch.float64)
    for i, (size, apart) in enumerate(sizes):
        u, delta = (scale * torch.randn(batch, 5, generator=g, dtype=torch.float64) for scale in (size, apart))
        after = end * x if i == n - 1 else u + gamma * delta
        rows.append(gram(dict(zip(VECTORS, (u, u - x, delta, None, after - x, None), strict=True))))
        x = after
    one = torch.ones(n, dtype=torch.float64)
    steps = {"K": torch.stack(rows), "sigma": sigmas[:-1], "sigma_next": sigmas[1:], "gamma": gamma * one}
    steps |= {"alpha": 1 - sigmas[:-1] if flow else one, "alpha_next": 1 - sigmas[1:] if flow else one}
    steps |= {"kappa": math.nan * one, "evals": 2 * one, "floor": 0 * one}
    steps |= {name: torch.full((n, batch), math.nan, dtype=torch.float64) for name in PER_SAMPLE}
    return Trace({"vectors": list(VECTORS), "latent": {"shape": [5]}}, steps, ["step"] * n)


def test_what_is_not_known_is_nan():
    trace = exact_trace(4.0, batch=1, steps=8, capture=False)
    unsized = features_of(replace(trace, header={**trace.header, "sigma_data": None}))
    assert unsized.overshoot == features_of(trace).overshoot
    assert math.isnan(unsized.overmean)
    assert math.isnan(unsized.push8)
    assert math.isnan(unsized.strength)
    skipped = features_of(exact_trace(4.0, batch=1, steps=8, capture=False, skip=range(8)))
    assert all(math.isnan(v) for v in (skipped.overshoot, skipped.overmean, skipped.push8, skipped.strength))
    assert skipped.longest is None
    half = exact_trace(4.0, batch=1, steps=8, skip=(0, 7))
    assert math.isnan(features_of(half).overmean), "a mean over a part of the steps is another number"
    assert features_of(half).end > 0, "the kept end stands in for the last step's"
    assert features_of(half).overshoot > 1, "of the steps that have both predictions"


def test_a_sample_that_is_not_finite_is_never_left_out():
    trace = exact_trace(4.0, batch=2, steps=8, capture=False)
    broken = trace.steps["K"].clone()
    broken[:, 1] = torch.nan
    found = features_of(replace(trace, steps={**trace.steps, "K": broken}))
    assert math.isnan(found.overshoot)


def test_a_value_is_read_between_steps_or_near_one():
    levels = torch.tensor([16.0, 4.0, 1.0]).double()
    values = torch.tensor([4.0, 2.0, 0.0]).double()
    assert value_at(values, levels, 8.0) == 3.0
    assert value_at(values, levels, 4.0) == 2.0
    assert value_at(values, levels, 0.6) == 0.0
    assert value_at(values, levels, 20.0) == 4.0
    assert math.isnan(value_at(values, levels, 0.4))
    assert math.isnan(value_at(values * math.nan, levels, 4.0))
    assert value_at(values, torch.tensor([math.inf, 4.0, 1.0]).double(), 6.0) == 2.0


def test_a_run_is_whole_from_noise_to_the_end():
    trace = exact_trace(4.0, batch=1, steps=8, capture=False)
    assert whole_run(trace, DATA)
    first, last = ({name: column[part] for name, column in trace.steps.items()} for part in (slice(5), slice(5, None)))
    assert not whole_run(replace(trace, steps=first, stage=trace.stage[:5]), DATA)
    assert not whole_run(replace(trace, steps=last, stage=trace.stage[5:]), DATA)
    assert not whole_run(replace(trace, steps={k: v[:0] for k, v in trace.steps.items()}, stage=[]), DATA)
    assert whole_run(exact_trace(4.0, space="flow", batch=1, steps=4, capture=False), DATA)
