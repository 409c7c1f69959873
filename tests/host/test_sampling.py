"""The sampling nodes against the closed form, item by item, call by call, and on input that cannot work."""

from pathlib import Path

import comfy.model_management
import comfy.nested_tensor
import comfy.sample
import comfy.samplers
import folder_paths
import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.host.guided_run import chain_guider
from guidance_geometry.host.saving import IN_MEMORY, map_tensors
from guidance_geometry.nodes import sampling
from guidance_geometry.nodes.blog_samplers import GGSamplerDDIM, GGSamplerDDPM
from guidance_geometry.nodes.lab import GGMixtureModel
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


@pytest.mark.parametrize(("model", "node"), [("pocket", None), ("ve", GGSamplerDDPM), ("flow", GGSamplerDDIM)])
def test_an_item_alone_is_the_item_in_a_batch_also_with_our_noise(labelled, empty_latent, model, node):
    run = {"sampler": node.execute(1.0, 0)[0]} if node else {}
    together = guided(*labelled[model], empty_latent(model), "heun", **run)[0]["samples"]
    one, labels = {**empty_latent(model, 1), "batch_index": [2]}, GGClassLabel.execute(labelled[model][0], "2").args
    alone = guided(labelled[model][0], *labels, one, "heun", **run)[0]["samples"]
    assert (alone[0] - together[2]).abs().max() <= 1e-4


@pytest.mark.parametrize("model", ["ve", "flow"])
def test_our_samplers_are_checked_by_their_formula(labelled, empty_latent, model):
    for sampler in (GGSamplerDDPM.execute(0.5, 0), GGSamplerDDIM.execute(0.5, 3), GGSamplerDDIM.execute(0.0, 0)):
        trace = guided(*labelled[model], empty_latent(model), "euler", sampler=sampler[0])[2]
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
    trace = guided(counter.model, *plain[1:], guidance=chain)[2]
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


def test_the_trace_knows_what_a_rerun_needs(labelled, empty_latent):
    _, _, trace = guided(*labelled["flow"], empty_latent("flow"), "dpmpp_2m", scheduler="simple")
    header = trace.header
    known = {"seed": SEED, "sampler": "dpmpp_2m", "scheduler": "simple", "cfg": CFG, "steps": STEPS, "denoise": 1.0}
    assert {**header, **known, "space": "flow"} == header
    assert (len(header["sigmas"]), len(header["labels"]), header["latent"]["shape"]) == (STEPS + 1, 3, [3, 8, 8])
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


@pytest.mark.parametrize(
    ("node", "spacial", "temporal"), [("guided", 2, 2), ("inspected", None, 2), ("guided", 2, None)]
)
def test_an_empty_video_gets_its_sides_and_frames_and_loses_what_they_came_from(monkeypatch, node, spacial, temporal):
    """As Wan 2.2 and LTXV do, whose latents hold fewer frames than those of the node that made an empty one."""
    monkeypatch.setattr(comfy.sample, "fix_empty_latent_channels", fitted)
    frames, side = 4 // (temporal or 1), 8 // (spacial or 1)
    latent = {"samples": torch.zeros(1, 4, frames, side, side)}
    latent |= {"downscale_ratio_spacial": spacial, "downscale_ratio_temporal": temporal}
    model = GGMixtureModel.execute(shape="3x4x8x8", classes=3, kind="ve", seed=0)[0]
    positive, negative = GGClassLabel.execute(model, "1").args
    if node == "guided":
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
