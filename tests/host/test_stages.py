"""Outer steps and their further stages, measured on every sampler of the host.

What is measured here on whole runs is what a dry run said before them.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from types import SimpleNamespace

import comfy.samplers
import pytest
import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.feedback import Feedback
from guidance_geometry.guidance.rules.kinds import Combine
from guidance_geometry.guidance.rules.plus_plus import PlusPlus
from guidance_geometry.guidance.rules.schedule import ScaleSchedule
from guidance_geometry.guidance.rules.zero_star import ZeroStar
from guidance_geometry.host import adapter
from guidance_geometry.host.dry_run import response
from guidance_geometry.nodes import blog_samplers
from guidance_geometry.nodes.guidance_patch import GGGuidancePatch
from guidance_geometry.nodes.sampling import GGGuider, GGInspectedSampler
from guidance_geometry.samplers.stages import Stages, cannot_wait, zero_init_note

from .collected import collect
from .runs import CFG, custom, guided, ksampler, names, of_the_host
from .schedules import node_samplers, sampler_nodes, sampling_of, schedule

LATE = "dpm_adaptive"  # reports a step after its stages; all others of the host after the first evaluation


def play(name, kind, sigmas, x, denoise):
    """Sample with a host's sampler, by its name; see `played`."""
    return played(comfy.samplers.sampler_object(name), kind, sigmas, x, denoise)


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
    if name == LATE:
        return [i == 0 or events[i - 1] is None for i in evaluations]
    return [i + 1 < len(events) and events[i + 1] is None for i in evaluations]


def begins_elsewhere(name, kind, steps, ends_at_zero):
    """The evaluations that were taken for the first of a step, where they are not; None where all is well."""
    sigmas = schedule(kind, steps, ends_at_zero)
    x = float(sigmas[0]) * torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    _, events = play(name, kind, sigmas, x, lambda x, sigma, step: 0.5 * x)
    found = [first for _, first in filter(None, events)]
    return None if found == beginnings_of(name, events) else found


@pytest.mark.parametrize("kind", ["ve", "flow"])
@pytest.mark.matrix(parts=2)
def test_every_sampler_of_the_host_begins_its_steps_where_it_is_said(host, kind):
    runs = product(names(), [kind], range(1, 10), [True, False])
    assert {run: found for run in runs if (found := begins_elsewhere(*run))} == {}


@pytest.mark.parametrize("kind", ["ve", "flow"])
@pytest.mark.matrix(parts=2)
def test_every_sampler_node_of_the_host_begins_its_steps_where_it_is_said(host, kind):
    made, wrong = node_samplers(kind), []
    assert len(sampler_nodes()) >= 12
    for steps in (2, 5, 7):
        sigmas = schedule(kind, steps)
        x = float(sigmas[0]) * torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        for shown, sampler in made.items():
            _, events = played(sampler, kind, sigmas, x, lambda x, sigma, step: 0.5 * x)
            name = LATE if shown.startswith("SamplerDPMAdaptative") else shown
            if [first for _, first in filter(None, events)] != beginnings_of(name, events):
                wrong.append((shown, steps))
    assert wrong == []


def gaussian(x, sigma, step=0):
    """Denoiser of N(0.4, 0.3) in flow coordinates."""
    sigma = sigma.reshape(-1, 1, 1, 1)
    alpha = 1 - sigma
    return 0.4 + 0.3 * alpha / (0.3 * alpha**2 + sigma**2) * (x - 0.4 * alpha)


def moves_where_it_should_wait(sampler):
    """Whether a sampler moves, or carries on, with D = x in all stages of its first two steps."""
    x, sigmas = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0)), schedule("flow", 8)

    def run(x, sigmas, waits, shift=0.0):
        def denoise(x, sigma, step):
            return x + shift if step <= waits else gaussian(x, sigma)

        out, events = played(sampler, "flow", sigmas, x, denoise)
        return [x for x, first in filter(None, events) if first], out

    at_rest, _ = run(x, sigmas, 2)
    if any(other.shape != x.shape or (other - x).abs().max() > 1e-3 for other in at_rest[1:3]):
        return True
    (_, _, after, *_), end = run(x, sigmas, 2, 0.3)
    return bool((run(after, sigmas, 2)[1] - end).abs().max() > 3e-4)


def every_sampler():
    """All that the host's menu and its nodes make, by name."""
    return {name: comfy.samplers.sampler_object(name) for name in names()} | node_samplers("flow")


