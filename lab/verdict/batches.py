"""What a run tells in a few numbers, of batches of samples of one label: from the inner products that cells keep.

The formulas are those of verdict/features.py, which takes one batch at a time; here all batches of a cell are taken at
once, because a study has a hundred thousand of them. A test holds one against the other.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...trace.file import even_positions
from ...trace.gram import displacement, point
from ...trace.metrics import difference_combination
from ...trace.trace import Trace
from ...verdict.features import EARLY, NOISY, STAR, noise_levels, value_at
from .worlds import BLURS

FEATURES = ("overshoot", "overmean", "push8", "strength")
ROW = (*FEATURES, "blurred")  # the last: overshoot in the world blurred most, where it is largest


def batches(count: int, labels: int, size: int, most: int) -> list[list[int]]:
    """Places of the samples of batches of one label each, of at most so many, evenly chosen.

    Labels cycle; samples that fill no batch are left out.
    """
    own = [list(range(label, count, labels)) for label in range(min(labels, count))]
    parts = [one[k : k + size] for one in own for k in range(0, len(one) // size * size, size)]
    return [parts[place] for place in even_positions(len(parts), min(most, len(parts)))] if parts else []


def features(trace: Trace, labels: int, size: int, most: int) -> Tensor:  # -> [batches, ROW] float64
    """ROW of batches of one label, of at most so many, evenly chosen."""
    chosen = batches(trace.batch, labels, size, most)
    if not chosen:
        return torch.zeros(0, len(ROW), dtype=torch.float64)
    member = torch.zeros(trace.batch, len(chosen), dtype=torch.float64)
    for place, samples in enumerate(chosen):
        member[samples, place] = 1.0
    data, gamma, alpha = trace.header["sigma_data"], *(trace.steps[name][:, None] for name in ("gamma", "alpha"))
    vectors = {name: point(name, gamma) for name in ("D", "u", "c", "next", "delta")}
    vectors |= {"bent": difference_combination(gamma), "way": displacement(alpha)}
    vectors["weak"] = {"u": 1.0, "delta": 1 / BLURS[-1]}
    squares = {name: trace.record.square(vector) @ member for name, vector in vectors.items()}
    levels, guided, uncond = noise_levels(trace) / data, squares["D"], squares["u"]
    push = 0.5 * (gamma**2 * squares["delta"] / (size * trace.count * data**2)).log()
    strength = 0.5 * (alpha**2 * squares["bent"] / squares["way"]).log()
    over = [guided.amax(0) / torch.maximum(uncond, squares[name]).amax(0) for name in ("c", "weak")]
    found = {
        "overshoot": over[0].sqrt(),
        "overmean": 0.5 * (guided / squares["next"][-1])[levels > NOISY].log().mean(0),
        "push8": _between(push, levels, EARLY),
        "strength": _between(strength, levels, STAR).exp(),
        "blurred": over[1].sqrt(),
    }
    return torch.stack([found[name] for name in ROW], dim=1)


def _between(values: Tensor, levels: Tensor, level: float) -> Tensor:  # [n, batches], [n] -> [batches]
    """`value_at` of every column: its weights depend on the levels alone, as every step is known."""
    alone = torch.eye(len(levels), dtype=torch.float64)
    weights = torch.tensor([value_at(one, levels, level) for one in alone], dtype=torch.float64)
    used = weights != 0
    return weights[used] @ values[used]
