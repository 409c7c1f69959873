"""Economy on an exact mixture: what it saves, what it promises, and that it falls back where predictions fail."""

from functools import cache
from itertools import pairwise

import pytest
import torch

from guidance_geometry import library as gg
from guidance_geometry.guidance.rules.economy import Economy, estimated_change
from guidance_geometry.guidance.rules.rescale import Rescale
from guidance_geometry.library.recording import Guided, run_of

COUNT, GAMMA = 6, 4.0
MIXTURE = gg.make_mixture((3, 8, 8), 5, 3)
LEVELS = {"ve": gg.karras(20, 0.02, 40.0), "flow": [1 - i / 20 for i in range(20)] + [0.0]}


@cache
def noise(items=COUNT):
    return torch.randn(items, *MIXTURE.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


class Broken:
    """A denoiser whose unconditional prediction is another one at every level, so that none tells the next."""

    def __init__(self, denoiser):
        self.denoiser, self.calls = denoiser, 0

    def __call__(self, x, sigma, label=None):
        self.calls += label is None
        turn = torch.randn(x.shape, generator=torch.Generator().manual_seed(self.calls), dtype=x.dtype)
        return self.denoiser(x, sigma, label) + (turn if label is None else 0)


def play(rules, space="ve", gamma=GAMMA, denoiser=None, levels=None, items=slice(None), stages=1):
    """The end of a run, how many predictions each step made, and the chain's states."""
    denoiser = denoiser or gg.ExactDenoiser(MIXTURE, space == "flow")
    levels = levels or LEVELS[space]
    labels = [i % 5 for i in range(COUNT)][items]
    chain = gg.Chain(rules)
    guided = Guided(denoiser, {"cond": labels, "uncond": None}, chain, run_of(levels, space), gamma)
    x, made = levels[0] * noise()[items], []
    for sigma, after in pairwise(levels):
        seen = guided(x, sigma)
        made.append(seen.nfe)
        for _ in range(stages - 1):
            assert guided(x, sigma, stage=True).nfe == seen.nfe
        left = 1 - after - (1 - sigma) * after / sigma if space == "flow" else 1 - after / sigma
        x = after / sigma * x + left * seen.denoised
    return x, made, guided.runner


def memory_of(runner):
    return runner.following[0].rules[0]


def apart(one, other):
    return (one - other).flatten(1).norm(dim=1) / other.flatten(1).norm(dim=1)


@pytest.mark.parametrize("space", LEVELS)
def test_it_saves_passes_and_knows_how_far_the_picture_is(space):
    plain, all_of_them, _ = play((), space)
    x, made, runner = play((Economy(10.0),), space, items=slice(0, 1))
    change, estimate = float(apart(x, plain[:1])), float(estimated_change(memory_of(runner)))
    assert sum(all_of_them) == 40
    assert sum(made) <= 34
    assert 0 < change < 0.2
    assert estimate <= 0.15
    assert memory_of(runner).progress.taken.tolist() == [sum(made) - 20]
    assert f"{sum(made) - 20} of 20 unconditional predictions used" in runner.remarks()[0]


def test_a_larger_promise_saves_more_and_moves_the_picture_further():
    plain = play(())[0]
    runs = [play((Economy(change),), items=slice(1, 2)) for change in (1.0, 10.0, 40.0)]
    counts, moved = [sum(made) for _, made, _ in runs], [float(apart(x, plain[1:2])) for x, _, _ in runs]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
    assert moved[0] < moved[-1]


def test_no_change_allowed_is_plain_guidance_bit_for_bit():
    assert Economy(0.0).neutral
    assert torch.equal(play((Economy(0.0),))[0], play(())[0])


def test_it_falls_back_where_u_cannot_be_predicted():
    sound = sum(play((Economy(10.0),), items=slice(0, 1))[1])
    broken = sum(play((Economy(10.0),), denoiser=Broken(gg.ExactDenoiser(MIXTURE)), items=slice(0, 1))[1])
    assert broken >= sound + 3


def test_an_item_takes_u_in_a_batch_where_it_would_alone():
    together, made, runner = play((Economy(10.0),))
    for i in range(COUNT):
        alone, _, own = play((Economy(10.0),), items=slice(i, i + 1))
        torch.testing.assert_close(together[i : i + 1], alone)
        assert memory_of(runner).progress.taken[i] == memory_of(own).progress.taken[0]
    assert sum(made) - 20 >= memory_of(runner).progress.taken.max()


def test_both_spaces_of_one_denoiser_agree():
    levels = LEVELS["flow"][1:]
    ratios = [sigma / (1 - sigma) for sigma in levels]
    flow = Guided(
        gg.ExactDenoiser(MIXTURE, True),
        {"cond": [1], "uncond": None},
        gg.Chain((Economy(10.0),)),
        run_of(levels, "flow"),
        GAMMA,
    )
    ve = Guided(
        gg.ExactDenoiser(MIXTURE),
        {"cond": [1], "uncond": None},
        gg.Chain((Economy(10.0),)),
        run_of(ratios, "ve"),
        GAMMA,
    )
    x = z = None
    z = ratios[0] * noise(1)
    for i, (sigma, n) in enumerate(zip(levels[:-1], ratios[:-1], strict=True)):
        x = (1 - sigma) * z
        one, other = flow(x, sigma), ve(z, n)
        torch.testing.assert_close(one.denoised, other.denoised)
        assert one.nfe == other.nfe
        z = ratios[i + 1] / n * z + (1 - ratios[i + 1] / n) * other.denoised


def test_four_steps_stages_and_other_rules_do_no_harm():
    short = gg.karras(4, 0.02, 40.0)
    x, plain = play((Economy(10.0),), levels=short)[0], play((), levels=short)[0]
    assert apart(x, plain).max() < 0.2
    assert play((Economy(10.0),), stages=2)[0].isfinite().all()
    chain = (gg.Interval("percent", 0.1, 0.8), Economy(10.0), Rescale(0.5))
    assert apart(play(chain)[0], play((chain[0], chain[2]))[0]).max() < 0.3


def test_the_trace_says_what_was_saved():
    sigmas = LEVELS["ve"]
    run = gg.record(gg.ExactDenoiser(MIXTURE), sigmas, [1, 2], gamma=GAMMA, rule=Economy(10.0), capture="numbers")
    trace = run.sample(sigmas[0] * noise(2))
    evaluations = int(trace.steps["evals"].sum())
    assert 20 < evaluations < 40
    assert any(note.startswith("economy 10 %: ") and "estimated change" in note for note in trace.header["notes"])
