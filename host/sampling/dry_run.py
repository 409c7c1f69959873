"""A host's sampler run dry: on a few numbers, beside the run and without any effect on it."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from types import FrameType, FunctionType, SimpleNamespace
from typing import Any, NoReturn

import torch
from comfy import model_management as host
from torch import Tensor

from ...samplers.response import Misfit, Play, Probes, Response, measure_response
from ..models.adapter import sampling_on_cpu
from ..models.closed_code import closed_code, is_hosts_own
from .blog_sampler import BlogSampler

MOST_STEPS = 400  # of a schedule, beyond which a dry run would be felt
KEPT = 32  # responses
NOISE = "noise_sampler"  # as the samplers of the k-diffusion kind call what they draw from, handed over or their own
PLAIN = (bool, int, float, str, type(None))
_responses: OrderedDict[Hashable, Response] = OrderedDict()


def response_of(sampler: Any, sigmas: Tensor, patcher: Any) -> Response:
    """The response of a SAMPLER, or of the one that a recorder stands around, with the kind of noise of a MODEL."""
    inner = getattr(sampler, "inner", sampler)
    function, options = (getattr(inner, name, None) for name in ("sampler_function", "extra_options"))
    return response(function, options or {}, sigmas, patcher.get_model_object("model_sampling"))


def response(function: Callable | None, options: Mapping[str, Any], sigmas: Tensor, sampling: Any) -> Response:
    """The response of a sampler's function over a schedule.  sampling: the model's, which is only read.

    The latest ones are kept.
    """
    sigmas = sigmas.detach().cpu()
    why = _obstacle(function, options, sigmas)
    if function is None or why:
        return Response(why=why)
    dry: Callable = function.dry if isinstance(function, BlogSampler) else function
    key = None
    with suppress(Exception):  # a sampling object of another kind
        key = _key(dry, options, sigmas, sampling)
    answer = _responses.pop(key, None) if key else None
    answer = answer or measure_response(_play(dry, options, sampling, sigmas), sigmas.tolist())
    if key and answer.end is not None:  # what broke a dry run off may pass
        _responses[key] = answer
        while len(_responses) > KEPT:
            _responses.popitem(last=False)
    return answer


def _obstacle(function: Callable | None, options: Mapping[str, Any], sigmas: Tensor) -> str:
    """Why a sampler's function is not run dry, in a sentence; empty where it can be."""
    steps = max(len(sigmas) - 1, 0)
    if function is None:
        return "it is a sampler of another kind than the host's"
    if not isinstance(function, BlogSampler) and not is_hosts_own(function):
        return "it is not the host's, and what it remembers of a run is its own"
    strange = [name for name, value in options.items() if name != NOISE and not _is_plain(value)]
    if strange:
        return f"it is handed what may remember its runs ({', '.join(strange)})"
    if not 0 < steps <= MOST_STEPS:
        return f"a dry run is made of 1 to {MOST_STEPS} steps, and there are {steps}"
    if not sigmas.isfinite().all():
        return "the schedule has a level that is not finite"
    return "the run was stopped before it could be measured" if host.processing_interrupted() else ""


def _is_plain(value: Any) -> bool:
    return type(value) in PLAIN or is_hosts_own(value)


def forget() -> None:
    """Keep none of the responses."""
    _responses.clear()


