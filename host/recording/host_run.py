"""A run of the host as it is known before its first step: who samples, from where, with which network."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from ...guidance.parts import Packed
from ...trace.terms import Term, terms_of_chain
from ..models import adapter
from ..sampling.blog_sampler import BlogSampler
from ..server import KEY


@dataclass(frozen=True, eq=False)
class HostRun:
    """A run of the host, before its first step.

    id: 12 hexadecimal digits, for traces and events.
    sampler: the SAMPLER as the user chose it, unwatched.
    guider: the GUIDER, with the MODEL and the conditions.
    sigmas: noise levels of the schedule [steps + 1], on the run's device.
    seed: of the noise that the sampler draws; None if the host names none.
    has_mask: whether a noise mask is set.
    chain_run: the run of a guidance chain of this pack, a GuidedRun; None without one.
    name: of the sampler. This and what follows is unknown until `identify`.
    options: of the sampler, by the names of its function's arguments.
    patcher: the MODEL that is sampled.
    flow: whether alpha = 1 - sigma; else alpha = 1.
    packing: how several parts, such as video and sound, lie in the state.
    """

    id: str
    sampler: Any
    guider: Any
    sigmas: Tensor
    seed: int | None
    has_mask: bool
    chain_run: Any
    name: str
    options: dict = field(default_factory=dict)
    patcher: Any = None
    flow: bool = False
    packing: Packed = field(default_factory=Packed)

    @cached_property
    def schedule(self) -> Tensor:
        """Noise levels on the CPU: they are read off the device once."""
        return self.sigmas.cpu()

    @cached_property
    def foreign(self) -> bool:
        """Whether the guider combines its predictions itself."""
        return adapter.combines_itself(self.guider)

    @property
    def states_scales(self) -> bool:
        """Whether a chain of this pack was handed the scale of each step; else the scale that acted is measured."""
        return self.chain_run is not None and bool(self.chain_run.chain.rules)

    @property
    def has_rules(self) -> bool:
        """Whether a chain of this pack does more than to set the scale."""
        chain = self.chain_run.chain if self.chain_run else None
        return chain is not None and bool(chain.terms or not chain.is_cfg)

    @property
    def function(self) -> Any:
        """The sampler's function of the k-diffusion kind, None where it has none."""
        return getattr(self.sampler, "sampler_function", None)

    @property
    def steps(self) -> int:
        """How many steps the sampler plans."""
        if isinstance(self.function, BlogSampler):
            return self.function.count(self.sigmas)
        return max(len(self.sigmas) - 1, 0)

    @property
    def terms(self) -> tuple[Term, ...]:
        """Gradient terms and watched energies of a chain of this pack."""
        return terms_of_chain(self.chain_run.gradients.names) if self.chain_run else ()

    def identify(self, guard: Callable[[], AbstractContextManager]) -> HostRun:
        """The run with what the guider and its MODEL tell.

        guard: keeps out what they raise where they are of another kind; the fact that was asked for stays unknown.
        """
        run = self
        for name, fact in FACTS.items():
            with guard():
                run = replace(run, **{name: fact(run)})
        return run


FACTS: dict[str, Callable[[HostRun], Any]] = {  # by fields of a run
    "name": lambda run: adapter.sampler_of(run.sampler)[0],
    "options": lambda run: adapter.sampler_of(run.sampler)[1],
    "patcher": lambda run: run.guider.model_patcher,
    "flow": lambda run: run.patcher is not None and adapter.is_flow(run.patcher),
    "packing": lambda run: run.chain_run.packing if run.chain_run else adapter.packing_of_run(run.guider),
}


def host_run(sampler: Any, guider: Any, sigmas: Tensor, extra_args: Mapping[str, Any], masked: bool) -> HostRun:
    """A run as the host begins it; nothing is asked that could fail."""
    return HostRun(
        id=uuid.uuid4().hex[:12],
        sampler=sampler,
        guider=guider,
        sigmas=sigmas,
        seed=extra_args.get("seed"),
        has_mask=masked,
        chain_run=(extra_args.get("model_options") or {}).get(KEY),
        name=type(sampler).__name__,
    )
