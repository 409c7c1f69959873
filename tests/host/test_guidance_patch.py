"""What a guidance chain makes of a run: on a MODEL in every sampler of the host, and in ours, beside other packs."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import comfy.samplers
import node_helpers
import pytest
import torch
from comfy_extras import nodes_custom_sampler as custom
from comfy_extras.nodes_model_advanced import RescaleCFG
from comfy_extras.nodes_perpneg import PerpNegGuider

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.guidance.rules.kinds import After
from guidance_geometry.host.models.adapter import override
from guidance_geometry.host.models.native_model import conditioning
from guidance_geometry.nodes.records import GGReadTrace, GGRecord
from guidance_geometry.nodes.start import GGClassLabel, GGLoadDenoiser
from guidance_geometry.trace.checks import check

from .chains import Away, Doubling, Reusing, Skipping, bright, chain_of, label, mixture, patched
from .runs import CFG, STEPS, Counter, advanced, guided, ksampler

CHAINS = {
    "further": lambda: PLAIN.then(Away(label(1), until=0.5)).then(Doubling()),
    "reuse": lambda: PLAIN.then(Reusing()),
    "second model": lambda: PLAIN.then(Away("cond", mixture())),
    "plain": lambda: PLAIN,
}


@pytest.mark.parametrize(
    ("chain", "name"),
    [("further", "dpmpp_2m_sde"), ("reuse", "heun"), ("second model", "euler"), ("plain", "euler_cfg_pp")],
)
def test_a_ksampler_on_a_patched_model_is_our_sampler(labelled, empty_latent, chain, name):
    model, positive, negative = labelled["ve"]
    rules = CHAINS[chain]()
    expected = guided(model, positive, negative, empty_latent("ve"), name, guidance=rules)[0]["samples"]
    counter = Counter(patched(model, rules))
    found = [ksampler(counter.model, positive, negative, empty_latent("ve"), name) for _ in range(2)]
    assert torch.equal(found[0], expected)
    assert torch.equal(found[1], expected), "the second run starts afresh"
    ours = Counter(model)
    guided(ours.model, positive, negative, empty_latent("ve"), name, guidance=rules)
    assert counter.items == ours.items * 2


@pytest.mark.parametrize("recorder_first", [True, False])
def test_the_recorder_sees_the_chain_of_the_model(labelled, empty_latent, recorder_first):
    model, positive, negative = labelled["ve"]
    chain = CHAINS["reuse"]()
    recorded, recorder = GGRecord.execute(model if recorder_first else patched(model, chain), "numbers").args
    recorded = patched(recorded, chain) if recorder_first else recorded
    found = ksampler(recorded, positive, negative, empty_latent("ve"), "euler")
    trace, _ = GGReadTrace.execute(recorder, {"samples": found}).args
    assert trace.header["chain"] == chain.text
    assert trace.stage == ["step", "reuse"] * (STEPS // 2)


def test_another_rule_or_chain_on_the_model_is_named_wherever_it_stands(labelled, empty_latent):
    model, *conditions = labelled["ve"]
    on_model, given = patched(model, CHAINS["further"]()), (*conditions, empty_latent("ve"), "euler")
    with pytest.raises(ValueError, match="already has a guidance rule"):
        patched(RescaleCFG().patch(model, 0.7)[0], CHAINS["further"]())
    with pytest.raises(ValueError, match="already has a guidance rule"):
        ksampler(RescaleCFG().patch(on_model, 0.7)[0], *given)
    with pytest.raises(ValueError, match="already has a guidance chain"):
        patched(on_model, CHAINS["reuse"]())
    with pytest.raises(ValueError, match="Put both on one guidance wire"):
        guided(on_model, *given, guidance=CHAINS["reuse"]())


class OwnWay(comfy.samplers.CFGGuider):
    """A guider with conditions and scales by kind of state, which comes to the host's guidance by itself."""

    way: Any

    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006
        return self.way(lambda **more: self.guide(x, timestep, model_options, **more))

    def guide(self, x, timestep, options, scale=CFG):
        u, c = self.conds["negative"], self.conds["positive"]
        return comfy.samplers.sampling_function(self.inner_model, x, timestep, u, c, scale, options)


def own_way(parts, way):
    guider = OwnWay(parts[0])
    guider.inner_set_conds({"positive": parts[1], "negative": parts[2]})
    guider.cfg, guider.way = CFG, way
    return guider


