"""The exact denoiser of a Gaussian mixture, and its exact classifier: ground truth for every rule and metric.

Data: a component m is drawn with probability weight_m, then x0 ~ N(mean_m, variance_m I); its label is label_m.
Noisy: x = alpha x0 + sigma eps, so p(x | m) = N(alpha mean_m, t_m I) with t_m = alpha^2 variance_m + sigma^2.

    responsibility  r_m = softmax_m(log weight_m - |x - alpha mean_m|^2 / (2 t_m) - N/2 log(2 pi t_m))
    denoised        E[x0 | x] = sum_m r_m (mean_m + alpha variance_m / t_m (x - alpha mean_m))

A label restricts the sums to its components. Everything is computed in float64 and returned in x's dtype.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from .vectors import back_to, flat, gradient_mode, numbers, wide

Label = int | Tensor | None
ANY = -1  # the label that means "no label"


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """A mixture of M isotropic Gaussians with class labels.

    means: [M, *shape]. variances: [M], > 0. log_weights: [M], normalised here. labels: [M] int, 0 .. K-1, none missing.
    """

    means: Tensor
    variances: Tensor
    log_weights: Tensor
    labels: Tensor
    _copies: dict[torch.device, tuple[Tensor, ...]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self):
        count = len(self.means)
        sizes = [tuple(v.shape) for v in (self.variances, self.log_weights, self.labels)]
        if sizes != [(count,)] * 3:
            raise ValueError(f"{count} means need {count} variances, weights and labels; their shapes are {sizes}.")
        if not (self.variances > 0).all():
            raise ValueError(f"A variance is {float(self.variances.min())}; each must be above 0.")
        if sorted(set(self.labels.tolist())) != list(range(self.classes)):
            raise ValueError("Some class has no component. Number the classes 0 .. K-1 and give each at least one.")
        for name in ("means", "variances", "log_weights"):
            object.__setattr__(self, name, wide(getattr(self, name)))
        object.__setattr__(self, "log_weights", self.log_weights.log_softmax(dim=0))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch axis."""
        return tuple(self.means.shape[1:])

    @cached_property
    def classes(self) -> int:
        """K: number of classes."""
        return int(self.labels.max()) + 1

    @property
    def rms(self) -> float:
        """Root mean square of clean data: sqrt(sum_m weight_m (variance_m + |mean_m|^2 / N)), the sigma_d of M3."""
        squares = self.variances + flat(self.means).square().mean(dim=1)
        return math.sqrt(float((self.log_weights.exp() * squares).sum()))

    def denoised(self, x: Tensor, sigma: Tensor | float, alpha: Tensor | float = 1.0, label: Label = None) -> Tensor:
        """Posterior mean of the clean sample: E[x0 | x, label].  -> [B, *shape] in x's dtype

        x: [B, *shape]. sigma, alpha: [B] or scalar. label: None or -1 is unconditional; a class for all, or int64 [B].
        Differentiable in x. sigma = 0 gives x / alpha, alpha = 0 the mean of the data.
        """
        rows, sigma, alpha = self._enter(x, sigma, alpha)
        means, variances, *_ = self._at(rows.device)
        joint = self._log_joint(rows, sigma, alpha)
        share = self._mask_classes(joint, label).softmax(dim=1)
        gain = share * alpha * variances / (alpha**2 * variances + sigma**2)
        prior = (share - gain * alpha) @ means
        return back_to(x, (prior + gain.sum(dim=1, keepdim=True) * rows).reshape(x.shape))

    def log_prob(self, x: Tensor, sigma: Tensor | float, alpha: Tensor | float = 1.0, label: Label = None) -> Tensor:
        """Log density of the noisy sample: log p(x | label) at this noise level.  -> [B]"""
        joint = self._log_joint(*self._enter(x, sigma, alpha))
        prior = self._at(joint.device)[2].expand_as(joint)
        within = self._mask_classes(joint, label).logsumexp(dim=1) - self._mask_classes(prior, label).logsumexp(dim=1)
        return back_to(x, within)

    def label_log_prob(self, x: Tensor, sigma: Tensor | float, alpha: Tensor | float = 1.0) -> Tensor:
        """The exact noise-aware classifier: log p(label | x, sigma) of every class.  -> [B, K]

        (sigma^2 / alpha) grad_x log p(label | x) = denoised(x, label) - denoised(x), exactly.
        """
        joint = self._log_joint(*self._enter(x, sigma, alpha))
        joint = joint - joint.detach().amax(dim=1, keepdim=True)  # of size N; its rounding would reach the gradient
        scores = [self._mask_classes(joint, label).logsumexp(dim=1) for label in range(self.classes)]
        return back_to(x, torch.stack(scores, dim=1).log_softmax(dim=1))

    def sample(self, n: int, label: Label = None, generator: torch.Generator | None = None) -> Tensor:
        """Clean samples, float64 on the CPU: [n, *shape].  label: a class, -1 or None for any, or int64 [n]."""
        weights = self._mask_classes(self.log_weights.cpu().expand(n, -1), label).softmax(dim=1)
        chosen = torch.multinomial(weights, 1, generator=generator)[:, 0]
        means, variances = self.means.cpu()[chosen], self.variances.cpu()[chosen]
        noise = torch.randn(means.shape, dtype=torch.float64, generator=generator)
        return means + variances.sqrt().reshape(-1, *(1,) * len(self.shape)) * noise

    def _enter(self, x: Tensor, sigma: Tensor | float, alpha: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """x as float64 rows [B, N], and the two factors as [B or 1, 1]."""
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"Samples have shape {tuple(x.shape[1:])} but the mixture lives in {self.shape}. "
                "Give the canvas the model's own size."
            )
        rows = wide(flat(x))
        sigma, alpha = (numbers(v, rows).reshape(-1, 1) for v in (sigma, alpha))
        return rows, sigma, alpha

    def _at(self, device: torch.device) -> tuple[Tensor, ...]:
        """Means [M, N], variances, log weights and labels there, where they stay: a copy to a device waits for it."""
        if device not in self._copies:
            with gradient_mode(recording=False):
                own = (flat(self.means), self.variances, self.log_weights, self.labels)
                self._copies[device] = tuple(v.to(device) for v in own)
        return self._copies[device]

    def _log_joint(self, rows: Tensor, sigma: Tensor, alpha: Tensor) -> Tensor:  # [B, N] -> [B, M]
        """log weight_m + log N(x; alpha mean_m, t_m I).

        |x - alpha mean|^2 is expanded into dots, so that no [B, M, N] is built; in float64 that costs 1e-16 |x|^2.
        """
        means, variances, log_weights, _ = self._at(rows.device)
        square = rows.square().sum(dim=1, keepdim=True) + alpha**2 * means.square().sum(dim=1)
        distance = (square - 2 * alpha * (rows @ means.mT)).clamp(min=0)
        spread = alpha**2 * variances + sigma**2
        density = -0.5 * (distance / spread + rows.shape[1] * (2 * math.pi * spread).log())
        return log_weights + density

    def _mask_classes(self, values: Tensor, label: Label) -> Tensor:  # [B, M] -> [B, M]
        """-inf for components of other classes; for all, where a label that a device holds is none of them: nan."""
        if label is None:
            return values
        wanted = torch.as_tensor(label).reshape(-1, 1)
        if wanted.device.type == "cpu" and ((wanted < ANY) | (wanted >= self.classes)).any():
            raise ValueError(
                f"Labels {wanted.flatten().tolist()} must be 0 .. {self.classes - 1}, or -1 for none. Choose a class."
            )
        one = wanted.numel() == 1 and wanted.device.type == "cpu"  # a number needs no copy
        wanted = wanted.reshape(()) if one else wanted.to(values.device)
        return values.masked_fill((wanted != ANY) & (wanted != self._at(values.device)[3]), -math.inf)


