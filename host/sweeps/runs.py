"""Many runs of one model inside one node: each as KSampler's bit for bit, or several in one batch.

A batch is also exact where the device gives every row of it the bits that the run has by itself. Whether it does
follows the shapes alone, so it is asked once for each size of a batch and shape of its conditions, at one noise level.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

import comfy.model_management
import comfy.patcher_extension
import comfy.samplers
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...guidance.chain import Chain, ChainState
from ...guidance.rules.kinds import Rule, Schedule
from ...guidance.run import Run
from ...guidance.side_by_side import Lane, batch_chain
from ...trace.gram import recount
from ...trace.trace import Trace
from .. import server
from ..models import adapter
from ..models.adapter import intermediate_dtype
from ..models.closed_code import is_hosts_own
from ..recording.run_recorder import RECORDS, without_recording
from ..recording.sampler_nodes import Start, latent_of, sample_recorded, schedule_of, start_of
from ..recording.watch import Recording
from ..sampling.dry_run import own_noise, response_of, takes_noise
from ..sampling.guided_run import ChainGuider, chain_guider
from .conditions import NOTHING, Asked, Conditioning, Wanted

MOST_ROWS = 64  # of a shared batch: beyond that a network gains nothing more
HEADROOM = 1.5  # the host's own, between what it reckons a batch takes and what is free
PRODUCTS = ("sa_solver", "sa_solver_pece", "uni_pc", "uni_pc_bh2")  # sum predictions in an order that follows the batch
TIMED = ("start_percent", "end_percent", "timestep_start", "timestep_end")  # of a condition: it is not always there
SEEDED = "noise_augmentation"  # of a condition: upscalers and refiners draw for it by the seed of the call
PATCHES = ("sampler_cfg_function", "sampler_pre_cfg_function", "sampler_post_cfg_function")
GUIDES = (comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, server.KEY)  # kind and key of a wrapper
OUT_OF_MEMORY = "Memory ran out at {} runs in a batch; from there on {} at a time."


class Subject(NamedTuple):
    """What all runs have in common.

    model: a MODEL.
    positive, negative: CONDITIONINGs.
    latent: a LATENT, samples [B, C, ...].
    conditions: what a run has in the place of positive, where an axis says so.
    """

    model: Any
    positive: Conditioning
    negative: Conditioning
    latent: dict
    conditions: Mapping[Asked, Wanted] = {}

    def positive_of(self, settings: Settings) -> Conditioning:
        """What a run is asked for."""
        wanted = self.conditions.get(settings.condition)
        return self.positive if wanted is None else wanted.positive


@dataclass(frozen=True)
class Settings:
    """What one run is, beside the subject.

    cfg: the guidance scale gamma.
    seed: of the noise.
    steps: of the sampler.
    sampler, scheduler: by the host's names.
    chain: of rules.
    condition: what an axis asks for in the place of positive.
    """

    cfg: float
    seed: int
    steps: int
    sampler: str
    scheduler: str
    chain: Chain
    condition: Asked = NOTHING

    @property
    def batch(self) -> tuple[int, str, str, str]:
        """What runs in one batch must agree on."""
        return self.steps, self.sampler, self.scheduler, str(self.condition)

    @property
    def schedule(self) -> tuple[int, str, str]:
        """What its noise levels are."""
        return self.steps, self.sampler, self.scheduler


class Outcome(NamedTuple):
    """What a run left.

    samples: a LATENT.
    trace: of the rows of this run.
    seconds: its share of the time of its batch.
    in_batch: made together with others.
    """

    samples: dict
    trace: Trace
    seconds: float
    in_batch: bool


def sample_alone(subject: Subject, settings: Settings, facts: Mapping, capture: str = "numbers") -> Outcome:
    """One run, whose samples are those of KSampler bit for bit."""
    began = time.monotonic()
    start = _start(subject, settings)
    guider = _guider(subject, [settings], len(start.noise))
    sampler = comfy.samplers.sampler_object(settings.sampler)
    samples, trace = _sample(guider, start, sampler, settings, facts, capture)
    return Outcome(samples, trace, time.monotonic() - began, False)


def _start(subject: Subject, settings: Settings) -> Start:
    return start_of(subject.model, subject.latent, settings.seed, *settings.schedule)


def _sample(
    guider: ChainGuider, start: Start, sampler: comfy.samplers.Sampler, settings: Settings, facts: Mapping, capture: str
) -> tuple[dict, Trace]:
    recording = Recording(
        capture, facts={"scheduler": settings.scheduler, "steps": settings.steps, "denoise": 1.0, **facts}
    )
    out = sample_recorded(guider, start.noise, start.latent, sampler, start.sigmas, settings.seed, recording,
                    intermediate_dtype())  # fmt: skip
    return out[0], out[2]


def every_run(subject: Subject, runs: Sequence[Settings], mode: str, facts: Mapping) -> Iterator[tuple[int, Outcome]]:
    """Every run with its place in the list, as soon as it is done; those of a batch out of order.

    Where a batch does not fit into memory, it is halved.
    """
    exact = SameBits(subject) if mode == "exact" else None
    for group in groups(subject, runs, mode):
        yield from _batches(subject, runs, group, facts, exact)


def _batches(subject: Subject, runs: Sequence[Settings], group: list[int], facts: Mapping, exact: SameBits | None):
    """The runs of a group, as many at a time as memory has room for, and as give the same bits."""
    most = room(subject) if len(group) > 1 else 1
    while group:
        now = group[:most]
        try:
            now = now if exact is None else now[: exact.most([runs[i] for i in now])]
            these = [runs[i] for i in now]
            ends = sample_shared(subject, these, facts) if len(these) > 1 else [sample_alone(subject, these[0], facts)]
        except comfy.model_management.OOM_EXCEPTION:
            if len(now) == 1:
                raise
            most = len(now) // 2
            adapter.tell(OUT_OF_MEMORY.format(len(now), most))
            comfy.model_management.soft_empty_cache()
            continue
        group = group[len(now) :]
        yield from zip(now, ends, strict=True)


def groups(subject: Subject, runs: Sequence[Settings], mode: str) -> list[list[int]]:
    """The places of runs that share batches: those that agree in `batch`; each by itself where there is an obstacle."""
    places = sorted(range(len(runs)), key=lambda i: runs[i].batch)
    by_batch = [list(batches) for _, batches in groupby(places, key=lambda i: runs[i].batch)]
    uneven = changes_its_batch if mode == "exact" else (lambda subject, settings: False)
    batches: list[list[int]] = []
    for group in by_batch:
        free = [i for i in group if not obstacle(subject, runs[i]) and not uneven(subject, runs[i])]
        batches += [*([free] if free else []), *([i] for i in group if i not in free)]
    return batches


def changes_its_batch(subject: Subject, settings: Settings) -> bool:
    """Whether a run by itself does not evaluate u and c together at every noise level, or may not.

    A rule with needs of its own skips u at times; another node's patch may do anything: a cache of steps decides by all
    rows of a batch, and one evaluation does not show it. Nor does it show what a sampler makes of its predictions.
    """
    conditions = [*subject.positive_of(settings), *subject.negative]
    timed = any(options.get(name) for _, options in conditions for name in TIMED)
    skips = any(isinstance(rule, Schedule) or type(rule).needs is not Rule.needs for rule in settings.chain.rules)
    return timed or settings.cfg == 1 or skips or settings.sampler in PRODUCTS or is_patched(subject.model)


def is_patched(model: ModelPatcher) -> bool:
    """Whether another node has put work of its own on a MODEL; recording its runs is none."""
    options = dict(model.model_options)
    inside = [value for value in options.pop("transformer_options", {}).values() if value]
    around = [(kind, key) for kind, each in model.wrappers.items() for key, wrappers in each.items() if wrappers]
    return any([*options.values(), *inside, *(place != RECORDS for place in around)])


class SameBits:
    """How many runs may share a batch so that each has the bits that it has by itself.

    answers: whether they do, by their number and the shapes of what they are asked for.
    """

    def __init__(self, subject: Subject):
        self.subject = subject
        self.answers: dict[tuple, bool] = {}

    def most(self, runs: Sequence[Settings]) -> int:
        """All of them, or a half, a quarter and so on; two are tried first, since most devices fail there."""
        if len(runs) == 1 or not self.hold(runs[:2]):
            return 1
        size = len(runs)
        while size > 1 and not self.hold(runs[:size]):
            size //= 2
        return size

    def hold(self, runs: Sequence[Settings]) -> bool:
        """Whether a batch of so many has them; asked at the schedule's middle noise level."""
        key = len(runs), shapes_of(self.subject, runs[0])
        if key not in self.answers:
            size, whole = len(self.subject.latent["samples"]), predict_middle(self.subject, runs)
            parts = zip(whole.split(size), runs, strict=True)
            self.answers[key] = all(torch.equal(part, predict_middle(self.subject, [run])) for part, run in parts)
        return self.answers[key]


