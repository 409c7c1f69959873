"""A guidance chain on the host's own architectures, and under what graphs do to their MODEL and CONDITIONING."""

import comfy.hooks
import node_helpers
import pytest
import torch
from comfy_extras.nodes_pag import PerturbedAttentionGuidance

from guidance_geometry.dev.fixtures.rule_nodes import active_chain
from guidance_geometry.dev.fixtures.tiny_families import CONFIGS, control_net, family, latent, text
from guidance_geometry.extension import nodes_in
from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.trace.checks import check

from .chains import Away, Doubling, patched
from .runs import Counter, guided, host_nodes, ksampler

STEPS = {"steps": 3, "scheduler": "simple"}
FLOW = ("SD3", "Flux", "WAN21_T2V")


class Families(dict):
    """name -> MODEL, positive, negative, made when first asked for."""

    def __missing__(self, name):
        with torch.inference_mode():
            self[name] = family(name), text(name, 1), text(name, 2)
        return self[name]


@pytest.fixture(scope="module")
def families(host):
    return Families()


def chain(name):
    return PLAIN.then(Away(text(name, 3))).then(Doubling())


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
def test_plain_guidance_gives_the_host_pixels(families, name, sampler):
    arguments = (*families[name], latent(name), sampler)
    out, _, trace = guided(*arguments, **STEPS)
    assert torch.equal(out["samples"], ksampler(*arguments, **STEPS))
    assert torch.isfinite(out["samples"]).all()
    assert out["samples"].abs().max() > 0
    assert trace.header["space"] == ("flow" if name in FLOW else "ve")
    assert trace.batch == 2
    assert not check(trace)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_further_condition_runs_in_one_batch(families, name):
    model, positive, negative = families[name]
    counter = Counter(model)
    out, _, trace = guided(counter.model, positive, negative, latent(name), "euler", guidance=chain(name), **STEPS)
    assert counter.items == [6] * 3
    assert torch.isfinite(out["samples"]).all()
    assert trace.header["evaluations"] == 9
    on_model = ksampler(patched(model, chain(name)), positive, negative, latent(name), "euler", **STEPS)
    assert torch.equal(on_model, out["samples"])


@pytest.mark.parametrize("name", CONFIGS)
def test_every_rule_runs_and_is_finite(families, name):
    model, positive, negative = families[name]
    sockets = {"MODEL": model.clone(), "CONDITIONING": text(name, 3)}
    for node in nodes_in("rules"):
        rules = active_chain(node, sockets)
        found = ksampler(patched(model, rules), positive, negative, latent(name), "euler", **STEPS)
        assert torch.isfinite(found).all(), rules.text
        assert found.shape == latent(name)["samples"].shape


@pytest.mark.parametrize("name", ["SD15", "SD3"])
def test_a_text_of_another_length_is_evaluated_beside_the_batch(families, name):
    model, positive, _ = families[name]
    counter = Counter(model)
    away = PLAIN.then(Away(text(name, 3, tokens=5)))
    out = guided(counter.model, positive, text(name, 2, tokens=5), latent(name), "euler", guidance=away, **STEPS)[0]
    assert sum(counter.items) == 3 * 6
    assert torch.isfinite(out["samples"]).all()


def lora(model):
    """A weight patch on the queries of every attention, half as strong as the weights."""
    clone = model.clone()
    weights = model.model.state_dict()
    keys = [key for key in weights if key.endswith("to_q.weight")]
    assert clone.add_patches({key: ("diff", (0.5 * weights[key].roll(1, 0),)) for key in keys})
    return clone


def pag(model):
    return PerturbedAttentionGuidance.execute(model, 3.0)[0]


MODELS = {"LoRA": lora, "PAG": pag}


@pytest.mark.parametrize("patch", MODELS)
def test_patches_of_the_model_stay_at_work(families, patch):
    """With plain CFG the bits are KSampler's; a chain that is CFG in other words differs by rounding alone."""
    model, positive, negative = families["SD15"]
    changed = MODELS[patch](model)
    arguments = (changed, positive, negative, latent("SD15"), "euler")
    expected = ksampler(*arguments, **STEPS)
    assert not torch.allclose(expected, ksampler(model, *arguments[1:], **STEPS), atol=1e-3)
    assert torch.equal(guided(*arguments, **STEPS)[0]["samples"], expected)
    same = PLAIN.then(Away("cond"))
    assert (guided(*arguments, guidance=same, **STEPS)[0]["samples"] - expected).abs().max() <= 1e-3
    assert (ksampler(patched(changed, same), *arguments[1:], **STEPS) - expected).abs().max() <= 1e-3


def area(conditioning):
    return host_nodes().ConditioningSetArea().append(conditioning, 32, 64, 32, 0, 1.0)[0] + text("SD15", 4)


