"""The effective scale of a run: in its columns, of old files, and with what is named taken out."""

from dataclasses import replace

import pytest
import torch

from guidance_geometry.tests.trace.drawn_steps import columns, draw
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import load, save
from guidance_geometry.trace.recorder import Evaluation, Pass
from guidance_geometry.trace.terms import GUIDES, Term
from guidance_geometry.trace.trace import SCALES


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


def test_passes_that_cannot_be_told_apart_have_no_scale():
    u, c, away = draw(1), draw(2), draw(3)
    step = Evaluation(u + 4 * (c - u) + away, u, c, 4.0, passes={"one": Pass(away, 1), "other": Pass(2 * away, 1)})
    found = columns([step] * 3)
    assert found["scale one"].isnan().all()
    assert found["scale other"].isnan().all()


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


def test_without_both_predictions_the_scale_is_unknown():
    u, c = draw(1), draw(2)
    found = columns([Evaluation(c, None, c, 1.0), Evaluation(c, u, None), Evaluation(u + 3 * (c - u), u, c, 3.0)])
    for name in SCALES:
        assert found[name][:2].isnan().all(), name
        assert found[name][2].isfinite().all(), name


@pytest.mark.parametrize("name", [*SCALES, "weight gradient"])
def test_a_column_of_another_shape_is_refused_in_a_sentence(tmp_path, name):
    trace = exact_trace(4.0, steps=4, batch=2)
    K = torch.zeros(4, 2, 28, dtype=torch.float64)
    header = {**trace.header, "vectors": [*trace.header["vectors"], "gradient"]}
    odd = {name: torch.zeros(3, dtype=torch.float64)}
    save(replace(trace, header=header, steps={**trace.steps, "K": K, **odd}, tensors={}), tmp_path / "odd.safetensors")
    with pytest.raises(ValueError, match=f"column '{name}' is"):
        load(tmp_path / "odd.safetensors")


def test_a_file_without_its_scales_is_refused(tmp_path):
    trace = exact_trace(4.0, steps=4, batch=2, capture=False)
    steps = {name: column for name, column in trace.steps.items() if name != "gamma_eff"}
    save(replace(trace, steps=steps), tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match="column 'gamma_eff' is None"):
        load(tmp_path / "bare.safetensors")


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


def test_a_pass_that_changed_nothing_has_no_scale():
    u, c = draw(1), draw(2)
    step = Evaluation(u + 4 * (c - u), u, c, 4.0, passes={"NAG": Pass(0 * c, 1)})
    found = columns([step] * 3)
    assert found["scale NAG"].isnan().all()
    assert found["pass NAG"].tolist() == [[0.0] * 3] * 3
    assert found["gamma_eff"].flatten().tolist() == pytest.approx([4.0] * 9, rel=1e-6)
