"""Odd states of a host that no record may misstate, by name: what becomes of a MODEL and its conditions in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import comfy.context_windows as windows
import comfy.samplers
import node_helpers
import torch
from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode
from comfy_extras.nodes_perpneg import PerpNeg

Parts = tuple[Any, Any, Any]  # MODEL, positive, negative
State = Callable[..., Parts]
SCALE = 2.0  # of a cfg function that does not ask for the widget's
BROKEN_BELOW = 4.0  # the noise level from which a state is nan


def _during(conditioning, start: float, end: float):
    return node_helpers.conditioning_set_values(conditioning, {"start_percent": start, "end_percent": end})


def _in_areas(conditioning):
    left, right = ((8, 4, 0, 0), (8, 4, 0, 4))
    return [
        *node_helpers.conditioning_set_values(conditioning, {"area": left, "strength": 1.0}),
        *node_helpers.conditioning_set_values(conditioning, {"area": right, "strength": 0.5}),
        *conditioning,
    ]


class _Remembering(windows.IndexListContextHandler):
    """A pack's handler: what it does, it keeps in itself when it is asked whether to."""

    def should_use_context(self, *given):
        self.asked = isinstance(given[-1]["context_handler"], _Remembering)
        return super().should_use_context(*given)

    def execute(self, *given):
        assert self.asked
        assert given[-1]["context_handler"].asked
        return super().execute(*given)


def _windows(model):
    clone = model.clone()
    schedule = windows.get_matching_context_schedule(windows.ContextSchedules.STATIC_STANDARD)
    fuse = windows.get_matching_fuse_method(windows.ContextFuseMethods.PYRAMID)
    clone.model_options["context_handler"] = _Remembering(schedule, fuse, 4, 1, dim=2)
    return clone


def _storing_u(model):
    """A pack that evaluates u in every second call, and hands out what it stored in the others."""
    clone, stored = model.clone(), []

    def evaluate(args):
        c, u = args["conds"]
        without_u: Any = [c, None]
        given = (args["input"], args["sigma"], args["model_options"])
        if u is None or (len(stored) % 2 and stored[-1].shape == args["input"].shape):
            found = comfy.samplers.calc_cond_batch(args["model"], without_u, *given)
            stored.append(stored[-1] if stored else found[1])
        else:
            found = comfy.samplers.calc_cond_batch(args["model"], [c, u], *given)
            stored.append(found[1].clone())
        return [found[0], stored[-1].clone()]

    clone.set_model_sampler_calc_cond_batch_function(evaluate)
    return clone


def _with_cfg_function(model):
    clone = model.clone()
    clone.set_model_sampler_cfg_function(lambda args: args["uncond"] + SCALE * (args["cond"] - args["uncond"]))
    return clone


def _with_post_cfg(model):
    clone = model.clone()
    clone.set_model_sampler_post_cfg_function(lambda args: 0.5 * args["denoised"] + 0.1 * args["input"].sin())
    return clone


def _breaking(model):
    """A network that answers nan below a noise level."""
    clone = model.clone()

    def call(apply, given):
        found = apply(given["input"], given["timestep"], **given["c"])
        return torch.where(given["timestep"].amax() < BROKEN_BELOW, torch.nan, 1.0) * found

    clone.set_model_unet_function_wrapper(call)
    return clone


def _reading_a_table(model):
    """A pack that tells c from u by a table of two."""
    clone = model.clone()

    def call(apply, given):
        words = [("c", "u")[i] for i in given["cond_or_uncond"]]
        assert [("c", "u")[i] for i in given["c"]["transformer_options"]["cond_or_uncond"]] == words
        READ_IN_TABLE.append("".join(words))
        return apply(given["input"], given["timestep"], **given["c"])

    clone.set_model_unet_function_wrapper(call)
    return clone


READ_IN_TABLE: list[str] = []  # of each call of the network: which of its items is c, and which u

PARTS: dict[str, State] = {
    "plain": lambda model, c, u: (model, c, u),
    "empty negative": lambda model, c, u: (model, c, []),
    "ended negative": lambda model, c, u: (model, c, _during(u, 0.0, 0.5)),
    "ended positive": lambda model, c, u: (model, _during(c, 0.0, 0.5), u),
    "areas": lambda model, c, u: (model, _in_areas(c), u),
    "windows that remember": lambda model, c, u: (_windows(model), c, u),
    "easy cache": lambda model, c, u: (EasyCacheNode.execute(model, 3.0, 0.15, 0.95, False)[0], c, u),
    "lazy cache": lambda model, c, u: (LazyCacheNode.execute(model, 3.0, 0.15, 0.95, False)[0], c, u),
    "stored u": lambda model, c, u: (_storing_u(model), c, u),
    "cfg function": lambda model, c, u: (_with_cfg_function(model), c, u),
    "post cfg": lambda model, c, u: (_with_post_cfg(model), c, u),
    "perp neg": lambda model, c, u: (PerpNeg.execute(model, _other(c), 1.0)[0], c, u),
    "nan": lambda model, c, u: (_breaking(model), c, u),
    "table of two": lambda model, c, u: (_reading_a_table(model), c, u),
}


def _other(conditioning):
    """An empty text: none of the other conditions."""
    return [[torch.zeros_like(words), dict(more)] for words, more in conditioning]


def _evaluates_alone(model, conds, x, timestep, model_options):
    """The host's batched evaluation as a pack replaces it: nobody's wrappers are asked."""
    return comfy.samplers._calc_cond_batch(model, conds, x, timestep, model_options)


def _samples_alone(model, x, timestep, uncond, cond, cond_scale, model_options={}, seed=None):  # noqa: B006
    """The host's guided evaluation as a pack replaces it: neither wrappers nor patches are asked."""
    c, u = comfy.samplers._calc_cond_batch(model, [cond, uncond], x, timestep, model_options)
    return u + cond_scale * (c - u)


PLACES: dict[str, tuple[str, Callable]] = {
    "calc_cond_batch replaced": ("calc_cond_batch", _evaluates_alone),
    "sampling_function replaced": ("sampling_function", _samples_alone),
}


@contextmanager
def host_in(state: str = "plain") -> Iterator[State]:
    """A host in this state: what makes a MODEL and its conditions those of the odd host."""
    with patch.object(comfy.samplers, *PLACES[state]) if state in PLACES else nullcontext():
        yield PARTS.get(state, PARTS["plain"])
