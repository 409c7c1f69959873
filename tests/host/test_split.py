"""The split of a step into move and noise, held against re-running each sampler without noise."""

from itertools import pairwise

import comfy.samplers
import pytest
import torch

from guidance_geometry.host import recording
from guidance_geometry.host.dry_run import response_of
from guidance_geometry.nodes.blog_samplers import GGSamplerDDPM
from guidance_geometry.samplers.noise_tracking import track
from guidance_geometry.samplers.response import Response
from guidance_geometry.trace import recorder
from guidance_geometry.trace.checks import check

from .collected import HIDDEN_STATE, collect
from .runs import guided, names, of_the_host

BOUND = {"ve": 5e-5, "flow": 1.5e-6}  # in units of sigma; ddpm and cfg_pp on VE rescale the state to unit variance


@pytest.mark.parametrize("model", ["ve", "flow"])
def test_a_rerun_without_noise_arrives_where_the_move_says(labelled, empty_latent, model):
    for name in names()[model == "flow" :: 2]:
        if name in HIDDEN_STATE:
            continue
        steps, arrived = collect(labelled, empty_latent, model, name)
        for step in steps:
            reached = arrived[step.index + 1]
            error = float((reached - step.x - step.move).abs().max())
            rounding = 4 * torch.finfo(torch.float32).eps * float(step.x.abs().max())
            assert error <= BOUND[model] * step.sigma + rounding, (name, step.index, error)


def test_a_sampler_is_checked_by_its_response_or_says_why_not(labelled, empty_latent):
    for name in ("euler", "seeds_2", "uni_pc"):
        known = guided(*labelled["ve"], empty_latent("ve"), name)[2]
        assert known.header["split"].endswith("held against the sampler's measured response (M12)")
        assert known.column("M12").max() <= 1e-5
        assert known.steps["kappa"].isfinite().all()
    unknown = guided(*labelled["ve"], empty_latent("ve"), "dpm_adaptive")[2]
    assert unknown.header["split"].endswith("(its steps depend on what is predicted)")
    assert unknown.column("M12").isnan().all()


@of_the_host
def otherwise_when_dry(model, x, sigmas, extra_args, callback, disable):
    """Euler, which keeps more of the sample in a dry run."""
    more = 0.3 if x.shape[1] == 1 else 0.0
    for i, (now, then) in enumerate(pairwise(sigmas)):
        denoised = model(x, now * x.new_ones(len(x)), **extra_args)
        callback({"x": x, "i": i, "sigma": now, "denoised": denoised})
        x = denoised + then / now * (x - denoised) + more * denoised
    return x


def test_what_the_run_refutes_is_unknown_and_accuses_nobody(labelled, empty_latent):
    sampler = comfy.samplers.KSAMPLER(otherwise_when_dry)
    trace = guided(*labelled["flow"], empty_latent("flow"), "euler", sampler=sampler)[2]
    assert trace.steps["kappa"].isnan().any()
    assert not [note for note in trace.header["notes"] if "samples are wrong" in note]
    [said] = [note for note in trace.header["notes"] if "dry run" in note]
    assert said.endswith("how far these follow the prediction is unknown")
    assert "checked" not in trace.header["split"]


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
