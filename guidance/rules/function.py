"""A plain function as a rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..predictions import Predictions
from ..vectors import narrow, per_item
from .kinds import Combine


@dataclass(frozen=True, eq=False)
class FunctionRule(Combine):
    """D = function(u, c, x, gamma, sigma), in place of classifier-free guidance.

    function: is given u, c and x [B, ...], gamma as a number, and sigma [B, 1, ...], which broadcasts over x; it
    returns D [B, ...]. Its step raises ValueError for anything else.
    """

    function: Callable[..., Tensor]

    @property
    def text(self) -> str:
        """The function's name."""
        return self.function.__name__

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Tensor, None]:
        """What the function returns."""
        uncond, cond = p.pair
        guided = self.function(uncond, cond, p.x, gamma, per_item(p.sigma, p.x))
        if not isinstance(guided, Tensor) or guided.shape != cond.shape:
            kind = f"a tensor of shape {[*guided.shape]}" if isinstance(guided, Tensor) else type(guided).__name__
            raise ValueError(f"{self.text} returned {kind}, but D has the shape of c, {[*cond.shape]}.")
        return narrow(guided, p.cond.dtype), state
