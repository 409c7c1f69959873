"""CADS in the host: what networks of text and of labels are told of the prompt, step by step."""

import pytest
import torch

from guidance_geometry.dev.fixtures.tiny_families import family, latent, text
from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.rules.condition_annealing import ConditionAnnealing
from guidance_geometry.guidance.rules.kinds import Source
from guidance_geometry.guidance.rules.perturbed import Perturbed
from guidance_geometry.guidance.run import Run
from guidance_geometry.samplers.loop import step_noise

from .chains import patched
from .runs import SEED, guided, ksampler

RULE = ConditionAnnealing(noise_scale=0.4, tau1=0.45, tau2=0.8)
CADS = Chain((RULE,))
FIVE = Run((5.0, 4.0, 3.0, 2.0, 1.0, 0.0))  # as many steps as the runs below
NAMES = ("SD15", "SDXL", "Flux", "WAN21_T2V")


class Told:
    """A clone of a MODEL that notes what its network is told: x, and the conditions by their names, of c and of u."""

    def __init__(self, model):
        self.calls, self.model = [], model.clone()
        self.model.set_model_unet_function_wrapper(self.call)

    def call(self, apply, given):
        kinds = given["cond_or_uncond"]
        parts = {k: v.chunk(len(kinds)) for k, v in given["c"].items() if isinstance(v, torch.Tensor)}
        self.calls.append({kind: {k: v[i] for k, v in parts.items()} for i, kind in enumerate(kinds)})
        self.calls[-1]["x"] = given["input"].chunk(len(kinds))[0]
        return apply(given["input"], given["timestep"], **given["c"])


def run(model, positive, negative, latent, sampler="euler", guidance=CADS, **more):
    return guided(model, positive, negative, latent, sampler, steps=5, scheduler="simple", guidance=guidance, **more)


def expected(clean, x, seed=SEED):
    """What c is told at each step.  clean: the embedding [1, ...]. x: the start of the run"""
    draw = step_noise(x, seed)
    y = clean.expand(len(x), *clean.shape[1:])
    for step in range(5):
        noise = draw(y.shape[1:], step, 0, 0)
        yield RULE.embed(y, noise, FIVE, 5.0 - step) if RULE.acts(FIVE, 5.0 - step) else y


@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_text_is_told_the_annealed_prompt_and_all_else_as_it_was(host, name):
    with torch.inference_mode():
        told, parts = Told(family(name)), (text(name, 1), text(name, 2), latent(name))
        out, _, trace = run(told.model, *parts)
    assert len(told.calls) == 5, "c and u no longer share a batch"
    assert trace.header["chain"] == CADS.text
    assert torch.isfinite(out["samples"]).all()
    for call, y in zip(told.calls, expected(parts[0][0][0], told.calls[0]["x"]), strict=True):
        assert torch.allclose(call[0]["c_crossattn"], y, atol=1e-5)
        assert torch.equal(call[1]["c_crossattn"], parts[1][0][0].expand(2, -1, -1))
        if "y" in call[0]:
            assert torch.equal(call[0]["y"], told.calls[-1][0]["y"]), "pooled text"
    assert torch.equal(told.calls[-1][0]["c_crossattn"], parts[0][0][0].expand(2, -1, -1))
    assert not torch.allclose(told.calls[0][0]["c_crossattn"][0], told.calls[0][0]["c_crossattn"][1], atol=0.1)


def test_a_network_of_labels_is_told_their_annealed_embeddings_in_one_batch(labelled, empty_latent):
    model, positive, negative = labelled["pocket"]
    told, table = Told(model), model.model.diffusion_model.evaluate.embedding.classes.weight
    run(told.model, positive, negative, empty_latent("pocket"))
    assert len(told.calls) == 5
    clean, null = table[:3], table[-1:].expand(3, -1)
    draw = step_noise(told.calls[0]["x"], SEED)
    for step, call in enumerate(told.calls):
        if not RULE.acts(FIVE, 5.0 - step):
            assert call[0]["y"].tolist() == [0, 1, 2]
            continue
        y = RULE.embed(clean, draw(clean.shape[1:], step, 0, 0), FIVE, 5.0 - step)
        assert torch.allclose(call[0]["y"], y, atol=1e-5)
        assert torch.equal(call[1]["y"], null)


def test_an_item_is_the_same_alone_and_on_a_patched_model(labelled, empty_latent):
    model, positive, negative = labelled["pocket"]
    one = [[positive[0][0][:, 1:2], {"class_label": positive[0][1]["class_label"][1:2]}]]
    start = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    more = {"steps": 5, "cfg": 4.0}
    whole = guided(model, positive, negative, {"samples": start}, "euler", guidance=CADS, **more)[0]["samples"]
    second = {"samples": start[1:2], "batch_index": [1]}
    alone = guided(model, one, negative, second, "euler", guidance=CADS, **more)[0]["samples"]
    assert torch.allclose(alone, whole[1:2], atol=1e-4)
    on_model = ksampler(patched(model, CADS), positive, negative, {"samples": start}, "euler", **more)
    assert torch.equal(on_model, whole)


def test_stages_of_a_step_share_their_noise_and_a_neutral_rule_is_plain(labelled, empty_latent):
    model, positive, negative = labelled["pocket"]
    told = Told(model)
    run(told.model, positive, negative, empty_latent("pocket"), "heun")
    told_c = [call[0]["y"] for call in told.calls]
    assert torch.equal(told_c[0], told_c[1])
    assert not torch.equal(told_c[0], told_c[2])
    neutral = run(model, positive, negative, empty_latent("pocket"), guidance=Chain((ConditionAnnealing(tau1=1.0),)))
    plain = run(model, positive, negative, empty_latent("pocket"), guidance=None)
    assert torch.equal(neutral[0]["samples"], plain[0]["samples"])


def test_a_perturbed_pass_is_told_what_c_is_told(labelled, empty_latent, wires):
    model, positive, negative = labelled["pocket"]
    worse, told = Told(wires["pocket"]["MODEL"]), Told(model)
    chain = Chain((RULE, Perturbed(Source("cond", worse.model), 1.0)))
    run(told.model, positive, negative, empty_latent("pocket"), guidance=chain)
    assert len(worse.calls) == len(told.calls) == 5
    for ours, theirs in zip(told.calls, worse.calls, strict=True):
        assert torch.equal(ours[0]["y"], theirs[0]["y"])


def test_a_model_without_embeddings_is_refused_in_a_sentence(labelled, empty_latent):
    with pytest.raises(ValueError, match="no embedding of its labels"):
        run(*labelled["ve"], empty_latent("ve"))
    with pytest.raises(ValueError, match="no embedding of its labels"):
        ksampler(patched(labelled["flow"][0], CADS), *labelled["flow"][1:], empty_latent("flow"), "euler")
