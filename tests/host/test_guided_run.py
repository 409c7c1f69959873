"""What a guidance chain makes of a run: which predictions the network is asked for, and what samplers and hooks see."""

import comfy.patcher_extension
import comfy.sampler_helpers
import comfy.samplers
import node_helpers
import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.feedback import Feedback
from guidance_geometry.host.guided_run import chain_guider
from guidance_geometry.nodes.guidance_patch import GGGuidancePatch
from guidance_geometry.nodes.start import GGClassLabel, GGLoadDenoiser
from guidance_geometry.trace.checks import check

from .chains import Away, Doubling, Reusing, Skipping, label, mixture
from .runs import CFG, STEPS, Counter, guided, ksampler


def run(labelled, empty_latent, chain, name="euler", kind="ve", **more):
    """Calls of the network (items each), the sample, and the trace."""
    counter = Counter(labelled[kind][0])
    arguments = (counter.model, *labelled[kind][1:], empty_latent(kind), name)
    out, _, trace = guided(*arguments, guidance=chain, capture="tensors", **more)
    return counter.items, out["samples"], trace


def test_a_further_condition_shares_the_batch_and_is_evaluated_only_where_it_is_needed(labelled, empty_latent):
    calls, _, trace = run(labelled, empty_latent, PLAIN.then(Away(label(1), until=1.0)))
    expected = [9 if sigma >= 1.0 else 6 for sigma in trace.header["sigmas"][:-1]]
    assert {6, 9} == {*expected}
    assert calls == expected
    assert trace.header["evaluations"] == sum(calls) // 3
    assert trace.stage == ["step"] * STEPS


@pytest.mark.parametrize("kind", ["ve", "flow"])
def test_a_further_prediction_is_the_closed_form(labelled, empty_latent, kind):
    _, _, trace = run(labelled, empty_latent, PLAIN.then(Away(label(2))), kind=kind)
    exact = make_mixture((3, 8, 8), classes=3, seed=0)
    for i in (1, 3):
        x, u, c, guided_ = (trace.tensors[name][i].double() for name in ("x", "uncond", "cond", "guided"))
        sigma = float(trace.steps["sigma"][i])
        other = exact.denoised(x, sigma, 1 - sigma if kind == "flow" else 1.0, 2)
        assert (guided_ - (u + CFG * (c - u) + 0.5 * (c - other))).abs().max() <= 0.02, "captured in half precision"


def test_words_name_the_run_s_own_conditions_without_a_further_evaluation(labelled, empty_latent):
    plain = ksampler(*labelled["ve"], empty_latent("ve"), "euler", cfg=CFG + 0.5)
    calls, found, _ = run(labelled, empty_latent, PLAIN.then(Away("uncond")))
    assert calls == [6] * STEPS
    assert (found - plain).abs().max() <= 1e-4


def test_a_second_model_is_evaluated_with_its_own_weights_and_counted(labelled, empty_latent):
    weak = Counter(mixture())
    calls, found, trace = run(labelled, empty_latent, PLAIN.then(Away("cond", weak.model)))
    assert calls == [6] * STEPS
    assert weak.items == [3] * STEPS
    assert trace.header["evaluations"] == 3 * STEPS
    assert torch.equal(found, run(labelled, empty_latent, PLAIN.then(Away("cond", mixture())))[1])
    same = run(labelled, empty_latent, PLAIN.then(Away("cond", mixture(seed=0))))[1]
    assert (same - ksampler(*labelled["ve"], empty_latent("ve"), "euler")).abs().max() <= 1e-4


def test_a_second_model_is_loaded_together_with_the_first(labelled, empty_latent):
    together = []

    def prepared(executor, patcher, shape, conds, *rest, **named):
        together.extend(comfy.sampler_helpers.get_additional_models(conds, patcher.model_dtype())[0])
        return executor(patcher, shape, conds, *rest, **named)

    patcher, positive, negative = labelled["ve"]
    model, weak = patcher.clone(), mixture()
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING, "test", prepared)
    guided(model, positive, negative, empty_latent("ve"), "euler", guidance=PLAIN.then(Away("cond", weak)))
    assert together == [weak]
    assert weak.model.current_patcher is None, "given back at the end"


@pytest.mark.parametrize(
    ("shape", "kind", "words"),
    [
        ("4x8x8", "ve", "4 channels"),
        ("3x6x6", "ve", "The latent is 8x8"),
        ("3x8x8", "flow", "flow model and the other is not"),
    ],
)
def test_a_second_model_of_other_latents_is_refused_before_the_run(labelled, empty_latent, shape, kind, words):
    weak = Counter(mixture(shape, kind))
    with pytest.raises(ValueError, match=words):
        run(labelled, empty_latent, PLAIN.then(Away("cond", weak.model)))
    assert weak.items == []
    assert torch.isfinite(run(labelled, empty_latent, PLAIN)[1]).all()