def ranged(conditioning):
    early = node_helpers.conditioning_set_values(conditioning, {"start_percent": 0.0, "end_percent": 0.5})
    return early + node_helpers.conditioning_set_values(text("SD15", 4), {"start_percent": 0.5, "end_percent": 1.0})


CONDITIONS = {"area": area, "time ranges": ranged}


@pytest.mark.parametrize("kind", CONDITIONS)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "inpaint mask"])
def test_conditions_of_a_part_and_masks_are_honoured(families, kind, masked):
    model, positive, negative = families["SD15"]
    picture = latent("SD15")
    if masked:
        picture = {"samples": picture["samples"] + 0.25, "noise_mask": torch.ones(1, 1, 8, 8)}
        picture["noise_mask"][..., :4] = 0
    arguments = (model, CONDITIONS[kind](positive), negative, picture, "euler")
    expected = ksampler(*arguments, **STEPS)
    assert not torch.allclose(expected, ksampler(model, positive, *arguments[2:], **STEPS), atol=1e-3)
    assert torch.equal(guided(*arguments, **STEPS)[0]["samples"], expected)
    same = PLAIN.then(Away("cond"))
    found = guided(*arguments, guidance=same, **STEPS)[0]["samples"]
    assert (found - expected).abs().max() <= 1e-3
    if masked:
        assert torch.allclose(found[..., :4], picture["samples"][..., :4], atol=1e-5)
    away = PLAIN.then(Away(CONDITIONS[kind](text("SD15", 3))))
    moved = guided(*arguments, guidance=away, **STEPS)[0]["samples"]
    assert torch.isfinite(moved).all()
    assert not torch.allclose(moved, expected, atol=1e-3)


def controlled(positive, negative, seed=0):
    """Both conditions under a ControlNet, by the host's node."""
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(5))
    return (
        host_nodes()
        .ControlNetApplyAdvanced()
        .apply_controlnet(positive, negative, control_net(seed), hint, 1.0, 0.0, 1.0)
    )


def test_a_control_net_steers_the_further_predictions_too(families):
    model, positive, negative = families["SD15"]
    with torch.inference_mode():
        steered = controlled(positive, negative)
    arguments = (model, *steered, latent("SD15"), "euler")
    expected = ksampler(*arguments, **STEPS)
    assert not torch.allclose(expected, ksampler(model, positive, negative, *arguments[3:], **STEPS), atol=1e-3)
    assert torch.equal(guided(*arguments, **STEPS)[0]["samples"], expected)
    twin = family("SD15")
    for same in (Away("cond"), Away("cond", model.clone()), Away("cond", twin)):
        found = guided(*arguments, guidance=PLAIN.then(same), **STEPS)[0]["samples"]
        assert (found - expected).abs().max() <= 1e-3
    assert torch.equal(guided(*arguments, **STEPS)[0]["samples"], expected)


def test_a_second_model_brings_its_own_lora_and_leaves_the_first_alone(families):
    model, positive, negative = families["SD15"]
    arguments = (model, positive, negative, latent("SD15"), "euler")
    expected = ksampler(*arguments, **STEPS)
    weak = lora(family("SD15"))
    away = PLAIN.then(Away("cond", weak))
    found = guided(*arguments, guidance=away, **STEPS)[0]["samples"]
    assert not torch.allclose(found, expected, atol=1e-3)
    assert torch.equal(ksampler(patched(model, away), *arguments[1:], **STEPS), found)
    assert torch.equal(ksampler(*arguments, **STEPS), expected)


def hooked(conditioning, model):
    """A condition with a LoRA of its own."""
    weights = model.model.state_dict()
    changes = {key: 0.5 * weights[key].roll(1, 0) for key in weights if key.endswith("to_q.weight")}
    named = {f"{key.removesuffix('.weight')}.diff": change for key, change in changes.items()}
    return comfy.hooks.set_hooks_for_conditioning(conditioning, comfy.hooks.create_hook_lora(named, 1.0, 0.0))


def test_a_further_condition_with_a_lora_of_its_own(families):
    """Our samplers register its hook; on a patched MODEL it is too late for that, and the error says so."""
    model, positive, negative = families["SD15"]
    arguments = (model, positive, negative, latent("SD15"), "euler")
    expected = ksampler(*arguments, **STEPS)
    away = PLAIN.then(Away(hooked(positive, model)))
    found = guided(*arguments, guidance=away, **STEPS)[0]["samples"]
    second = PLAIN.then(Away("cond", lora(family("SD15"))))
    assert (found - guided(*arguments, guidance=second, **STEPS)[0]["samples"]).abs().max() <= 1e-2
    assert not torch.allclose(found, expected, atol=1e-1)
    assert torch.equal(ksampler(*arguments, **STEPS), expected)
    with pytest.raises(ValueError, match="has hooks"):
        ksampler(patched(model, away), *arguments[1:], **STEPS)
