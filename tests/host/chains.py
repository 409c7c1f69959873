"""Rules and energies that ask a run for what others seldom do, and chains of them."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.gradients.term import MEASURED, GradientTerm
from guidance_geometry.guidance.rules.kinds import After, Before, BeforeAlways, Combine, Source, with_difference
from guidance_geometry.host.models.native_model import conditioning
from guidance_geometry.nodes.guidance_patch import GGGuidancePatch
from guidance_geometry.nodes.lab import GGMixtureModel


@dataclass(frozen=True)
class Away(Combine):
    """CFG that also moves away from further predictions, half as far."""

    conditioning: Any
    model: Any = None
    until: float = 0.0  # noise level below which the further prediction is not needed
    phrase = "away"

    @property
    def sources(self):
        return {"other": Source(self.conditioning, self.model)}

    def needs(self, state, sigma, wanted):
        return wanted | {"other"} if sigma >= self.until and "uncond" in wanted else wanted

    def step(self, state, p, gamma):
        away, (u, c) = 0.5 * (p.cond - p.extra["other"]) if "other" in p.extra else 0, p.pair
        return u + (c - u) * gamma + away, state


@dataclass(frozen=True)
class Skipping(Before):
    """Evaluates u at every second outer step, and is not asked in between."""

    phrase = "skipping"

    def init(self, run):
        return 0, None

    def needs(self, state, sigma, wanted):
        return wanted - {"uncond"} if state[0] % 2 else wanted

    def step(self, state, p, gamma):
        count, delta = state
        if p.uncond is not None:
            return p, (count + 1, p.cond - p.uncond)
        return with_difference(p, delta), (count + 1, delta)


@dataclass(frozen=True)
class Reusing(Skipping, BeforeAlways):
    """The same, asked there too, where it reuses the difference."""

    phrase = "reusing"


@dataclass(frozen=True)
class Doubling(After):
    """Not neutral, but changes nothing at gamma = 1."""

    phrase = "doubling"

    def step(self, state, p, guided, gamma):
        return p.cond + 2 * (guided - p.cond), state


def label(number):
    return conditioning([number])


def mixture(shape="3x8x8", kind="ve", seed=1):
    return GGMixtureModel.execute(shape=shape, classes=3, kind=kind, seed=seed)[0]


def patched(model, chain):
    return GGGuidancePatch.execute(model, chain)[0]


def chain_of(energy, **knobs):
    term = GradientTerm(energy, **knobs)
    measured = 2.0 if term.normalise == "rms_ratio" else MEASURED[term.effective_evaluation]
    return PLAIN.then(term if "weight" in knobs else replace(term, weight=measured))


class Bright:
    """A picture is of label 0 if it is bright, else of label 1: a classifier of two logits, smooth and small."""

    labels, noise_aware, judge = ("bright", "dark"), False, False

    def logits(self, x0, sigma, alpha):
        level = x0.flatten(1).mean(dim=1)
        return torch.stack([level, -level], dim=1)


class Failing(Bright):
    """Says that memory ran out in the first evaluations that keep a graph through the denoiser."""

    def __init__(self, times, error=None, backwards=False):
        self.left, self.backwards = times, backwards
        self.error = error or RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")

    def logits(self, x0, sigma, alpha):
        if x0.grad_fn is not None and self.left:
            self.left -= 1
            if not self.backwards:
                raise self.error
            x0.register_hook(self.fail)
        return super().logits(x0, sigma, alpha)

    def fail(self, gradient):
        raise self.error


def bright():
    return LabelEnergy(Bright(), ((0,),))
