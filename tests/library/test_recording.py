"""Any loop around any denoiser: the record says what happened, and nothing that did not."""

import math
from itertools import pairwise

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.condition_annealing import ConditionAnnealing
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.rules.perp_neg import PerpNeg
from guidance_geometry.guidance.vectors import reject
from guidance_geometry.library.denoisers import load_denoiser
from guidance_geometry.library.recording import record
from guidance_geometry.library.sampling import sample
from guidance_geometry.library.traces import load
from guidance_geometry.samplers.noise_tracking import Tracked
from guidance_geometry.trace.checks import check

from .worlds import DENOISER, FLOW, FLOW_SIGMAS, SIGMAS, WORLD, noise


def guided(x, sigma, gamma=4.0, label=1):
    u, c = (WORLD.denoised(x, sigma, label=y) for y in (None, label))
    return u + gamma * (c - u)


def euler(denoise, x, sigmas=SIGMAS):
    for now, then in pairwise(sigmas):
        x = x + (then - now) * (x - denoise(x, now)) / now
    return x


def test_a_loop_of_ones_own_gets_what_plain_guidance_gives_it():
    run = record(DENOISER, SIGMAS, cond=1)
    x = euler(run, noise())
    assert (x - euler(guided, noise())).abs().max() < 1e-12
    assert (sample(guided, noise(), SIGMAS) - x).abs().max() < 1e-12
    trace = run.finish(x)
    assert (trace.n, trace.stage, trace.header["evaluations"]) == (8, ["step"] * 8, 16)
    assert trace.steps["sigma"].tolist() == SIGMAS[:-1]
    assert check(trace) == []
    u, c = (WORLD.denoised(noise(), SIGMAS[0], label=y) for y in (None, 1))
    assert torch.allclose(trace.record.dot("delta", "delta")[0], (c - u).square().flatten(1).sum(dim=1))


def test_noise_and_move_are_told_apart():
    plain = record(DENOISER, SIGMAS, cond=1).sample(noise())
    assert plain.header["sampler"] == "euler"
    assert plain.column("M12").max() < 1e-12  # against the formula of the step
    run = record(DENOISER, SIGMAS, cond=1)
    trace = run.sample(noise(), "ddpm", seed=3)
    assert check(trace) == []  # the length of DDPM's noise among it
    assert (trace.column("M8")[:-1] > 0).all()
    assert type(run.end) is torch.Tensor
    again = sample(guided, noise(), SIGMAS, "ddpm", seed=3)
    assert (run.end - again).abs().max() < 1e-12


def ancestral(denoise, x, mark):
    draws = torch.Generator().manual_seed(0)
    for now, then in pairwise(SIGMAS):
        x = x + (then**2 / now - now) * (x - denoise(x, now)) / now
        eps = torch.randn(x.shape, generator=draws, dtype=x.dtype)
        x = x + then * math.sqrt(1 - (then / now) ** 2) * mark(eps)
    return x


@pytest.mark.parametrize("marks", [True, False])
def test_a_loop_marks_its_noise_or_it_counts_as_move(marks):
    run = record(DENOISER, SIGMAS, cond=1)
    x = ancestral(run, noise(), run.mark if marks else lambda eps: eps)
    assert isinstance(x, Tracked) is marks
    found = run.finish(x).column("M8")[:-1]
    assert (found > 0).all() if marks else (found == 0).all()


def test_further_stages_belong_to_their_step():
    run = record(DENOISER, SIGMAS, cond=1, rule=AdaptiveProjected())
    x = noise()
    for now, then in pairwise(SIGMAS):
        slope = (x - run(x, now)) / now
        guess = x + (then - now) * slope
        again = slope if then == 0 else (guess - run(guess, then, stage=True)) / then
        x = x + (then - now) * (slope + again) / 2
    trace = run.finish(x)
    assert trace.n == 8
    assert trace.steps["sigma"].tolist() == SIGMAS[:-1]
    assert trace.steps["evals"].tolist() == [4.0] * 7 + [2.0]
    plain, start = record(DENOISER, SIGMAS, cond=1, rule=AdaptiveProjected()), noise()
    first = plain(start, SIGMAS[0])
    twice = record(DENOISER, SIGMAS, cond=1, rule=AdaptiveProjected())
    twice(start, SIGMAS[0])
    twice(noise(seed=5), SIGMAS[1], stage=True)  # leaves no momentum behind
    assert torch.equal(plain(first, SIGMAS[1]), twice(first, SIGMAS[1]))


def test_what_is_not_needed_is_not_evaluated():
    trace = record(DENOISER, SIGMAS, cond=1, rule=Interval("percent", 0.3, 0.7)).sample(noise())
    outside = trace.stage.count("cond_only")
    assert 0 < outside < 8
    assert trace.header["evaluations"] == 16 - outside
    assert record(DENOISER, SIGMAS, cond=1, gamma=1.0).sample(noise()).header["evaluations"] == 8


def by_hand(u, c, x, gamma, sigma):
    assert sigma.shape == (2, 1, 1, 1)
    return u + gamma * (c - u)


