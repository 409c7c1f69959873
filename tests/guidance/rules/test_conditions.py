"""Rules with further passes, alone and in company: what they ask for, and what they reshape."""

from dataclasses import replace

import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN, Chain
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.autoguidance import Autoguidance
from guidance_geometry.guidance.rules.interval import Interval
from guidance_geometry.guidance.rules.kinds import Source
from guidance_geometry.guidance.rules.negative import Negative
from guidance_geometry.guidance.rules.perp_neg import PerpNeg
from guidance_geometry.guidance.rules.perturbed import Perturbed
from guidance_geometry.guidance.rules.reuse import Reuse
from guidance_geometry.guidance.rules.threshold import DynamicThreshold
from guidance_geometry.guidance.rules.zero_star import ZeroStar
from guidance_geometry.tests.toys import FLOW_RUN, RUN, guide, largest_error, toy

WEAK = Source("cond", object())
TWO, THREE = "condition 2", "condition 3"
CONDITIONS = {
    "Perp-Neg": PerpNeg("e"),
    "sum": Negative(("m",), (-0.7,)),
    "InstructPix2Pix": Negative(("m",), (1.5,), "InstructPix2Pix"),
    "nested": Negative(("m",), (1.5,), "nested"),
}


def needed(chain, gamma):
    """What each step of a run asks for."""
    state = chain.init(RUN)
    return [chain.needs(state, sigma, chain.scale(state, sigma, gamma)) for sigma in RUN.sigmas[:-1]]


@pytest.mark.parametrize(("share", "asked"), [(1.0, {"0 weak"}), (0.5, {"uncond", "0 weak"}), (0.0, {"uncond"})])
def test_a_weak_pass_takes_the_place_of_u_and_only_a_mixture_needs_both(share, asked):
    chain = PLAIN.then(Autoguidance(WEAK, share))
    assert needed(chain, 3.0) == [{"cond"} | asked] * 4
    assert needed(chain, 1.0) == [{"cond"}] * 4
    late = Chain((*chain.rules, Interval("percent", 0.5, 1.0)))
    assert needed(late, 3.0) == [{"cond"}] * 2 + [{"cond"} | asked] * 2


def test_a_weak_pass_that_was_not_evaluated_leaves_cfg():
    p = toy()
    assert torch.equal(guide(Autoguidance(WEAK), p, 3.0), p.uncond + (p.cond - p.uncond) * 3.0)


@pytest.mark.parametrize(
    ("rule", "further"), [(Negative(("m",), (1.5,), "InstructPix2Pix"), TWO), (PerpNeg("e"), "empty")]
)
def test_gamma_one_is_cond_and_asks_for_nothing_else(rule, further):
    p, chain = toy(names=(further,)), Chain((rule,))
    assert torch.equal(guide(rule, p, 1.0), p.cond)
    assert needed(chain, 1.0) == [{"cond"}] * 4
    assert needed(chain, 4.0) == [{"cond", "uncond", f"0 {further}"}] * 4


def test_a_weight_of_zero_costs_no_evaluation():
    assert list(Negative(("a", "b"), (0.0, 0.5)).sources) == [THREE]
    assert Negative(("a",), (0.0,)).neutral


@pytest.mark.parametrize("form", ["sum", "InstructPix2Pix", "nested"])
def test_a_condition_that_is_not_active_counts_as_u(form):
    p, rule = toy(), Negative(("m",), (1.5,), form)
    assert torch.equal(guide(rule, p, 4.0), guide(rule, replace(p, extra={TWO: p.uncond}), 4.0))
    gamma = 6.0 if form == "nested" else 4.0
    assert largest_error(guide(rule, p, 4.0), list(p.uncond + gamma * (p.cond - p.uncond))) < 1e-14


