"""The effective scale of a run: in its columns, of old files, and with what is named taken out."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from guidance_geometry.trace.accumulator import Accumulator, Capture
from guidance_geometry.trace.recorder import Evaluation, Pass, Recorded
from guidance_geometry.trace.rows import Setting
from guidance_geometry.trace.terms import GUIDES, Term

LEVELS = (4.0, 2.0, 1.0, 0.5)
SHAPE = (3, 3, 6, 6)


def draw(seed):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def columns(evaluations, **setting):
    """The columns of steps with these evaluations."""
    seen = Accumulator(Setting(**setting), Capture("numbers"))
    for i, (evaluation, (now, then)) in enumerate(zip(evaluations, pairwise(LEVELS), strict=True)):
        spent = {name: one.nfe for name, one in evaluation.passes.items()}
        seen.enter(Recorded(i, draw(90 + i), now, then, evaluation, draw(80 + i), None, 2, spent))
    return seen.columns()


def test_a_further_pass_is_taken_out_and_is_no_vector_of_the_file():
    u, c, away = draw(1), draw(2), draw(3)
    plain = u + 5 * (c - u)
    steps = [
        Evaluation(plain, u, c, 5.0),
        Evaluation(plain + 2.5 * away, u, c, 5.0, passes={"STG": Pass(away, 1)}),
        Evaluation(plain + draw(4), u, c, 5.0, passes={"STG": Pass(away, 1)}),
    ]
    found = columns(steps)
    assert found["gamma_eff"][:2].flatten().tolist() == pytest.approx([5.0] * 6, rel=1e-6)
    assert found["across"][:2].flatten().tolist() == [0.0] * 6
    assert found["scale STG"][1] == 2.5
    assert found["scale STG"].isnan().tolist() == [True, False, True], "nothing proves the last one"
    assert (found["across"][2] > 0.03).all()
    assert found["K"].shape == (3, 3, 21)
    assert torch.equal(found["K"], columns([replace(one, passes={}) for one in steps])["K"])


def test_a_pass_beside_c_alone_is_proved_too():
    c, away = draw(2), draw(3)
    found = columns([Evaluation(c + 3 * away, None, c, 1.0, passes={"PAG": Pass(away, 1)})] * 3, states_scales=False)
    assert found["scale PAG"].tolist() == [3.0] * 3
    assert found["gamma"].tolist() == [1.0] * 3
    assert found["gamma_eff"].isnan().all()


@pytest.mark.parametrize("stated", [4.0, 2.0, float("nan")], ids=str)
def test_the_scale_of_a_run_is_what_acted_where_no_chain_was_handed_one(stated):
    """D - G counts from it, as if it had been stated."""
    u, c, side = draw(1), draw(2), draw(3)
    bent = [u + 2 * (c - u), u + 1.5 * (c - u) + 0.25 * side, u + 7.125 * (c - u)]
    found = columns([Evaluation(d, u, c, stated) for d in bent], states_scales=False)
    assert found["gamma"][[0, 2]].tolist() == [2.0, 7.125]
    assert found["gamma"][1] == found["gamma_eff"][1].median()
    right = columns([Evaluation(d, u, c, g) for d, g in zip(bent, found["gamma"].tolist(), strict=True)])
    for name in ("K", "sum", "m9a", "gamma_eff", "across"):
        assert (found[name] - right[name]).abs().nan_to_num().max() <= 1e-5 * right[name].abs().nan_to_num().max(), name
    handed = columns([Evaluation(d, u, c, stated) for d in bent])
    assert torch.equal(handed["gamma"].nan_to_num(), torch.full((3,), stated, dtype=torch.float64).nan_to_num())


def test_a_stated_scale_counts_only_where_it_explains_what_was_seen():
    c = draw(2)
    explained = [Evaluation(c, c, c, 4.0), Evaluation(c, None, c, 4.0)]
    moved = [Evaluation(2 * c, c, c, 4.0), Evaluation(2 * c, None, c, 4.0), Evaluation(c, None, None, 4.0)]
    found = columns([*explained, explained[0]], states_scales=False)
    assert found["gamma"].tolist() == [4.0, 1.0, 4.0]
    assert columns(moved, states_scales=False)["gamma"].isnan().all()
    assert found["gamma_eff"].isnan().all()


def test_gradients_are_taken_out_with_the_weights_that_acted():
    u, c, g = draw(1), draw(2), draw(3)
    weight = torch.tensor([0.5, 1.0, 3.0])
    guided = u + 4 * (c - u) + weight[:, None, None, None] * g
    acted = Evaluation(guided, u, c, 4.0, gradients={"gradient": g}, weights={"gradient": weight})
    absent = Evaluation(u + 4 * (c - u), u, c, 4.0)
    found = columns([acted, absent, acted], terms=(Term("gradient", GUIDES),))
    assert found["gamma_eff"].flatten().tolist() == pytest.approx([4.0] * 9, rel=1e-6)
    assert found["across"].flatten().tolist() == [0.0] * 9


def test_a_rescale_of_all_leaves_the_scales_of_passes_proved():
    u, c, away, other = draw(1), draw(2), draw(3), draw(4)
    guided = 0.75 * (u + 5 * (c - u) + 2.0 * away - 1.2 * other)
    step = Evaluation(guided, u, c, 5.0, passes={"STG": Pass(away, 1), "modality": Pass(other, 1)})
    found = columns([step] * 3)
    assert found["scale STG"].tolist() == [1.5] * 3
    assert found["scale modality"].tolist() == [-0.9] * 3
    along = ((0.75 * (u + 5 * (c - u)) - c) * (c - u)).double().flatten(1).sum(1) / (c - u).double().flatten(
        1
    ).square().sum(1)
    assert found["gamma_eff"][0].tolist() == pytest.approx((1 + along).tolist(), rel=1e-6)


def guided(u, c, gamma, passes):
    """The evaluation of D = u + gamma (c - u) + sum of w d, from {name: (w, d)}."""
    made = sum(weight * away for weight, away in passes.values())
    seen = {name: Pass(away, 1) for name, (_, away) in passes.items()}
    return Evaluation(u + gamma * (c - u) + made, u, c, gamma, 2 + len(seen), passes=seen)


def of(v, w):
    return (v.double() * w.double()).flatten(1).sum(dim=1)


@pytest.mark.parametrize("handed", [True, False])
def test_what_a_pass_made_is_told_along_and_across_the_difference(handed):
    u, c, away, other = draw(1), draw(2), draw(3), draw(4)
    found = columns([guided(u, c, 4.0, {"PAG": (2.5, away), "STG": (-1.5, other)})] * 3, states_scales=handed)
    delta = c - u
    for name, weight, v in (("PAG", 2.5, away), ("STG", -1.5, other)):
        along = weight * of(v, delta) / of(delta, delta)
        across = 1 - of(v, delta).square() / (of(delta, delta) * of(v, v))
        assert torch.allclose(found[f"along {name}"][0], along, rtol=1e-6)
        assert torch.allclose(found[f"across {name}"][0], across, rtol=1e-6)


def test_what_is_not_proved_or_not_compared_is_unknown():
    u, c, away = draw(1), draw(2), draw(3)
    unproved = Evaluation(u + 4 * (c - u) + draw(4), u, c, 4.0, 3, passes={"PAG": Pass(away, 1)})
    alone = Evaluation(c + 2 * away, None, c, 1.0, 2, passes={"PAG": Pass(away, 1)})
    elsewhere = Evaluation(u + 4 * (c - u), u, c, 4.0, 3, passes={"PAG": Pass(away * torch.nan, 1)})
    found = columns([unproved, alone, elsewhere])
    assert found["along PAG"].isnan().all()
    assert found["across PAG"][1:].isnan().all()
