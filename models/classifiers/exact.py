"""The exact noise-aware classifier of a Gaussian mixture: a classifier that is right at every noise level."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...guidance.mixture import GaussianMixture
from ...guidance.printing import Printed


@dataclass(frozen=True, eq=False)
class MixtureClassifier(Printed):
    """log p(label | x, sigma) of a mixture in closed form.

    mixture: the data. labels: one name per class. space: ve or flow, the coordinates of the MODEL it belongs to.
    """

    mixture: GaussianMixture
    labels: tuple[str, ...]
    space: str = "ve"
    noise_aware = True
    judge = False

    def logits(self, x: Tensor, sigma: Tensor | float, alpha: Tensor | float = 1.0) -> Tensor:
        """Log-probability of every label at a noisy sample.  x [B, ...], sigma [B], alpha [B] or scalar -> [B, K]"""
        return self.mixture.label_log_prob(x, sigma, alpha)

    def label_log_prob(self, x: Tensor, sigma: Tensor | float, alpha: Tensor | float = 1.0) -> Tensor:
        """The logits, which are normalised: log p(y | x).  -> [B, K]"""
        return self.logits(x, sigma, alpha)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.mixture.shape))
        return f"MixtureClassifier({len(self.labels)} labels, samples {shape}, {self.space})"