def test_one_set_of_weights_under_two_loras_is_refused(labelled, empty_latent):
    model = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "default")[0]
    other = model.clone()
    key = next(iter(model.model.state_dict()))
    other.add_patches({key: ("diff", (torch.zeros_like(model.model.state_dict()[key]),))})
    chain = PLAIN.then(Away("cond", other))
    with pytest.raises(ValueError, match="load the checkpoint a second time"):
        guided(model, *GGClassLabel.execute(model, "0").args, empty_latent("pocket"), "euler", guidance=chain)


def test_a_further_condition_for_part_of_the_run_counts_as_uncond_elsewhere(labelled, empty_latent):
    late = node_helpers.conditioning_set_values(label(1), {"start_percent": 0.9, "end_percent": 1.0})
    calls, _, trace = run(labelled, empty_latent, PLAIN.then(Away(late)))
    first = calls.index(9)
    assert 0 < first < STEPS
    assert calls == [6] * first + [9] * (STEPS - first)
    u, c, found = (trace.tensors[name][0].double() for name in ("uncond", "cond", "guided"))
    assert (found - (u + (CFG + 0.5) * (c - u))).abs().max() <= 0.02, "captured in half precision"


@pytest.mark.parametrize(("rule", "word"), [(Reusing(), "reuse"), (Skipping(), "cond_only")])
def test_a_pass_that_a_rule_skips_is_not_evaluated(labelled, empty_latent, rule, word):
    calls, _, trace = run(labelled, empty_latent, PLAIN.then(rule))
    made = [True, False] * (STEPS // 2) if word == "reuse" else [True] + [False] * (STEPS - 1)  # whose count stops
    assert calls == [6 if both else 3 for both in made]
    assert trace.stage == ["step" if both else word for both in made]
    assert trace.header["evaluations"] == sum(calls) // 3
    assert torch.equal(trace.tensors["guided"][1], trace.tensors["cond"][1]) == (word == "cond_only")
    assert not check(trace)


def test_a_sampler_that_reads_uncond_gets_it_where_the_chain_skips_it(labelled, empty_latent):
    calls, found, trace = run(labelled, empty_latent, PLAIN.then(Reusing()), "euler_cfg_pp")
    assert calls == [6] * STEPS
    assert trace.stage == ["step"] * STEPS
    assert torch.isfinite(found).all()


def test_gamma_one_is_cond_bit_for_bit(labelled, empty_latent):
    """The chain's result reaches the sampler as it is, not through a sum with x."""
    _, _, trace = run(labelled, empty_latent, PLAIN.then(Doubling()), "euler_cfg_pp", cfg=1.0)
    assert torch.equal(trace.tensors["guided"], trace.tensors["cond"])


def test_hooks_of_the_model_act_before_and_after_the_chain(labelled, empty_latent):
    """The order is the host's: another patch's evaluation, pre-CFG patches, the chain, post-CFG patches."""
    seen = []

    def before(args):
        c, u = args["conds_out"]
        seen.append("before")
        return [c, c - 0.5 * (c - u)]

    def after(args):
        c, u = args["cond_denoised"], args["uncond_denoised"]
        assert (args["denoised"] - (c + 2 * (CFG - 1) * (c - u))).abs().max() <= 1e-4
        seen.append("after")
        return args["denoised"]

    def theirs(args):
        seen.append(len(args["conds"]))
        given = (args["conds"], args["input"], args["sigma"], args["model_options"])
        return comfy.samplers.calc_cond_batch(args["model"], *given)

    patcher, positive, negative = labelled["ve"]
    model = patcher.clone()
    model.set_model_sampler_calc_cond_batch_function(theirs)
    model.set_model_sampler_pre_cfg_function(before)
    model.set_model_sampler_post_cfg_function(after)
    found = guided(model, positive, negative, empty_latent("ve"), "euler", guidance=PLAIN.then(Doubling()))[0]
    assert seen == [2, "before", "after"] * STEPS
    assert (found["samples"] - ksampler(patcher, positive, negative, empty_latent("ve"), "euler")).abs().max() <= 1e-3


@pytest.mark.parametrize(("model", "rule"), [("ve", Feedback()), ("flow", AdaptiveProjected())], ids=["FBG", "APG"])
def test_a_run_without_samples_or_without_steps_is_the_hosts(labelled, model, rule):
    """An empty batch passes KSampler, and a schedule of one level every custom sampler; so they do with a chain."""
    plain, positive, negative = labelled[model]
    patched = GGGuidancePatch.execute(plain, PLAIN.then(rule))[0]
    empty = {"samples": torch.zeros(0, 3, 8, 8)}
    assert ksampler(patched, positive, negative, empty, "euler").shape == (0, 3, 8, 8)
    guider, noise = chain_guider(plain, positive, negative, CFG, PLAIN.then(rule)), torch.ones(1, 3, 8, 8)
    sampler = comfy.samplers.sampler_object("euler")
    for sigmas in (torch.ones(1), torch.ones(0)):
        expected = chain_guider(plain, positive, negative, CFG, PLAIN)
        found, right = (one.sample(noise, 0 * noise, sampler, sigmas, seed=0) for one in (guider, expected))
        assert torch.equal(found, right)
