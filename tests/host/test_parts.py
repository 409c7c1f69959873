"""Latents of video and sound: recorded, guided and drawn part by part, on whichever host nests them."""

from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.samplers
import comfy.supported_models
import pytest
import torch
from comfy.nested_tensor import NestedTensor

from guidance_geometry.dev.fixtures import tiny_families
from guidance_geometry.dev.fixtures.tiny_streams import AUDIO, VIDEO, latent, text, two_streams
from guidance_geometry.guidance.chain import PLAIN, Chain
from guidance_geometry.guidance.gradients.term import GradientTerm
from guidance_geometry.guidance.parts import Packed
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.part_scale import PartScale
from guidance_geometry.host import live
from guidance_geometry.host.panel_record import of_every_part
from guidance_geometry.nodes.guidance_patch import GGGuidancePatch
from guidance_geometry.nodes.records import GGReadTrace, GGRecord
from guidance_geometry.nodes.rules.autoguidance import GGAutoguidance
from guidance_geometry.tests.host.runs import CFG, STEPS, guided, inspected, ksampler
from guidance_geometry.trace.checks import check
from guidance_geometry.trace.record import run_record

PACKED = Packed((VIDEO, AUDIO))
NAMES = ("video", "audio")
LTXAV = {f"{part}{size}": n for part in ("", "audio_") for size, n in
         (("cross_attention_dim", 32), ("attention_head_dim", 16), ("num_attention_heads", 2))}  # fmt: skip
LTXAV |= {"image_model": "ltxav", "caption_channels": 32, "num_layers": 2}


@pytest.fixture(scope="module")
def parts(host):
    pytest.importorskip("comfy.nested_tensor", reason="this host nests no latents")
    with torch.inference_mode():
        return two_streams(), text(1), text(2)


class Evaluated:
    """A clone of a MODEL that keeps what every call of it predicts: {call: (x, sigma, u, c, D)}, packed."""

    def __init__(self, model):
        self.calls, self.model = [], model.clone()
        self.model.set_model_sampler_post_cfg_function(self.after)

    def after(self, args):
        pair = (args["uncond_denoised"], args["cond_denoised"], args["denoised"])
        self.calls.append([v.clone() for v in (args["input"], args["sigma"], *pair)])
        return args["denoised"]


def tiny_ltxav():
    """The host's network, as small as its class accepts, with random weights."""
    config = vars(comfy.supported_models)["LTXAV"](LTXAV)
    config.set_inference_dtype(torch.float32, None)
    offload = comfy.model_management.unet_offload_device()
    model = config.get_model({}, "", device=offload)
    tiny_families.fill(model.diffusion_model, 0)
    load = comfy.model_management.get_torch_device()
    return comfy.model_patcher.ModelPatcher(model, load_device=load, offload_device=offload)