def shapes_of(subject: Subject, settings: Settings) -> tuple:
    """All that the size of a computation follows in what a run is asked for."""
    conditions = (*subject.positive_of(settings), *subject.negative)
    return tuple(tuple(sorted((name, *_form(value)) for name, value in {"": tensor, **options}.items()))
                 for tensor, options in conditions)  # fmt: skip


def _form(value: Any) -> tuple[str, ...]:
    """A tensor by its shape, anything else by what it is: a strength of 0 may leave a part out."""
    return (str([*value.shape]), str(value.dtype)) if isinstance(value, Tensor) else (repr(value),)


def predict_middle(subject: Subject, runs: Sequence[Settings]) -> Tensor:  # -> [runs * B, C, ...]
    """The guided predictions at the schedule's middle noise level, each run on noise of its own, in one batch.

    That is no run of the user's: nobody records it.
    """
    subject = subject._replace(model=without_recording(subject.model))
    starts = [_start(subject, settings) for settings in runs]
    start = _side_by_side(starts)
    guider = _guider(subject, runs, len(starts[0].noise))
    mask, seed = start.latent.get("noise_mask"), runs[0].seed
    sampler = comfy.samplers.KSAMPLER(evaluate_middle)
    return guider.sample(
        start.noise, start.latent["samples"], sampler, start.sigmas, mask, disable_pbar=True, seed=seed
    )


