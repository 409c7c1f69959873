"""What a sample should be, as a number: log p(y | x) per sample.

An energy is asked at a point: the noisy sample itself, or a clean sample in image space, -1 .. 1 and not clamped.
Everything is reduced to [B] from each item alone, so that a gradient of the sum is a gradient per item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

from ..knobs import Stated, knob
from ..printing import Printed, class_and_knobs, text_of
from ..vectors import gradient_mode

Answer = TypeVar("Answer")


class At(NamedTuple):
    """Where an energy is asked: x = alpha x0 + sigma eps; sigma = 0 and alpha = 1 is the clean sample itself.

    sigma, alpha: [B] or scalar. temperature: divides a classifier's logits; above 1 a satisfied one still pushes.
    level: noise level of the run, from which random views are drawn. pause: called between energies; it may raise.
    answers: of the energies that were asked here already; None outside a combination.
    """

    sigma: Tensor | float = 0.0
    alpha: Tensor | float = 1.0
    temperature: float = 1.0
    level: float = 0.0
    pause: Callable[[], object] = bool
    answers: dict[tuple[int, int], tuple] | None = None


CLEAN = At()


class Network(Protocol):
    """What a GG_CLASSIFIER wire carries, whatever it answers with."""

    @property
    def noise_aware(self) -> bool:
        """It reads x = alpha x0 + sigma eps, else clean images only."""
        ...

    @property
    def judge(self) -> bool:
        """It only measures and never guides."""
        ...


class Classifier(Network, Protocol):
    """A network that tells labels apart."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the logits."""
        ...

    def logits(self, x: Tensor, sigma: Tensor | float, alpha: Tensor | float, /) -> Tensor:
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


class PictureEnergy(Stated, Printed):
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
    def why_zero(self) -> str:
        """What makes its gradient zero whatever the picture, in words; empty where nothing does."""
        return ""

    @property
    def text(self) -> str:
        """One phrase for the trace; unless an energy has its own, its class and its knobs."""
        return class_and_knobs(self)

    def __repr__(self) -> str:
        return f"Energy({text_of(self)})"


class NetworkEnergy(PictureEnergy):
    """An energy of clean pictures that asks one network."""

    network: Any  # a Network that answers with what the energy reads

    @property
    def classifiers(self) -> tuple[Network, ...]:
        """The one network that is asked."""
        return (self.network,)


def spread_knob() -> float:
    """How much deviation an energy forgives."""
    return knob(
        0.1,
        "How much deviation is tolerated: log p = -error / (2 spread^2), or -|error| / spread where the error is a "
        "distance. Half as much pulls four times as hard, by a distance twice.",
        limits=(0.001, 1e3, 0.01),
        rounding=0.001,
    )


def ask_without_gradient(ask: Callable[[], Answer]) -> Answer:
    """What a network says of something that stays as it is: without a gradient, on memory that allows others'."""
    with gradient_mode(recording=False):
        return ask()


def judges(energy: Energy) -> list[Network]:
    """The classifiers of an energy that only measure."""
    return [classifier for classifier in energy.classifiers if getattr(classifier, "judge", False)]
