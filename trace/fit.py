"""How far steps follow their predictions, read off the run itself where nobody has measured its sampler.

    x' - x = s_0 x_0 + sum_k b_0k D_0k  [+ s_1 x_1 + sum_k b_1k D_1k]        kappa = sum_k b_0k

0 is the step, 1 the one before it, k an evaluation. A sampler's weights are the same for all elements, so least squares
leave only rounding where a step is of this form. By chance a single step may look like one: the form counts where every
step of the run has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..samplers.response import Visit
from .gram import inner_products, room_for

FIT = 1e-4  # of a move, what may be left of it, if that is more than rounding
ROUNDED, SPACED = 1e-6, 1e-7  # of a state: what many roundings of float32 leave, and what one does
SURE = 0.01  # of kappa: what rounding may change of it


class Fit(NamedTuple):
    """Inner products, over the whole batch, of a move with what it may be made of.

    products: of x' - x, then x and D of this step and of the one before, [m, m]. counts: of these vectors, for each.
    """

    products: Tensor
    counts: tuple[int, ...]

    @classmethod
    def of(cls, move: Tensor, visits: Sequence[Visit]) -> Fit:
        """The fit of a step.  move: without fresh noise. visits: the step and the one before it."""
        groups = [[visit.x, *(guided for guided, _ in visit.answers)] for visit in visits]
        vectors = [move, *(vector for group in groups for vector in group)]
        products = inner_products(vectors, (), room_for(move, len(vectors))).sum(dim=0)
        return cls(products, tuple(map(len, groups)))

    def kappa(self, memory: int) -> float | None:
        """kappa, nan where it is not sure; None where the move has another form.  memory: steps before that it reads"""
        count = sum(self.counts[: memory + 1])
        products = self.products[: count + 1, : count + 1]
        size = products.diagonal()[1:].clamp(min=math.ulp(0.0)).sqrt()
        among, along = products[1:, 1:] / size / size[:, None], products[0, 1:] / size
        if not products.isfinite().all():
            return math.nan
        values, axes = torch.linalg.eigh(among)
        values = values.clamp(min=torch.finfo(values.dtype).eps)
        left = float((products[0, 0] - ((along @ axes).square() / values).sum()).clamp(min=0).sqrt())  # of the move
        state = float(size[0])
        if left > max(FIT * float(products[0, 0].sqrt()), ROUNDED * state):
            return None
        follows = torch.zeros_like(size)
        follows[1 : self.counts[0]] = 1 / size[1 : self.counts[0]]
        kappa = float((follows @ axes / values * (along @ axes)).sum())
        rounded = max(left, SPACED * state) * float(((follows @ axes).square() / values).sum().sqrt())
        return kappa if rounded <= SURE * abs(kappa) else math.nan


class Fits:
    """kappa of every step of a run so far, by the shortest memory that explains all of them; nan where there is none.

    fits: of the steps, on the CPU; None of one that asked for nothing. solved: kappa of the steps so far by a memory of
    no step and of one, None where the move has another form.
    """

    def __init__(self):
        self.fits: list[Fit | None] = []
        self.solved: tuple[list[float | None], ...] = [], []

    def kappas(self, start: int = 0) -> Tensor:  # -> [n - start]
        """kappa of the steps from `start` on."""
        for memory, kappas in enumerate(self.solved):
            kappas += [math.nan if fit is None else fit.kappa(memory) for fit in self.fits[len(kappas) :]]
            if None not in kappas:
                return torch.tensor(kappas[start:], dtype=torch.float64)
        return torch.full((len(self.fits) - start,), torch.nan, dtype=torch.float64)