def test_every_sampler_of_the_host_waits_or_is_said_not_to(host):
    wrong, unknown, able = [], set(), set()
    for shown, sampler in every_sampler().items():
        response = dry(sampler, "flow", schedule("flow", 8))
        note = zero_init_note(shown, response, 2)
        if not response.steps:
            unknown |= {shown.split()[0]} if note.startswith("Zero-init may not hold here: ") else set()
        elif moves_where_it_should_wait(sampler) != note.startswith("Zero-init does not hold here: "):
            wrong.append((shown, note))
        able |= set() if note else {shown.split()[0]}
    assert wrong == []
    assert unknown == {"dpm_adaptive", "SamplerDPMAdaptative"}
    assert able >= {"euler", "heun", "dpm_2", "ddim", "SamplerEulerAncestral", "SamplerER_SDE", "SamplerDPMPP_SDE"}


def test_the_help_page_names_every_sampler_that_cannot_wait(host):
    page = (Path(__file__).resolve().parents[2] / "web" / "docs" / "GGZeroStar.md").read_text(encoding="utf-8")
    found = (line for line in page.splitlines() if line.startswith("- **"))
    lines: dict[str, str] = dict(zip(("noise", "history", "unconditional"), found, strict=True))
    for name in names():
        why = cannot_wait("it", dry(comfy.samplers.sampler_object(name), "flow", schedule("flow", 8)), 1)
        kind = next((kind for kind in lines if kind in why), None)
        bare = name.removesuffix("_gpu").removesuffix("_cfg_pp") if kind == "noise" else name
        assert kind is None or bare in lines[kind], (name, why)


@pytest.mark.parametrize("steps", [1, 2])
def test_zero_init_leaves_the_sample_where_it_is_in_every_stage(labelled, empty_latent, steps):
    def note(name):
        return zero_init_note(name, dry(comfy.samplers.sampler_object(name), "flow", schedule("flow", 9)), steps)

    able = [name for name in names() if not note(name)]
    assert len(able) >= 5
    moved, chain = {}, PLAIN.then(ZeroStar(steps))
    for name in able:
        settings = (*labelled["flow"], empty_latent("flow"), name)
        x = guided(*settings, scheduler="simple", steps=9, guidance=chain, capture="tensors")[2].tensors["x"].float()
        moved[name] = float((x[steps] - x[0]).abs().max())
        assert (x[steps + 1] - x[0]).abs().max() > 0.01, name
    assert {name: size for name, size in moved.items() if size > 1e-3} == {}


@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2"])
def test_a_run_that_waited_is_the_run_that_begins_there(host, name):
    x, sigmas = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0)), schedule("flow", 8)
    waited, _ = play(name, "flow", sigmas, x, lambda x, sigma, step: x if step == 1 else gaussian(x, sigma))
    later, _ = play(name, "flow", sigmas[1:], x, gaussian)
    assert (waited - later).abs().max() <= 1e-5


def test_the_node_and_the_trace_say_that_a_sampler_cannot_wait(labelled, empty_latent, monkeypatch):
    said = []
    monkeypatch.setattr(adapter, "tell", said.append)

    def notes(name, kind="flow", steps=1, **more):
        said.clear()
        arguments = (*labelled[kind], empty_latent(kind), name)
        trace = guided(*arguments, scheduler="simple", steps=4, guidance=PLAIN.then(ZeroStar(steps)), **more)[2]
        return [note for note in trace.header["notes"] if "Zero-init" in note]

    [note] = notes("euler_ancestral")
    assert note == said[0]
    assert "euler_ancestral moves the sample by its own noise. Use euler, heun" in note
    assert "dpmpp_2m keeps D = x as history" in notes("dpmpp_2m")[0]
    [unknown] = notes("euler", sampler=comfy.samplers.KSAMPLER(silent_euler))
    assert unknown.startswith("Zero-init may not hold here: it is not known whether silent_euler ")
    assert "set zero_init_steps to 0" in unknown
    said.clear()
    assert notes("heun") == notes("dpmpp_2m", steps=0) == notes("dpmpp_2m", "ve") == said == []
    assert notes("dpmpp_2m", denoise=0.5) == []


@pytest.mark.parametrize(
    ("node", "eta", "times", "stays"),
    [
        ("GGSamplerDDIM", 0.0, 1, True),
        ("GGSamplerDDIM", 0.5, 1, False),
        ("GGSamplerDDIM", 0.0, 2, False),
        ("GGSamplerDDPM", 1.0, 1, False),
        ("GGSamplerDDPM", 0.0, 1, False),
    ],
)
def test_our_own_samplers_wait_or_say_that_they_cannot(labelled, empty_latent, node, eta, times, stays):
    sampler = getattr(blog_samplers, node).execute(eta, 0, times)[0]
    more = {"scheduler": "simple", "steps": 6, "sampler": sampler, "capture": "tensors"}
    trace = guided(*labelled["flow"], empty_latent("flow"), "euler", guidance=PLAIN.then(ZeroStar(2)), **more)[2]
    x = trace.tensors["x"].float()
    assert ((x[2] - x[0]).abs().max() <= 1e-3) == stays
    assert any("Zero-init does not hold" in note for note in trace.header["notes"]) != stays


