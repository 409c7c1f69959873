"""Guidance and its record in any sampling loop, around any denoiser that is a function."""

from __future__ import annotations

import math
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..guidance.chain import Chain, Runner
from ..guidance.contract import chain_from
from ..guidance.gradients.evaluation import Decoder, Denoised, GradientEvaluation, OwnPixels, reads_difference
from ..guidance.gradients.run import GradientRun
from ..guidance.predictions import Predictions
from ..guidance.printing import nth
from ..guidance.rules.kinds import Source
from ..guidance.run import Run
from ..samplers.loop import step_noise
from ..samplers.noise_tracking import untrack
from ..samplers.response import Response
from ..trace.accumulator import Accumulator, Capture, of_no_mode
from ..trace.maker import EndedRun, make_trace
from ..trace.recorder import Evaluation, Recorded, Recorder
from ..trace.rows import Setting
from ..trace.terms import terms_of_chain
from .denoisers import NetworkDenoiser
from .sampling import check_samples, response_of, sample, sampler_of
from .traces import Trace

Denoiser = Callable[[Tensor, float, Any], Tensor]  # x [B, ...], sigma, condition -> x0-hat [B, ...]
NO_EMBEDDING = (
    "a rule of this chain changes the embedding of the condition, and this denoiser is not given one. Use a network of "
    "load_denoiser with labels, or a condition that is a tensor of one or B embeddings, [B, ...]."
)
PICTURES = (1, 3)  # channels of samples that are pixels in -1 .. 1


