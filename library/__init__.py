"""The pack without ComfyUI: traces, rules, samplers and an exact model for scripts and notebooks.

A name is imported when it is first used, so that none costs more than it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

PACK = __name__.rpartition(".")[0]
RULES = """
adaptive_projected.AdaptiveProjected angle.Angle autoguidance.Autoguidance bands.Bands
energy_preserving.EnergyPreserving feedback.Feedback formula.Formula interval.Interval kinds.Source
location_norm.LocationNorm magnitude_aware.MagnitudeAware negative.Negative perp_neg.PerpNeg
perturbed.Perturbed plus_plus.PlusPlus power_law.PowerLaw rescale.Rescale reuse.Reuse schedule.ScaleSchedule
skim.Skim tangential.Tangential tangential_amplify.TangentialAmplify threshold.DynamicThreshold
zero_star.ZeroStar
"""  # the module of guidance/rules/ and the class in it
PLACES = {name: f"guidance.rules.{module}" for module, name in (rule.split(".") for rule in RULES.split())} | {
    "Chain": "guidance.chain",
    "GaussianMixture": "guidance.mixture",
    "make_mixture": "guidance.mixture",
    "ExactDenoiser": "library.denoisers",
    "load_denoiser": "library.denoisers",
    "watch_guider": "library.guiders",
    "Recording": "library.recording",
    "record": "library.recording",
    "karras": "library.sampling",
    "sample": "library.sampling",
    "sweep": "library.sweeping",
    "Trace": "library.traces",
    "load": "library.traces",
}
__all__ = sorted(PLACES)


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"guidance_geometry has no {name!r}. It has {', '.join(__all__)}.")
    return getattr(import_module(f"{PACK}.{PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