def test_the_patched_sampler_of_the_host_says_it_too(labelled, empty_latent, monkeypatch):
    said = []
    monkeypatch.setattr(adapter, "tell", said.append)
    model, positive, negative = labelled["flow"]
    patched = GGGuidancePatch.execute(model, PLAIN.then(ZeroStar()))[0]
    ksampler(patched, positive, negative, empty_latent("flow"), "lcm", scheduler="simple")
    assert len(said) == 1
    assert "lcm moves the sample" in said[0]


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


@pytest.mark.matrix(parts=4)
@pytest.mark.parametrize("part", range(4))
def test_the_state_of_a_rule_moves_on_once_an_outer_step(labelled, empty_latent, part):
    counts = {}
    for name in [*names()[part::4], "euler", "heun", "seeds_3"]:
        seen = []
        _, _, trace = guided(*labelled["ve"], empty_latent("ve"), name, guidance=PLAIN.then(Counting(seen)))
        assert [state for state, word in seen if word == "step"] == list(range(trace.n)), name
        states = [state for state, _ in seen]
        assert states == sorted(states), "a stage is handed the state with which its step began"
        counts[name] = len(seen) / trace.n
    assert counts["euler"] == 1
    assert counts["heun"] > 1.5
    assert counts["seeds_3"] > 2


def silent_euler(model, x, sigmas, extra_args, callback, disable):
    """Another pack's sampler, which never calls back."""
    for now, then in pairwise(sigmas):
        denoised = model(x, now * x.new_ones([len(x)]), **(extra_args or {}))
        x = x + (x - denoised) / now * (then - now)
    return x


def test_a_sampler_that_never_reports_is_guided_step_by_step(labelled, empty_latent):
    seen, silent = [], comfy.samplers.KSAMPLER(silent_euler)
    run = partial(guided, *labelled["flow"], empty_latent("flow"), "euler", scheduler="simple", steps=6, sampler=silent)
    run(guidance=PLAIN.then(Counting(seen)))
    assert seen == [(0, "step"), (0, "stage"), *((i, "step") for i in range(1, 5))]
    out, noise = (run(guidance=PLAIN.then(ZeroStar(n)))[0]["samples"] for n in (1, 6))
    assert (out - noise).abs().max() > 0.5, "D = x in every step returns the noise"


# Two-stage steps by hand, on the exact mixture in float64


def closed_form(kind):
    mixture, labels = make_mixture((3, 8, 8), classes=3, seed=0), torch.tensor([0, 1, 2])
    return lambda x, sigma: [
        mixture.denoised(x, sigma, 1 - sigma if kind == "flow" else 1.0, label) for label in (None, labels)
    ]


def per_item(v, like):
    return v.reshape(-1, *(1,) * (like.ndim - 1))


class FeedbackByHand:
    """lambda of every item, decided where a step begins."""

    def __init__(self, sigmas, gamma, pi=0.95, t0=0.5, t1=0.4):
        steps, self.sigmas, self.pi = len(sigmas) - 1, sigmas, pi
        self.offset = math.log((1 - pi) * 3 / 2) / ((1 - t0) * steps)
        kernel = [then**2 * (1 - (then / now) ** 2) for now, then in pairwise(sigmas)][::-1]
        low, share = int(t1 * steps), t1 * steps - int(t1 * steps)
        self.temperature = abs(2 * ((1 - share) * kernel[low] + share * kernel[low + 1]) / 10 * self.offset)
        self.floor, self.before = math.log((1 - pi) * gamma / (gamma - 1)), None

    def first(self, i, x, u, c):
        if self.before is None:
            self.posterior = torch.zeros(len(x), dtype=torch.float64)
        else:
            x_, u_, c_ = self.before
            square = (self.sigmas[i] / self.sigmas[i - 1]) ** 2
            miss_c, miss_u = ((x - square * x_ - (1 - square) * v).square().flatten(1).sum(1) for v in (c_, u_))
            variance = self.sigmas[i] ** 2 * (1 - square)
            self.posterior = self.posterior - self.temperature / (2 * variance) * (miss_c - miss_u) + self.offset
        self.posterior, self.before = self.posterior.clamp(self.floor, 3.0), (x, u, c)
        return self.stage(u, c)

    def stage(self, u, c):
        scale = self.posterior.exp() / (self.posterior.exp() - (1 - self.pi))
        return u + per_item(scale, u) * (c - u)


