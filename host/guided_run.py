"""One run of a guidance chain inside the host: which predictions are evaluated, and where its rules act.

The order within one evaluation is the host's: its batched evaluation, the MODEL's pre-CFG patches, then the chain, then
the MODEL's post-CFG patches and what the sampler added to them. The run lives in the per-run copy of the model options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import comfy.patcher_extension
import comfy.sampler_helpers
import comfy.samplers
import torch
from torch import Tensor, nn

from ..guidance.chain import Chain, Guidance, chain_of
from ..guidance.predictions import Predictions
from ..guidance.rules.kinds import Source
from ..guidance.run import Run
from ..samplers.stages import Stages, zero_init_note
from . import adapter
from .adapter import KEY
from .autograd import staying
from .gradient_run import GradientRun, goes_through_denoiser
from .other_model import WORDS, OtherModel

SURE_TO_WAIT = "Use euler, heun, dpm_2 or ddim, or set zero_init_steps to 0."


class GuidedRun:
    """A guidance chain at work in one run.

    gamma: the scale in force at the latest evaluation. stage: what that evaluation was, a word of the trace. began: in
    a further stage of an outer step, the noise level at which the step began; None in its first evaluation. notes:
    sentences about what the chain asks of this sampler in vain.
    One difference from the host is wanted: where the negative covers only part of the schedule, the rest is sampled
    with c alone, while the host would use gamma * c there.
    """

    def __init__(self, guider, chain: Chain, sigmas: Tensor, noise: Tensor, sampler):
        self.guider, self.chain = guider, chain
        self.flow = adapter.is_flow(guider.model_patcher)
        self.gamma, self.stage = 1.0, "step"
        self.run = Run(tuple(map(float, sigmas)), self.flow)
        name, options = adapter.sampler_of(sampler)
        self.stages, self.began = Stages(name, self.run.sigmas, options), None
        note = zero_init_note(name, options) if chain.waits(self.run) else ""
        self.notes = [f"{note} {SURE_TO_WAIT}"] if note else []
        self.state = self.following = chain.init(self.run)
        self.sources = dict(chain.sources)
        refuse_second_rule(guider.model_options, chain)
        for name, conditioning in own_conditions(self.sources).items():
            if name not in guider.conds:
                guider.conds[name] = _late_condition(conditioning)
        self.others = [
            OtherModel(fit_for(chain, model), guider, found, noise) for model, found in by_model(self.sources).items()
        ]
        self.gradients = GradientRun(chain.terms, guider, self.run, self)
        self.gradients.load_with(guider.conds)

    @contextmanager
    def afresh(self) -> Iterator[None]:
        """The chain as before its first step, for a rehearsal with fewer samples."""
        kept = self.state, self.following, self.began
        self.state, self.began = self.chain.init(self.run), None
        try:
            yield
        finally:
            self.state, self.following, self.began = kept

    def controls(self) -> list:
        """The host's ControlNets at work in the run: those of every condition, and those that each goes on to."""
        found = []
        for conds in (self.guider.conds, *(other.conds for other in self.others)):
            for entry in (entry for entries in conds.values() for entry in entries or []):
                control = entry.get("control")
                while control is not None and control not in found:
                    found.append(control)
                    control = control.previous_controlnet
        return found

    def networks(self) -> list[nn.Module]:
        """Everything that a prediction goes through: the model, further models, ControlNets."""
        own = [self.guider.inner_model, *(other.patcher.model for other in self.others)]
        return own + [
            part for control in self.controls() for part in vars(control).values() if isinstance(part, nn.Module)
        ]

    def patchers(self) -> list:
        """The host's keepers of their weights."""
        own = [self.guider.model_patcher, *(other.patcher for other in self.others)]
        return [*own, *(getattr(control, "control_model_wrapped", None) for control in self.controls())]

    def reported(self, callback: Callable | None) -> Callable:
        """The sampler's callback, noted."""

        def report(*info):
            self.stages.reported()
            return callback(*info) if callback else None

        return report

    def prepare_others(self, executor, guider, sigmas, extra_args, callback, noise, latent, mask=None, *rest):
        """Wrapper around the sampler: the other models' conditions are encoded as the run's own have just been."""
        for other in self.others:
            other.prepare(noise, latent, mask, sigmas, extra_args.get("seed"))
        return executor(guider, sigmas, extra_args, callback, noise, latent, mask, *rest)

    def predict(self, x, timestep, model_options={}, seed=None):  # noqa: B006  the host's signature
        """Guided x0-hat at one noise level, gradient terms included; what the chain does not need is not evaluated."""
        self._place(float(timestep[0]))
        return self.gradients.added(self._combined, x, timestep, model_options, seed)

    def needed(self, x, timestep, model_options={}, seed=None) -> int:  # noqa: B006
        """Bytes that `predict` will take beyond what is in use, by the estimate that decides how it is done."""
        return self.gradients.needed(self._combined, x, timestep, model_options, seed)

    def _place(self, sigma: float) -> None:
        """Note an evaluation: the state moves on where it begins an outer step, and stays in further stages of it."""
        if self.stages.begins(sigma):
            self.state, self.outer, self.began = self.following, sigma, None
        else:
            self.began = self.outer
        self.gradients.run = replace(self.run, began=self.began)

    def _combined(self, x, timestep, model_options, seed):
        sigma, conds = float(timestep[0]), self.guider.conds
        self.gamma = self.chain.scale(self.state.inside(self.began), sigma, self.guider.cfg)
        needs = self.chain.needs(self.state, sigma if self.began is None else self.began, self.gamma)
        asked = "uncond" in needs or model_options.get("disable_cfg1_optimization", False)
        negative, plain = conds.get("negative"), self.chain.is_cfg
        evaluated = asked and adapter.is_active(negative, sigma)
        changes = {} if plain else self._ruled(model_options, needs, sigma)
        if not plain:
            negative = negative if evaluated else None
        if not evaluated and (asked or not plain):
            changes |= cond_for_uncond(model_options)
        self.stage = "step" if evaluated else "cond_only"
        with adapter.changed(model_options, changes):
            return comfy.samplers.sampling_function(
                self.guider.inner_model, x, timestep, negative, conds["positive"], self.gamma, model_options, seed
            )

    def _ruled(self, options: dict, needs: frozenset[str], sigma: float) -> dict[str, Any]:
        """What is changed in the options of a call whose guided prediction is the chain's."""
        extra: dict[str, Tensor] = {}
        guide = partial(self._guided, extra, "uncond" in needs)
        changes: dict[str, Any] = {"disable_cfg1_optimization": True}
        changes["sampler_post_cfg_function"] = [guide, *options.get("sampler_post_cfg_function", [])]
        names = [name for name in self.sources if name in needs]
        if names:
            before = options.get("sampler_calc_cond_batch_function")
            changes["sampler_calc_cond_batch_function"] = partial(self._evaluated, extra, names, before, sigma)
        return changes

    def _evaluated(self, extra: dict[str, Tensor], names: list[str], before, sigma: float, args: dict) -> list[Tensor]:
        """c and u, and into `extra` the further predictions: those of the run's own model in the same batch.

        before: another patch's evaluation of c and u, which then stays theirs. A further condition that does not cover
        this noise level counts as u, so that it changes nothing.
        """
        model, pair, x, level, options = (args[k] for k in ("model", "conds", "input", "sigma", "model_options"))
        further = {name: self._condition(name) for name in names if self.sources[name].model is None}
        fresh = {
            name: c for name, c in further.items() if not any(c is p for p in pair) and adapter.is_active(c, sigma)
        }
        first = [] if before else pair
        found = comfy.samplers.calc_cond_batch(model, [*first, *fresh.values()], x, level, options)
        c, u = before(args) if before else found[:2]
        u = c if pair[1] is None else u
        extra.update((name, c if cond is pair[0] else u) for name, cond in further.items())
        extra |= dict(zip(fresh, found[len(first) :], strict=True))
        for other in self.others:
            absent = {name: u for name in names if name in other.conditions}
            extra |= absent | other.predictions(names, x, level, options)
        return [c, u]

    def _condition(self, name: str) -> list[dict]:
        asked = self.sources[name].conditioning
        return self.guider.conds[WORDS[asked] if isinstance(asked, str) else name]

    def _guided(self, extra: Mapping[str, Tensor], needs_uncond: bool, args: dict) -> Tensor:
        """The chain, as the first post-CFG patch."""
        sigma, cond = args["sigma"], args["cond_denoised"]
        alpha = 1 - sigma if self.flow else torch.ones_like(sigma)
        uncond = args["uncond_denoised"] if needs_uncond and args["uncond"] is not None else None
        p = Predictions(args["input"], sigma, alpha, uncond, cond, extra)
        if self.began is not None:
            guided = self.chain.stage(self.state, self.following, p, self.gamma)
        else:
            guided = self._first(p)
        if self.stage == "cond_only" and guided is not cond:
            self.stage = "reuse"
        return guided

    def _first(self, p: Predictions) -> Tensor:
        """The chain in the first evaluation of an outer step, whose state counts."""
        guided, self.following = self.chain.step(self.state, p, self.gamma)
        if torch.is_grad_enabled():  # a memory must not hold this step's graph
            _, self.following = self.chain.step(self.state, p.detached(), self.gamma)
        return guided

    def told(self) -> list[str]:
        """Sentences for the trace."""
        return [*self.notes, *self.gradients.told()]

    def close(self) -> None:
        """Give the other models back."""
        for other in self.others:
            other.close()


