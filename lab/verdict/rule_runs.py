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

from ...dev.places import ROOT
from ...guidance.chain import PLAIN, Chain
from ...guidance.mixture import make_mixture
from ...guidance.registry import every_rule
from ...guidance.rules.negative import Negative
from ...guidance.rules.perp_neg import PerpNeg
from ...guidance.rules.schedule import ScaleSchedule
from ...library.recording import Recording, record
from ..sources import kept, origin
from .runs import SAMPLERS, Memory, Sampler, step_of
from .sampling import ask_judge, energy_distances
from .twins import RANDOM, Mislabelled
from .worlds import Exact, Mixture, Pocket, World, exact_worlds, pocket_world

CACHE = ROOT / ".cache" / "rules"
DEMO = ("pocket-flow-1", "pocket-1")
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
    "Formula": "it is whatever you type; its default is plain guidance",
    "FunctionRule": "it is whatever you write",
    "PartScale": "it needs a sample of two parts, such as video and sound",
    "Perturbed": "it adds a named further pass, which is counted by itself and not as guidance",
}


@dataclass(frozen=True)
class Ground:
    """A world with a sampler.  seeds: batches of `count` samples; gammas: of plain guidance"""

    world: World
    sampler: Sampler
    seeds: int
    count: int
    gammas: tuple[float, ...]

    @property
    def labels(self) -> Tensor:  # -> [count]
        """The wanted ones, in turn."""
        return torch.arange(self.count) % self.world.labels

    def predict(self, x: Tensor, sigma: float, labels: Tensor | None) -> Tensor:  # x [B, ...] -> [B, ...]
        """x0-hat with labels or without."""
        world = self.world
        if isinstance(world, Pocket):
            wanted = torch.full((len(x),), world.labels) if labels is None else labels
            return world.denoise(x, torch.full((len(x),), sigma), wanted)
        assert isinstance(world, Mixture)
        exact = world.mixture.denoised
        if labels is None or not isinstance(world, Mislabelled):
            return exact(x, sigma, label=labels)
        odds = world.mixture.log_prob(x, sigma, label=labels) - world.mixture.log_prob(x, sigma)
        clean = torch.sigmoid(odds + float(np.log((1 - RANDOM) / RANDOM))).reshape(-1, *(1,) * (x.ndim - 1))
        return clean * exact(x, sigma, label=labels) + (1 - clean) * exact(x, sigma)

    def start(self, seed: int) -> Tensor:  # -> [count, ...]
        """Noise of the highest level."""
        dtype = torch.float32 if self.world.trained else torch.float64
        noise = torch.randn(
            self.count, *self.world.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        return (self.world.highest * noise).to(dtype)


def grounds() -> dict[str, Ground]:
    """Both demo models, a mixture, and a mixture whose labels are sloppy; what takes longest comes last."""
    trained, exact = (1.5, 2.0, 2.7, 4.0), (1.0, 1.25, 1.5, 2.0, 4.0)
    files = {name: pocket_world(name, ROOT / "assets" / "denoisers" / f"{name}.safetensors") for name in DEMO}
    sloppy = Mislabelled(SLOPPY, make_mixture((1, 4, 4), 4, 3))
    return {
        "pocket-flow-1": Ground(files["pocket-flow-1"], SAMPLERS["A"], 3, 50, trained),
        SLOPPY: Ground(sloppy, SAMPLERS["A"], 5, 240, exact),
        "mixture-32": Ground(exact_worlds()["mixture-32"], SAMPLERS["A"], 5, 240, exact),
        "pocket-1": Ground(files["pocket-1"], SAMPLERS["D"], 4, 20, trained),
    }


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
    levels, step, memory = ground.sampler.levels(world).tolist(), step_of(ground.sampler, world.flow), Memory()
    made = record(
        ground.predict,
        levels,
        ground.labels,
        uncond=other if one.negative else None,
        gamma=one.gamma,
        rule=one.chain(other),
        capture="numbers",
        space="flow" if world.flow else "ve",
    )
    x = ground.start(seed)
    for sigma, after in pairwise(levels):
        x, _ = step(x, made(x, sigma), sigma, after, memory)
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
    facts = f"{ground.world.name}-{ground.sampler.key}-{ground.seeds}x{ground.count}".replace(" ", "-")
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
    assert isinstance(ground.world, Exact)
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