def make_mixture(shape: tuple[int, ...], classes: int, seed: int, components: int = 3) -> GaussianMixture:
    """A small world to look at: every class comes in the same few looks, and changes each of them a little.

    shape: of one sample, channels first. components: looks, smooth pictures of rms 0.5. In look j the classes differ by
    offsets of rms 0.2 / 3^j: the difference cond - uncond dies once the class is certain, so that only looks in which
    classes are close keep it alive at low noise. The isotropic rest has rms 0.3; data have rms about 0.6.
    The same arguments give the same mixture.
    """
    if classes < 1 or components < 1 or not shape or min(shape) < 1:
        raise ValueError(
            f"A mixture needs sizes of at least 1; got shape {shape}, {classes} classes, {components} looks."
        )
    generator = torch.Generator().manual_seed(seed)
    count = classes * components
    labels, look = torch.arange(count) // components, torch.arange(count) % components
    closeness = (3.0 ** -look.double()).reshape(-1, *(1,) * len(shape))
    looks, offsets = _smooth(components, shape, 0.5, generator), _smooth(count, shape, 0.2, generator)
    variances = torch.full((count,), 0.3**2, dtype=torch.float64)
    return GaussianMixture(looks[look] + closeness * offsets, variances, torch.zeros_like(variances), labels)


def _smooth(count: int, shape: tuple[int, ...], size: float, generator: torch.Generator) -> Tensor:
    """Fields of a given rms: sums of cosines of up to three half periods along every axis after the channels."""
    fields = torch.randn(
        count, *shape[:1], *(min(4, length) for length in shape[1:]), dtype=torch.float64, generator=generator
    )
    for axis, length in enumerate(shape[1:], start=2):
        phase = (torch.arange(length, dtype=torch.float64) + 0.5) * math.pi / length
        waves = torch.cos(torch.arange(fields.shape[axis], dtype=torch.float64)[:, None] * phase)
        fields = (fields.movedim(axis, -1) @ waves).movedim(-1, axis)
    rms = flat(fields).square().mean(dim=1).sqrt()
    return fields * (size / rms).reshape(-1, *(1,) * len(shape))
