"""Sample a world and look at the ends: what a cell of the measurements keeps, as far as it takes long to make.

Nothing here knows what is read off a run, so that another feature needs no other runs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..train.demo_evaluation import to_pixels
from ..train.demo_files import read_judge
from .runs import Sampler, record_run
from .worlds import Exact, Pocket, World

RECORDED = 480  # samples whose inner products are kept
ENDS = 400  # final samples that are kept


def measure(world: World, sampler: Sampler, gamma: float, count: int, seed: int) -> dict[str, np.ndarray]:
    """Sample and look.

    count: samples. K: [steps, n, pairs] inner products of the first of them. Of trained worlds judged [n, 64],
    named [n], clipped [n], and ends, the first samples in half precision; of exact ones the energy distance of every
    class, and the distance between true samples.
    """
    ends, trace = record_run(world, sampler, gamma, count, seed)
    found = {"count": np.array(len(ends)), "K": trace.steps["K"][:, :RECORDED].float().numpy()}
    if isinstance(world, Pocket):
        return found | ask_judge(world, ends)
    assert isinstance(world, Exact)
    return found | energy_distances(world, ends, seed)


@torch.no_grad()
def ask_judge(world: Pocket, ends: Tensor) -> dict[str, np.ndarray]:
    """What the judge sees: its features, its label, and the share of clipped values of every sample."""
    pictures, network = world.pictures(ends), read_judge()
    rounded = torch.from_numpy(to_pixels(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    seen = torch.cat([network.features(part) for part in rounded.split(250)])
    clipped = (pictures.abs() > 1).flatten(1).double().mean(1)
    return {
        "judged": seen.half().numpy(),
        "named": network.out(seen).argmax(1).to(torch.int8).numpy(),
        "clipped": clipped.float().numpy(),
        "ends": ends[:ENDS].half().numpy(),
    }


def energy_distances(world: Exact, ends: Tensor, seed: int) -> dict[str, np.ndarray]:
    """Energy distance of every class to true samples, and the mean distance between true samples."""
    true, other = (world.by_class(world.truth(4 * len(ends), 2 * seed + part)) for part in (0, 1))
    pairs = list(zip(world.by_class(ends), true, other, strict=True))
    distance = [energy_distance(mine, theirs) for mine, theirs, _ in pairs]
    size = [torch.cdist(theirs, more).mean() for _, theirs, more in pairs]
    return {"energy": torch.stack(distance).numpy(), "size": torch.stack(size).numpy()}


def energy_distance(x: Tensor, y: Tensor) -> Tensor:  # [n, N], [m, N] -> scalar
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, without bias: may fall a little below 0 where the two are alike."""
    within = [torch.cdist(z, z).sum() / (len(z) * (len(z) - 1)) for z in (x, y)]
    return 2 * torch.cdist(x, y).mean() - within[0] - within[1]