@pytest.mark.parametrize("rule", [PLAIN, by_hand, AdaptiveProjected(1.0, 0.0, 0.0)])
def test_a_rule_may_have_any_form(rule):
    run, plain = (record(DENOISER, SIGMAS, cond=1, rule=one) for one in (rule, None))
    run.sample(noise())
    plain.sample(noise())
    assert (run.end - plain.end).abs().max() < 1e-6  # a function's state is float64 too, a chain's terms are not


def test_rules_are_given_the_further_predictions_that_they_ask_for():
    run = record(DENOISER, SIGMAS, cond=1, uncond=2, rule=PerpNeg(empty=None))
    x = noise()
    e, n, c = (WORLD.denoised(x, SIGMAS[0], label=y) for y in (None, 2, 1))
    assert (run(x, SIGMAS[0]) - (e + 4.0 * (c - e - reject(n - e, c - e)))).abs().max() < 1e-12


def test_flow_is_recorded_as_flow(tmp_path):
    trace = record(FLOW, FLOW_SIGMAS, cond=1).sample(noise(scale=0.96), "ddpm")
    assert trace.header["space"] == "flow"
    assert check(trace) == []
    assert trace.column("M12").max() < 1e-12
    trace.save(tmp_path / "run.safetensors")
    found = load(tmp_path / "run.safetensors")
    assert type(found) is type(trace)
    assert torch.equal(found.steps["K"], trace.steps["K"])
    assert found.header["sigma_data"] == WORLD.rms


def test_a_network_with_gradients_leaves_no_graph_in_the_record():
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    run = record(lambda x, sigma, y: weight * DENOISER(x, sigma, y), SIGMAS, cond=1, rule=AdaptiveProjected())
    x = euler(run, noise())
    assert x.requires_grad  # the loop has its graph
    trace = run.finish(x)
    assert not run.end.requires_grad
    assert not any(tensor.requires_grad for tensor in (*trace.steps.values(), *trace.tensors.values()))
    plain = record(DENOISER, SIGMAS, cond=1, rule=AdaptiveProjected()).sample(noise())
    assert torch.allclose(plain.steps["K"], trace.steps["K"], rtol=1e-9)


WRONG = [
    ("sigmas must fall", lambda: record(DENOISER, [1.0, 2.0], cond=1)),
    ("gamma is nan", lambda: record(DENOISER, SIGMAS, cond=1, gamma=math.nan)),
    (r"The denoiser returned \[3, 8, 8\]", lambda: record(lambda x, s, y: x[0], SIGMAS, cond=1)(noise(), 1.0)),
    ("Nothing was recorded", lambda: record(DENOISER, SIGMAS, cond=1).finish(noise())),
    ("^x is", lambda: sample(lambda x, sigma: x, torch.ones(2, 3).long(), SIGMAS)),
]


@pytest.mark.parametrize(("words", "call"), WRONG)
def test_what_cannot_be_is_refused(words, call):
    with pytest.raises((TypeError, ValueError), match=words):
        call()


def told_of(condition, rule, sigmas=(4.0, 3.0, 2.0, 1.0, 0.0), batch=3):
    """What a denoiser of embeddings is told at each step: of c, and of u."""
    told = {"cond": [], "uncond": []}

    def denoiser(x, sigma, y):
        told["uncond" if y is None else "cond"].append(y)
        return 0.5 * x

    run = record(denoiser, sigmas, condition, rule=rule, capture="numbers")
    run.sample(torch.randn(batch, 2, 4, generator=torch.Generator().manual_seed(2)))
    return told


def test_cads_anneals_embeddings_of_any_denoiser_and_leaves_u_alone():
    y = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(1))
    told = told_of(y, ConditionAnnealing(noise_scale=0.3, tau1=0.4, tau2=0.9))
    first, second, third, last = told["cond"]
    assert told["uncond"] == [None] * 4
    assert torch.equal(last, y)
    assert first.shape == second.shape == (3, 5, 8)
    assert not torch.allclose(first[0], first[1], atol=0.1)
    assert torch.nn.functional.cosine_similarity(first.flatten(1), y.flatten(1)).abs().max() < 0.5
    assert torch.nn.functional.cosine_similarity(third.flatten(1), y.flatten(1)).min() > 0.5
    again = told_of(y, ConditionAnnealing(noise_scale=0.3, tau1=0.4, tau2=0.9))
    assert all(torch.equal(a, b) for a, b in zip(told["cond"], again["cond"], strict=True))


def test_cads_anneals_labels_of_a_network_and_refuses_a_denoiser_without_embeddings():
    pocket, rule = load_denoiser("pocket-1"), ConditionAnnealing(tau1=0.2)
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    sigmas = (4.0, 2.0, 1.0, 0.0)
    ends = {}
    for name, one in {"plain": None, "cads": rule, "again": rule}.items():
        run = record(pocket, sigmas, [1, 2], rule=one, capture="numbers")
        run.sample(4 * x)
        ends[name] = run.end
    assert torch.equal(ends["cads"], ends["again"])
    assert not torch.allclose(ends["cads"], ends["plain"], atol=0.1)
    alone = record(pocket, sigmas, [2], rule=rule, capture="numbers")
    alone.sample(4 * x[1:])
    assert torch.allclose(alone.end, ends["cads"][1:], atol=1e-4)
    with pytest.raises(ValueError, match=r"changes the embedding .* load_denoiser"):
        record(DENOISER, SIGMAS, 1, rule=rule).sample(noise())