def theirs(name, gamma, weight):
    """The guider of the diffusers library of that kind, in the midst of a run."""
    guiders = pytest.importorskip("diffusers").guiders
    kind, word = {
        "PAG": (guiders.PerturbedAttentionGuidance, "perturbed_guidance"),
        "SLG": (guiders.SkipLayerGuidance, "skip_layer_guidance"),
    }[name]
    knobs = {f"{word}_{key}": value for key, value in {"scale": weight, "start": 0.0, "stop": 1.0, "layers": 1}.items()}
    guider = kind(guidance_scale=gamma, **knobs)
    guider.set_state(step=5, num_inference_steps=10, timestep=torch.tensor(500))
    return guider


@pytest.mark.parametrize("name", ["PAG", "SLG"])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 4.0])
def test_at_scale_one_the_weight_of_diffusers_is_one_more(name, gamma):
    """As GGPerturbed.md says: enter their w minus 1 at cfg 1, and the same w at any other."""
    p = toy(names=("perturbed",))
    u = None if gamma == 1 else p.uncond
    found = theirs(name, gamma, 3.0).forward(p.cond, u, p.extra["perturbed"]).pred
    weight = 2.0 if gamma == 1 else 3.0
    assert largest_error(guide(Perturbed(WEAK, weight), replace(p, uncond=u), gamma), list(found)) <= 1e-6


@pytest.mark.parametrize("gamma", [0.0, 1.0, 5.0])
def test_perturbed_passes_add_up_and_are_asked_for_inside_their_windows_at_any_scale(gamma):
    p = toy(names=("0 perturbed", "1 perturbed"))
    a, b = (p.extra[f"{i} perturbed"] for i in range(2))
    chain = PLAIN.then(Perturbed(WEAK, 1.0)).then(Perturbed(WEAK, 2.0))
    expected = p.uncond + gamma * (p.cond - p.uncond) + (p.cond - a) + 2 * (p.cond - b)
    assert largest_error(chain.step(chain.init(RUN), p, gamma)[0], list(expected)) <= 1e-12
    inside = [name for needs in needed(PLAIN.then(Perturbed(WEAK, start=0.25, end=0.75)), gamma) for name in needs]
    assert inside.count("0 perturbed") == 2


def in_chain(rules, p, gamma, run=RUN):
    """What a chain makes of the predictions; every source reads `other`."""
    chain = Chain(rules)
    return chain.step(chain.init(run), replace(p, extra=dict.fromkeys(chain.sources, p.extra["other"])), gamma)[0]


@pytest.mark.parametrize("rule", CONDITIONS.values(), ids=CONDITIONS)
def test_a_rule_reshapes_the_difference_that_pulls(rule):
    p, apg = toy(names=("other",)), AdaptiveProjected(0.3, 0.0, 0.0)
    pull = (in_chain((rule,), p, 4.0) - p.cond) / 3
    expected = in_chain((apg,), replace(p, uncond=p.cond - pull), 4.0)
    assert largest_error(in_chain((rule, apg), p, 4.0), list(expected)) < 1e-12
    assert torch.allclose(in_chain((rule, apg), p, 1.0), p.cond)


@pytest.mark.parametrize("other", [*CONDITIONS.values(), DynamicThreshold("percentile", 0.5, 0.1)], ids=type)
def test_zero_init_waits_behind_conditions_and_before_a_threshold(other):
    p = toy("flow", names=("other",))
    p = replace(p, sigma=torch.ones_like(p.sigma))
    assert torch.equal(in_chain((ZeroStar(1), other), p, 4.0, FLOW_RUN), p.x)


@pytest.mark.parametrize("order", [1, -1], ids=["behind it on the wire", "before it"])
def test_a_skipped_step_saves_the_weak_pass_too(order):
    chain = Chain((Autoguidance(WEAK), Reuse(2, "hold"))[::order])
    p, state = toy(names=("other",)), chain.init(RUN)
    [name] = chain.sources
    assert chain.needs(state, 8.0, 4.0) == {"cond", name}
    guided, state = chain.step(state, replace(p, uncond=None, extra={name: p.extra["other"]}), 4.0)
    assert chain.needs(state, 4.0, 4.0) == {"cond"}
    found, _ = chain.step(state, replace(p, uncond=None, extra={}), 4.0)
    assert largest_error(found, list(guided)) <= 1e-12
