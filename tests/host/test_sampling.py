"""The sampling nodes beside the closed form, call by call; and how a step is split into move and noise."""

import comfy.model_management
import comfy.samplers
import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.host.recording import watch as recording
from guidance_geometry.host.sampling.dry_run import response_of
from guidance_geometry.nodes.blog_samplers import GGSamplerDDIM, GGSamplerDDPM
from guidance_geometry.nodes.lab import GGMixtureModel
from guidance_geometry.nodes.rules.schedule import GGCFGSchedule
from guidance_geometry.nodes.start import GGClassLabel
from guidance_geometry.samplers.noise_tracking import track
from guidance_geometry.samplers.response import Response
from guidance_geometry.trace import recorder
from guidance_geometry.trace.checks import check

from .runs import STEPS, Counter, guided, host_nodes, ksampler, names, observed


@pytest.mark.parametrize(("model", "gamma"), [("ve", 0.0), ("flow", 3.0)])
def test_the_guided_prediction_is_the_closed_form(labelled, empty_latent, model, gamma):
    """Captured in full precision through the recorder, against D(x) and D(x|y) of the mixture in float64."""
    mixture = make_mixture((3, 8, 8), classes=3, seed=0)
    labels = torch.tensor([0, 1, 2])
    for step in observed(labelled[model], empty_latent(model), "euler", PLAIN, cfg=gamma):
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


def test_an_empty_latent_and_the_dtype_of_the_host_are_those_of_ksampler(monkeypatch, labelled):
    latent = host_nodes().EmptyLatentImage().generate(64, 64, 2)[0]
    expected = ksampler(*labelled["pocket"], latent, "euler")
    monkeypatch.setattr(comfy.model_management, "intermediate_dtype", lambda: torch.float16, raising=False)
    found = guided(*labelled["pocket"], latent, "euler")[0]["samples"]
    assert found.dtype == torch.float16
    assert torch.equal(found, expected.half())


UNTOLD = {"lms", "dpmpp_3m_sde", "euler_cfg_pp"}  # they may read more steps, or u


@pytest.mark.parametrize("model", ["ve", "flow"])
def test_a_run_without_a_response_says_itself_how_far_its_steps_follow(labelled, empty_latent, monkeypatch, model):
    asked = {"euler", "heun", "dpmpp_2m", "dpmpp_2s_ancestral", "lcm", "ddpm", *UNTOLD}
    kappas = lambda name: guided(*labelled[model], empty_latent(model), name)[2].steps["kappa"]  # noqa: E731
    expected = {name: kappas(name) for name in asked}
    monkeypatch.setattr(recording, "response_of", lambda *given: Response(why="nobody measured it"))
    for name, known in expected.items():
        found = kappas(name)
        sure = found.isfinite()
        assert (found - known)[sure].abs().le(2e-3).all(), (name, found, known)
        assert name in UNTOLD or sure[:2].all(), (name, found)


@pytest.mark.parametrize("model", ["ve", "flow"])
def test_the_noise_of_every_sampler_is_as_long_as_its_response_says_and_others_have_none(labelled, empty_latent, model):
    off, checked = {}, 0
    for name in names()[model == "ve" :: 2]:
        trace = guided(*labelled[model], empty_latent(model), name)[2]
        sigmas = torch.tensor(trace.header["sigmas"])
        steps = response_of(comfy.samplers.sampler_object(name), sigmas, labelled[model][0]).steps
        sizes = [sum(size**2 for size in step.draws) ** 0.5 for step in steps]
        seen = trace.column("M8").square().mean(dim=1).sqrt().nan_to_num().tolist()
        if steps and seen != pytest.approx(sizes, rel=0.2, abs=1e-6):
            off[name] = (seen, sizes)
        checked += any(sizes)
    assert not off
    assert checked > 7


@pytest.mark.parametrize("name", ["dpmpp_2m_sde", "gg_ddpm"])
def test_noise_of_another_size_than_the_samplers_is_noticed(labelled, empty_latent, monkeypatch, name):
    more = {"sampler": GGSamplerDDPM.execute(1.0, 0)[0]} if name == "gg_ddpm" else {}
    run = labelled["ve"], empty_latent("ve"), "euler" if more else name
    assert not check(guided(*run[0], *run[1:], **more)[2])
    louder = lambda eps, parts: track(eps, {draw: 1.02 * part for draw, part in parts.items()})  # noqa: E731
    monkeypatch.setattr(recorder, "track", louder)
    [problem] = check(guided(*run[0], *run[1:], **more)[2])
    assert "the split into move and noise cannot be trusted" in problem
