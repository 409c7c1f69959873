"""Energies made of energies: several as one, in a region, over random views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..knobs import knob, refuse_unlisted, socket
from ..printing import text_of
from ..vectors import constants, promote, put_beside
from .pictures import region, resize_mask, why_black
from .protocol import CLEAN, At, Energy, Network, PictureEnergy

MOST_LEAVES = 64  # energies that a combination asks: all their graphs are there at once


def ask(energy: Energy, x: Tensor, at: At) -> Tensor:  # -> [B]
    """log p of a part of a combination: what several parts share is asked once of one picture."""
    answers, key = at.answers if at.answers is not None else {}, (id(energy), id(x))
    if key not in answers:
        at.pause()
        answers[key] = energy.log_prob(x, at), energy, x  # both kept, so that no other object takes their numbers
    return answers[key][0]


def leaves_of(energy: Any) -> int:
    """How many energies it asks of one picture."""
    return getattr(energy, "leaves", 1)


class Wrapped(PictureEnergy):
    """An energy that changes how another one is asked."""

    energy: Energy

    @property
    def leaves(self) -> int:
        """As many as the energy within."""
        return leaves_of(self.energy)

    @property
    def noise_aware(self) -> bool:
        """As the energy within."""
        return self.energy.noise_aware

    @property
    def classifiers(self) -> tuple[Network, ...]:
        """As the energy within."""
        return self.energy.classifiers

    @property
    def why_zero(self) -> str:
        """As the energy within."""
        return getattr(self.energy, "why_zero", "")


@dataclass(frozen=True, eq=False, repr=False)
class MaskedEnergy(Wrapped):
    """An energy whose gradient reaches only a region; what it sees is the whole picture.

        E(m x + (1 - m) stop(x))        grad = m grad E

    mask: [1 or B, H, W], 0 .. 1; it is resized to the picture, its middle where the proportions differ.
    """

    node_id = "GGMaskedEnergy"
    name = "Masked Energy (region)"
    search_words = ("inpaint", "region")
    description = "Lets an energy change only a region. It still sees the whole picture."
    energy: Energy = socket("GG_ENERGY", "What a picture should be: from a label, a reference, or other energies.")
    mask: Tensor = socket(
        "MASK",
        "White areas change, black areas stay. It is resized to the picture; if its proportions differ, its middle "
        "is used.",
        read=region,
    )

    @property
    def why_zero(self) -> str:
        """A black mask, or as the energy within."""
        return why_black(self.mask) or super().why_zero

    @property
    def text(self) -> str:
        """The energy, and that it is masked."""
        return f"({text_of(self.energy)}) in a mask"

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """The energy's value; its gradient times the mask.  x: [B, C, H, W]"""
        mask = resize_mask(self.mask, x)
        return ask(self.energy, mask * x + (1 - mask) * x.detach(), at)


