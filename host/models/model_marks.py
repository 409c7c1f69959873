"""What tells a MODEL from others: a mark of its weights, and one of what was put on them, such as LoRAs and merges.

Marks are digests of a few values, spread evenly: 9 ms for a large model, and enough that no two are taken for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...trace.file import even_positions

MOST_TENSORS, MOST_VALUES = 48, 16
HEX = 16  # digits of a mark
SAMPLING = "model_sampling"  # what the host calls the schedule and the parametrisation that a patch may replace


def patches_of(patcher: ModelPatcher) -> str:
    """A mark of the LoRAs and merges on a MODEL, with their strengths; empty where there are none."""
    patches = patcher.patches
    parts = [f"{name} {' '.join(_words_of(patches[name]))}" for name in _spread(sorted(patches))]
    return _digest([str(len(patches)), *parts]) if parts else ""


def reading_of(patcher: ModelPatcher) -> str:
    """How a MODEL is read: its kinds of noise levels and of prediction, and the largest level."""
    sampling: Any = patcher.get_model_object(SAMPLING)
    kinds = [kind.__name__ for kind in type(sampling).__mro__ if not kind.__module__.startswith(("torch", "builtins"))]
    spec = getattr(sampling, "spec", None)
    kinds += [spec.schedule, spec.parametrisation] if spec else []
    return f"{' '.join(kinds)} {float(sampling.sigma_max):g}"


def weights_of(patcher: ModelPatcher) -> str:
    """A mark of the weights below what was put on them."""
    weights = dict(patcher.model.diffusion_model.named_parameters(prefix="diffusion_model"))
    unpatched = patcher.backup
    tensors = {name: getattr(unpatched.get(name), "weight", weights[name]) for name in _spread([*weights])}
    return _digest([f"{len(weights)}", *(f"{name} {' '.join(_words_of(tensor))}" for name, tensor in tensors.items())])


def _spread(names: Sequence[str]) -> list[str]:
    """Some of the names, evenly."""
    return [names[i] for i in even_positions(len(names), MOST_TENSORS) or range(len(names))]


def _words_of(content: Any) -> Iterator[str]:
    """What a patch holds: numbers as they are, of tensors a few values, of anything else its kind."""
    if isinstance(content, Tensor):
        flat = content.detach().flatten()
        places = torch.linspace(0, max(len(flat) - 1, 0), min(len(flat), MOST_VALUES), device=flat.device).long()
        yield f"{[*content.shape]} {[f'{value:.6g}' for value in flat[places].float().tolist()]}"
    elif isinstance(content, Mapping):
        yield from (word for name, value in content.items() for word in (str(name), *_words_of(value)))
    elif isinstance(content, list | tuple):
        yield from (word for value in content for word in _words_of(value))
    elif hasattr(content, "weights"):  # the host's class of a LoRA's form
        yield from (type(content).__name__, *_words_of(content.weights))
    else:
        yield repr(content) if isinstance(content, int | float | str | None) else type(content).__name__


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:HEX]
