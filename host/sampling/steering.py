"""How a sampler of ours uses the gradients of a run: as rates, as shifts of its steps, or as a lean of its noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ...guidance.gradients.run import GradientRun
from ...guidance.gradients.term import Strength
from ...samplers.shifts import ShiftLaw, lean_noise, shifted_steps
from ...samplers.steps import Level
from ..limits import LEAN, RATE
from ..server import KEY

NOBODY = (
    "The sampler's gradient is set to {way}, but this run has no Classifier Guidance. Connect one to the guidance of "
    "KSampler + Guidance Trace, CFG Guider + Guidance Chain or Guidance on any KSampler, or choose rate."
)
UNLIKE = (
    "{way} needs unscaled gradients in every step, but {text!r} has normalise {normalise} and every_k {every}. "
    "Set them to none and 1, or the sampler's gradient to rate."
)

PRESET = (
    "{way} uses the paper's own unit for scale, but {text!r} takes its gamma from a preset, which was measured as a "
    "rate. Set preset to scale in Classifier Guidance, or the sampler's gradient to rate."
)


@dataclass(frozen=True)
class Steering:
    """way: of WAYS. lean: how far noise leans towards the gradient, 0 .. 1, for DSG."""

    way: str = RATE
    lean: float = 0.2

    def begin(self, model_options: dict, levels: Sequence[Level], down: Callable) -> Callable[[Tensor], Tensor]:
        """Prepare a run, and return what becomes of its noise.  down: see `taken_steps`.

        Raises ValueError where no gradient term is at work, or where one does not fit the paper.
        """
        if self.way == RATE:
            return lambda eps: eps
        gradients = getattr(model_options.get(KEY), "gradients", None)
        if gradients is None or not gradients.gradient_terms:
            raise ValueError(NOBODY.format(way=self.way))
        if self.way != LEAN:
            self._shift(gradients, ShiftLaw(self.way, shifted_steps(levels, down), gradients.sigma_data))
            return lambda eps: eps
        # gradients leave the prediction alone and turn the noise
        gradients.use(lambda term, evaluation, sigma: Strength(term.gamma(evaluation), share=0.0))

        def lean(eps: Tensor) -> Tensor:
            wanted = gradients.total_shift()
            return eps if wanted is None else lean_noise(eps, wanted, self.lean)

        return lean

    def _shift(self, gradients: GradientRun, law: ShiftLaw) -> None:
        """Gradients shift each step as the paper says, in its own unit of scale."""
        for term in gradients.gradient_terms:
            if term.normalise != "none" or term.every != 1:
                raise ValueError(
                    UNLIKE.format(way=self.way, text=term.energy.text, normalise=term.normalise, every=term.every)
                )
            if term.measured:
                raise ValueError(PRESET.format(way=self.way, text=term.energy.text))
            first, last = law.rates(term.weight, gradients.evaluation_of(term))
            text = f"{gradients.names[term]}: a shift of every step as in {self.way}, scale {term.weight:g}"
            gradients.note(f"{text}; as a rate gamma {first:.3g} at the first step, {last:.3g} at the last")
        gradients.use(lambda term, evaluation, sigma: law(term.weight, evaluation, sigma))


RATES = Steering()
