"""What is shown of a run: its terms, the step and the pushes that matter, unless somebody asks for more."""

import math
from dataclasses import replace

import pytest
import torch

from guidance_geometry.tests.edited_runs import with_columns
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.choices import Pushes, band, choices_of, default_step, scale_axes
from guidance_geometry.trace.file import load, save
from guidance_geometry.trace.gram import VECTORS, GramRecord, gram
from guidance_geometry.trace.guidance_effect import GUIDANCE, contraction, interval, push, push_shares, shares
from guidance_geometry.trace.places import places_of
from guidance_geometry.trace.terms import GUIDES, MEASURES, Term

from .ddpm_run import recorded


@pytest.fixture(scope="module")
def trace():
    return exact_trace(4.0, batch=2, steps=12, capture=False)


def test_the_default_step_is_the_one_with_a_difference_nearest_to_two_fifths(trace):
    assert default_step(trace, 0) == 5
    floor = trace.steps["floor"].clone()
    floor[4:7] = 1.0
    assert default_step(with_columns(trace, floor=floor), 0) in (3, 7)
    assert default_step(trace, 0, [0, 3, 11]) == 3
    assert default_step(with_columns(trace, floor=torch.ones(12)), 0, [0, 11]) == 0


def test_a_band_takes_three_samples():
    values = torch.tensor([[1.0, 2.0, torch.nan, torch.nan], [1.0, 2.0, 3.0, torch.nan]], dtype=torch.float64)
    low, high = band(values)[1].tolist()
    assert band(values)[0].isnan().all()
    assert (low, high) == pytest.approx((1.2, 2.8))
    assert band(torch.zeros(3, 0)).shape == (3, 2)


def test_the_axis_of_scales_holds_zero_one_and_cfg(trace):
    for cfg, high in ((4.0, 4.0), (9.0, 9.0), (None, 4.0)):
        axes = scale_axes(replace(trace, header=trace.header | {"cfg": cfg}))
        assert axes.flatten().tolist() == pytest.approx([0.0, high] * 2, rel=1e-6)
    alone = scale_axes(replace(trace, header=trace.header | {"guider": "Other", "cfg": 9.0}))
    assert alone[:, 1].tolist() == pytest.approx([4.0, 4.0], rel=1e-6)


def test_what_is_left_of_a_push_is_what_later_steps_do_not_take_back(trace):
    sigma, data = trace.steps["sigma_next"], trace.header["sigma_data"]
    pushes = Pushes.of(trace.record, trace.steps, data)
    kept = data / (data**2 + sigma**2).sqrt()
    assert torch.allclose(pushes.left, pushes.push * kept[:, None])
    first, last = pushes.window(0) or (1, 0)
    assert first < last


def test_a_sample_is_alone_where_another_acted_otherwise(trace):
    pushes = Pushes.of(trace.record, trace.steps, None)
    assert choices_of(trace, pushes, [0, 1], [0])["alone"] == [False, False]
    other = trace.steps["gamma_eff"] + torch.tensor([0.0, 0.2])
    assert choices_of(with_columns(trace, gamma_eff=other), pushes, [1], [0])["alone"] == [True]


def test_the_push_is_what_the_scale_beyond_one_moved():
    draws = torch.Generator().manual_seed(1)
    vectors = {name: torch.randn(3, 2, 5, generator=draws, dtype=torch.float64) for name in VECTORS}
    guided = vectors["u"] + 2.5 * vectors["delta"] + vectors["D-G"]
    beyond = 0.3 * (guided - vectors["u"] - vectors["delta"])
    found = push(GramRecord(VECTORS, gram(vectors)), 2.5, -0.3)
    assert torch.allclose(found, beyond.flatten(1).norm(dim=1), rtol=1e-12)


def test_the_contraction_is_how_a_gaussian_world_forgets():
    sigma, alpha = torch.tensor([0.3, 0.5]).double(), torch.tensor([1.0, 0.5]).double()
    assert torch.allclose(contraction(sigma, alpha, 0.4, False)[0], torch.tensor(0.8).double())
    assert torch.allclose(contraction(sigma, alpha, 0.4, True)[0], torch.tensor(0.64).double())
    assert torch.allclose(contraction(sigma, alpha, 0.4, False)[1], torch.tensor(0.4 / math.hypot(0.2, 0.5)).double())
    assert contraction(sigma, alpha, None, True).isnan().all()
    assert contraction(sigma, alpha, 1e308, True).isnan().all(), "and no fault where nothing can be told"


def test_shares_sum_to_one_and_leave_the_unknown_out():
    found = shares(torch.tensor([[1.0, 0.0], [3.0, 0.0], [math.nan, 0.0]]).double())
    assert torch.allclose(found[:2, 0], torch.tensor([0.25, 0.75]).double())
    assert found[2, 0].isnan()
    assert found[:, 1].eq(0).all()