@pytest.mark.parametrize("chain", ["further", "reuse"])
def test_rules_act_in_a_guider_of_another_pack_that_guides_as_the_host_does(labelled, empty_latent, chain):
    model, positive, negative = labelled["ve"]
    counter = Counter(patched(model, CHAINS[chain]()))
    expected = ksampler(counter.model, positive, negative, empty_latent("ve"), "euler")
    items = [*counter.items]
    guider = own_way((counter.model, positive, negative), lambda guide: guide())
    assert torch.allclose(advanced(guider, empty_latent("ve")), expected, atol=1e-5)
    assert counter.items == items * 2, "what the chain does not need is not evaluated here either"


REFUSED = {
    "moved": lambda *parts: own_way(parts, lambda guide: 1.01 * guide()),
    "another scale": lambda *parts: own_way(parts, lambda guide: guide(scale=2 * CFG)),
    "three": lambda m, p, n: custom.DualCFGGuider.execute(m, p, p, n, 3.0, 1.5, "regular")[0],
    "perp neg": lambda m, p, n: PerpNegGuider.execute(m, p, conditioning([1]), n, CFG, 1.0)[0],
}


@pytest.mark.parametrize("guider_of", REFUSED.values(), ids=REFUSED)
def test_a_guider_that_combines_for_itself_is_refused(labelled, empty_latent, guider_of):
    model, *conditions = labelled["ve"]
    with pytest.raises(ValueError, match="in its own way"):
        advanced(guider_of(patched(model, CHAINS["further"]()), *conditions), empty_latent("ve"))
    basic = custom.BasicGuider.execute(patched(model, CHAINS["further"]()), conditions[0])[0]
    plain = ksampler(model, *conditions, empty_latent("ve"), "euler", cfg=1.0)
    assert torch.equal(advanced(basic, empty_latent("ve")), plain), "it has no difference to guide along"


@dataclass(frozen=True)
class Quiet(After):
    """A rule that leaves guidance as it is."""

    phrase = "quiet"

    def step(self, state, p, guided, gamma):
        return guided, state


@pytest.mark.parametrize("place", ["model_options", "transformer_options"])
def test_a_patch_remembers_in_every_kind_of_run_and_acts_as_without_a_chain(labelled, empty_latent, place):
    model, *rest = (*labelled["ve"], empty_latent("ve"), "euler")
    counts = []

    def after(args):
        """Goes beyond the mean of the earlier predictions, and counts its calls."""
        options, found = args["model_options"], args["denoised"]
        kept = (options if place == "model_options" else options[place]).setdefault("memory", {})
        counts.append(kept.get("count", 0))
        mean = kept.get("mean", found)
        assert mean is found or not mean.requires_grad, "a memory must not hold the graph of an earlier step"
        kept["count"], kept["mean"] = counts[-1] + 1, 0.5 * mean + 0.5 * found
        return found + 0.5 * (found - mean)

    def with_momentum():
        counts.clear()
        clone = model.clone()
        clone.set_model_sampler_post_cfg_function(after)
        return clone

    through, at = (chain_of(bright(), weight=0.1, evaluation=where) for where in ("x0 + backprop", "x0"))
    others = {"through": through, "at": at, "reuse": PLAIN.then(Reusing()), "cond only": PLAIN.then(Skipping())}
    others |= {"both": through.then(Doubling()), "second model": PLAIN.then(Away("cond", mixture()))}
    for name, chain in {"rule": PLAIN.then(Quiet()), **others}.items():
        found = ksampler(patched(with_momentum(), chain), *rest)
        assert counts == [*range(STEPS)], name
        if name == "rule":
            assert torch.equal(found, ksampler(with_momentum(), *rest))
            assert not torch.equal(found, ksampler(model, *rest))


def test_nothing_of_a_call_stays_in_the_options_of_the_run(host):
    options = {"kept": 1, "replaced": 2}
    with suppress(RuntimeError), override(options, {"replaced": 3, "new": 4}):
        assert options == {"kept": 1, "replaced": 3, "new": 4}
        options["theirs"] = 5
        raise RuntimeError
    assert options == {"kept": 1, "replaced": 2, "theirs": 5}


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


def test_a_second_model_is_evaluated_with_its_own_weights_and_counted(labelled, empty_latent):
    weak = Counter(mixture())
    calls, found, trace = run(labelled, empty_latent, PLAIN.then(Away("cond", weak.model)))
    assert calls == [6] * STEPS
    assert weak.items == [3] * STEPS
    assert trace.header["evaluations"] == 3 * STEPS
    assert torch.equal(found, run(labelled, empty_latent, PLAIN.then(Away("cond", mixture())))[1])
    same = run(labelled, empty_latent, PLAIN.then(Away("cond", mixture(seed=0))))[1]
    assert (same - ksampler(*labelled["ve"], empty_latent("ve"), "euler")).abs().max() <= 1e-4


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
