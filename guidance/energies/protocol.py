"""What a sample should be, as a number: log p(y | x) per sample, and the algebra of such numbers.

An energy is asked at a point: the noisy sample itself, or a clean sample in image space, -1 .. 1 and not clamped.
Everything is reduced to [B] from each item alone, so that a gradient of the sum is a gradient per item.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ..printing import Printed, text_of
from ..vectors import promoted

Answer = TypeVar("Answer")
LABEL_KINDS = ("label", "not label", "joint logit", "multi-label")


class At(NamedTuple):
    """Where an energy is asked: x = alpha x0 + sigma eps; sigma = 0 and alpha = 1 is the clean sample itself.

    sigma, alpha: [B] or scalar. temperature: divides a classifier's logits; above 1 a satisfied one still pushes.
    level: noise level of the run, from which random views are drawn.
    """

    sigma: Tensor | float = 0.0
    alpha: Tensor | float = 1.0
    temperature: float = 1.0
    level: float = 0.0


CLEAN = At()


class Network(Protocol):
    """What a GG_CLASSIFIER wire carries, whatever it answers with.

    noise_aware: it reads x = alpha x0 + sigma eps, else clean images only. judge: it only measures and never guides.
    """

    noise_aware: bool
    judge: bool


class Classifier(Network, Protocol):
    """A network that tells labels apart."""

    labels: tuple[str, ...]

    def logits(self, x: Tensor, sigma: Tensor | float, alpha: Tensor | float) -> Tensor:
        """Logits of every label, differentiable in x.  x [B, ...], sigma, alpha [B] or scalar -> [B, K]"""
        ...


class Energy(Protocol):
    """What a GG_ENERGY wire carries."""

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        ...

    @property
    def noise_aware(self) -> bool:
        """Whether it reads the noisy sample itself."""
        ...

    @property
    def classifiers(self) -> tuple[Network, ...]:
        """The networks it reads."""
        ...

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """log p(y | x), differentiable in x.  x [B, ...] -> [B]"""
        ...


class Named(Printed):
    """An energy of clean pictures without a network, until it says otherwise; on an error page it is one line."""

    @property
    def noise_aware(self) -> bool:
        """It reads clean pictures only."""
        return False

    @property
    def classifiers(self) -> tuple[Network, ...]:
        """It reads none."""
        return ()

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        return "energy"

    def __repr__(self) -> str:
        return f"Energy({text_of(self)})"


class Wrapped(Named):
    """An energy that changes how another one is asked."""

    energy: Energy

    @property
    def noise_aware(self) -> bool:
        """As the energy within."""
        return self.energy.noise_aware

    @property
    def classifiers(self) -> tuple[Network, ...]:
        """As the energy within."""
        return self.energy.classifiers


class Asking(Named):
    """An energy of clean pictures that asks one network."""

    network: Any  # a Network that answers with what the energy reads

    @property
    def classifiers(self) -> tuple[Network, ...]:
        """Its network."""
        return (self.network,)


@dataclass(frozen=True, eq=False, repr=False)
class LabelEnergy(Named):
    """A classifier's log-probability of a label.

        label        logsumexp of the wanted logits - logsumexp of all      any of the wanted labels
        not label    logsumexp of the others - logsumexp of all             log(1 - p), bounded, unlike -log p
        joint logit  logsumexp of the wanted logits                         log p(x, y) + const; never saturates
        multi-label  sum log sigmoid(f) of the wanted + sum log sigmoid(-f) of the others

    wanted: for every image in turn the indices of its labels, repeated to fill the batch. kind: of LABEL_KINDS.
    Raises ValueError for a label the classifier has not, or for an image that nothing is left for.
    """

    classifier: Classifier
    wanted: tuple[tuple[int, ...], ...]
    kind: str = "label"

    def __post_init__(self):
        count = len(self.classifier.labels)
        if self.kind not in LABEL_KINDS:
            raise ValueError(f"Label energy {self.kind!r} is unknown. Use one of {', '.join(LABEL_KINDS)}.")
        if not self.wanted or not all(self.wanted):
            raise ValueError("No label was given for an image. Give every image at least one.")
        wrong = [i for labels in self.wanted for i in labels if not 0 <= i < count]
        if wrong:
            raise ValueError(f"Label {wrong[0]} is outside 0 .. {count - 1}: the classifier has {count} labels.")
        if self.kind == "not label" and any(len(set(labels)) == count for labels in self.wanted):
            raise ValueError(f"All {count} labels are excluded, so no image is left. Leave one out.")

    @property
    def noise_aware(self) -> bool:
        """As its classifier."""
        return self.classifier.noise_aware

    @property
    def classifiers(self) -> tuple[Network, ...]:
        """Its classifier."""
        return (self.classifier,)

    @property
    def text(self) -> str:
        """The labels by name."""
        names = [" or ".join(self.classifier.labels[i] for i in labels) for labels in self.wanted]
        shown = "; ".join(names[:4]) + (f"; ... {len(names)} in turn" if len(names) > 4 else "")
        return shown if self.kind == "label" else f"{self.kind.removesuffix(' label')} {shown}"

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """log p(label | x) at temperature 1; the logits divided by the temperature otherwise."""
        logits = promoted(self.classifier.logits(x, at.sigma, at.alpha)) / at.temperature
        chosen = self._chosen(logits)
        if self.kind == "multi-label":
            return nn.functional.logsigmoid(torch.where(chosen, logits, -logits)).sum(dim=1)
        kept = ~chosen if self.kind == "not label" else chosen
        score = logits.masked_fill(~kept, -torch.inf).logsumexp(dim=1)
        return score if self.kind == "joint logit" else score - logits.logsumexp(dim=1)

    def _chosen(self, logits: Tensor) -> Tensor:  # [B, K] -> [B, K] bool
        turns = torch.zeros(len(self.wanted), logits.shape[1], dtype=torch.bool)
        for turn, labels in zip(turns, self.wanted, strict=True):
            turn[list(labels)] = True
        return turns[torch.arange(len(logits)) % len(turns)].to(logits.device)


@dataclass(frozen=True, eq=False, repr=False)
class CombinedEnergy(Named):
    """Several energies as one, per sample.

    product  sum_i w_i E_i                        all of them hold; w is the power of each
    mixture  log sum_i w_i e^(E_i) / sum_i w_i    any of them holds
    """

    energies: tuple[Energy, ...]
    weights: tuple[float, ...]
    mixture: bool = False

    def __post_init__(self):
        if len(self.energies) != len(self.weights) or not self.energies:
            raise ValueError(f"{len(self.energies)} energies have {len(self.weights)} weights. Give one to each.")
        if self.mixture and (min(self.weights) < 0 or sum(self.weights) <= 0):
            raise ValueError(f"The weights of a mixture are {self.weights}; none may be below 0, and not all may be 0.")

    @property
    def noise_aware(self) -> bool:
        """Only if all of them are."""
        return all(energy.noise_aware for energy in self.energies)

    @property
    def classifiers(self) -> tuple[Network, ...]:
        """Those of all."""
        return tuple(classifier for energy in self.energies for classifier in energy.classifiers)

    @property
    def text(self) -> str:
        """The parts with their weights."""
        named = zip(self.weights, map(text_of, self.energies), strict=True)
        parts = [f"{weight:g} x ({text})" if weight != 1 else text for weight, text in named]
        return f"any of [{', '.join(parts)}]" if self.mixture else " and ".join(parts)

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """The combination; each part is asked where it can read: a clean one is never shown a noisy sample."""
        found = torch.stack([energy.log_prob(x, at) for energy in self.energies], dim=1)
        weights = torch.tensor(self.weights, dtype=found.dtype, device=found.device)
        if not self.mixture:
            return (found * weights).sum(dim=1)
        return (found + (weights / weights.sum()).log()).logsumexp(dim=1)


@dataclass(frozen=True, eq=False, repr=False)
class MaskedEnergy(Wrapped):
    """An energy whose gradient reaches only a region; what it sees is the whole picture.

        E(m x + (1 - m) stop(x))        grad = m grad E

    mask: [1 or B, H, W], 0 .. 1; it is resized to the picture.
    """

    energy: Energy
    mask: Tensor

    @property
    def text(self) -> str:
        """The energy, and that it is masked."""
        return f"({text_of(self.energy)}) in a mask"

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """The energy's value; its gradient times the mask.  x: [B, C, H, W]"""
        mask = resized_mask(self.mask, x)
        return self.energy.log_prob(mask * x + (1 - mask) * x.detach(), at)