class MomentumByHand:
    """APG with eta 0 and momentum, its mean moved on where a step begins."""

    def __init__(self, sigmas, gamma, beta=-0.5):
        self.gamma, self.beta, self.mean, self.last = gamma, beta, 0.0, 0.0

    def first(self, i, x, u, c):
        self.last = self.mean
        self.mean = c - u + self.beta * self.last
        return self._guided(self.mean, c)

    def stage(self, u, c):
        return self._guided(c - u + self.beta * self.last, c)

    def _guided(self, d, c):
        share = (d * c).flatten(1).sum(1) / (c * c).flatten(1).sum(1)
        return c + (self.gamma - 1) * (d - per_item(share, c) * c)


def two_stages(name, rule, denoise, x, sigmas):
    """heun or dpm_2 from the formulas, with a rule whose further stages are asked as such."""
    for i, (now, then) in enumerate(pairwise(sigmas)):
        d = (x - rule.first(i, x, *denoise(x, now))) / now
        if then == 0:
            x = x + d * (then - now)
            continue
        middle = then if name == "heun" else math.sqrt(now * then)
        x_2 = x + d * (middle - now)
        d_2 = (x_2 - rule.stage(*denoise(x_2, middle))) / middle
        x = x + (0.5 * (d + d_2) if name == "heun" else d_2) * (then - now)
    return x


@pytest.mark.parametrize("name", ["heun", "dpm_2"])
@pytest.mark.parametrize(
    ("rule", "by_hand"),
    [(Feedback(), FeedbackByHand), (AdaptiveProjected(0.0, 0.0, -0.5), MomentumByHand)],
    ids=["FBG", "APG with momentum"],
)
def test_a_rule_with_memory_in_two_stages_is_the_loop_by_hand(labelled, empty_latent, name, rule, by_hand):
    out, _, trace = guided(
        *labelled["ve"], empty_latent("ve"), name, cfg=CFG, guidance=PLAIN.then(rule), capture="tensors"
    )
    sigmas = [float(s) for s in trace.header["sigmas"]]
    steps, _ = collect(labelled, empty_latent, "ve", name, cfg=CFG)
    start = steps[0].x.double()
    expected = two_stages(name, by_hand(sigmas, CFG), closed_form("ve"), start, sigmas)
    assert (out["samples"].double() - expected).abs().max() <= 2e-3 * expected.abs().max()


@pytest.mark.parametrize(
    ("schedule_", "of_step"),
    [
        (ScaleSchedule("list", values=(2.0, 3.0, 4.0, 5.0, 6.0, 7.0)), lambda i, sigmas: 2.0 + i),
        (PlusPlus(), lambda i, sigmas: 0.8 / (1 - sigmas[i + 1] / sigmas[i])),
    ],
    ids=["list", "CFG++"],
)
def test_a_scale_that_belongs_to_a_step_is_that_of_all_its_stages(labelled, empty_latent, schedule_, of_step):
    seen = []

    @dataclass(frozen=True)
    class Noting(Counting):
        def stage(self, state, following, p, gamma):
            seen.append((state, gamma))
            return super().stage(state, following, p, gamma)

    chain = PLAIN.then(schedule_).then(Noting([]))
    _, _, trace = guided(*labelled["ve"], empty_latent("ve"), "heun", cfg=0.8, guidance=chain)
    expected = [(i, of_step(i, trace.header["sigmas"])) for i, _ in seen]
    assert len(seen) == trace.n - 1
    assert [gamma for _, gamma in seen] == pytest.approx([gamma for _, gamma in expected])


def test_a_sampler_whose_levels_are_not_those_of_its_dry_run_is_found_out(labelled, empty_latent):
    @of_the_host
    def crooked(model, x, sigmas, extra_args, callback, disable):
        off = 1.0 if x.shape[1] == 1 else 1.01  # as the probes of a dry run have it
        for i, (now, then) in enumerate(pairwise(sigmas * off)):
            denoised = model(x, now * x.new_ones(len(x)), **extra_args)
            callback({"x": x, "i": i, "sigma": now, "denoised": denoised})
            x = denoised + (x - denoised) * then / now
        return x

    model, positive, negative = labelled["ve"]
    guider = GGGuider.execute(model, positive, negative, 3.0)[0]
    noise, sigmas = custom.Noise_RandomNoise(3), custom.KarrasScheduler.execute(4, 20.0, 0.05, 7.0)[0]
    sampler = comfy.samplers.KSAMPLER(crooked)
    trace = GGInspectedSampler.execute(noise, guider, sampler, sigmas, empty_latent("ve"))[2]
    words = " ".join([*trace.header["faults"], *trace.header["notes"]])
    assert words.lower().count("evaluation 1 was at another noise level") == 2, trace.header