@dataclass(frozen=True, eq=False, repr=False)
class CombinedEnergy(PictureEnergy):
    """Several energies as one, per sample.

    product  sum_i w_i E_i                        all of them hold; w is the power of each
    mixture  log sum_i w_i e^(E_i) / sum_i w_i    any of them holds

    One energy given twice is one with the sum of its weights. Raises ValueError for more than 64 in the end.
    """

    node_id = "GGCombineEnergies"
    name = "Combine Energies"
    search_words = ("several classifiers", "product of experts", "mixture")
    description = (
        "Joins two energies: both must hold (product), or either (mixture). With one energy: its weight; negative "
        "moves away from it."
    )
    energies: tuple[Energy, ...]
    weights: tuple[float, ...]
    mixture: bool = knob(
        False,
        "product: weight_a log p_a + weight_b log p_b. mixture: log of the weighted mean of the probabilities; the "
        "easier one wins.",
        choices={"product": False, "mixture": True},
        name="how",
    )

    def __post_init__(self):
        refuse_unlisted(self)
        if len(self.energies) != len(self.weights) or not self.energies:
            raise ValueError(f"{len(self.energies)} energies have {len(self.weights)} weights. Give one to each.")
        if self.mixture and (min(self.weights) < 0 or sum(self.weights) <= 0):
            raise ValueError(f"The weights of a mixture are {self.weights}; none may be below 0, and not all may be 0.")
        merged: dict[int, float] = {}
        for energy, weight in zip(self.energies, self.weights, strict=True):
            merged[id(energy)] = merged.get(id(energy), 0.0) + weight
        object.__setattr__(self, "energies", tuple({id(energy): energy for energy in self.energies}.values()))
        object.__setattr__(self, "weights", tuple(merged.values()))
        if self.leaves > MOST_LEAVES:
            raise ValueError(
                f"This combination would ask {self.leaves} energies in every step, and {MOST_LEAVES} are the most: all "
                "of them are in memory together. Join fewer; several labels of one classifier are one Label Energy "
                "(cat | dog)."
            )

    @property
    def leaves(self) -> int:
        """Those of all parts."""
        return sum(map(leaves_of, self.energies))

    @property
    def noise_aware(self) -> bool:
        """Only if all of them are."""
        return all(energy.noise_aware for energy in self.energies)

    @property
    def classifiers(self) -> tuple[Network, ...]:
        """Those of all."""
        return tuple(classifier for energy in self.energies for classifier in energy.classifiers)

    @property
    def why_zero(self) -> str:
        """All weights are 0, or every part that counts has a reason."""
        why = [getattr(one, "why_zero", "") for one, weight in zip(self.energies, self.weights, strict=True) if weight]
        return "; ".join(dict.fromkeys(why)) if all(why) and why else "" if why else "all its weights are 0"

    @property
    def text(self) -> str:
        """The parts with their weights."""
        named = zip(self.weights, map(text_of, self.energies), strict=True)
        parts = [f"{weight:g} x ({text})" if weight != 1 else text for weight, text in named]
        return f"any of [{', '.join(parts)}]" if self.mixture else " and ".join(parts)

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """The combination; each part is asked where it can read: a clean one is never shown a noisy sample."""
        at = at if at.answers is not None else at._replace(answers={})
        log_probs = torch.stack([ask(energy, x, at) for energy in self.energies], dim=1)
        weights = constants(tuple(self.weights), log_probs.dtype, log_probs.device)
        if not self.mixture:
            return (log_probs * weights).sum(dim=1)
        return (log_probs + (weights / weights.sum()).log()).logsumexp(dim=1)


@dataclass(frozen=True, eq=False, repr=False)
class AugmentedEnergy(Wrapped):
    """The mean over random views of the picture: moved by a few pixels, some mirrored, with a little noise.

        mean_k log p(y | A_k x)     a lower bound of log mean_k p(y | A_k x), with steadier gradients

    One network's blind spots rarely survive all views. copies: views a step. shift: pixels. noise: standard deviation.
    The views depend on seed and noise level only: fixed within a step, the same for every image alone and in a batch.
    Source: Shen et al. 2024, "Understanding and Improving Training-free Loss-based Diffusion Guidance".
    """

    energy: Energy
    copies: int = 4
    shift: int = 2
    mirror: bool = True
    noise: float = 0.0
    seed: int = 0

    @property
    def leaves(self) -> int:
        """Those of the energy within, once a view."""
        return self.copies * leaves_of(self.energy)

    @property
    def noise_aware(self) -> bool:
        """As the energy within; added noise would contradict the level it is told."""
        return self.energy.noise_aware and self.noise == 0

    @property
    def text(self) -> str:
        """The energy and the number of views."""
        return f"({text_of(self.energy)}) over {self.copies} views"

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """The mean over the views.  x: [B, C, H, W]"""
        draws = draws_at(self.seed, at.level)
        return torch.stack([ask(self.energy, self._view(x, draws), at) for _ in range(self.copies)]).mean(dim=0)

    def _view(self, x: Tensor, draws: torch.Generator) -> Tensor:
        down, right, mirrored = torch.randint(0, 1 << 30, (3,), generator=draws).tolist()
        width = self.shift
        moved = nn.functional.pad(promote(x), (width,) * 4, mode="replicate") if width else x
        top, left = down % (2 * width + 1), right % (2 * width + 1)
        view = moved[..., top : top + x.shape[-2], left : left + x.shape[-1]]
        view = view.flip(-1) if self.mirror and mirrored % 2 else view
        if not self.noise:
            return view
        return view + self.noise * put_beside(torch.randn(x.shape[1:], generator=draws), view)


def draws_at(seed: int, sigma: float) -> torch.Generator:
    """Random numbers of one noise level: the same in every stage there, whatever the batch."""
    return torch.Generator().manual_seed((seed * 1_000_003 + int(sigma * 2**20)) & ((1 << 63) - 1))
