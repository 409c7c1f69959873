"""A guidance chain on a MODEL: every sampler of the host gives what our own sampler gives."""

import math
from typing import Any

import comfy.samplers
import pytest
import torch
from comfy_extras import nodes_custom_sampler as custom
from comfy_extras.nodes_model_advanced import RescaleCFG
from comfy_extras.nodes_perpneg import PerpNegGuider

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.host.native_model import conditioning
from guidance_geometry.nodes.records import GGReadTrace, GGRecord

from . import odd_hosts
from .chains import Away, Doubling, Reusing, label, mixture, patched
from .runs import CFG, SEED, STEPS, Counter, advanced, guided, ksampler

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


def test_custom_samplers_use_the_chain_of_the_model(labelled, empty_latent):
    model, positive, negative = labelled["ve"]
    chain = CHAINS["further"]()
    on_model = patched(model, chain)
    expected = guided(model, positive, negative, empty_latent("ve"), "dpmpp_2m", guidance=chain)[0]["samples"]
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "karras", STEPS)
    sampler = comfy.samplers.sampler_object("dpmpp_2m")
    settings = (on_model, True, SEED, CFG, positive, negative, sampler, sigmas, empty_latent("ve"))
    guider = custom.CFGGuider.execute(on_model, positive, negative, CFG)[0]
    assert torch.equal(custom.SamplerCustom.execute(*settings)[0]["samples"], expected)
    assert torch.equal(advanced(guider, empty_latent("ve"), "dpmpp_2m"), expected)
    ours = guided(on_model, positive, negative, empty_latent("ve"), "dpmpp_2m")[0]["samples"]
    assert torch.equal(ours, expected), "a sampler without a chain of its own leaves the model's at work"


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


def test_a_run_that_breaks_down_is_not_refused(labelled, empty_latent, monkeypatch):
    monkeypatch.setattr(odd_hosts, "BROKEN_BELOW", math.inf)
    with odd_hosts.host_in("nan") as odd:
        model, *conditions = odd(*labelled["ve"])
    guider = own_way((patched(model, CHAINS["further"]()), *conditions), lambda guide: guide())
    assert advanced(guider, empty_latent("ve")).isnan().all()


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