def evaluate_middle(model: Callable[..., Tensor], x: Tensor, sigmas: Tensor, extra_args: dict, **_) -> Tensor:
    """A sampler that only evaluates once:  D(x sigma_k / sigma_0, sigma_k) with k half of the steps."""
    sigma = sigmas[(len(sigmas) - 1) // 2]
    return model(x * (sigma / sigmas[0]), sigma * x.new_ones(len(x)), **extra_args)


def obstacle(subject: Subject, settings: Settings) -> str:
    """Why a run cannot share a batch with others, in a sentence; empty where it can."""
    name = settings.sampler
    sampler = comfy.samplers.sampler_object(name)
    response = response_of(sampler, schedule_of(subject.model, *settings.schedule), subject.model)
    if not response.steps:
        return f"{name} may choose one step size for all rows of a batch: {response.why}"
    if any(step.hidden for step in response.steps) or not is_hosts_own(sampler.sampler_function):
        return f"{name} draws its noise in the shape of the batch"
    if settings.chain.terms or settings.chain.sources or settings.chain.embeds:
        return f"{settings.chain.text} needs more than u and c"
    if patch := next((name for name in PATCHES if subject.model.model_options.get(name)), ""):
        return f"another node has put its own guidance on the MODEL ({patch})"
    if subject.model.get_wrappers(*GUIDES):
        return "the MODEL has a guidance chain of its own"
    if adapter.is_nested(subject.latent["samples"]):
        return "the latent holds several parts"
    if subject.latent.get("noise_mask") is not None and subject.latent["samples"].ndim != 4:
        return "the noise mask is of no picture, and has its frames where a batch has its rows"
    return _obstacle_of_conditions(subject, settings)


def _obstacle_of_conditions(subject: Subject, settings: Settings) -> str:
    """What of the conditions of a run cannot share a batch, in a sentence; empty where all of them can."""
    rows = len(subject.latent["samples"])
    for tensor, options in [*subject.positive_of(settings), *subject.negative]:
        if options.get(SEEDED):
            return f"a condition draws noise by the seed ({SEEDED}), and a batch has one"
        for name, value in {"cond": tensor, **options}.items():
            if not isinstance(value, Tensor | int | float | str | None):
                return f"a condition has {name}, which may look at the whole batch"
            if isinstance(value, Tensor) and value.ndim and rows % len(value):
                return f"a condition has {len(value)} entries ({name}) for {rows} pictures"
    return ""


def room(subject: Subject) -> int:
    """How many runs a batch has room for, by what the host reckons and what is free; at least one."""
    model = subject.model
    shape = list(latent_of(model, subject.latent)["samples"].shape)
    free: Any = comfy.model_management.get_free_memory(model.load_device)
    needed = [model.model.memory_required([2 * runs * shape[0], *shape[1:]]) for runs in (1, 2)]
    each = max(needed[1] - needed[0], 1)
    fits = int((free / HEADROOM - (needed[0] - each)) // each)
    return max(1, min(fits, MOST_ROWS // shape[0]))


def sample_shared(subject: Subject, runs: Sequence[Settings], facts: Mapping) -> list[Outcome]:
    """Several runs in one batch: the same noise as single runs, one evaluation of the network for all.

    Their samples differ from single runs by rounding, which some samplers amplify.
    """
    began = time.monotonic()
    starts = [_start(subject, settings) for settings in runs]
    start = _side_by_side(starts)
    size = len(starts[0].noise)
    guider = _guider(subject, runs, size)
    sampler = separately_drawn(runs[0].sampler, subject.model, start, [settings.seed for settings in runs])
    samples, trace = _sample(guider, start, sampler, runs[0], facts, "numbers")
    seconds = (time.monotonic() - began) / len(runs)
    places = [slice(i * size, (i + 1) * size) for i in range(len(runs))]
    return [
        Outcome({**starts[i].latent, "samples": samples["samples"][rows]}, rows_of(trace, rows, runs[i]), seconds, True)
        for i, rows in enumerate(places)
    ]


def _guider(subject: Subject, runs: Sequence[Settings], size: int) -> ChainGuider:
    """The guider of a run, or of several in one batch.  size: rows of each"""
    chain = runs[0].chain
    if len(runs) > 1:
        chain = batch_chain(tuple(Lane(settings.chain, settings.cfg) for settings in runs), size)
    scale = max(settings.cfg for settings in runs)
    return chain_guider(subject.model, subject.positive_of(runs[0]), subject.negative, scale, chain)


def _side_by_side(starts: Sequence[Start]) -> Start:
    """The starts of several runs on one schedule as one; masks and places in a batch are those of each."""
    first, count = starts[0].latent, len(starts)
    rows = len(first["samples"])
    latent = {**first, "samples": torch.cat([start.latent["samples"] for start in starts])}
    if (mask := first.get("noise_mask")) is not None:
        whole = mask.reshape(-1, 1, *mask.shape[-2:])
        latent["noise_mask"] = whole.repeat(-(-rows // len(whole)), 1, 1, 1)[:rows].repeat(count, 1, 1, 1)
    return Start(latent, torch.cat([start.noise for start in starts]), starts[0].sigmas)


def separately_drawn(name: str, model: Any, start: Start, seeds: Sequence[int]):
    """The host's SAMPLER of this name, drawing for each run what it would draw by itself."""
    sampler = comfy.samplers.sampler_object(name)
    if len(start.sigmas) > 1 and takes_noise(sampler.sampler_function):
        draws = SeparateDraws(sampler.sampler_function, model.get_model_object("model_sampling"), start, seeds)
        sampler.extra_options = {**sampler.extra_options, "noise_sampler": draws}
    return sampler


class SeparateDraws:
    """A noise sampler for a batch of runs, each with its own seed; made at the first draw, on the run's device."""

    def __init__(self, function: Callable, sampling: Any, start: Start, seeds: Sequence[int]):
        self.function, self.sampling, self.start, self.seeds = function, sampling, start, seeds
        self.draws: list[Callable] = []

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:  # -> [B, ...]
        if not self.draws:
            noise = self.start.noise.to(self.start.sigmas.device)
            rows = zip(noise.chunk(len(self.seeds)), self.seeds, strict=True)
            draws = (own_noise(self.function, part, self.start.sigmas, seed, self.sampling) for part, seed in rows)
            self.draws = [draw for draw in draws if draw is not None]
        return torch.cat([draw(sigma, sigma_next) for draw in self.draws])


def rows_of(trace: Trace, rows: slice, settings: Settings) -> Trace:
    """The record of one run of a batch, at its own scale: the batch has that of the run farthest from 1."""
    one, header = trace.of_samples(rows), trace.header
    state = ChainState(Run(tuple(header["sigmas"]), header["space"] == "flow"), ())
    scales = [settings.chain.scale(state, sigma, settings.cfg) for sigma in trace.steps["sigma"].tolist()]
    known = ~trace.steps["gamma"].isnan()
    gamma = torch.where(known, torch.tensor(scales, dtype=torch.float64), torch.nan)

    # D - G counted from the run's own scale
    off = torch.where(known, trace.steps["gamma"] - gamma, 0.0)[:, None]
    u, delta, moved = one.steps["sum"].unbind(dim=-1)
    moved = moved + torch.where(off == 0, 0.0, off * delta)
    recounted = {"gamma": gamma, "K": recount(one.record, off).K, "sum": torch.stack([u, delta, moved], dim=-1)}

    tensors = {name: value[rows] for name, value in trace.tensors.items() if name == "end"}
    of_run = {"cfg": settings.cfg, "seed": settings.seed, "chain": settings.chain.text, "lanes": {}}
    steps = {**one.steps, **recounted}
    return replace(one, header={**one.header, **of_run}, steps=steps, tensors=tensors, cross={})
