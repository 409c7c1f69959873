"""Samples of several parts, such as video and sound: the parts of a packed vector, and a chain that acts on each.

A host samples such parts as one vector. Lengths and angles over all of it would mix units that have nothing to do with
each other, so each part has its own gamma, its own rules' memory and its own record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .chain import Chain, ChainState
from .predictions import Predictions
from .run import Run


@dataclass(frozen=True)
class Packed:
    """How the parts of a sample lie in one tensor [B, 1, N]: each flattened, one after the other.

    shapes: of one sample of each part, [C, ...]. With one part or none nothing is packed: the sample is the part.
    """

    shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What the parts are called: video has four axes, and the one part beside it is its sound."""
        videos = [len(shape) == 4 for shape in self.shapes]
        if len(videos) == 2 and sum(videos) == 1:
            return tuple("video" if video else "audio" for video in videos)
        return tuple(f"part {i}" for i in range(len(self.shapes))) if len(self.shapes) > 1 else ("",)

    @property
    def shares(self) -> list[float]:
        """What each part has of the elements of a sample; they sum to 1."""
        sizes = list(map(math.prod, self.shapes)) if len(self.shapes) > 1 else [1]
        return [size / sum(sizes) for size in sizes]

    def split(self, v: Tensor) -> list[Tensor]:  # [B, 1, N] -> [B, C, ...] each
        """The parts as views of a packed tensor; the tensor itself where nothing is packed."""
        if len(self.shapes) < 2:
            return [v]
        pieces = v.flatten(1).split(list(map(math.prod, self.shapes)), dim=1)
        return [piece.reshape(len(v), *shape) for piece, shape in zip(pieces, self.shapes, strict=True)]

    def joined(self, parts: Sequence[Tensor]) -> Tensor:  # [B, C, ...] each -> [B, 1, N]
        """The packed tensor of such parts; a single one as it is."""
        return parts[0] if len(parts) == 1 else torch.cat([part.flatten(1) for part in parts], dim=1)[:, None]

    def split_table(self, named: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """The same of every tensor of a table: a table for each part."""
        found = {name: self.split(v) for name, v in named.items()}
        return [{name: parts[i] for name, parts in found.items()} for i in range(len(self.names))]


class PartStates(tuple[ChainState, ...]):
    """State of a chain in one run, by part."""

    def inside(self, began: float | None) -> PartStates:
        """The same for a further stage of the outer step that began at this noise level; None for its beginning."""
        return PartStates(state.inside(began) for state in self)


@dataclass(frozen=True)
class PartedChain:
    """A chain that acts on each part of a sample by itself: with its own gamma, its own memory, its own lengths."""

    chain: Chain
    packed: Packed = Packed()

    def init(self, run: Run) -> PartStates:
        """State of a run.  Raises ValueError when a rule does not fit it."""
        return PartStates(self.chain.init(replace(run, part=i)) for i in range(len(self.packed.names)))

    def scales(self, states: PartStates, sigma: float, gamma: float) -> tuple[float, ...]:
        """Gamma in force at a noise level for each part, from the sampler's cfg."""
        return tuple(self.chain.scale(state, sigma, gamma) for state in states)

    def needs(self, states: PartStates, sigma: float, gammas: Sequence[float]) -> frozenset[str]:
        """Predictions to evaluate: whatever a part needs."""
        asked = (self.chain.needs(state, sigma, gamma) for state, gamma in zip(states, gammas, strict=True))
        return frozenset().union(*asked)

    def step(self, states: PartStates, p: Predictions, gammas: Sequence[float]) -> tuple[Tensor, PartStates]:
        """Guide one outer step."""
        after: list[ChainState] = []

        def act(i: int, own: Predictions) -> Tensor:
            guided, state = self.chain.step(states[i], own, gammas[i])
            after.append(state)
            return guided

        return self._each(p, act), PartStates(after)

    def stage(self, states: PartStates, following: PartStates, p: Predictions, gammas: Sequence[float]) -> Tensor:
        """Guide a further stage of an outer step that began with `states`; its first evaluation left `following`."""
        return self._each(p, lambda i, own: self.chain.stage(states[i], following[i], own, gammas[i]))

    def _each(self, p: Predictions, act: Callable[[int, Predictions], Tensor]) -> Tensor:
        """What is made of every part; the conditional prediction itself where every part is that."""
        parts = self._parts(p)
        made = [act(i, own) for i, own in enumerate(parts)]
        untouched = all(one is own.cond for one, own in zip(made, parts, strict=True))
        return p.cond if untouched else self.packed.joined(made)

    def _parts(self, p: Predictions) -> list[Predictions]:
        tables = self.packed.split_table(
            {"x": p.x, "cond": p.cond} | ({} if p.uncond is None else {"uncond": p.uncond})
        )
        extras = self.packed.split_table(p.extra)
        return [
            replace(p, x=own["x"], cond=own["cond"], uncond=own.get("uncond"), extra=extra)
            for own, extra in zip(tables, extras, strict=True)
        ]
