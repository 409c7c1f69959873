"""Steps of random vectors, and the columns that they have."""

from itertools import pairwise

import torch

from guidance_geometry.trace.accumulator import Accumulator, Capture
from guidance_geometry.trace.recorder import Recorded
from guidance_geometry.trace.rows import Setting

LEVELS = (4.0, 2.0, 1.0, 0.5)
SHAPE = (3, 3, 6, 6)


def draw(seed):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def columns(evaluations, **setting):
    """The columns of steps with these evaluations."""
    seen = Accumulator(Setting(**setting), Capture("numbers"))
    for i, (evaluation, (now, then)) in enumerate(zip(evaluations, pairwise(LEVELS), strict=True)):
        seen.enter(Recorded(i, draw(90 + i), now, then, evaluation, draw(80 + i), None, 2, spent_on(evaluation)))
    return seen.columns()


def spent_on(evaluation):
    return {name: one.nfe for name, one in evaluation.passes.items()}