def _key(function: Callable, options: Mapping[str, Any], sigmas: Tensor, sampling: Any) -> Hashable | None:
    """What a response depends on; None where two could look alike that are not.

    Some of the host's samplers are made anew for every run, but from the same code.
    """
    if not isinstance(function, FunctionType):
        return None
    stands = getattr(sys.modules.get(function.__module__), function.__qualname__, None) is function
    if function.__closure__ and not stands:
        return None
    given = [*enumerate(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items(), *options.items()]
    if not all(type(value) in PLAIN for _, value in given):
        return None
    kinds = tuple(kind.__name__ for kind in type(sampling).__mro__)
    plain = tuple((name, value) for name, value in sorted(vars(sampling).items()) if isinstance(value, PLAIN))
    here = sampling_on_cpu(sampling)
    ends = tuple(float(getattr(here, name, 0.0)) for name in ("sigma_min", "sigma_max"))
    return (function if stands else function.__code__, tuple(given), tuple(sigmas.tolist()), kinds, plain, ends)


def _play(function: Callable, options: Mapping[str, Any], sampling: Any, sigmas: Tensor) -> Play:
    takes = takes_noise(function)

    def play(probes: Probes) -> Tensor:
        own = {**options, **({NOISE: probes.draw} if takes else {})}
        extra = {"model_options": {"transformer_options": {}}, "seed": 0, "denoise_mask": None}
        given = (Network(probes, sampling), probes.start.clone(), sigmas.clone())
        with warnings.catch_warnings(), closed_code():
            warnings.simplefilter("ignore")
            return function(*given, extra_args=extra, callback=probes.note_report, disable=True, **own)

    return play


def takes_noise(function: Callable) -> bool:
    """Whether a sampler's function can be handed its noise, as far as it tells."""
    with suppress(TypeError, ValueError):
        return NOISE in inspect.signature(function).parameters
    return False


def own_noise(function: Callable, x: Tensor, sigmas: Tensor, seed: int | None, sampling: Any) -> Callable | None:
    """What a sampler's function would draw from if left alone, made by itself; None where it has nothing.

    It runs up to its first call of the model, and by then has made it.  x: [B, ...], of which nothing is changed.
    """
    extra = {"model_options": {"transformer_options": {}}, "seed": seed, "denoise_mask": None}
    given = (Stop(Probes(1, 1.0), sampling), x.clone(), sigmas.clone())
    try:
        with closed_code():
            function(*given, extra_args=extra, callback=None, disable=True)
    except Asked as stop:
        return stop.noise
    except (Misfit, Exception):  # noqa: BLE001  what cannot begin has no noise; the run itself will say why
        return None
    return None


class Asked(BaseException):
    """A sampler has called the model.  noise: what it draws from, None where it has nothing"""

    def __init__(self, noise: Callable | None):
        super().__init__()
        self.noise = noise


def _noise_of(frame: FrameType | None) -> Callable | None:
    """What the function of a frame, or one that called it, draws from."""
    while frame is not None and frame.f_globals is not globals():
        if callable(source := frame.f_locals.get(NOISE)):
            return source
        frame = frame.f_back
    return None


class Network:
    """Stands where the host's samplers expect a model; its predictions are probes."""

    def __init__(self, probes: Probes, sampling: Any):
        self.probes = probes
        model = SimpleNamespace(process_latent_in=lambda latent: latent, process_latent_out=lambda latent: latent)
        model.model_sampling, model.device, model.manual_cast_dtype = sampling, torch.device("cpu"), None
        model.diffusion_model, model.model_config = torch.nn.Module(), SimpleNamespace(unet_config={})
        patcher = SimpleNamespace(model=model, model_options={}, load_device=model.device)
        patcher.get_model_object = lambda name: getattr(model, name)
        guider = {"model_patcher": patcher, "inner_model": model, "model_options": {}, "cfg": 1.0}
        self.inner_model = SimpleNamespace(**guider, conds={"positive": [], "negative": []})

    def __call__(self, x: Tensor, sigma: Tensor, model_options: Mapping | None = None, **rest) -> Tensor:
        """D of a call, after the patches that the sampler itself has put there."""
        guided, uncond = self.probes.answer(x, sigma)
        facts = {"uncond_denoised": uncond, "cond_denoised": guided, "input": x, "sigma": sigma, "cond_scale": 1.0}
        for patch in (model_options or {}).get("sampler_post_cfg_function", ()):
            guided = patch({"denoised": guided, **facts, "model": None, "model_options": model_options})
        return guided


class Stop(Network):
    """A network whose first call ends the sampler."""

    def __call__(self, *given, **rest) -> NoReturn:
        raise Asked(_noise_of(sys._getframe(1)))
