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


def chains():
    return {
        "further": PLAIN.then(Away(label(1), until=0.5)).then(Doubling()),
        "reuse": PLAIN.then(Reusing()),
        "second model": PLAIN.then(Away("cond", mixture())),
        "plain": PLAIN,
    }


@pytest.mark.parametrize(
    ("chain", "name"),
    [("further", "dpmpp_2m_sde"), ("reuse", "heun"), ("second model", "euler"), ("plain", "euler_cfg_pp")],
)
def test_a_ksampler_on_a_patched_model_is_our_sampler(labelled, empty_latent, chain, name):
    model, positive, negative = labelled["ve"]
    rules = chains()[chain]
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
    chain = chains()["further"]
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
    chain = chains()["reuse"]
    recorded, recorder = GGRecord.execute(model if recorder_first else patched(model, chain), "numbers").args
    recorded = patched(recorded, chain) if recorder_first else recorded
    found = ksampler(recorded, positive, negative, empty_latent("ve"), "euler")
    trace, _ = GGReadTrace.execute(recorder, {"samples": found}).args
    assert trace.header["chain"] == chain.text
    assert trace.stage == ["step", "reuse"] * (STEPS // 2)


def test_nothing_but_one_wrapper_is_stored_on_the_model(labelled, empty_latent):
    model, positive, negative = labelled["ve"]
    on_model = patched(model, chains()["further"])
    before = str(on_model.model_options)
    ksampler(on_model, positive, negative, empty_latent("ve"), "euler")
    assert str(on_model.model_options) == before == str(model.model_options)
    assert [len(found) for kind in on_model.wrappers.values() for found in kind.values()] == [1]
    assert not any(kind for kind in model.wrappers.values())


def test_another_rule_on_the_model_is_named_wherever_it_stands(labelled, empty_latent):
    model, *conditions = labelled["ve"]
    with pytest.raises(ValueError, match="already has a guidance rule"):
        patched(RescaleCFG().patch(model, 0.7)[0], chains()["further"])
    rescaled = RescaleCFG().patch(patched(model, chains()["further"]), 0.7)[0]
    with pytest.raises(ValueError, match="already has a guidance rule"):
        ksampler(rescaled, *conditions, empty_latent("ve"), "euler")


def test_two_chains_are_an_error_that_says_where_they_are(labelled, empty_latent):
    model, positive, negative = labelled["ve"]
    on_model = patched(model, chains()["further"])
    with pytest.raises(ValueError, match="already has a guidance chain"):
        patched(on_model, chains()["reuse"])
    with pytest.raises(ValueError, match="Put both on one guidance wire"):
        guided(on_model, positive, negative, empty_latent("ve"), "euler", guidance=chains()["reuse"])


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
    counter = Counter(patched(model, chains()[chain]))
    expected = ksampler(counter.model, positive, negative, empty_latent("ve"), "euler")
    items = [*counter.items]
    guider = own_way((counter.model, positive, negative), lambda guide: guide())
    assert torch.allclose(advanced(guider, empty_latent("ve")), expected, atol=1e-5)
    assert counter.items == items * 2, "what the chain does not need is not evaluated here either"


def test_a_run_that_breaks_down_is_not_refused(labelled, empty_latent, monkeypatch):
    monkeypatch.setattr(odd_hosts, "BROKEN_BELOW", math.inf)
    with odd_hosts.host_in("nan") as odd:
        model, *conditions = odd(*labelled["ve"])
    guider = own_way((patched(model, chains()["further"]), *conditions), lambda guide: guide())
    assert advanced(guider, empty_latent("ve")).isnan().all()


REFUSED = {
    "moved": lambda guide: 1.01 * guide(),
    "another scale": lambda guide: guide(scale=2 * CFG),
}


@pytest.mark.parametrize("way", [*REFUSED, "three predictions", "perp neg"])
def test_a_guider_that_combines_for_itself_is_refused(labelled, empty_latent, way):
    model, positive, negative = labelled["ve"]
    on_model = patched(model, chains()["further"])
    if way == "three predictions":
        guider = custom.DualCFGGuider.execute(on_model, positive, positive, negative, 3.0, 1.5, "regular")[0]
    elif way == "perp neg":
        guider = PerpNegGuider.execute(on_model, positive, conditioning([1]), negative, CFG, 1.0)[0]
    else:
        guider = own_way((on_model, positive, negative), REFUSED[way])
    with pytest.raises(ValueError, match="mixes positive and negative in its own way"):
        advanced(guider, empty_latent("ve"))


def test_a_basic_guider_has_no_difference_to_guide_along(labelled, empty_latent):
    model, positive, negative = labelled["ve"]
    guider = custom.BasicGuider.execute(patched(model, chains()["further"]), positive)[0]
    plain = ksampler(model, positive, negative, empty_latent("ve"), "euler", cfg=1.0)
    assert torch.equal(advanced(guider, empty_latent("ve")), plain)