def resized_mask(mask: Tensor, x: Tensor) -> Tensor:  # [n, H, W] -> [B or 1, 1, h, w]
    """A mask at the size of pictures [B, C, h, w], repeated to fill the batch."""
    if x.ndim != 4:
        raise ValueError(f"A mask needs pictures [batch, channels, height, width] but the sample has {x.ndim} axes.")
    sized = nn.functional.interpolate(
        mask.reshape(-1, 1, *mask.shape[-2:]).to(x), x.shape[-2:], mode="bilinear", antialias=True
    )
    return in_turn(sized, len(x))


def in_turn(values: Tensor, count: int) -> Tensor:  # [n, ...] -> [count or 1, ...]
    """One of them for every image in turn, repeated to fill the batch; a single one is left to broadcast."""
    return values if len(values) == 1 else values[torch.arange(count, device=values.device) % len(values)]


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
        return torch.stack([self.energy.log_prob(self._view(x, draws), at) for _ in range(self.copies)]).mean(dim=0)

    def _view(self, x: Tensor, draws: torch.Generator) -> Tensor:
        down, right, mirrored = torch.randint(0, 1 << 30, (3,), generator=draws).tolist()
        width = self.shift
        moved = nn.functional.pad(promoted(x), (width,) * 4, mode="replicate") if width else x
        top, left = down % (2 * width + 1), right % (2 * width + 1)
        view = moved[..., top : top + x.shape[-2], left : left + x.shape[-1]]
        view = view.flip(-1) if self.mirror and mirrored % 2 else view
        if not self.noise:
            return view
        return view + self.noise * torch.randn(x.shape[1:], generator=draws).to(view)


def unmoved(ask: Callable[[], Answer]) -> Answer:
    """What a network says of something that stays as it is: without a gradient, on memory that allows others'."""
    with torch.inference_mode(False), torch.no_grad():
        return ask()


def draws_at(seed: int, sigma: float) -> torch.Generator:
    """Random numbers of one noise level: the same in every stage there, whatever the batch."""
    return torch.Generator().manual_seed((seed * 1_000_003 + int(sigma * 2**20)) & ((1 << 63) - 1))


def judges(energy: Energy) -> list[Network]:
    """The classifiers of an energy that only measure."""
    return [classifier for classifier in energy.classifiers if getattr(classifier, "judge", False)]