class Guided:
    """A denoiser under a chain in one run.

    denoiser(x, sigma, condition) -> x0-hat. conditions: by the names "cond" and "uncond". sigma_data: of clean data.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        conditions: Mapping[str, Any],
        chain: Chain,
        run: Run,
        gamma: float,
        sigma_data: float = 1.0,
    ):
        if not math.isfinite(gamma):
            raise ValueError(f"gamma is {gamma}, but a number is needed.")
        self.denoiser, self.conditions, self.chain, self.gamma = denoiser, conditions, chain, gamma
        self.runner, self.nfe = Runner(chain, run), 0
        self.condition_noise: Callable[..., Tensor] | None = None
        usual = denoiser.decoder if isinstance(denoiser, NetworkDenoiser) else None
        decoders = {term: term.decoder or usual for term in chain.terms}
        pictures = {term: Decoder(decoder) if decoder else OwnPixels() for term, decoder in decoders.items()}
        self.gradients = GradientRun(pictures, sigma_data, warnings.warn)

    def __call__(self, x: Tensor, sigma: float, stage: bool = False) -> Evaluation:
        """D at a noisy sample, and what it was made of.  stage: it is a further one of the same step."""
        self.runner.begin(sigma, not stage)
        run, gradients, seen = self.runner.run, self.gradients, []
        terms = gradients.active_terms(run, sigma)

        def denoise(x: Tensor) -> Denoised:
            seen.append(self._denoise(x, reads_difference(terms)))
            return seen[-1]

        stand_in = partial(gradients.active_term, run, sigma)
        evaluation = GradientEvaluation(denoise, x, sigma, run.alpha(sigma), terms, gradients.sigma_data, stand_in)
        guided, answers = gradients.remember(evaluation.guide(), sigma), gradients.latest
        _, uncond, cond = seen[-1]
        uncond = self.runner.in_place_of_u if uncond is None else uncond
        return Evaluation(
            guided,
            uncond,
            cond,
            self.runner.gammas[0],
            self.nfe,
            self.runner.stage,
            gradients={answer.name: answer.shift for answer in answers if answer.shift is not None},
            weights={answer.name: answer.weight for answer in answers if answer.weight is not None},
            log_probs={answer.name: answer.log_prob for answer in answers},
        )

    def sentences(self) -> list[str]:
        """Sentences for the trace."""
        return [*self.runner.remarks(), *self.gradients.sentences()]

    def _denoise(self, x: Tensor, both: bool) -> Denoised:
        """D without gradients.  both: u is evaluated, also where the chain needs c alone."""
        runner = self.runner
        needs = runner.needs(self.gamma)
        made = {name: self._predict(name, x) for name in sorted(needs | ({"uncond"} if both else set()))}
        self.nfe, cond, uncond = len(made), made.pop("cond"), made.pop("uncond", None)
        sigma, alpha = (x.new_full((len(x),), v) for v in (runner.sigma, runner.run.alpha(runner.sigma)))
        p = Predictions(x, sigma, alpha, uncond if "uncond" in needs else None, cond, made)
        return Denoised(runner.guide(p), uncond, cond)

    def _predict(self, name: str, x: Tensor) -> Tensor:
        """One of the predictions that the chain asks for."""
        source = self.chain.sources.get(name, Source(name))
        condition = source.conditioning
        denoiser, is_named = source.model or self.denoiser, isinstance(condition, str) and condition in self.conditions
        told = self.conditions[condition] if is_named else condition
        if is_named and condition == "cond" and self.chain.embeds_at(self.runner.run, self.runner.sigma):
            told = self._embed(denoiser, told, x)
        prediction = denoiser(x, self.runner.sigma, told)
        if not isinstance(prediction, Tensor) or prediction.shape != x.shape:
            what = [*prediction.shape] if isinstance(prediction, Tensor) else type(prediction).__name__
            raise ValueError(f"The denoiser returned {what}, but x0-hat has the shape of x, {[*x.shape]}.")
        return prediction

    def _embed(self, denoiser: Denoiser, condition: Any, x: Tensor) -> Tensor:  # -> [B, ...]
        """What the denoiser is told of the condition, as the chain changes it."""
        self.condition_noise = draw = self.condition_noise or step_noise(x, 0)
        y = denoiser.label_vectors(condition, x) if isinstance(denoiser, NetworkDenoiser) else condition
        if not isinstance(y, Tensor) or not y.is_floating_point() or len(y) not in (1, len(x)):
            raise ValueError(f"{self.chain.text}: {NO_EMBEDDING}")
        run, sigma = self.runner.run, self.runner.sigma
        y = y.expand(len(x), *y.shape[1:])
        return self.chain.embed(run, sigma, y, lambda place: draw(y.shape[1:], run.step(sigma), place).to(y.device))


class Recording:
    """The record of one run, step by step; called like a function it guides, too.

    `guided(x, sigma)` in any loop gives D. A loop that evaluates a step more than once says `stage=True` from the
    second time on, and one that adds noise adds `mark(eps)` in the place of eps, so that move and noise are told apart.
    `finish(x)` ends the run. trace: set by then. end: the last x. dtype: of the network, None for that of x.
    """

    trace: Trace
    end: Tensor

    def __init__(
        self,
        run: Run,
        evaluate: Callable[..., Evaluation] | None,
        capture: str,
        facts: Mapping[str, Any],
        dtype: torch.dtype | None = None,
    ):
        self.run, self.evaluate, self.facts, self.dtype = run, evaluate, dict(facts), dtype
        self.capture, self.response = Capture(capture), Response(why="the loop is not ours")
        self.recorder = Recorder(self._enter_step, run.sigmas[-1])
        self.accumulator: Accumulator | None = None
        self.stop_reason = ""

    def __call__(self, x: Tensor, sigma: float | Tensor, stage: bool = False) -> Tensor:  # x [B, ...] -> [B, ...]
        """D, noted with what it was made of."""
        if self.evaluate is None:
            raise ValueError("This recording watches a run of somebody else's, and guides none.")
        check_samples(x)
        sigma = float(sigma.flatten()[0] if isinstance(sigma, Tensor) else sigma)
        seen = self.evaluate(untrack(x), sigma, stage)
        self.observe(x, sigma, seen, stage)
        return seen.denoised

    def observe(self, x: Tensor, sigma: float, seen: Evaluation, stage: bool = False) -> None:
        """Note an evaluation that was made at x, by whomever; copies are kept, since a loop may work in place."""
        predictions = (seen.denoised, seen.uncond, seen.cond)
        guided, uncond, cond = (None if tensor is None else tensor.detach().clone() for tensor in predictions)
        visited = self.recorder.begin_call(x.detach(), torch.tensor(sigma, dtype=torch.float64))
        visited.evaluation = replace(seen, denoised=guided, uncond=uncond, cond=cond)
        if not stage:
            self.recorder.end_step()

    def mark(self, eps: Tensor) -> Tensor:  # [B, ...] -> [B, ...]
        """Noise that a loop adds, so that the record knows it."""
        return self.recorder.mark(eps)

    def sample(self, x: Tensor, sampler: str = "euler", seed: int = 0) -> Trace:  # x [B, ...]
        """Run a sampler (euler, ddpm) from x at the first noise level, and end the run."""
        self.facts = {"sampler": sampler_of(sampler).name, "seed": seed} | self.facts
        self.response = response_of(sampler, self.run.sigmas, self.run.flow)
        return self.finish(sample(self, x, self.run.sigmas, sampler, seed=seed, flow=self.run.flow, mark=self.mark))

    @property
    def steps(self) -> int:
        """Steps whose end is known."""
        return len(self.accumulator.stage) if self.accumulator else 0

    def stop(self, why: str, reached: tuple[Tensor, float] | None = None) -> Trace:
        """End the record before its run.  reached: where the last step led and its noise level, if they are known."""
        self.stop_reason, last = why, self.recorder.primary
        if reached is None and last is not None:  # that step is left out, and the record ends where it began
            self.recorder.primary, reached = None, (last.x, last.sigma)
        return self.finish(*(reached or (self.end, None)))

    @of_no_mode
    def finish(self, x: Tensor, sigma: float | None = None) -> Trace:  # [B, ...]
        """End the run with the state that it led to.  sigma: its noise level, if the run did not say so."""
        self.recorder.last_sigma = self.recorder.last_sigma if sigma is None else sigma
        self.end = untrack(x).detach()
        self.recorder.end_run(x.detach())
        if self.accumulator is None:
            raise ValueError(
                "Nothing was recorded: call the recording in your loop, guided(x, sigma), before finish(x)."
            )
        self.trace = Trace.of(make_trace(self._end_run(self.accumulator), self._facts(self.accumulator)))
        return self.trace

    def _end_run(self, accumulator: Accumulator) -> EndedRun:
        sigmas: list[float | None] = list(self.run.sigmas)
        columns = accumulator.columns()  # first of all: a fault in them is the accumulator's afterwards
        if self.evaluate is None:  # nobody said beforehand which levels there would be
            sigmas = [*columns["sigma"].tolist(), float(columns["sigma_next"][-1])] + [None] * bool(self.stop_reason)
        stopped = f"not recorded from step {nth(self.steps)} on: {self.stop_reason}" if self.stop_reason else ""
        faults = [fault for fault in (stopped, accumulator.fault) if fault]
        return EndedRun(uuid.uuid4().hex, accumulator, sigmas, self.end, faults)

    def _facts(self, accumulator: Accumulator) -> dict[str, Any]:
        lost, dtype = self.recorder.lost_draws, str(self.dtype or self.end.dtype)[6:]
        notes = [f"the noise of {lost} steps could not be followed: it counts as part of the move"] if lost else []
        notes += self.evaluate.sentences() if isinstance(self.evaluate, Guided) else []
        return {
            "split": "by marked noise",
            "notes": notes,
            "host": {"torch": torch.__version__, "device": str(self.end.device), "dtype": dtype},
        } | self.facts

    def _enter_step(self, step: Recorded) -> None:
        if self.accumulator is None:
            self.accumulator = Accumulator(self._setting(step.x), self.capture)
        self.accumulator.enter(step)

    def _setting(self, x: Tensor) -> Setting:
        bound = 1.0 if x.shape[1] in PICTURES else None
        handed = self.evaluate is not None  # of somebody else's run nobody knows whether a stated scale acted
        terms = terms_of_chain(self.evaluate.gradients.names) if isinstance(self.evaluate, Guided) else ()
        return Setting(self.run.flow, self.response, bound, self.dtype or x.dtype, terms, states_scales=handed)


def record(
    denoiser: Denoiser,
    sigmas: Sequence[float],
    cond: Any,
    *,
    uncond: Any = None,
    gamma: float = 4.0,
    rule: Any = None,
    capture: str = "pictures",
    **facts: Any,
) -> Recording:
    """A recording that guides a denoiser.

    denoiser(x, sigma, condition) -> x0-hat [B, ...]; x [B, ...], sigma a number. sigmas: the noise levels, noisiest
    first, and the one at which the run ends. cond, uncond: conditions, handed to the denoiser as they are. rule: of
    this pack, a gradient of an energy, a chain, a function of (u, c, x, gamma, sigma), or None for plain guidance.
    capture: numbers, pictures or tensors. facts: of the trace's header; space="flow" says
    x = (1 - sigma) x0 + sigma eps, else x = x0 + sigma eps.
    Raises ValueError for a rule that is none, a gamma that is no number, or noise levels that do not fall.
    """
    facts = {**getattr(denoiser, "facts", {}), **facts}
    run, chain = run_of(sigmas, facts.get("space", "ve")), chain_from(rule)
    data = float(facts.get("sigma_data") or 1.0)
    guided = Guided(denoiser, {"cond": cond, "uncond": uncond}, chain, run, float(gamma), data)
    return Recording(run, guided, capture, {"cfg": float(gamma), "chain": chain.text} | facts)


def run_of(sigmas: Sequence[float], space: str) -> Run:
    """The noise levels of a run.  Raises ValueError where they do not fall, or for an unknown space."""
    levels = tuple(float(sigma) for sigma in sigmas)
    if len(levels) < 2 or list(levels) != sorted(set(levels), reverse=True) or levels[-1] < 0:
        raise ValueError(
            f"sigmas must fall from the noisiest to the last, two or more, none below 0; got {levels[:6]}."
        )
    if space not in ("ve", "flow"):
        raise ValueError(
            f"space is {space!r}. Use 've' (x = x0 + sigma eps) or 'flow' (x = (1 - sigma) x0 + sigma eps)."
        )
    return Run(levels, space == "flow")