def refuse_second_rule(model_options: dict, chain: Chain) -> None:
    """Raise ValueError when the MODEL has a rule of the host's kind, which the chain would silently replace."""
    other = model_options.get("sampler_cfg_function")
    if other is not None and not chain.is_cfg:
        name = getattr(other, "__qualname__", type(other).__name__).split(".")[0]
        raise ValueError(
            f"The MODEL carries another guidance rule already ({name}, as its sampler_cfg_function), and the chain "
            f"{chain.text!r} wants its place. Only one can apply: remove that node, or the guidance chain."
        )


def sample_guided(proceed, guider, guidance: Guidance, *args, **named):
    """Run a guider's outer_sample with a chain; its state is made here and dropped at the end, also after an interrupt.

    proceed: the rest of outer_sample, with the host's arguments. Raises ValueError when the chain does not fit the run.
    """
    noise, latent, sampler, sigmas, mask, callback, *rest = args
    chain, options = chain_of(guidance), guider.model_options  # the host's copy for this run
    there = options.get(KEY)
    if there is not None:
        if chain.rules:
            raise ValueError(
                f"The MODEL carries the guidance chain {there.chain.text!r} and the sampler {chain.text!r}. "
                "Join them on one guidance wire, or remove one."
            )
        return proceed(*args, **named)
    if len(sigmas) < 2 or not len(noise):  # no step or no sample: the host evaluates nothing that could be guided
        return proceed(*args, **named)
    with fitting_model(guider, chain):
        run = options[KEY] = GuidedRun(guider, chain, sigmas, noise, sampler)
        for note in run.notes:
            adapter.tell(note)
        kinds = comfy.patcher_extension.WrappersMP
        for kind, wrapper in ((kinds.PREDICT_NOISE, run_predicts), (kinds.SAMPLER_SAMPLE, run.prepare_others)):
            comfy.patcher_extension.add_wrapper_with_key(kind, f"{KEY}_run", wrapper, options, is_model_options=True)
        try:
            return proceed(noise, latent, sampler, sigmas, mask, run.reported(callback), *rest, **named)
        finally:
            run.close()