def test_the_interval_is_the_shortest_that_holds_80_percent():
    row = torch.tensor([0.1, 0.5, 0.35, 0.05]).double()
    assert interval(row, row) == (1, 2)
    assert interval(row, torch.full_like(row, math.nan)) == (1, 2)
    assert interval(0 * row, 0 * row) is None


@pytest.mark.parametrize(("scale", "beyond"), [(3.0, 2 / 0.8), (math.nan, 3.0)])
def test_a_push_is_shared_out_by_the_lengths_of_what_made_it(scale, beyond):
    """cfg and rules moved D - c by its scale and its share across, or where these are unknown by all of D - c."""
    trace, one = exact_trace(4.0, batch=2, steps=3, capture=False), torch.ones(3, 2, dtype=torch.float64)
    passes = {"evals PAG": torch.tensor([1.0, 1.0, 0.0]).double(), "scale PAG": -2 * one[:, 0], "pass PAG": 0.1 * one}
    columns = {**trace.steps, **passes, "gamma_eff": scale * one, "across": 0.36 * one}
    kappa, delta = trace.steps["kappa"].abs()[:, None], trace.record.dot("delta", "delta").sqrt()
    guided = float((kappa * beyond * delta).sum())
    made = float((kappa * 0.2 * 3072**0.5 * one)[:2].sum())
    expected = {GUIDANCE: guided / (guided + made), "PAG": made / (guided + made)}
    assert push_shares(replace(trace, steps=columns)) == pytest.approx(expected, rel=1e-6)
    assert push_shares(trace) == {GUIDANCE: 1.0}
    assert push_shares(exact_trace(1.0, batch=2, steps=3, capture=False)) == {}


def test_what_goes_across_the_difference_leaves_the_plane_as_far_as_a_lies_across_it_too():
    gamma, draws = 3.0, torch.Generator().manual_seed(2)
    u, a, delta, side, move = (torch.randn(2, 64, generator=draws, dtype=torch.float64) for _ in range(5))
    record = GramRecord(VECTORS, gram(dict(zip(VECTORS, (u, a, delta, side, move, None), strict=True))))
    push = (gamma - 1) * delta + side
    along = (push * delta).sum(dim=1) / delta.square().sum(dim=1)
    across = push - along[:, None] * delta
    share = across.square().sum(dim=1) / push.square().sum(dim=1)
    frame = torch.linalg.qr(torch.stack([a, delta], dim=2)).Q
    beyond = side - (frame @ (frame.mT @ side[..., None]))[..., 0]
    found = places_of(record, gamma, 64, 1 + along, share)["outside"]
    assert found.tolist() == pytest.approx((beyond.norm(dim=1) / across.norm(dim=1)).tolist(), rel=1e-9)
    assert places_of(record, gamma, 64, 1 + along, share + 0.019)["outside"].isfinite().all()
    assert places_of(record, gamma, 64, 1 + along, share + 0.021)["outside"].isnan().all(), "D holds more than that"
    plain = GramRecord(VECTORS, gram(dict(zip(VECTORS, (u, a, delta, 0.1 * side, move, None), strict=True))))
    slight = places_of(plain, gamma, 64, torch.tensor(gamma), torch.tensor([0.0049, 0.0051]))["outside"]
    assert slight.isnan().tolist() == [True, False]


def asked(gradients, energies):
    """A run with these gradients among its vectors and these energies among its columns."""
    trace, count = recorded(), len(VECTORS) + len(gradients)
    K = torch.zeros(trace.n, trace.batch, count * (count + 1) // 2, dtype=torch.float64)
    said = {f"log_prob {name}": torch.zeros(trace.n, trace.batch, dtype=torch.float64) for name in energies}
    facts = {"vectors": [*VECTORS, *gradients], "terms": {name: f"+ {name}" for name in energies}}
    return replace(trace, header={**trace.header, **facts}, steps={**trace.steps, "K": K, **said})


@pytest.mark.parametrize(
    ("gradients", "energies"),
    [
        ([], []),
        ([], ["watch"]),
        (["gradient"], ["gradient"]),
        (["gradient", "gradient 2"], ["watch", "gradient", "gradient 2"]),
        (["likeness"], ["gradient", "likeness"]),
    ],
)
def test_terms_have_the_role_of_their_vectors_before_and_after_a_file(tmp_path, gradients, energies):
    trace = asked(gradients, energies)
    expected = [Term(name, GUIDES, f"+ {name}") for name in gradients]
    expected += [Term(name, MEASURES, f"+ {name}") for name in energies if name not in gradients]
    assert list(trace.terms) == expected
    save(trace, tmp_path / "run.safetensors")
    assert load(tmp_path / "run.safetensors").terms == trace.terms


def test_only_what_guides_is_compared_with_the_difference():
    added = asked(["likeness"], ["likeness", "gradient"]).metrics.keys() - recorded().metrics.keys()
    assert added == {"log_prob likeness", "log_prob gradient", "M18 likeness", "M18r likeness", "M18s likeness"}
