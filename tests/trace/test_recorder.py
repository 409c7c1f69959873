"""The commit rule, the split and the accumulator, on samplers small enough to know every number of."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch

from guidance_geometry.samplers.noise_tracking import untrack
from guidance_geometry.samplers.response import Response, StepResponse
from guidance_geometry.samplers.stages import Stages
from guidance_geometry.trace.accumulator import Accumulator, Capture
from guidance_geometry.trace.checks import check
from guidance_geometry.trace.gram import VECTORS, GramRecord
from guidance_geometry.trace.recorder import Evaluation, Recorded, Recorder
from guidance_geometry.trace.rows import Setting
from guidance_geometry.trace.trace import PER_SAMPLE, Trace

SIGMAS = [4.0, 2.0, 1.0, 0.0]
EULER = Response(
    tuple(StepResponse((then / now,), ((1 - then / now,),), ((0.0,),)) for now, then in pairwise(SIGMAS)),
    firsts=(0, 1, 2),
    reports=(1, 2, 3),
)
LATE = Response(late=True)


def predictions(x):
    """One-line network: u halves the state, c looks elsewhere."""
    return x * 0.5, x * 0.25 + 1.0


def watched(sample, gamma=2.0, **settings):
    """Run a sampler of two arguments under a recorder; returns the complete steps and the result."""
    steps = []
    recorder = Recorder(steps.append, last_sigma=SIGMAS[-1], **settings)

    def model(x, sigma):
        call = recorder.begin_call(x, torch.tensor([sigma]))
        u, c = predictions(untrack(x))
        seen = Evaluation(u + (c - u) * gamma, u, c, gamma, nfe=2)
        call.evaluation = seen
        return seen.denoised

    end = sample(model, recorder)
    recorder.end_run(end)
    return steps, untrack(end)


def start():
    return torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(2)) * SIGMAS[0]


def euler(model, recorder):
    x = start()
    for now, then in pairwise(SIGMAS):
        denoised = model(x, now)
        recorder.end_step()
        assert recorder.current_step == SIGMAS.index(now) + 1
        x = x + (x - denoised) / now * (then - now)
    return x


def noisy_heun(model, recorder):
    """Two stages a step, then noise."""
    x = start()
    for now, then in pairwise(SIGMAS):
        denoised = model(x, now)
        recorder.end_step()
        slope = (x - denoised) / now
        if then > 0:
            ahead = x + slope * (then - now)
            slope = (slope + (untrack(ahead) - model(ahead, then)) / then) / 2
        x = x + slope * (then - now) + (recorder.mark(torch.ones_like(x)) * 0.5 if then > 0 else 0)
    return x


def late(model, recorder):
    """Reports after its stages, like the adaptive sampler."""
    x = start()
    for now, then in pairwise(SIGMAS):
        denoised = model(x, now)
        model(x + 100.0, now / 2)
        recorder.end_step()
        x = x + (x - denoised) / now * (then - now)
    return x


@pytest.mark.parametrize(
    ("sample", "settings", "evaluations"),
    [(euler, {}, [2, 2, 2]), (noisy_heun, {}, [4, 4, 2]), (late, {"stages": Stages(SIGMAS, LATE)}, [4, 4, 4])],
)
def test_every_step_is_found_and_adds_up(sample, settings, evaluations):
    steps, end = watched(sample, **settings)
    states = [*(step.x for step in steps[1:]), end]
    assert [step.index for step in steps] == [0, 1, 2]
    assert [(step.sigma, step.sigma_next) for step in steps] == [(4.0, 2.0), (2.0, 1.0), (1.0, 0.0)]
    assert [step.nfe for step in steps] == evaluations
    for step, reached in zip(steps, states, strict=True):
        assert (step.x + step.travel - reached).abs().max() <= 1e-6
    assert torch.equal(steps[0].x, start())


def test_a_state_changed_in_place_afterwards_stays_as_it_was_recorded():
    def careless(model, recorder):
        x = start()
        for now in SIGMAS[:-1]:
            denoised = model(x, now)
            recorder.end_step()
            x.copy_(denoised)
        return x

    steps, _ = watched(careless)
    assert torch.equal(steps[0].x, start())


def accumulated(steps, **settings):
    accumulator = Accumulator(Setting(**settings), Capture("tensors"))
    for step in steps:
        accumulator.enter(step)
    return accumulator


def without_uncond(step):
    return replace(step, evaluation=replace(step.evaluation, uncond=None, gamma=1.0))


def test_columns_hold_the_inner_products_of_the_step():
    steps, _ = watched(euler)
    columns = accumulated(steps, response=EULER).columns()
    record = GramRecord(VECTORS, columns["K"])
    for i, step in enumerate(steps):
        u, c = predictions(step.x)
        a, delta = (v.double().flatten(1) for v in (u - step.x, c - u))
        assert (record.dot("a", "delta")[i] - (a * delta).sum(dim=1)).abs().max() <= 1e-6
        assert (record.dot("move", "move")[i] - step.move.double().flatten(1).square().sum(dim=1)).abs().max() <= 1e-6
    assert record.dot("noise", "noise").abs().max() == 0
    assert record.dot("D-G", "D-G").abs().max() == 0
    assert columns["kappa"].tolist() == pytest.approx([0.5, 0.5, 1.0], rel=1e-6)
    assert columns["m12"].max() <= 1e-6
    assert columns["m11"].max() <= 1e-5
    assert {name: tuple(columns[name].shape) for name in PER_SAMPLE} == dict.fromkeys(PER_SAMPLE, (3, 2))


def test_how_far_a_step_follows_is_known_where_the_response_is_proved():
    steps, _ = watched(euler)
    wrong = Response((replace(EULER.steps[0], guided=((0.4,),)), *EULER.steps[1:]))
    doubled = [replace(step, calls=step.calls * 2) for step in steps]
    assert accumulated(steps, response=wrong).columns()["m12"][0].min() > 1e-2
    beside = replace(EULER.steps[1], states=(0.5, 0.0), guided=((0.7,), (-0.2,)), uncond=((0.0,), (0.0,)))
    earlier = torch.randn(steps[0].x.shape, generator=torch.Generator().manual_seed(5))  # D of the step before
    steps[0] = replace(steps[0], calls=(replace(steps[0].evaluation, denoised=earlier),))
    steps[0] = replace(steps[0], move=0.5 * earlier - 0.5 * steps[0].x)
    moved = replace(steps[1], move=-0.5 * steps[1].x + 0.7 * steps[1].evaluation.denoised - 0.2 * earlier)
    response = Response((EULER.steps[0], beside, EULER.steps[2]))
    columns = accumulated([steps[0], moved, steps[2]], response=response).columns()
    assert columns["kappa"].tolist() == pytest.approx([0.5, 0.7, 1.0])
    assert columns["m12"].max() <= 1e-6
    off = replace(moved, move=moved.move + torch.tensor([1.0, 0.0])[:, None, None])  # in one sample of two
    assert accumulated([steps[0], off, steps[2]], response=response).columns()["kappa"][1].isnan()
    unproved = accumulated([steps[0], moved, steps[2]], response=EULER).columns()
    assert unproved["kappa"].isnan().tolist() == [False, True, False]
    assert accumulated(doubled, response=EULER).columns()["m12"].isnan().all(), "an evaluation more than expected"
    hidden = Response(tuple(replace(step, hidden=0.1) for step in EULER.steps))
    assert accumulated(steps, response=hidden).columns()["m12"].isnan().all(), "noise that nobody sees"


@pytest.mark.parametrize("alone", [False, True], ids=["u and c", "c alone"])
def test_the_rounding_of_a_long_state_is_no_fault(alone):
    def long_euler(model, recorder, noise=0.0):
        x = start() * 3e4
        for now, then in pairwise(SIGMAS):
            denoised = model(x, now)
            recorder.end_step()
            x = x + (x - denoised) / now * (then - now) + noise
        return x

    def problems(sample):
        steps = [replace(one, calls=(one.evaluation,)) for one in watched(sample)[0]]
        taken = accumulated([without_uncond(one) for one in steps] if alone else steps, response=EULER)
        header = {"vectors": list(VECTORS), "sigmas": SIGMAS, "latent": {"shape": [1, 6]}}
        return check(Trace(header, taken.columns(), taken.stage))

    assert problems(long_euler) == []
    [said] = problems(partial(long_euler, noise=30.0))
    assert "did not do what was measured" in said


def test_cross_step_numbers_stand_in_the_row_of_the_earlier_step():
    steps, _ = watched(euler)
    columns = accumulated(steps).columns()
    deltas = [(step.evaluation.cond - step.evaluation.uncond).double().flatten(1) for step in steps]
    expected = torch.nn.functional.cosine_similarity(deltas[0], deltas[1])
    assert (columns["m13"][0] - expected).abs().max() <= 1e-6
    assert columns["m13"][2].isnan().all()
    held = (deltas[0] * SIGMAS[1] / SIGMAS[0] - deltas[1]).norm(dim=1) / deltas[1].norm(dim=1)
    assert (columns["m14"][0] - held).abs().max() <= 1e-6
    line = deltas[1] * SIGMAS[2] / SIGMAS[1] + (deltas[1] / SIGMAS[1] - deltas[0] / SIGMAS[0]) * SIGMAS[2]
    missed = (line - deltas[2]).norm(dim=1) / deltas[2].norm(dim=1)
    assert (columns["m14"][1] - missed).abs().max() <= 1e-6


def test_where_a_step_went_is_held_against_the_one_before():
    steps, _ = watched(noisy_heun)
    columns = accumulated(steps).columns()
    for i, (before, now) in enumerate(pairwise(steps)):
        first, second, way = (v.double().flatten(1) for v in (before.move, now.move, now.evaluation.denoised - now.x))
        cosine = torch.nn.functional.cosine_similarity(first, second)
        assert (columns["m9"][i] - cosine).abs().max() <= 1e-6
        assert (columns["m9a"][i] - (before.travel.double().flatten(1) * way).sum(dim=1)).abs().max() <= 1e-5
    assert columns["m9a"][-1].isnan().all()


@pytest.mark.parametrize("waiting", [1, 1 << 30])
def test_steps_that_waited_have_the_same_numbers(waiting, monkeypatch):
    steps, _ = watched(euler)
    expected = accumulated(steps, response=EULER).columns()
    monkeypatch.setattr("guidance_geometry.trace.accumulator.WAITING", waiting)
    accumulator = accumulated(steps, response=EULER)
    assert len(accumulator.waiting) == (0 if waiting == 1 else len(steps))
    for first in (0, 1, 2):
        part = accumulator.columns(first)
        assert all(torch.equal(part[name].nan_to_num(7), v[first:].nan_to_num(7)) for name, v in expected.items())


def test_a_step_without_uncond_says_so_and_keeps_its_move():
    steps, _ = watched(euler)
    bare = [without_uncond(step) for step in steps]
    accumulator = accumulated(bare)
    record = GramRecord(VECTORS, accumulator.columns()["K"])
    assert accumulator.stage == ["cond_only"] * 3
    assert record.dot("delta", "delta").isnan().all()
    assert record.dot("move", "move").isfinite().all()
    assert "uncond" not in accumulator.capture.stack()[1]


def many_steps(count):
    x = torch.zeros(2, 1, 6)
    return [Recorded(i, x, 1.0, 0.5, Evaluation(x, x, x, 2.0, 2), move=x, noise=None, nfe=2) for i in range(count)]


@pytest.mark.parametrize("count", [1, 2, 24, 25, 50, 1000])
def test_pictures_are_spread_over_the_run_with_both_ends(count):
    capture = Capture("pictures")
    for step in many_steps(count):
        capture.keep(step)
    steps, tensors, note = capture.stack()
    assert steps[0] == 0
    assert steps[-1] == count - 1
    known = Capture("pictures", steps=count)
    for step in many_steps(count):
        known.keep(step)
    assert known.stack()[0] == steps == sorted({*range(0, count, known.stride), count - 1})
    assert len(steps) <= 25
    assert len(steps) >= min(count, 12)
    assert bool(note) == (len(steps) < count)
    assert set(tensors) == {"x", "uncond", "cond", "guided"}
    assert all(t.dtype == torch.float16 and t.shape == (len(steps), 2, 1, 6) for t in tensors.values())


def test_the_budget_is_kept_and_what_was_left_out_is_said():
    each = 6 * 2 * 6 * 2  # x, u, c, D, move and no noise: 5 tensors of 12 halves, and room for a sixth
    capture = Capture("tensors", budget=10 * each)
    for step in many_steps(100):
        capture.keep(step)
    steps, tensors, note = capture.stack()
    assert sum(t.numel() * 2 for t in tensors.values()) <= 10 * each
    assert note.startswith(f"{len(steps)} of 100 steps captured")
    assert {*tensors} == {"x", "uncond", "cond", "guided", "move"}


@pytest.mark.parametrize("is_odd", [True, False])
def test_how_far_a_step_follows_is_the_same_in_a_part_of_the_run(is_odd):
    steps, _ = watched(euler)
    first = replace(steps[0], move=steps[0].x.sin()) if is_odd else steps[0]
    parts = accumulated([first, *steps])
    shown = torch.cat([parts.columns(start)["kappa"][:1] for start in (3, 0, 2)])
    assert torch.equal(shown.isnan(), torch.tensor([is_odd] * 3))
    assert shown.nan_to_num().tolist() == parts.columns()["kappa"][[3, 0, 2]].nan_to_num().tolist()


def test_columns_are_made_once_though_many_read_them_and_tell_what_failed():
    steps, _ = watched(euler)
    broken = replace(steps[1], move=steps[1].move[..., :3])
    made = accumulated([steps[0], broken, steps[2]], passes=("STG",))
    notes, faults, remarks = [], [], []

    def remark(columns):
        remarks.append(len(columns))
        return ["a remark"]

    columns = made.close_columns(notes, faults, remarks=remark)
    assert not columns.is_complete
    with ThreadPoolExecutor(4) as readers:
        lengths = {*readers.map(lambda _: len(columns), range(8))}
    assert columns.is_complete
    assert lengths == {*remarks}
    assert notes == [*faults, "a remark"]
    assert faults[0].startswith("no numbers from step 2 on: ")
    assert columns["K"].isfinite().all(dim=(1, 2)).tolist() == [True, False, False]
    assert columns["sigma"].tolist() == SIGMAS[:3]
    assert {name for name in columns if "STG" in name}, "of further passes too"


def test_what_no_step_was_made_of_is_no_step():
    steps = []
    recorder = Recorder(steps.append, last_sigma=0.0)
    recorder.keep_recurrence(start(), 2.0)  # before any call
    recorder.begin_call(start(), torch.tensor([4.0]))
    recorder.end_step()
    recorder.keep_recurrence(start(), 2.0)  # the model has not answered
    recorder.end_run(start())
    assert steps == []