def fit_for(chain: Chain, model):
    """A MODEL as the chain's gradients need it, or the same where no gradient goes through it or none can."""
    return (staying(model) or model) if goes_through_denoiser(chain.terms) else model


@contextmanager
def fitting_model(guider, chain: Chain) -> Iterator[None]:
    """The guider has a MODEL that fits the chain, for one run."""
    before = guider.model_patcher
    guider.model_patcher = fit_for(chain, before)
    try:
        yield
    finally:
        guider.model_patcher = before


def run_predicts(executor, *args):
    """Wrapper of a guider's predict_noise: other packs' wrappers run as ever, and the innermost call is the chain's."""
    run = executor.class_obj.model_options[KEY]
    return adapter.ending_in(executor, run.predict, executor.class_obj)(*args)


def own_conditions(sources: Mapping[str, Source]) -> dict[str, Any]:
    """Further conditions for the run's own model: {name: CONDITIONING}."""
    return {
        name: s.conditioning for name, s in sources.items() if s.model is None and not isinstance(s.conditioning, str)
    }


def by_model(sources: Mapping[str, Source]) -> dict[Any, dict[str, Any]]:
    """Conditions for other models: {MODEL: {name: CONDITIONING or a word of WORDS}}."""
    found: dict[Any, dict[str, Any]] = {}
    for name, source in sources.items():
        if source.model is not None:
            found.setdefault(source.model, {})[name] = source.conditioning
    return found


def _late_condition(conditioning) -> list[dict]:
    """A condition that joins a run whose hooks are registered already."""
    entries = comfy.sampler_helpers.convert_cond(conditioning)
    if any(entry.get("hooks") for entry in entries):
        raise ValueError(
            "A further condition of the guidance chain carries hooks (a LoRA of its own), which a patched MODEL cannot "
            "register. Give the chain to CFG Guider + Guidance Chain or KSampler + Guidance Trace instead."
        )
    return entries


def cond_for_uncond(options: dict) -> dict[str, Any]:
    """What is changed for a call in which c stands for the missing unconditional prediction, so that guidance is c."""

    def fill(args):
        cond, _, *rest = args["conds_out"]
        return [cond, cond, *rest]

    return {"sampler_pre_cfg_function": [fill, *options.get("sampler_pre_cfg_function", [])]}
