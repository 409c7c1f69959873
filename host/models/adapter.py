"""The adapter to the host: what its objects mean in the terms of this pack, and nothing of what is done with them."""

from __future__ import annotations

import bisect
import copy
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import CellType, MappingProxyType
from typing import Any

import comfy.model_management
import comfy.model_sampling
import comfy.samplers
import comfyui_version
import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrapperExecutor
from comfy_execution.utils import get_executing_context

from ... import guidance, host
from ..server import prompt_server
from .closed_code import is_hosts_own

PACK_VERSION = "0.1.0"
STOPS = (comfy.model_management.InterruptProcessingException,)  # of the user: no fault of anybody's
NEAR_START = 0.05  # share of a schedule, before which a run begins with it
PIXELS = 3  # channels of a pixel-space model
COMBINING = ("__call__", "outer_predict_noise", "predict_noise")


def is_flow(patcher: ModelPatcher) -> bool:
    """Whether a MODEL lives in flow coordinates, x = (1 - sigma) x0 + sigma eps."""
    return isinstance(patcher.get_model_object("model_sampling"), comfy.model_sampling.CONST)


def is_active(conds: list[dict] | None, sigma: float) -> bool:
    """Whether any entry of a condition covers this noise level; the host's output for one that does not is 0."""
    bounds = ((entry.get("timestep_end", -math.inf), entry.get("timestep_start", math.inf)) for entry in conds or [])
    return any(low <= sigma <= high for low, high in bounds)


def sampling_on_cpu(sampling: Any) -> Any:
    """A sampling object with its tables on the CPU, where no number that is read of them waits for the device."""
    if not isinstance(sampling, torch.nn.Module):
        return sampling
    copied = copy.copy(sampling)
    copied._buffers = guidance.vectors.on_cpu(dict(sampling._buffers))
    return copied


def packing_of_shapes(shapes: Iterable[Sequence[int]] | None) -> guidance.parts.Packed:
    """How the parts of a nested latent lie in the sampler's state.  shapes: the host's, [B, C, ...] each, or None."""
    return guidance.parts.Packed(tuple(tuple(shape[1:]) for shape in shapes or ()))


def is_nested(samples: Any) -> bool:
    """Whether samples are the host's nested ones, which hold several tensors at once."""
    return getattr(samples, "is_nested", False) is True


def parts_of(samples: Any) -> list[torch.Tensor]:
    """The tensors of samples that may be nested."""
    return list(samples.unbind()) if is_nested(samples) else [samples]


def packing_of_run(guider: comfy.samplers.CFGGuider) -> guidance.parts.Packed:
    """How the parts of a nested latent lie in the state of a run that has begun.

    The host tells the shapes to every condition, for the network to unpack.
    """
    entries = (entry for entries in getattr(guider, "conds", {}).values() for entry in entries or [])
    shapes = (entry.get("model_conds", {}).get("latent_shapes") for entry in entries)
    return packing_of_shapes(next((shape.cond for shape in shapes if shape is not None), None))


def sampler_name(function: Callable[..., Any], options: Mapping[str, Any] = MappingProxyType({})) -> str:
    """The host's name of a sampler function; of another pack's, its listed name and in brackets the sampler it runs.

    One that the host does not list is called by its class or its function. options: of the SAMPLER.
    """
    name = getattr(function, "__name__", type(function).__name__)
    if is_hosts_own(function):
        word = name.removeprefix("sample_").removesuffix("_function")
        return {"unipc": "uni_pc", "unipc_bh2": "uni_pc_bh2"}.get(word, word)
    owner = getattr(function, "__self__", function)
    holder = owner if isinstance(owner, type) else type(owner)
    listed = (name for name in comfy.samplers.KSampler.SAMPLERS if name not in comfy.samplers.KSAMPLER_NAMES)
    offered = vars(comfy.samplers.k_diffusion_sampling)  # where other packs put those that the host's KSampler offers
    listed_name = next((name for name in listed if offered.get(f"sample_{name}") is function), "")
    outer = listed_name or (name if owner is function else holder.__name__)
    inner = _inner_name(function, options, outer)
    return f"{outer} ({inner})" if inner else outer


