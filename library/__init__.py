"""The pack without ComfyUI: traces, rules, energies, samplers and an exact model for scripts and notebooks.

A name is imported when it is first used, so that none costs more than it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

PACK = __name__.rpartition(".")[0]
PLACES = {
    "Chain": "guidance.chain",
    "GradientOptions": "guidance.gradients.term",
    "GradientTerm": "guidance.gradients.term",
    "WatchTerm": "guidance.gradients.term",
    "GaussianMixture": "guidance.mixture",
    "make_mixture": "guidance.mixture",
    "Source": "guidance.rules.kinds",
    "exact_classifier": "library.classifiers",
    "load_classifier": "library.classifiers",
    "compare_rules": "library.comparing",
    "ExactDenoiser": "library.denoisers",
    "load_denoiser": "library.denoisers",
    "watch_guider": "library.guiders",
    "measure": "library.measuring",
    "Recording": "library.recording",
    "record": "library.recording",
    "karras": "library.sampling",
    "sample": "library.sampling",
    "sweep": "library.sweeping",
    "Trace": "library.traces",
    "load": "library.traces",
}


def classes() -> dict[str, type]:
    """Every rule and energy of the pack that can be made, by the name of its class."""
    registry = import_module(f"{PACK}.guidance.registry")
    return registry.every_rule() | registry.every_energy()


def __getattr__(name: str) -> Any:
    if name == "__all__":  # of `import *`, which alone needs the name of every rule
        return __dir__()
    if name in PLACES:
        return getattr(import_module(f"{PACK}.{PLACES[name]}"), name)
    if not name.startswith("_") and name in classes():
        return classes()[name]
    raise AttributeError(f"guidance_geometry has no {name!r}. It has {', '.join(__dir__())}.")


def __dir__() -> list[str]:
    return sorted(PLACES.keys() | classes().keys())
