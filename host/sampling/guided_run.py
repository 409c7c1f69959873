"""One run of a guidance chain inside the host, which lives in the per-run copy of the model options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import comfy.patcher_extension
import comfy.sampler_helpers
from comfy.model_patcher import ModelPatcher
from comfy.samplers import CFGGuider, Sampler
from torch import Tensor

from ...guidance.chain import Chain, Guidance, Runner, chain_of
from ...guidance.gradients.run import goes_through_denoiser
from ...guidance.parts import Packed
from ...guidance.rules.kinds import Source
from ...guidance.rules.part_scale import PartScale
from ...guidance.run import Run
from ...samplers.stages import Stages, zero_init_note
from ..models import adapter
from ..server import KEY
from .autograd import staying
from .chain_evaluation import ChainEvaluation
from .dry_run import response_of
from .gradient_run import DenoiserCall, HostGradientRun
from .run_models import OtherModel, RunModels, load_together

SURE_TO_WAIT = "Use euler, heun, dpm_2 or ddim, or set zero_init_steps to 0."
OFF_LEVEL = (
    "The {} evaluation was at another noise level than in a dry run of the sampler, and rules had the wrong one."
)
NO_NEGATIVE = "where the negative was empty or had ended, the prediction with the prompt was taken alone, as at cfg 1"
REPLACED = "u in this record is the weak prediction that autoguidance puts in its place."
SEVERAL = (
    "Classifier Guidance reads one picture, and this latent holds {names}. Remove it from the guidance chain, or "
    "sample one part alone."
)


class GuidedRun:
    """A guidance chain at work in one run.

    chain: on the guidance wire.
    packing: the parts of a sample.
    stages: tells which evaluation begins an outer step.
    notes: sentences for the trace, such as about what the chain asks of this sampler in vain.
    runner: where the chain stands.
    models: that predictions go through.
    evaluation: how the host evaluates the chain.
    gradients: of the chain's terms.
    """

    def __init__(
        self, guider: CFGGuider, chain: Chain, sigmas: Tensor, noise: Tensor, sampler: Sampler, packing: Packed
    ):
        schedule, patcher = sigmas.cpu(), guider.model_patcher
        levels = tuple(schedule.tolist())
        first, last = adapter.part_of_schedule(patcher, levels)
        response = response_of(sampler, schedule, patcher)
        moves = response.moves if len(response.steps) == len(levels) - 1 else ()
        run = Run(levels, adapter.is_flow(patcher), first=first, last=last, moves=moves)
        waits = chain.waits(run)
        self.chain, self.packing, self.stages = chain, packing, Stages(run.sigmas, response)
        note = zero_init_note(adapter.sampler_of(sampler)[0], response, waits) if waits else ""
        self.notes = [f"{note} {SURE_TO_WAIT}"] if note else []
        self.runner = Runner(chain, run, packing)
        refuse_second_rule(guider.model_options, chain)
        if chain.terms and len(packing.names) > 1:
            raise ValueError(SEVERAL.format(names=" and ".join(packing.names)))
        self.models = models_of(chain, guider, noise)
        self.evaluation = ChainEvaluation(self.runner, self.models)
        self.gradients = HostGradientRun(chain.terms, self.models)
        load_together(guider, self.gradients.decoders)

    def note_reports(self, callback: Callable | None) -> Callable:
        """The sampler's callback, each call of which is noted as the report of a step."""

        def report(*info: Any) -> Any:
            self.stages.note_report()
            return callback(*info) if callback else None

        return report

    def prepare_others(
        self, executor: Callable, guider: CFGGuider, sigmas: Tensor, extra_args: dict, callback: Any, *sample: Any
    ) -> Tensor:
        """Wrapper around the sampler: the other models' conditions are encoded as the run's own have just been.

        sample: noise, latent image, mask and what else the host hands its samplers.
        """
        noise, latent, mask, *_ = (*sample, None)
        for other in self.models.others:
            other.prepare(noise, latent, mask, sigmas, extra_args.get("seed"), self.packing)
        return executor(guider, sigmas, extra_args, callback, *sample)

    def predict(self, x: Tensor, timestep: Tensor, model_options: dict = {}, seed: int | None = None) -> Tensor:  # noqa: B006
        """Guided x0-hat at one noise level, gradient terms included; what the chain does not need is not evaluated."""
        sigma = self.stages.level_of(timestep)
        self.runner.begin(sigma, self.stages.begins(sigma))
        if self.chain.terms:
            guided = self.gradients.add_to(DenoiserCall(self.evaluation, x, timestep, model_options, seed))
        else:
            guided = self.evaluation(x, timestep, model_options, seed)
        if self.runner.in_place_of_u is not None and REPLACED not in self.notes:
            self.notes.append(REPLACED)
        return guided

    def sentences(self) -> list[str]:
        """Sentences for the trace."""
        call = self.stages.departure()
        departed = [OFF_LEVEL.format(call)] if call else []
        ended = [NO_NEGATIVE] if self.evaluation.lacked_negative else []
        return [*self.notes, *departed, *ended, *self.runner.remarks(), *self.gradients.sentences()]

    def close(self) -> None:
        """Give the other models back, and say what the gradients did wrong."""
        for other in self.models.others:
            other.close()
        self.gradients.read_counts()


