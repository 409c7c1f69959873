"""Measures whose truth is known, of several rules on the same seeds."""

import math

import torch

from guidance_geometry.measure.levels import Level
from guidance_geometry.measure.measurement import Measurement
from guidance_geometry.measure.plane import Plane, RuleCurve

VALUES = (1.0, 2.0, 4.0, 8.0, 16.0)
COUNT = 12


def measured(strength, height, size=None, **setting):
    """A measure whose pictures have these strengths and logarithms of the ratio: [B] each."""
    strength, height = (torch.as_tensor(v, dtype=torch.float64) for v in (strength, height))
    size = torch.ones_like(height) if size is None else size
    none = torch.full_like(height, math.nan)
    coarse = Level(3.2, strength * size, size, none, none)
    return Measurement([coarse, Level(0.4, none, none, height.exp() * size, size)], setting, 24)


def strength_at(value):
    return 1 + 0.4 * math.log2(value)


def height_at(strength):
    """What plain guidance has: straight, so that reading between two values adds no error of its own."""
    return 0.4 * (strength - 1)


class World:
    """Pictures of one set of seeds: what they have in common, and each measure's own noise."""

    def __init__(self, seed, count=COUNT, noise=0.05):
        self.stream = torch.Generator().manual_seed(seed)
        self.count, self.noise = count, noise
        self.shared = self.draw(0.15), self.draw(0.15)
        self.size = self.draw(0.3).exp()

    def draw(self, scale):
        return scale * torch.randn(self.count, generator=self.stream, dtype=torch.float64)

    def curve(self, name, weaker=1.0, lift=0.0, values=VALUES, **more):
        """A rule that acts as plain guidance at cfg to the power `weaker`, `lift` per unit of strength beside it."""
        points = []
        for value in values:
            strength = strength_at(value**weaker)
            height = height_at(strength) + lift * (strength - 1)
            noisy = [v + c + self.draw(self.noise) for v, c in zip((strength, height), self.shared, strict=True)]
            points.append(measured(*noisy, self.size))
        return RuleCurve(name, values, points, **more)

    def plane(self, **lifts):
        return Plane(self.curve("plain"), [self.curve(name, 0.8, lift) for name, lift in lifts.items()])
