"""The sampling nodes against the closed form, item by item, call by call, and on input that cannot work."""

from pathlib import Path

import comfy.model_management
import comfy.nested_tensor
import comfy.sample
import comfy.samplers
import folder_paths
import node_helpers
import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.host.guided_run import chain_guider
from guidance_geometry.host.saving import IN_MEMORY, map_tensors
from guidance_geometry.nodes import blog_samplers, sampling
from guidance_geometry.nodes.blog_samplers import GGSamplerDDIM, GGSamplerDDPM
from guidance_geometry.nodes.lab import GGMixtureModel
from guidance_geometry.nodes.records import GGReadTrace, GGRecord
from guidance_geometry.nodes.rules.schedule import GGCFGSchedule
from guidance_geometry.nodes.sampling import GGGuidedSampler
from guidance_geometry.nodes.start import GGClassLabel
from guidance_geometry.trace.checks import check

from .collected import collect
from .queued import queued
from .runs import CFG, SEED, STEPS, Counter, custom, fitted, guided, host_nodes, ksampler
from .shown import ui_of


@pytest.mark.parametrize(("model", "gamma"), [("ve", 0.0), ("flow", 3.0)])
def test_the_guided_prediction_is_the_closed_form(labelled, empty_latent, model, gamma):
    """Captured in full precision through the recorder, against D(x) and D(x|y) of the mixture in float64."""
    mixture = make_mixture((3, 8, 8), classes=3, seed=0)
    steps, _ = collect(labelled, empty_latent, model, "euler", cfg=gamma)
    labels = torch.tensor([0, 1, 2])
    for step in steps:
        alpha = 1 - step.sigma if model == "flow" else 1.0
        if alpha < 0.02:
            continue
        x = step.x.double()
        u, c = (mixture.denoised(x, step.sigma, alpha, label) for label in (None, labels))
        assert (step.evaluation.denoised - (u + gamma * (c - u))).abs().max() <= 1e-4


@pytest.mark.parametrize(
    ("model", "name", "node"),
    [("pocket", "heun", None), ("ve", "dpmpp_2m", None), ("ve", "", "GGSamplerDDPM"), ("flow", "", "GGSamplerDDIM")],
)
def test_an_item_alone_is_the_item_in_a_batch_also_with_our_noise(labelled, empty_latent, model, name, node):
    patcher, positive, negative = labelled[model]
    more = {"sampler": getattr(blog_samplers, node).execute(1.0, 0)[0]} if node else {}
    run = {"steps": 8, "capture": "tensors", **more}
    together, _, trace = guided(patcher, positive, negative, empty_latent(model), name or "euler", **run)
    one = {**empty_latent(model, 1), "batch_index": [2]}
    label, null = GGClassLabel.execute(patcher, "2").args
    alone, _, single = guided(patcher, label, null, one, name or "euler", **run)
    assert (alone["samples"][0] - together["samples"][2]).abs().max() <= 1e-4
    first = (single.tensors["guided"][0, 0] - trace.tensors["guided"][0, 2]).float().abs().max()
    assert first <= 1e-3, "captured in half precision"


@pytest.mark.parametrize("model", ["ve", "flow"])
def test_our_samplers_are_checked_by_their_formula(labelled, empty_latent, model):
    for sampler in (GGSamplerDDPM.execute(0.5, 0), GGSamplerDDIM.execute(0.5, 3), GGSamplerDDIM.execute(0.0, 0)):
        _, _, trace = guided(*labelled[model], empty_latent(model), "euler", steps=8, sampler=sampler[0])
        assert trace.column("M12").max() <= 1e-4
        assert not check(trace)


@pytest.mark.parametrize(("name", "cfg"), [("heun", 3.0), ("dpmpp_sde", 0.0), ("euler_cfg_pp", 1.0), ("dpmpp_2m", 1.0)])
def test_recording_makes_no_call_more_than_ksampler(labelled, empty_latent, name, cfg):
    patcher, positive, negative = labelled["ve"]
    theirs, ours = Counter(patcher), Counter(patcher)
    ksampler(theirs.model, positive, negative, empty_latent("ve"), name, cfg=cfg)
    _, _, trace = guided(ours.model, positive, negative, empty_latent("ve"), name, cfg=cfg, capture="tensors")
    assert ours.items == theirs.items
    assert trace.header["evaluations"] * 3 == sum(ours.items)


def test_at_gamma_one_uncond_is_not_evaluated_and_the_trace_says_so(labelled, empty_latent):
    _, _, trace = guided(*labelled["ve"], empty_latent("ve"), "euler", cfg=1.0)
    assert trace.stage == ["cond_only"] * STEPS
    assert trace.column("M1").isnan().all()
    skipped = f"the prediction without the prompt was not made in {STEPS} of {STEPS} steps"
    assert trace.header["notes"] == [skipped, "nor after the run: uncond_steps is 0"]
    assert trace.header["evaluations"] == STEPS


