"""Outer steps and their further stages, measured on every sampler of the host."""

from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace

import comfy.samplers
import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.rules.kinds import Combine
from guidance_geometry.guidance.rules.zero_star import ZeroStar
from guidance_geometry.host.models import adapter
from guidance_geometry.host.sampling.dry_run import response
from guidance_geometry.samplers.stages import Stages

from .runs import guided, names
from .schedules import node_samplers, sampler_nodes, sampling_of, schedule

LATE = ("dpm_adaptive", "SamplerDPMAdaptative")  # report a step after its stages; the others after the first evaluation


def dry(sampler, kind, sigmas):
    """The response of a SAMPLER."""
    return response(sampler.sampler_function, sampler.extra_options, sigmas, sampling_of(kind))


def played(sampler, kind, sigmas, x, denoise):
    """Sample with a function in the place of the model; returns the sample and the events.

    An event is the pair of an evaluation's x and True where it began a step, or None for a report.
    """
    sampling, events = sampling_of(kind), []
    stages = Stages([float(s) for s in sigmas], dry(sampler, kind, sigmas))

    class Model:
        inner_model = SimpleNamespace(
            inner_model=SimpleNamespace(model_sampling=sampling),
            model_patcher=SimpleNamespace(get_model_object=lambda name: sampling),
            conds={},
        )

        def __call__(self, x, sigma, model_options=None, seed=None):
            first = stages.begins(float(sigma[0]))
            events.append((x.clone(), first))
            found = denoise(x, sigma, sum(began for _, began in filter(None, events)))
            uncond = 0.3 * x  # what the CFG++ samplers read beside D
            args = {"denoised": found, "uncond_denoised": uncond, "cond_denoised": found, "input": x, "sigma": sigma}
            for patch in (model_options or {}).get("sampler_post_cfg_function", []):
                patch({**args, "model": None})
            return found

    def report(info):
        stages.note_report()
        events.append(None)

    extra = {"seed": 1, "model_options": {}}
    out = sampler.sampler_function(
        Model(), x, sigmas.clone(), extra_args=extra, callback=report, disable=True, **sampler.extra_options
    )
    return out, events


def beginnings_of(name, events):
    """What a look at the whole run says: a step's first evaluation is reported at once, or comes after a report."""
    evaluations = [i for i, event in enumerate(events) if event is not None]
    if name in LATE:
        return [i == 0 or events[i - 1] is None for i in evaluations]
    return [i + 1 < len(events) and events[i + 1] is None for i in evaluations]


def every_sampler(kind):
    """All that the host's menu and its nodes make, by name."""
    return {name: comfy.samplers.sampler_object(name) for name in names()} | node_samplers(kind)


@pytest.mark.parametrize("kind", ["ve", "flow"])
def test_every_sampler_of_the_host_begins_its_steps_where_it_is_said(host, kind):
    """On each kind of noise levels every second of them."""
    made, wrong = every_sampler(kind), []
    assert len(sampler_nodes()) >= 12
    for i, (shown, sampler) in [*enumerate(made.items())][kind == "flow" :: 2]:
        sigmas = schedule(kind, 1 + i % 7, ends_at_zero=i % 4 < 2)
        x = float(sigmas[0]) * torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        _, events = played(sampler, kind, sigmas, x, lambda x, sigma, step: 0.5 * x)
        if [first for _, first in filter(None, events)] != beginnings_of(shown.split()[0], events):
            wrong.append((shown, len(sigmas)))
    assert wrong == []


def test_the_node_and_the_trace_say_that_a_sampler_cannot_wait(labelled, empty_latent, monkeypatch):
    said = []
    monkeypatch.setattr(adapter, "tell", said.append)

    def notes(name, kind="flow", steps=1, **more):
        said.clear()
        arguments = (*labelled[kind], empty_latent(kind), name)
        trace = guided(*arguments, scheduler="simple", steps=4, guidance=PLAIN.then(ZeroStar(steps)), **more)[2]
        return [note for note in trace.header["notes"] if "Zero-init" in note]

    assert notes("euler_ancestral") == said
    assert "its own noise" in said[0]
    assert "history" in notes("dpmpp_2m")[0]
    assert "not known whether silent_euler" in notes("euler", sampler=comfy.samplers.KSAMPLER(silent_euler))[0]
    said.clear()
    assert notes("heun") == notes("dpmpp_2m", steps=0) == notes("dpmpp_2m", "ve") == said == []
    assert notes("dpmpp_2m", denoise=0.5) == []


@dataclass(frozen=True)
class Counting(Combine):
    """Notes in `seen` with which count each evaluation was asked, and leaves CFG alone."""

    seen: list
    phrase = "counting"

    def init(self, run):
        return 0

    def step(self, state, p, gamma):
        self.seen.append((state, "step"))
        return p.cond + (gamma - 1) * p.delta, state + 1

    def stage(self, state, following, p, gamma):
        assert following == state + 1
        self.seen.append((state, "stage"))
        return p.cond + (gamma - 1) * p.delta


@pytest.mark.parametrize("name", ["euler", "heun", "seeds_3", "dpm_adaptive", "dpmpp_2s_ancestral", "uni_pc"])
def test_the_state_of_a_rule_moves_on_once_an_outer_step(labelled, empty_latent, name):
    seen = []
    _, _, trace = guided(*labelled["ve"], empty_latent("ve"), name, guidance=PLAIN.then(Counting(seen)))
    assert [state for state, word in seen if word == "step"] == list(range(trace.n))
    states = [state for state, _ in seen]
    assert states == sorted(states), "a stage is handed the state with which its step began"
    assert len(seen) / trace.n > {"heun": 1.5, "seeds_3": 2}.get(name, 0)
    assert name != "euler" or len(seen) == trace.n


def silent_euler(model, x, sigmas, extra_args, callback, disable):
    """Another pack's sampler, which never calls back."""
    for now, then in pairwise(sigmas):
        denoised = model(x, now * x.new_ones([len(x)]), **(extra_args or {}))
        x = x + (x - denoised) / now * (then - now)
    return x