def _inner_name(function: Callable[..., Any], options: Mapping[str, Any], outer: str) -> str:
    """What a sampler samples with: a SAMPLER that it holds, or the methods that its options name; else empty.

    outer: its name, whose first word begins the option that says which of its methods runs. Another may run beside it,
    such as the implicit one of a solver, whose option says that it is a sampler's name.
    """
    cells = [cell for cell in getattr(function, "__closure__", None) or () if cell != CellType()]  # those with contents
    values = (*options.values(), *(cell.cell_contents for cell in cells))
    samplers = (value for value in values if hasattr(value, "sampler_function"))
    if (sampler := next(samplers, None)) is not None:
        return sampler_name(sampler.sampler_function, getattr(sampler, "extra_options", {}))
    first = outer.lower().removeprefix("sample_").split("_")[0]
    texts = {key: value for key, value in options.items() if isinstance(value, str)}
    named = (value for key, value in texts.items() if key.split("_")[0] == first or key.endswith("_sampler_name"))
    return ", ".join(value for value in named if not value.startswith(("use_", "none")))  # switches


def sampler_of(sampler: Any) -> tuple[str, dict]:
    """Name and options of what a SAMPLER samples with, also where a recorder stands around it."""
    inner = getattr(sampler, "inner", sampler)
    function = getattr(inner, "sampler_function", None)
    options = {**getattr(inner, "extra_options", {}), **getattr(function, "options", {})}
    return sampler_name(function or inner, options), options


def tell(text: str) -> None:
    """Say a sentence in the log and on the node that is at work."""
    logging.warning(text)
    server, context = prompt_server(), get_executing_context()
    if server is not None and context is not None:
        server.send_progress_text(text, context.node_id, server.client_id)


def intermediate_dtype() -> torch.dtype | None:
    """The dtype that KSampler hands its sample on in, None on hosts that leave it as it is."""
    return getattr(comfy.model_management, "intermediate_dtype", lambda: None)()


def network_dtype(patcher: ModelPatcher) -> torch.dtype:
    """The dtype the network computes in."""
    model = patcher.model
    return getattr(model, "manual_cast_dtype", None) or model.get_dtype()


def describe_model(patcher: ModelPatcher) -> dict:
    """Name, hash and labels of a MODEL, as far as it tells them, and marks of its weights and of what was put on them.

    A hash of a file says nothing of a LoRA, and two files that are merged have none.
    """
    card = host.models.native_model.card_of(patcher)
    marks = {
        "weights": host.models.model_marks.weights_of(patcher),
        "patches": host.models.model_marks.patches_of(patcher),
    }
    marks["reading"] = host.models.model_marks.reading_of(patcher)
    if card is None:
        return {"name": family_of(patcher), "hash": None, "labels": [], **marks}
    return {"name": card.name, "hash": card.sha256 or None, "labels": list(card.labels), **marks}


def family_of(patcher: ModelPatcher) -> str:
    """The host's name of a model family: of the configuration that it recognised, such as SD15; else of the class."""
    config = type(getattr(patcher.model, "model_config", None))
    is_hosts = str(config.__module__).startswith("comfy.supported_models")
    return config.__name__ if is_hosts and config.__name__ != "BASE" else type(patcher.model).__name__


def distilled_guidance(guider: comfy.samplers.CFGGuider) -> float | None:
    """The guidance that a distilled model is told; None where it is told none, or has no weights to embed it with.

    The host tells every model of some families, also those that ignore it. 0: none.
    """
    names = [name for name, _ in guider.model_patcher.model.diffusion_model.named_parameters()]
    if names and not any("guidance" in name for name in names):
        return None
    entries = getattr(guider, "conds", {}).get("positive") or []
    given = (entry.get("model_conds", {}).get("guidance") for entry in entries)
    guidance = next((condition.cond for condition in given if condition is not None), None)
    return None if guidance is None else float(torch.as_tensor(guidance).flatten()[0]) or None


def combines_itself(guider: comfy.samplers.CFGGuider) -> bool:
    """Whether a guider has a way of its own from its predictions to the guided one, instead of the host's CFG."""
    return _has_its_own(guider, COMBINING)


