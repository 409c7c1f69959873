"""The models of a run: a second MODEL beside the one that samples, and all that predictions go through."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import comfy.model_patcher
import comfy.sampler_helpers
import comfy.samplers
import torch
from comfy.model_base import BaseModel
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrapperExecutor
from comfy.samplers import CFGGuider
from torch import Tensor, nn

from ...guidance.parts import Packed
from .. import server
from ..models import adapter
from ..models.native_model import card_of

FURTHER = f"{server.KEY}_further"  # marks calls whose predictions are neither the run's c nor its u
WORDS = {"cond": "positive", "uncond": "negative"}  # a source's word -> the guider's


class OtherModel:
    """Evaluates a MODEL in somebody else's run, and is loaded together with that run's own.

    conditions: {name: CONDITIONING, or "cond" / "uncond" for the run's own}. Raises ValueError when the two models do
    not share their latents.
    """

    def __init__(self, patcher: ModelPatcher, guider: CFGGuider, conditions: dict[str, Any], noise: Tensor):
        self.patcher, self.conditions = patcher, conditions
        check_latents(patcher, guider.model_patcher, noise)
        self.alone = patcher.model is not guider.model_patcher.model
        self.options = comfy.model_patcher.create_model_options_clone(patcher.model_options)
        self.conds = {self._key(name): _entries(guider, condition) for name, condition in conditions.items()}
        comfy.samplers.preprocess_conds_hooks(self.conds)
        comfy.sampler_helpers.prepare_model_patcher(patcher, self.conds, self.options)
        comfy.samplers.filter_registered_hooks_on_conds(self.conds, self.options)
        controls, _ = comfy.sampler_helpers.get_additional_models(self.conds, patcher.model_dtype())
        load_together(guider, [*([patcher] if self.alone else []), *controls])

    def _key(self, name: str) -> str:
        condition = self.conditions[name]
        return WORDS[condition] if isinstance(condition, str) else name

    def prepare(
        self,
        noise: Tensor,
        latent: Tensor | None,
        mask: Tensor | None,
        sigmas: Tensor,
        seed: int | None,
        packed: Packed,
    ) -> None:
        """Encode the conditions for this run: areas, masks, control and time ranges, as the host does for its own."""
        device = self.patcher.load_device
        self.options.setdefault("transformer_options", {})["sample_sigmas"] = sigmas
        comfy.samplers.cast_to_load_options(self.options, device=device, dtype=self.patcher.model_dtype())
        shapes = [(len(noise), *shape) for shape in packed.shapes]
        shape_facts = {"latent_shapes": shapes} if shapes else {}
        facts = (device, latent, mask, seed)
        self.conds = comfy.samplers.process_conds(self.patcher.model, noise, self.conds, *facts, **shape_facts)
        if self.alone:
            self.patcher.pre_run()

    def predictions(
        self, names: Collection[str], x: Tensor, timestep: Tensor, sigma: float, watched: dict
    ) -> dict[str, Tensor]:
        """Those of its predictions that are among `names` and cover this noise level: {name: [B, ...]}.

        watched: options of the run's own evaluation; who counts there counts here.
        """
        keys = {name: self._key(name) for name in self.conditions if name in names}
        wanted = {key: self.conds[key] for key in keys.values() if adapter.is_active(self.conds[key], sigma)}
        further = [key for key in wanted if key not in WORDS.values()]
        ours = watched.get("transformer_options", {}).get("wrappers", {})
        places = self.options.setdefault("transformer_options", {}).setdefault("wrappers", {})
        with ExitStack() as stack:
            stack.enter_context(adapter.override(self.options, {FURTHER: True}))
            for kind, wrappers in ours.items():
                watchers = {key: functions for key, functions in wrappers.items() if str(key).startswith(server.KEY)}
                stack.enter_context(adapter.override(places.setdefault(kind, {}), watchers))
            conds = [*map(wanted.get, WORDS.values())], [wanted[key] for key in further]
            results = evaluate(self.patcher.model, *conds, x, timestep, self.options)
        predictions = dict(zip([*WORDS.values(), *further], results, strict=True))
        return {name: predictions[key] for name, key in keys.items() if key in wanted}

    def close(self) -> None:
        """Undo what the run did to the MODEL; its weights stay where they are."""
        comfy.samplers.cast_to_load_options(self.options, device=self.patcher.offload_device)
        self.patcher.restore_hook_patches()
        if self.alone:
            self.patcher.cleanup()


def evaluate(model: BaseModel, conds: list, further: list, x: Tensor, timestep: Tensor, options: dict) -> list[Tensor]:
    """Predictions of c and u, and of further conditions, in one batch of the host.  x [B, ...] -> [B, ...] each

    conds: of c and u, None for one that is not asked. Packs tell c from u by its place, 0 or 1, some by a table of two:
    a further condition is named to them as u, because guidance moves away from it.
    """
    held = (entry.get("control") for cond in further for entry in cond)
    controls = {id(control): control for control in held if control is not None}
    with ExitStack() as stack:
        for control in controls.values():  # in the object itself: who shares one is asked in one batch
            stand_in = partial(_control_as_u, control.get_control)
            stack.enter_context(adapter.override(vars(control), {"get_control": stand_in}))
        if further:
            around = partial(_ask_as_u, options.get("model_function_wrapper"))
            stack.enter_context(adapter.override(options, {"model_function_wrapper": around}))
        return comfy.samplers.calc_cond_batch(model, [*conds, *further], x, timestep, options)


def _as_u(places: list[int]) -> list[int]:
    return [min(place, 1) for place in places]


def _control_as_u(before: Callable, x: Tensor, timestep: Tensor, cond: dict, *given: Any) -> Any:
    """What a ControlNet says, with every further condition named as u.  before: its `get_control`"""
    options = cond["transformer_options"]  # the host's own of this batch, in which a ControlNet may leave something
    options["cond_or_uncond"] = _as_u(options["cond_or_uncond"])
    return before(x, timestep, cond, *given)


def _ask_as_u(before: Callable | None, network: Callable, given: dict) -> Tensor:
    """The network's answer, with every further condition named as u.  before: by what another pack asks it"""
    kinds = _as_u(given["cond_or_uncond"])
    options = {**given["c"]["transformer_options"], "cond_or_uncond": kinds}
    given = {**given, "c": {**given["c"], "transformer_options": options}, "cond_or_uncond": kinds}
    return before(network, given) if before else network(given["input"], given["timestep"], **given["c"])


def load_together(guider: CFGGuider, models: list) -> None:
    """Have the host load models together with a run's own: loading one in a step could evict the other."""
    for entry in guider.conds["positive"][:1]:  # the host collects them from all conditions, so one entry is enough
        entry["additional_models"] = [*entry.get("additional_models", []), *models]


def _entries(guider: CFGGuider, condition: Any) -> list[dict]:
    """A condition for another model: copies, since every model encodes its own and control nets keep state."""
    if isinstance(condition, str):
        entries = [entry.copy() for entry in guider.original_conds.get(WORDS[condition]) or []]
    else:
        entries = comfy.sampler_helpers.convert_cond(condition)
    for entry in entries:
        entry["model_conds"] = dict(entry.get("model_conds", {}))
        if "control" in entry:
            entry["control"] = entry["control"].copy()
    return entries


def check_latents(other: ModelPatcher, own: ModelPatcher, noise: Tensor) -> None:
    """Raise ValueError when two models do not mean the same by a noisy latent, or share weights under other patches."""
    theirs, ours = other.get_model_object("latent_format"), own.get_model_object("latent_format")
    their_space, our_space = ((type(f), f.latent_channels, getattr(f, "space", None)) for f in (theirs, ours))
    if their_space != our_space:
        raise ValueError(
            f"The chain's second model works on {theirs.latent_channels} channels of {type(theirs).__name__}, the "
            f"sampled one on {ours.latent_channels} of {type(ours).__name__}. Use two models of one latent space."
        )
    if adapter.is_flow(other) != adapter.is_flow(own):
        raise ValueError(
            "One of the chain's two models is a flow model and the other is not: their noisy latents differ. "
            "Use two models of the same kind."
        )
    card = card_of(other)
    if card is not None:
        card.check_sides(tuple(noise.shape[2:]))
    if other.model is own.model and (
        other.patches_uuid != own.patches_uuid or other.object_patches != own.object_patches
    ):
        raise ValueError(
            "The chain's second model has the weights of the sampled model with other patches, such as a LoRA. One set "
            "of weights cannot be both: load the checkpoint a second time."
        )


def _runs_no_wrappers(network: nn.Module) -> bool:
    """Whether a network's forward never comes to the host's wrappers."""
    forward = inspect.unwrap(type(network).forward)
    return WrapperExecutor.__name__ not in getattr(getattr(forward, "__code__", None), "co_names", ())


@dataclass(frozen=True)
class RunModels:
    """The models of one run.  guider: with the sampled MODEL and its conditions. others: a chain's further MODELs."""

    guider: CFGGuider
    others: tuple[OtherModel, ...] = ()

    def controls(self) -> list:
        """The host's ControlNets at work in the run: those of every condition, and those that each goes on to."""
        controls = []
        for conds in (self.guider.conds, *(other.conds for other in self.others)):
            for entry in (entry for entries in conds.values() for entry in entries or []):
                control = entry.get("control")
                while control is not None and control not in controls:
                    controls.append(control)
                    control = control.previous_controlnet
        return controls

    @cached_property
    def computes_in_half(self) -> bool:
        """Whether a part computes in float16, which knows no small gradients."""
        casts = {getattr(owner, "manual_cast_dtype", None) for owner in (*self.models(), *self.controls())}
        return torch.float16 in casts | {weight.dtype for weight in self.networks.parameters()}

    def models(self) -> list[Any]:
        """The sampled model first, then further ones."""
        return [self.guider.inner_model, *(other.patcher.model for other in self.others)]

    @cached_property
    def networks(self) -> nn.ModuleList:
        """Models and ControlNets; they are asked for when the host has made them ready, and stay for the run."""
        return nn.ModuleList([*self.models(), *self._control_networks()])

    @cached_property
    def direct(self) -> list[nn.Module]:
        """Networks that have to be taken at their forward, since it comes to none of the host's wrappers."""
        networks = dict.fromkeys(model.diffusion_model for model in self.models())
        return [*self._control_networks(), *filter(_runs_no_wrappers, networks)]

    def _control_networks(self) -> list[nn.Module]:
        parts = (part for control in self.controls() for part in vars(control).values())
        return [*dict.fromkeys(part for part in parts if isinstance(part, nn.Module))]

    def patchers(self) -> list:
        """The host's keepers of the weights of models and ControlNets."""
        models = [self.guider.model_patcher, *(other.patcher for other in self.others)]
        return [*models, *(getattr(control, "control_model_wrapped", None) for control in self.controls())]