@pytest.mark.parametrize(("name", "capture"), [("heun", "numbers"), ("dpmpp_sde", "tensors"), ("uni_pc", "numbers")])
def test_plain_guidance_is_the_hosts_bit_for_bit(parts, name, capture):
    expected = ksampler(*parts, latent(), name)
    out, denoised, trace = guided(*parts, latent(), name, capture=capture)
    for mine, theirs, shape in zip(out["samples"].unbind(), expected.unbind(), (VIDEO, AUDIO), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.shape[1:] == shape
    assert [tuple(v.shape[1:]) for v in denoised["samples"].unbind()] == [VIDEO, AUDIO]
    assert trace.header["faults"] == []
    assert trace.part_names == list(NAMES)


RULES = Chain((AdaptiveProjected(eta=0.0, threshold=0.1, momentum=-0.5),))


@pytest.mark.parametrize(("chain", "factors"), [(PLAIN, (1.0, 3.0)), (RULES, (0.0, 2.0))], ids=["plain", "APG"])
def test_each_part_has_its_own_scale_and_its_numbers_are_those_of_its_own_vectors(parts, chain, factors):
    model, positive, negative = parts
    seen = Evaluated(model)
    trace = guided(seen.model, positive, negative, latent(), "ddpm", guidance=chain.then(PartScale(*factors)))[2]
    assert f"video x{factors[0]:g}, audio x{factors[1]:g}" in trace.header["chain"]
    for place, (name, factor) in enumerate(zip(NAMES, factors, strict=True)):
        part, gamma = trace.part(name), 1 + (CFG - 1) * factor
        assert part.steps["gamma"].tolist() == [gamma] * STEPS
        assert not check(part)
        for step, call in enumerate(seen.calls):
            u, c, d = (PACKED.split(v)[place].double().flatten(1) for v in call[2:])
            assert (part.column("M2")[step] - (c - u).square().mean(dim=1).sqrt()).abs().max() < 1e-6
            if chain is PLAIN:
                assert (d - (u + gamma * (c - u))).norm() <= 1e-5 * d.norm()


def test_each_part_is_shown_while_the_run_goes_on(parts, monkeypatch):
    sent = []
    monkeypatch.setattr(live, "MOST_EVENTS", float("inf"))
    monkeypatch.setattr(
        "guidance_geometry.host.recording.job_of_this_node", lambda: live.Job(sent.append, "job", None, ["6"])
    )
    trace = guided(*parts, latent(), "euler")[2]
    assert {(event["part"], *event["parts"]) for event in sent} == {("video", *NAMES), ("audio", *NAMES)}
    for name in NAMES:
        steps = [step for event in sent if event["part"] == name for step in event["steps"]]
        early, late = (
            [(step["i"], step["N"], [sample["K"] for sample in step["samples"]]) for step in found]
            for found in (steps, run_record(trace.part(name))["steps"])
        )
        assert early == late


def test_without_guidance_c_alone_is_evaluated_and_without_steps_the_latent_comes_back(parts):
    trace = guided(*parts, latent(), "euler", guidance=Chain((PartScale(0.0, 0.0),)))[2]
    assert trace.header["evaluations"] == STEPS
    assert trace.part("audio").stage == ["cond_only"] * STEPS
    out, _, trace = guided(*parts, latent(), "euler", denoise=0.0)
    assert [tuple(v.shape[1:]) for v in out["samples"].unbind()] == [VIDEO, AUDIO]
    assert trace.n == 0


def test_a_ksampler_of_the_host_is_recorded_in_parts_and_found_by_one_of_them(parts):
    model, positive, negative = parts
    recorded, recorder = GGRecord.execute(GGGuidancePatch.execute(model, PLAIN)[0]).args
    sampled = ksampler(recorded, positive, negative, latent(), "euler")
    trace = guided(*parts, latent(), "euler")[2]
    for made in (sampled, sampled.unbind()[1]):
        found = GGReadTrace.execute(recorder, {"samples": made})[0]
        assert found.part_names == list(NAMES)
        assert torch.equal(found.parts["audio"].steps["K"], trace.parts["audio"].steps["K"])


def test_an_energy_on_a_latent_of_two_parts_is_refused_in_words(parts, exact):
    guidance = PLAIN.then(GradientTerm(exact["flow"][1]))
    with pytest.raises(ValueError, match="reads one picture, and this latent holds video and audio"):
        guided(*parts, latent(), "euler", guidance=guidance)


def further(model, scale, kept=None, below: Any = 9.0, **options):
    """A clone of a MODEL that moves away from a pass with other options of the transformer, as the host's STG does."""

    def after(args):
        if float(args["sigma"][0]) > below:
            return args["denoised"]
        changed = args["model_options"]["transformer_options"] | options
        given = (args["model"], [args["cond"]], args["input"], args["sigma"])
        (other,) = comfy.samplers.calc_cond_batch(*given, args["model_options"] | {"transformer_options": changed})
        (kept if kept is not None else []).append((args["cond_denoised"].clone(), other.clone()))
        return args["denoised"] + (args["cond_denoised"] - other) * scale

    patched = model.clone()
    patched.set_model_sampler_post_cfg_function(after)
    return patched


STG, CUT = {"stg_self_attn_blocks": frozenset({1})}, {"a2v_cross_attn": False, "v2a_cross_attn": False}


def test_further_passes_are_named_with_what_they_cost_and_by_how_much_they_push(parts):
    model, positive, negative = parts
    kept, calls = [], 2 * STEPS - 1
    patched = further(further(model, 0.7, **STG), 2.0, kept, **CUT)
    trace = guided(patched, positive, negative, latent(), "heun", cfg=CFG)[2]
    for step, (c, other) in enumerate(kept[::2]):
        for name, away in zip(NAMES, PACKED.split((c - other).double()), strict=True):
            found = trace.part(name).steps["pass modality"][step]
            assert (found - away.flatten(1).square().mean(dim=1).sqrt()).abs().max() < 1e-6
    assert trace.header["passes"] == {"STG": calls, "modality": calls}
    assert trace.header["evaluations"] == 4 * calls
    for part in map(trace.part, NAMES):
        assert part.header["passes"] == trace.header["passes"]
        assert part.steps["evals"].sum() == 4 * calls
        assert part.steps["evals STG"].sum() == part.steps["evals modality"].sum() == calls
        assert set(part.steps["scale STG"].tolist()) == {0.7}
        assert set(part.steps["scale modality"].tolist()) == {2.0}
        assert (part.steps["pass STG"] > 0).all()
        assert set(part.steps["gamma"].tolist()) == {CFG}


@pytest.fixture(scope="module")
def ltx(host):
    nodes = pytest.importorskip("comfy_extras.nodes_lt", reason="this host has no LTX nodes")
    if not hasattr(nodes, "LTXVDualCFGGuider"):
        pytest.skip("this host has no guiders of video and sound")
    return nodes


def test_the_hosts_own_guidance_of_video_and_sound_is_read(parts, ltx):
    model, positive, negative = parts
    model = ltx.LTXVSpatioTemporalGuidance.execute(model, 1.5, "3", 0.0, 1.0)[0]
    model = ltx.LTXVModalityGuidance.execute(model, 3.0, 0.0, 1.0)[0]
    guider = ltx.LTXVDualCFGGuider.execute(model, positive, negative, 3.0, 7.0)[0]
    trace = inspected(guider, latent(), scheduler="simple")
    assert trace.header["passes"] == {"STG": STEPS, "modality": STEPS}
    for name, gamma in zip(NAMES, (3.0, 7.0), strict=True):
        part = trace.part(name)
        assert part.steps["gamma"].tolist() == [gamma] * STEPS
        assert part.header["cfg"] == gamma
        assert part.steps["scale STG"].tolist() == [1.5] * STEPS
        assert part.steps["scale modality"].tolist() == [2.0] * STEPS


def test_what_a_mask_keeps_stays(parts, ltx):
    masks = NestedTensor([torch.zeros(2, 1, *VIDEO[1:]), torch.ones(2, 1, *AUDIO[1:])])
    start = {"samples": NestedTensor([torch.ones(2, *VIDEO), torch.zeros(2, *AUDIO)]), "noise_mask": masks}
    expected = ksampler(*parts, start, "euler")
    out, _, trace = guided(*parts, start, "euler")
    assert all(map(torch.equal, out["samples"].unbind(), expected.unbind()))
    assert trace.header["faults"] == []
    record = of_every_part(trace, None, 8)
    assert len(record["pictures"]["steps"]) == STEPS
    assert "no pictures" in record["parts"]["audio"]["pictures"]["note"]


def test_the_hosts_own_network_of_video_and_sound(ltx):
    model = tiny_ltxav()
    pair = [[[torch.randn(1, 3, 64, generator=torch.Generator().manual_seed(seed)), {}]] for seed in (1, 2)]
    expected = ksampler(model, *pair, latent(1), "euler")
    stg = ltx.LTXVSpatioTemporalGuidance.execute(model, 1.0, "0", 0.0, 1.0)[0]
    both = ltx.LTXVModalityGuidance.execute(stg, 3.0, 0.0, 1.0)[0]
    out, _, plain = guided(model, *pair, latent(1), "euler")
    assert all(map(torch.equal, out["samples"].unbind(), expected.unbind()))
    trace = guided(both, *pair, latent(1), "euler", guidance=RULES.then(PartScale(1.0, 2.0)))[2]
    assert trace.header["passes"] == {"STG": STEPS, "modality": STEPS}
    for part in map(trace.part, NAMES):
        assert part.header["faults"] == []
        assert not check(part)
        assert (part.steps["pass STG"] > 0).all()
    assert plain.part("audio").latent_shape == AUDIO


def test_a_weaker_model_is_told_the_parts_too(parts):
    model, positive, negative = parts
    weak, strong = Evaluated(two_streams(seed=9)), Evaluated(model)
    guidance = GGAutoguidance.execute(weak_model=weak.model, weak_share=1.0)[0].then(PartScale(1.0, 2.0))
    trace = guided(strong.model, positive, negative, latent(), "euler", steps=1, guidance=guidance)[2]
    guided(weak.model, positive, negative, latent(), "euler", steps=1)
    w, c, found = (PACKED.split(v) for v in (weak.calls[-1][3], *strong.calls[0][3:]))
    for i, gamma in enumerate((CFG, 1 + (CFG - 1) * 2)):
        wanted = w[i] + gamma * (c[i] - w[i])  # w in a batch of its own: another processor may round it otherwise
        torch.testing.assert_close(found[i], wanted, rtol=0, atol=1e-5)
    assert trace.header["evaluations"] == 2