def goes_past_rules(guider: comfy.samplers.CFGGuider) -> bool:
    """Whether a guider does not come to where the host's wrappers stand, or has no condition that rules know."""
    return _has_its_own(guider, COMBINING[:-1]) or "positive" not in getattr(guider, "original_conds", {})


def _has_its_own(guider: comfy.samplers.CFGGuider, calls: Sequence[str]) -> bool:
    return any(getattr(type(guider), call, None) is not getattr(comfy.samplers.CFGGuider, call) for call in calls)


def describe_host(patcher: ModelPatcher) -> dict:
    """Versions and device that a rerun would need."""
    return {
        "comfyui": comfyui_version.__version__,
        "torch": torch.__version__,
        "pack": PACK_VERSION,
        "device": str(patcher.load_device),
        "dtype": str(network_dtype(patcher)).removeprefix("torch."),
    }


def classes_of(guider: comfy.samplers.CFGGuider, name: str = "positive") -> list[int]:
    """The labels that were asked for, as numbers; none without labels.  name: of the condition"""
    entries = guider.original_conds.get(name) or []
    classes = next((entry["class_label"] for entry in entries if "class_label" in entry), None)
    return [] if classes is None else torch.as_tensor(classes).flatten().tolist()


def labels_of(guider: comfy.samplers.CFGGuider, batch: int) -> list[str] | None:
    """Name of the class that each sample of a batch was asked for, None for a model without classes."""
    card, values = host.models.native_model.card_of(guider.model_patcher), classes_of(guider)
    if card is None or not values:
        return None
    names = dict(enumerate([*card.labels, "unconditional"]))
    labels = [names.get(value, f"{value}, a label of another model") for value in values]
    return [labels[i % len(labels)] for i in range(batch)]


def has_negative(guider: comfy.samplers.CFGGuider, has_words: bool | None) -> bool | None:
    """Whether a run was told what to avoid: a label, or words; not where its negative is empty, or the null label.

    has_words: whether the negative was made from any words, where that is known. None where nobody knows.
    """
    entries, classes = guider.original_conds.get("negative") or [], classes_of(guider, "negative")
    if classes:
        card = host.models.native_model.card_of(guider.model_patcher)
        return None if card is None else any(value < len(card.labels) for value in classes)
    encoded = [entry["cross_attn"] for entry in entries if entry.get("cross_attn") is not None]
    return has_words if any(bool(tokens.any()) for tokens in encoded) else False


def part_of_schedule(patcher: ModelPatcher, sigmas: Sequence[float]) -> tuple[float, float]:
    """Shares of a MODEL's schedule at which a run begins and ends, as the host's percent counts; (0, 1): a whole run.

    A run that begins in the first 5 % of it begins with it: schedulers differ there.
    """
    sampling = sampling_on_cpu(patcher.get_model_object("model_sampling"))
    if len(sigmas) < 2 or not hasattr(sampling, "percent_to_sigma"):
        return 0.0, 1.0
    first, last = (_percent(sampling, sigma) for sigma in (sigmas[0], sigmas[-1]))
    return 0.0 if first <= NEAR_START else first, last


def _percent(sampling: comfy.model_sampling.ModelSamplingDiscrete, sigma: float) -> float:
    """The largest share, to 0.001, whose noise level is not below sigma."""
    shares = [i / 1000 for i in range(1001)]
    return shares[bisect.bisect_left(shares, True, key=lambda share: sampling.percent_to_sigma(share) < sigma) - 1]


def data_deviation(patcher: ModelPatcher) -> float | None:
    """Root mean square of clean data in the model's space, None where the model does not say."""
    card = host.models.native_model.card_of(patcher)
    return None if card is None else card.sigma_data


@contextmanager
def override(options: dict, changes: Mapping[str, Any]) -> Iterator[None]:
    """The options of a run with changes for the time of one call.

    In the dict itself and not in a copy: other packs keep what they remember from step to step in it.
    """
    before = {name: options[name] for name in changes if name in options}
    options.update(changes)
    try:
        yield
    finally:
        for name in changes:
            options.pop(name, None)
        options.update(before)


def ending_in(executor: WrapperExecutor, function: Callable[..., Any], owner: object):
    """The rest of the host's stack of wrappers, ending in another function of another object."""
    return type(executor)(function, owner, executor.wrappers, executor.idx)