def test_a_schedule_reshapes_gamma_and_skips_uncond_where_it_is_one(labelled, empty_latent):
    constant = GGCFGSchedule.execute("constant", 0.0, 1.0, 2.0, "")[0]
    plain = (*labelled["ve"], empty_latent("ve"), "euler")
    assert torch.equal(guided(*plain, guidance=constant, sampler=None)[0]["samples"], ksampler(*plain))
    chain = GGCFGSchedule.execute("list", 0.0, 1.0, 2.0, "1, 1, 4, 4, 1, 1")[0]
    counter = Counter(labelled["ve"][0])
    arguments = (counter.model, *labelled["ve"][1:], empty_latent("ve"), "euler")
    _, _, trace = guided(*arguments, guidance=chain)
    assert trace.steps["gamma"].tolist() == [1, 1, 4, 4, 1, 1]
    assert counter.items == [3, 3, 6, 6, 3, 3]
    assert trace.header["chain"] == "gamma list 1, 1, 4, 4, 1, 1 > CFG"


class Elsewhere:
    """The conditional prediction, from a pack that knows nothing of this one."""

    def init(self, run):
        return run

    def step(self, state, p, gamma):
        return p.cond, state


def test_a_foreign_chain_needs_two_methods_only_and_stands_beside_no_other_rule(labelled, empty_latent):
    patcher, *rest = (*labelled["ve"], empty_latent("ve"), "euler")
    found = guided(patcher, *rest, guidance=Elsewhere())[0]["samples"]
    assert (found - ksampler(patcher, *rest, cfg=1.0)).abs().max() <= 1e-5
    model = patcher.clone()
    model.set_model_sampler_cfg_function(lambda args: args["cond"])
    with pytest.raises(ValueError, match="already has a guidance rule"):
        guided(model, *rest, guidance=Elsewhere())


@pytest.mark.parametrize("name", ["euler_cfg_pp"])
def test_a_negative_for_part_of_the_run_leaves_cond_in_the_rest(labelled, empty_latent, name):
    """Where the negative does not reach, the host guides with gamma * c; here the result is c, as the trace says."""
    patcher, positive, negative = labelled["ve"]
    early = node_helpers.conditioning_set_values(negative, {"start_percent": 0.0, "end_percent": 0.5})
    _, _, trace = guided(patcher, positive, early, empty_latent("ve"), name, capture="tensors")
    reached = [stage == "step" for stage in trace.stage]
    assert reached == sorted(reached, reverse=True)
    assert 0 < sum(reached) < STEPS
    for i in range(sum(reached), STEPS):
        assert torch.equal(trace.tensors["guided"][i], trace.tensors["cond"][i])
    assert "without the prompt was not made" in trace.header["notes"][0]


def test_the_trace_knows_what_a_rerun_needs(labelled, empty_latent):
    _, _, trace = guided(*labelled["flow"], empty_latent("flow"), "dpmpp_2m", scheduler="simple")
    header = trace.header
    assert (header["seed"], header["sampler"], header["scheduler"], header["cfg"]) == (SEED, "dpmpp_2m", "simple", CFG)
    assert (header["steps"], header["denoise"], header["space"]) == (STEPS, 1.0, "flow")
    assert len(header["sigmas"]) == STEPS + 1
    assert len(header["labels"]) == 3
    assert header["latent"]["shape"] == [3, 8, 8]
    assert set(header["host"]) == {"comfyui", "torch", "pack", "device", "dtype"}
    assert "\n" not in repr(trace)


@pytest.mark.parametrize("shape", [(2, 4, 40), (1, 4, 3, 6, 6)], ids=["audio", "video"])
def test_latents_of_any_rank_are_recorded(shape):
    model = GGMixtureModel.execute(shape="x".join(map(str, shape[1:])), classes=3, kind="ve", seed=0)[0]
    positive, negative = GGClassLabel.execute(model, "1").args
    latent = {"samples": torch.zeros(shape)}
    expected = ksampler(model, positive, negative, latent, "dpmpp_2m_sde")
    out, _, trace = guided(model, positive, negative, latent, "dpmpp_2m_sde")
    assert torch.equal(out["samples"], expected)
    assert trace.latent_shape == shape[1:]
    assert not check(trace)


def test_a_nested_latent_is_refused(labelled):
    both = comfy.nested_tensor.NestedTensor([torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8)])
    with pytest.raises(ValueError, match="several tensors at once"):
        guided(*labelled["ve"], {"samples": both}, "euler")


