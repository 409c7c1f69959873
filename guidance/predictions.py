"""What a denoiser says about one noisy sample, and the table between the things a network may predict.

Everywhere x = alpha * x0 + sigma * eps. Variance exploding (VE): alpha = 1. Flow: alpha = 1 - sigma.
The common currency is x0-hat: every rule, metric and figure reads that, whatever the network was trained to output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from .vectors import per_item, promote


@dataclass(frozen=True, eq=False)
class Predictions:
    """The x0-hats of one evaluation at a noisy sample.  x = alpha * x0 + sigma * eps.

    x: the noisy sample, [B, ...].
    sigma: noise level, [B].
    alpha: signal level, [B].
    uncond: x0-hat without the condition, [B, ...]; None where nobody evaluated it.
    cond: x0-hat with the condition, [B, ...].
    extra: further x0-hats by name (a weak model, a perturbed pass), each [B, ...].
    known_level: sigma of the first item, where whoever evaluates knows it.
    """

    x: Tensor
    sigma: Tensor
    alpha: Tensor
    uncond: Tensor | None
    cond: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    known_level: float | None = None

    @property
    def level(self) -> float:
        """Sigma of the first item; where nobody knows it, it is read off the device, which then is waited for."""
        return float(self.sigma[0]) if self.known_level is None else self.known_level

    @property
    def pair(self) -> tuple[Tensor, Tensor]:  # [B, ...], [B, ...]
        """Both predictions, uncond and cond, half precision as float32.  Raises ValueError where uncond is missing."""
        if self.uncond is None:
            raise ValueError(
                "This step has no prediction without the prompt, so there is no difference to guide along. "
                "Use a gamma other than 1, or a rule that needs only cond."
            )
        return promote(self.uncond), promote(self.cond)

    @property
    def delta(self) -> Tensor:  # [B, ...]
        """The guidance difference: delta = cond - uncond."""
        uncond, cond = self.pair
        return (cond - uncond).to(self.cond.dtype)

    def map(self, change: Callable[[Tensor], Tensor]) -> Predictions:
        """The predictions with x and every x0-hat changed."""
        extra = {name: change(x0) for name, x0 in self.extra.items()}
        uncond = None if self.uncond is None else change(self.uncond)
        return replace(self, x=change(self.x), uncond=uncond, cond=change(self.cond), extra=extra)

    @property
    def has_graph(self) -> bool:
        """Whether x or a prediction carries a graph."""
        return any(v is not None and v.requires_grad for v in (self.x, self.uncond, self.cond, *self.extra.values()))


@dataclass(frozen=True)
class Line:
    """x0 is affine in the output.  x0 = (keep * x + gain * output) / scale."""

    keep: Tensor | float
    gain: Tensor | float
    scale: Tensor | float


def _v(alpha: Tensor, sigma: Tensor, sigma_data: float) -> Line:
    square = alpha**2 + sigma**2
    return Line(alpha, -sigma * square.sqrt(), square)


def _edm(alpha: Tensor, sigma: Tensor, sigma_data: float) -> Line:
    square = (alpha * sigma_data) ** 2 + sigma**2
    return Line(alpha * sigma_data**2, sigma * sigma_data * square.sqrt(), square)


TABLE: dict[str, Callable[[Tensor, Tensor, float], Line]] = {
    "epsilon": lambda alpha, sigma, _: Line(1.0, -sigma, alpha),
    "x0": lambda alpha, sigma, _: Line(0.0, 1.0, 1.0),
    "v": _v,
    "flow": lambda alpha, sigma, _: Line(1.0, -sigma, alpha + sigma),
    "score": lambda alpha, sigma, _: Line(1.0, sigma**2, alpha),
    "edm": _edm,
}
PARAMETRISATIONS = tuple(TABLE)


def x0_from_output(
    kind: str,
    output: Tensor,
    x: Tensor,
    sigma: Tensor | float,
    alpha: Tensor | float,
    sigma_data: float | None = None,
) -> Tensor:  # output, x [B, ...], sigma, alpha [B] or scalar -> [B, ...] in x's dtype
    """x0-hat from what a network of this kind outputs.

        epsilon  x0 = (x - sigma eps) / alpha
        x0       x0 = output
        v        x0 = (alpha x - sigma r v) / r^2            r^2 = alpha^2 + sigma^2; v = (alpha eps - sigma x0) / r
        flow     x0 = (x - sigma v) / (alpha + sigma)        v = eps - x0
        score    x0 = (x + sigma^2 score) / alpha            score = grad log p(x) = -eps / sigma
        edm      x0 = c_skip z + c_out F                     z = x / alpha, n = sigma / alpha, d = sigma_data,
                 c_skip = d^2 / (n^2 + d^2), c_out = n d / sqrt(n^2 + d^2)

    At alpha = 0 epsilon and score leave x0 undefined: the result is inf or nan.
    Raises ValueError for an unknown kind, or edm without sigma_data.
    Source: Karras et al. 2022, arXiv 2206.00364, table 1; Salimans and Ho 2022, arXiv 2202.00512; else by definition.
    """
    z = promote(x)
    line = _line(kind, z, sigma, alpha, sigma_data)
    return ((line.keep * z + line.gain * output.to(z.dtype)) / line.scale).to(x.dtype)


def output_from(
    kind: str,
    x0: Tensor,
    x: Tensor,
    sigma: Tensor | float,
    alpha: Tensor | float,
    sigma_data: float | None = None,
) -> Tensor:  # x0, x [B, ...], sigma, alpha [B] or scalar -> [B, ...] in x's dtype
    """What a network of this kind would have to output for this x0-hat: the inverse of `x0_from_output`.

    At sigma = 0 only x0 is defined; the other kinds give inf or nan there.
    """
    z = promote(x)
    line = _line(kind, z, sigma, alpha, sigma_data)
    return ((line.scale * x0.to(z.dtype) - line.keep * z) / line.gain).to(x.dtype)


def _line(kind: str, x: Tensor, sigma: Tensor | float, alpha: Tensor | float, sigma_data: float | None) -> Line:
    if kind not in TABLE:
        raise ValueError(f"Parametrisation {kind!r} is unknown. Use one of {', '.join(PARAMETRISATIONS)}.")
    if kind == "edm" and sigma_data is None:
        raise ValueError("Converting an EDM output to x0-hat needs sigma_data, and none was given. Give the model's.")
    return TABLE[kind](per_item(alpha, x), per_item(sigma, x), 1.0 if sigma_data is None else float(sigma_data))
