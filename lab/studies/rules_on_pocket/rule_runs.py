"""Runs of every rule in several worlds, each beside its control: plain guidance at the rule's own effective scales.

A cell is one run of a world: what guidance did at every step of every sample, and what the judge or the truth says of
the ends. Cells are kept under the checksums of the code and the weights that made them, so that a stopped command goes
on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from ....dev.places import ROOT
from ....guidance.chain import PLAIN, Chain
from ....guidance.mixture import make_mixture
from ....guidance.registry import every_rule
from ....guidance.rules.negative import Negative
from ....guidance.rules.perp_neg import PerpNeg
from ....guidance.rules.schedule import ScaleSchedule
from ....library.recording import Recording, record
from ...sources import kept, origin
from .worlds import Flow, Mixture, Pocket, SecondOrder, World, ask_judge, energy_distances, levels

CACHE = ROOT / ".cache" / "rules"
SLOPPY = "sloppy labels"
GAMMA, HIGH = 4.0, 8.0
FOR_HIGH_SCALES = (  # rules that hold guidance back, and are advertised for scales at which plain guidance burns
    "AdaptiveProjected",
    "Angle",
    "Bands",
    "DynamicThreshold",
    "EnergyPreserving",
    "Feedback",
    "LocationNorm",
    "MagnitudeAware",
    "Skim",
)
LEFT_OUT = {
    "Autoguidance": "it puts a weaker network in the place of u, and no demo model has one",
    "ConditionAnnealing": "it changes what the network is told and not how predictions are combined",
    "Formula": "it is whatever you type; its default is plain guidance",
    "FunctionRule": "it is whatever you write",
    "PartScale": "it needs a sample of two parts, such as video and sound",
    "Perturbed": "it adds a named further pass, which is counted by itself and not as guidance",
}


@dataclass(frozen=True)
class Ground:
    """A world with a sampler.  steps: of dpmpp_2m; seeds: batches of `count` samples; gammas: of plain guidance"""

    world: World
    steps: int
    seeds: int
    count: int
    gammas: tuple[float, ...]

    @property
    def labels(self) -> Tensor:  # -> [count]
        """The wanted ones, in turn."""
        return torch.arange(self.count) % self.world.labels

    @property
    def sampler(self) -> str:
        """As the page names it."""
        return f"dpmpp_2m {'simple' if self.world.flow else 'karras'} {self.steps}"

    def start(self, seed: int) -> Tensor:  # -> [count, ...]
        """Noise of the highest level."""
        shape, generator = (self.count, *self.world.shape), torch.Generator().manual_seed(seed)
        noise = self.world.highest * torch.randn(shape, generator=generator, dtype=torch.float64)
        return noise.to(torch.float32 if self.world.trained else torch.float64)


def grounds() -> dict[str, Ground]:
    """Both demo models, a mixture, and a mixture whose labels are sloppy; what takes longest comes last."""
    trained, exact = (1.5, 2.0, 2.7, 4.0), (1.0, 1.25, 1.5, 2.0, 4.0)
    sloppy, clean = (make_mixture(shape, 4, 3) for shape in ((1, 4, 4), (2, 4, 4)))
    found = (
        Ground(Flow("pocket-flow-1"), 20, 3, 50, trained),
        Ground(Mixture(SLOPPY, sloppy, sloppy=True), 20, 5, 240, exact),
        Ground(Mixture("mixture-32", clean), 20, 5, 240, exact),
        Ground(Pocket("pocket-1"), 10, 4, 20, trained),
    )
    return {one.world.name: one for one in found}


@dataclass(frozen=True)
class Ruled:
    """A rule as it is measured.  chain(other): other labels, the next ones. negative: u is the prediction with them"""

    chain: Callable[[Tensor], Chain]
    gamma: float
    negative: bool = False


SPECIAL = {
    "Negative": Ruled(lambda other: Chain((Negative((other,), (-0.5,)),)), GAMMA),
    "PerpNeg": Ruled(lambda other: Chain((PerpNeg(None),)), GAMMA, negative=True),
    "PlusPlus": Ruled(lambda other: Chain((every_rule()["PlusPlus"](),)), 1.0),
    "ScaleSchedule": Ruled(lambda other: Chain((ScaleSchedule("linear"),)), GAMMA),
}


def paper_rules() -> dict[str, Ruled]:
    """Every rule of the pack with the knobs of its paper, by the name of its class, but for those left out."""
    found = dict(SPECIAL)
    for name in every_rule().keys() - LEFT_OUT.keys() - SPECIAL.keys():
        gamma = HIGH if name in FOR_HIGH_SCALES else GAMMA
        found[name] = Ruled(lambda other, name=name: Chain((every_rule()[name](),)), gamma)
    return dict(sorted(found.items()))


def run_of(ground: Ground, one: Ruled, seed: int) -> Recording:
    """One batch, sampled and recorded."""
    world, other = ground.world, (ground.labels + 1) % ground.world.labels
    sigmas, sampler = levels(world, ground.steps), SecondOrder()
    made = record(
        world.predict,
        sigmas,
        ground.labels,
        uncond=other if one.negative else None,
        gamma=one.gamma,
        rule=one.chain(other),
        capture="numbers",
        space="flow" if world.flow else "ve",
    )
    x = ground.start(seed)
    for sigma, after in pairwise(sigmas):
        x = sampler.step(x, made(x, sigma), sigma, after)
    made.finish(x)
    return made


def measures(ground: Ground, name: str, one: Ruled) -> dict[str, ndarray]:
    """What guidance did, and how good the ends are; measured if nobody did.

    scale, across, weight [n, B]: effective scale and share across of every sample, nan unknown, and the length of its
    difference times how far a step goes. handed [n]: the scale that the rules were handed. Of trained worlds judged
    [B, 64] and named [B], of exact ones energy and size [seeds, classes].
    """

    def measure() -> dict[str, ndarray]:
        runs = [run_of(ground, one, seed) for seed in range(ground.seeds)]
        print(f"{ground.world.name}: {name}", flush=True)
        return acts(runs) | (ends_judged(ground, runs) if ground.world.trained else ends_compared(ground, runs))

    return kept(folder_of(ground) / f"{name}.npz", measure)


def folder_of(ground: Ground) -> Path:
    """Where the cells of a world are kept."""
    weights = (ground.world.path,) if isinstance(ground.world, Pocket) else ()
    facts = f"{ground.world.name}-{ground.sampler}-{ground.seeds}x{ground.count}".replace(" ", "-")
    return CACHE / f"{facts}-{origin(Path(__file__), weights)}"


def acts(runs: Sequence[Recording]) -> dict[str, ndarray]:
    """What guidance did in batches of one setting."""
    traces = [made.trace for made in runs]
    steps = traces[0].steps
    moved = (1 - steps["sigma_next"] / steps["sigma"])[:, None]
    weights = [moved * trace.record.square({"delta": 1.0}).sqrt() for trace in traces]
    columns = {"scale": [trace.column("M19") for trace in traces], "across": [trace.column("M19a") for trace in traces]}
    found = {name: torch.cat(parts, dim=1).numpy() for name, parts in ({"weight": weights} | columns).items()}
    return found | {"handed": steps["gamma"].numpy(), "sigma": steps["sigma"].numpy()}


def ends_judged(ground: Ground, runs: Sequence[Recording]) -> dict[str, ndarray]:
    """What the judge sees."""
    assert isinstance(ground.world, Pocket)
    found = ask_judge(ground.world, torch.cat([made.end for made in runs]))
    return {name: found[name] for name in ("judged", "named")}


def ends_compared(ground: Ground, runs: Sequence[Recording]) -> dict[str, ndarray]:
    """How far the ends of every seed are from the truth, by class."""
    assert isinstance(ground.world, Mixture)
    parts = [energy_distances(ground.world, made.end, seed) for seed, made in enumerate(runs)]
    return {name: np.stack([part[name] for part in parts]) for name in ("energy", "size")}


def plain(gamma: float) -> Ruled:
    """Guidance without a rule."""
    return Ruled(lambda other: PLAIN, gamma)


def along(cell: dict[str, ndarray], one: Ruled) -> Ruled:
    """The control: plain guidance at the median sample's effective scale of every step, and nothing across.

    Where that is unknown, because u was not evaluated, it is the scale that the rules were handed.
    """
    scales, known = cell["handed"].copy(), np.isfinite(cell["scale"]).any(axis=1)
    scales[known] = np.nanmedian(cell["scale"][known], axis=1)
    chain = Chain((ScaleSchedule("list", values=tuple(scales.tolist())),))
    return Ruled(lambda other: chain, one.gamma, one.negative)


def measure_task(world: str, name: str, gamma: float) -> None:
    """A rule and its control; without a name plain guidance at a scale."""
    torch.set_num_threads(1)
    ground = grounds()[world]
    if not name:
        measures(ground, f"plain {gamma:g}", plain(gamma))
        return
    one = paper_rules()[name]
    measures(ground, f"{name} along", along(measures(ground, name, one), one))


def measure_all(processes: int) -> None:
    """Everything that nobody measured."""
    tasks = [
        (world, name, gamma)
        for world, ground in grounds().items()
        for name, gamma in ([("", gamma) for gamma in ground.gammas] + [(name, 0.0) for name in paper_rules()])
    ]
    with get_context("fork").Pool(processes) as pool:
        pool.starmap(measure_task, tasks, chunksize=1)
