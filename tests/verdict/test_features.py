"""The features of a run follow from its vectors, in both spaces, for one sample and for a batch."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance_geometry.tests.edited_runs import headed, nan
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.gram import VECTORS, gram
from guidance_geometry.trace.trace import PER_SAMPLE, Trace
from guidance_geometry.verdict.case import Case, features_of
from guidance_geometry.verdict.known import Known
from guidance_geometry.verdict.picks import Pick, Picks
from guidance_geometry.verdict.report import report_of
from guidance_geometry.verdict.run_knobs import EARLIER, LATER


def rms(x):
    return float(x.double().square().mean().sqrt())


@pytest.mark.parametrize("space", ["ve", "flow"])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_inner_products_say_what_the_tensors_say(space, batch):
    trace = exact_trace(4.0, space=space, batch=batch, steps=12, rule=lambda u, c, g: 0.9 * g)
    guided, *own = ([rms(trace.captured_tensor(name, i)) for i in range(12)] for name in ("guided", "uncond", "cond"))
    found = features_of(trace)
    assert found.overshoot == pytest.approx(max(guided) / max(map(max, own)), rel=5e-3)  # captured in half precision
    assert found.longest == guided.index(max(guided))
    assert found.end == pytest.approx(rms(trace.tensors["end"]), rel=5e-3)


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
    assert not said & {"head.burns", "why.burns"}


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
    skipped = features_of(exact_trace(4.0, batch=1, steps=8, capture=False, skip=range(8)))
    assert math.isnan(skipped.overshoot)
    assert skipped.longest is None
    half = features_of(exact_trace(4.0, batch=1, steps=8, skip=(0, 7)))
    assert half.end > 0, "the kept end stands in for the last step's"
    assert half.overshoot > 1, "of the steps that have both predictions"


def test_a_sample_that_is_not_finite_is_never_left_out():
    trace = exact_trace(4.0, batch=2, steps=8, capture=False)
    broken = trace.steps["K"].clone()
    broken[:, 1] = torch.nan
    found = features_of(replace(trace, steps={**trace.steps, "K": broken}))
    assert math.isnan(found.overshoot)


def test_a_run_is_whole_from_noise_to_the_end():
    """A flow begins where sigma / alpha is large, however few its steps are."""
    flow = exact_trace(4.0, space="flow", batch=1, steps=4, capture=False)
    trace = exact_trace(4.0, batch=1, steps=8, capture=False)
    first, last = ({name: column[part] for name, column in trace.steps.items()} for part in (slice(5), slice(5, None)))
    parts = [flow, trace, replace(trace, steps=first, stage=trace.stage[:5])]
    parts += [replace(trace, steps=last, stage=trace.stage[5:])]
    assert [Case.of(one, Known()).stage for one in parts] == ["", "", EARLIER, LATER]
    unknown = [headed(nan(one, "K"), sigma_data=None) for one in parts]
    assert [Case.of(one, Known()).stage for one in unknown] == ["", "", EARLIER, ""], "nobody knows how noisy it was"
