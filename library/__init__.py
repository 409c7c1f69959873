"""The pack without ComfyUI: traces, rules, samplers and an exact model for scripts and notebooks.

A name is imported when it is first used, so that none costs more than it needs.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules
from typing import Any

PACK = __name__.rpartition(".")[0]
PLACES = {
    "Chain": "guidance.chain",
    "GaussianMixture": "guidance.mixture",
    "make_mixture": "guidance.mixture",
    "Source": "guidance.rules.kinds",
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


@cache
def rules() -> dict[str, type]:
    """Every rule of guidance/rules that can be made, by the name of its class."""
    place = f"{PACK}.guidance.rules"
    modules = [import_module(f"{place}.{one.name}") for one in iter_modules(import_module(place).__path__)]
    kind = import_module(f"{place}.kinds").Rule
    classes = [one for module in modules for one in vars(module).values() if isinstance(one, type)]
    return {one.__name__: one for one in classes if issubclass(one, kind) and one is not kind and not isabstract(one)}


def __getattr__(name: str) -> Any:
    if name == "__all__":  # of `import *`, which alone needs the name of every rule
        return __dir__()
    if name in PLACES:
        return getattr(import_module(f"{PACK}.{PLACES[name]}"), name)
    if not name.startswith("_") and name in rules():
        return rules()[name]
    raise AttributeError(f"guidance_geometry has no {name!r}. It has {', '.join(__dir__())}.")


def __dir__() -> list[str]:
    return sorted(PLACES.keys() | rules().keys())
