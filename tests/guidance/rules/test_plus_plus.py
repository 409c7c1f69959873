import math

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.rules.plus_plus import PlusPlus
from guidance_geometry.guidance.run import Run

RUNS = {"ve": Run((14.6, 5.0, 2.0, 0.5, 0.1, 0.0)), "flow": Run((1.0, 0.8, 0.5, 0.3, 0.1, 0.0), flow=True)}


def vectors(seed):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(5, generator=generator, dtype=torch.float64) for _ in range(3))


@pytest.mark.parametrize("family", RUNS)
@pytest.mark.parametrize("weight", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize(("step_of", "eta"), [("euler", 1.0), ("ddim", 0.0), ("ddim", 0.5), ("ddim", 1.0)])
def test_a_plain_step_at_this_scale_is_the_step_of_the_paper(family, weight, step_of, eta):
    """Without the noise, x' = alpha' D + down (x - alpha u) / sigma; a plain step renoises with D instead of u."""
    run, chain = RUNS[family], PLAIN.then(PlusPlus(step_of, eta))
    for i, (now, then) in enumerate(zip(run.sigmas[:-1], run.sigmas[1:], strict=True)):
        a, b = (1 - now, 1 - then) if run.flow else (1.0, 1.0)
        x, u, c = vectors(i)
        n, after = (now / a if a else math.inf), then / b
        up = 0.0 if step_of == "euler" else eta * after * math.sqrt(1 - (after / n) ** 2)
        down = b * math.sqrt(after**2 - up**2)
        guided = u + weight * (c - u)
        paper = b * guided + down * (x - a * u) / now
        gamma = chain.scale(chain.init(run), now, weight)
        plain = u + gamma * (c - u)
        ours = b * plain + down * (x - a * plain) / now
        assert (ours - paper).abs().max() <= 1e-12 * paper.abs().max()


def test_a_measured_step_at_this_scale_renoises_with_u():
    """x' = s D + n eps(D) + m eps(u); that of the paper is s D_lambda + (n + m) eps(u)."""
    signal, noise, known, weight = 0.7, 0.2, 0.1, 0.6
    sigma, alpha = 0.5, 0.5
    x, u, c = vectors(0)

    def eps(v):
        return (x - alpha * v) / sigma

    move = ((noise + known) / sigma, signal - alpha * noise / sigma, -alpha * known / sigma)
    chain = PLAIN.then(PlusPlus("measured"))
    gamma = chain.scale(chain.init(Run((sigma, 0.3, 0.0), True, moves=(move, move))), sigma, weight)
    guided, plain = (u + scale * (c - u) for scale in (weight, gamma))
    ours = signal * plain + noise * eps(plain) + known * eps(u)
    assert (ours - (signal * guided + (noise + known) * eps(u))).abs().max() <= 1e-12
    assert PlusPlus("measured").scale(weight, RUNS["ve"], 5.0) == PlusPlus().scale(weight, RUNS["ve"], 5.0)


def test_the_ancestral_step_of_flow_models_has_its_own_noise():
    run, weight, eta = RUNS["flow"], 0.6, 1.0
    chain = PLAIN.then(PlusPlus("euler_ancestral", eta))
    x, u, c = vectors(0)
    now, then = 0.5, 0.3
    down = then * (1 + (then / now - 1) * eta)
    guided = u + weight * (c - u)
    paper = (1 - down) * guided + down * (x - (1 - now) * u) / now
    plain = u + chain.scale(chain.init(run), now, weight) * (c - u)
    ours = down / now * x + (1 - down / now) * plain
    assert (ours - paper).abs().max() <= 1e-12


@pytest.mark.parametrize("family", RUNS)
def test_the_scale_falls_to_lambda_at_the_last_step(family):
    run, chain = RUNS[family], PLAIN.then(PlusPlus())
    state = chain.init(run)
    assert chain.scale(state, run.sigmas[-2], 0.6) == 0.6
    assert chain.scale(state, run.sigmas[0] * 0.999, 0.6) == chain.scale(state, run.sigmas[0], 0.6)