def test_reading_a_run_that_was_not_sampled_is_an_error(labelled):
    _, recorder = GGRecord.execute(labelled["ve"][0]).args
    with pytest.raises(ValueError, match="The recorder holds no run"):
        GGReadTrace.execute(recorder, {"samples": torch.zeros(1, 3, 8, 8)})
    assert repr(recorder) == "Recorder(0 runs, capture pictures)"


def test_large_captures_are_mapped_from_a_file_that_nobody_has_to_delete(host):
    small = {"x": torch.ones(2, 3, dtype=torch.float16)}
    assert map_tensors(small) == (small, "")
    large = {"x": torch.arange(IN_MEMORY // 2 + 8).half(), "end": torch.ones(3).half()}
    again, why = map_tensors(large)
    assert why == ""
    assert all(torch.equal(again[name].nan_to_num(), large[name].nan_to_num()) for name in large)
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert "guidance_geometry-" in maps.read_text(encoding="utf-8")
    assert not list(Path(folder_paths.get_temp_directory()).glob("guidance_geometry-*"))


@pytest.mark.parametrize(("spacial", "temporal"), [(2, 2), (None, 2), (2, None)], ids=str)
@pytest.mark.parametrize("node", ["GGGuidedSampler", "GGInspectedSampler"])
def test_an_empty_video_gets_its_sides_and_frames_and_loses_what_they_came_from(monkeypatch, node, spacial, temporal):
    """As Wan 2.2 and LTXV do, whose latents hold fewer frames than those of the node that made an empty one."""
    monkeypatch.setattr(comfy.sample, "fix_empty_latent_channels", fitted)
    frames, side = 4 // (temporal or 1), 8 // (spacial or 1)
    latent = {"samples": torch.zeros(1, 4, frames, side, side)}
    latent |= {"downscale_ratio_spacial": spacial, "downscale_ratio_temporal": temporal}
    model = GGMixtureModel.execute(shape="3x4x8x8", classes=3, kind="ve", seed=0)[0]
    positive, negative = GGClassLabel.execute(model, "1").args
    if node == "GGGuidedSampler":
        out, denoised, trace = guided(model, positive, negative, latent, "euler")
    else:
        guider = chain_guider(model, positive, negative, CFG, PLAIN)
        sampler, sigmas = comfy.samplers.sampler_object("euler"), torch.tensor([5.0, 1.0, 0.0])
        run = custom.Noise_RandomNoise(SEED), guider, sampler, sigmas, latent
        out, denoised, trace = sampling.GGInspectedSampler.execute(*run).args
    assert [one["samples"].shape for one in (out, denoised)] == [(1, 3, 4, 8, 8)] * 2
    assert [set(one) for one in (out, denoised)] == [{"samples"}] * 2
    assert trace.latent_shape == (3, 4, 8, 8)


def test_an_empty_latent_and_the_dtype_of_the_host_are_those_of_ksampler(monkeypatch, labelled):
    latent = host_nodes().EmptyLatentImage().generate(64, 64, 2)[0]
    expected = ksampler(*labelled["pocket"], latent, "euler")
    monkeypatch.setattr(comfy.model_management, "intermediate_dtype", lambda: torch.float16, raising=False)
    found = guided(*labelled["pocket"], latent, "euler")[0]["samples"]
    assert found.dtype == torch.float16
    assert torch.equal(found, expected.half())


def test_a_canvas_of_another_size_and_labels_that_repeat_are_told(host, labelled):
    model, _, null = labelled["pocket"]
    two, one = (GGClassLabel.execute(model, words)[0] for words in ("0; 1", "0"))
    said = []
    for positive, side in ((two, 64), (one, 32)):
        latent = {"samples": torch.zeros(3, 3, side, side)}
        out = GGGuidedSampler.execute(model, 0, 1, 2.0, "euler", "karras", positive, null, latent)
        said.append(ui_of(out)["text"])
        assert [note for note in out[2].header["notes"] if note in said[-1]] == said[-1]
    size, repeated = said[0]
    assert size.startswith("pocket-1 draws pictures of 32x32; these are 64x64")
    assert repeated == "2 labels for 3 pictures: they repeat in turn"
    assert not said[1]


@pytest.mark.parametrize(("name", "scheduler", "steps"), [("euler", "kl_optimal", 1), ("eulr", "karras", 4)])
def test_bad_values_are_named_in_validation_and_in_execution(labelled, empty_latent, name, scheduler, steps):
    assert queued(GGGuidedSampler, sampler_name=name, scheduler=scheduler, steps=steps)
    with pytest.raises(ValueError, match=r"kl_optimal|eulr"):
        guided(*labelled["ve"], empty_latent("ve"), name, scheduler=scheduler, steps=steps)