def models_of(chain: Chain, guider: CFGGuider, noise: Tensor) -> RunModels:
    """The models of a run; its guider is given the chain's further conditions.  Raises ValueError for a misfit."""
    sources = chain.sources
    for name, conditioning in own_conditions(sources).items():
        if name not in guider.conds:
            guider.conds[name] = _late_condition(conditioning)
    conditions_by_model: dict[Any, dict[str, Any]] = {}
    for name, source in sources.items():
        if source.model is not None:
            conditions_by_model.setdefault(source.model, {})[name] = source.conditioning
    others = (OtherModel(fit_for(chain, model), guider, conds, noise) for model, conds in conditions_by_model.items())
    return RunModels(guider, tuple(others))


def refuse_second_rule(model_options: dict, chain: Chain) -> None:
    """Raise ValueError when the MODEL has a rule of the host's kind, which the chain would silently replace."""
    other = model_options.get("sampler_cfg_function")
    parted = any(isinstance(rule, PartScale) and not rule.neutral for rule in chain.rules)
    if other is not None and (parted or not chain.is_cfg):
        name = getattr(other, "__qualname__", type(other).__name__).split(".")[0]
        raise ValueError(
            f"The MODEL already has a guidance rule ({name}, as its sampler_cfg_function), and the chain "
            f"{chain.text!r} has one too. Only one can apply: remove that node, or the guidance chain."
        )


def sample_guided(proceed: Callable, guider: CFGGuider, guidance: Guidance, *args: Any, **named: Any) -> Tensor:
    """Run a guider's outer_sample with a chain; its state is made here and dropped at the end, also after an interrupt.

    proceed: the rest of outer_sample, with the host's arguments. Raises ValueError when the chain does not fit the run.
    """
    noise, latent, sampler, sigmas, mask, callback, *trailing = args
    chain = chain_of(guidance)
    options: dict[str, Any] = guider.model_options  # the host's copy for this run
    outer_run = options.get(KEY)
    if outer_run is not None:
        if chain.rules:
            raise ValueError(
                f"The MODEL has the guidance chain {outer_run.chain.text!r} and the sampler {chain.text!r}. "
                "Put both on one guidance wire, or remove one."
            )
        return proceed(*args, **named)
    if len(sigmas) < 2 or not len(noise):  # no step or no sample: the host evaluates nothing that could be guided
        return proceed(*args, **named)
    before = guider.model_patcher
    guider.model_patcher = fit_for(chain, before)
    try:
        packing = adapter.packing_of_shapes(named.get("latent_shapes"))
        run = options[KEY] = GuidedRun(guider, chain, sigmas, noise, sampler, packing)
        for note in run.notes:
            adapter.tell(note)
        kinds = comfy.patcher_extension.WrappersMP
        for kind, wrapper in ((kinds.PREDICT_NOISE, run_predicts), (kinds.SAMPLER_SAMPLE, run.prepare_others)):
            comfy.patcher_extension.add_wrapper_with_key(kind, f"{KEY}_run", wrapper, options, is_model_options=True)
        try:
            return proceed(noise, latent, sampler, sigmas, mask, run.note_reports(callback), *trailing, **named)
        finally:
            run.close()
    finally:
        guider.model_patcher = before


def fit_for(chain: Chain, model: ModelPatcher) -> ModelPatcher:
    """A MODEL as the chain's gradients need it; unchanged where no gradient goes through it or none can."""
    return (staying(model) or model) if goes_through_denoiser(chain.terms) else model


def run_predicts(executor: Any, *args: Any) -> Tensor:
    """Wrapper of a guider's predict_noise: other packs' wrappers run as ever, and the innermost call is the chain's."""
    run = executor.class_obj.model_options[KEY]
    return adapter.ending_in(executor, run.predict, executor.class_obj)(*args)


def own_conditions(sources: Mapping[str, Source]) -> dict[str, Any]:
    """Further conditions for the run's own model: {name: CONDITIONING}."""
    return {
        name: s.conditioning for name, s in sources.items() if s.model is None and not isinstance(s.conditioning, str)
    }


def _late_condition(conditioning: Any) -> list[dict]:
    """A condition that joins a run whose hooks are registered already."""
    entries = comfy.sampler_helpers.convert_cond(conditioning)
    if any(entry.get("hooks") for entry in entries):
        raise ValueError(
            "An extra condition of the guidance chain has hooks (its own LoRA), which a patched MODEL cannot register. "
            "Connect the chain to CFG Guider + Guidance Chain or KSampler + Guidance Trace instead."
        )
    return entries


class ChainGuider(CFGGuider):
    """A GUIDER that samples with a guidance chain; with an empty chain it is the host's CFG, bit for bit."""

    def __init__(self, model_patcher: ModelPatcher, guidance: Guidance | None = None):
        super().__init__(model_patcher)
        self.guidance = chain_of(guidance)

    def sample(self, *args: Any, **kwargs: Any) -> Tensor:
        """Sample as the host does; the chain's further conditions go the way of positive and negative."""
        self.inner_set_conds(own_conditions(self.guidance.sources))
        return super().sample(*args, **kwargs)

    def outer_sample(self, *args: Any, **kwargs: Any) -> Tensor:
        """Sample as the host does, within a run of the chain."""
        return sample_guided(super().outer_sample, self, self.guidance, *args, **kwargs)


def chain_guider(
    model: ModelPatcher, positive: Any, negative: Any, cfg: float, guidance: Guidance | None
) -> ChainGuider:
    """A guider over both conditions with its scale set."""
    guider = ChainGuider(model, guidance)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    return guider
