"""Classifier guidance of the demo denoiser through the host's samplers: what each road reaches, and what it costs.

The denoiser is asked without a label; a classifier that it never saw steers it. The judge, which never guides, says how
many pictures show their label. Frechet distances are those of the card: against all validation images, in the judge's
features; with fewer than 2,000 samples they are larger, for every road alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..demo_evaluation import Statistics, classwise_frechet, diversity, frechet, interval, statistics_of, to_pixels
from .sampler_overhead import enter_host, seconds

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "tests" / "fixtures" / "pocket_judge_statistics.safetensors"
ROADS = ("noisy x_t", "x0 + backprop", "x0")
BATCH = 50


class Row(NamedTuple):
    """One line of the table: a road at a scale, with a sampler and its steps; cfg for classifier-free guidance."""

    road: str
    scale: float
    sampler: str = "euler_ancestral"
    steps: int = 20
    cfg: float = 1.0


TABLE = (
    Row("none", 0.0),
    *(Row("CFG", 0.0, cfg=cfg) for cfg in (1.0, 2.0, 4.0)),
    *(Row("noisy x_t", scale) for scale in (1.0, 2.0, 4.0)),
    *(Row("x0 + backprop", scale) for scale in (2.0, 4.0)),
    *(Row("x0 + backprop", scale, steps=50) for scale in (2.0, 8.0)),
    *(Row("x0", scale) for scale in (0.3, 1.0, 2.0)),
    Row("noisy x_t", 2.0, "dpmpp_2m"),
    Row("x0", 1.0, "dpmpp_2m"),
)


class Demo:
    """The demo denoiser and its classifiers, as the nodes load them."""

    def __init__(self):
        from ...guidance.files import read_safetensors
        from ...nodes.load_classifier import GGLoadClassifier
        from ...nodes.start import GGClassLabel, GGLoadDenoiser

        self.model = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "fp32").result[0]
        self.null = GGClassLabel.execute(self.model, "").result[0]
        self.label = GGClassLabel.execute(self.model, "*").result[0]
        names = {"noisy x_t": "noisy", "x0 + backprop": "clean", "x0": "clean", "judge": "judge"}
        self.classifiers = {road: GGLoadClassifier.execute(f"pocket-{n}-1").result[0] for road, n in names.items()}
        tensors, _ = read_safetensors(FIXTURE)
        self.real = Statistics(*(tensors[name].double() for name in Statistics.__annotations__))

    def chain(self, road: str, scale: float, **options) -> Any:
        """A guidance chain that pushes towards every label in turn."""
        from ...guidance.chain import PLAIN
        from ...guidance.energies import LabelEnergy
        from ...guidance.terms import GradientOptions, GradientTerm

        if road not in ROADS:
            return PLAIN
        energy = LabelEnergy(self.classifiers[road], tuple((index,) for index in range(10)))
        return PLAIN.then(GradientTerm(energy, weight=scale, evaluation=road, options=GradientOptions(**options)))

    def sample(self, row: Row, batch: int, seed: int, **options) -> Tensor:  # -> [batch, 3, 32, 32]
        """Samples through the node."""
        from ...nodes.sampling import GGGuidedSampler

        positive = self.label if row.road == "CFG" else self.null
        latent = {"samples": torch.zeros(batch, 3, 32, 32)}
        settings = (self.model, seed, row.steps, row.cfg, row.sampler, "karras", positive, self.null, latent)
        chain = self.chain(row.road, row.scale, **options)
        return GGGuidedSampler.execute(*settings, guidance=chain, capture="numbers").result[0]["samples"]

    def measured(self, x0: Tensor) -> dict[str, float]:
        """Accuracy by the judge, both distances and the diversity of samples whose labels cycle."""
        labels = torch.arange(len(x0)) % 10
        seen = torch.from_numpy(to_pixels(x0)).permute(0, 3, 1, 2).float() / 127.5 - 1
        judge = self.classifiers["judge"].network
        features = judge.features(seen)
        right = (judge.out(features).argmax(1) == labels).double().mean().item()
        found = statistics_of(features, labels)
        distances = {"frechet": frechet(found, self.real), "classwise": classwise_frechet(found, self.real)}
        return {"accuracy": right, **distances, "diversity": diversity(seen, labels)}


def table(demo: Demo, samples: int) -> list[tuple[Row, dict[str, float]]]:
    """Every row of the table, printed as it comes."""
    print(f"{samples} samples a row, labels in turn, seed 1, fp32, karras", flush=True)
    print("road           scale sampler          steps  accuracy (95 %)      frechet classwise diversity", flush=True)
    found = []
    for row in TABLE:
        parts = [demo.sample(row, min(BATCH, samples - i), 1 + i) for i in range(0, samples, BATCH)]
        numbers = demo.measured(torch.cat(parts))
        low, high = interval(numbers["accuracy"], samples)
        name, scale = (row.road, row.scale) if row.road != "CFG" else ("CFG", row.cfg)
        print(
            f"{name:14} {scale:5.1f} {row.sampler:16} {row.steps:5} {numbers['accuracy']:9.3f} ({low:.3f}..{high:.3f})"
            f" {numbers['frechet']:10.3f} {numbers['classwise']:9.2f} {numbers['diversity']:9.3f}",
            flush=True,
        )
        found.append((row, numbers))
    return found


def costs(demo: Demo, batch: int, pairs: int) -> dict[str, float]:
    """Median of the time of a guided run over that of a plain one, same model, steps and batch, interleaved."""
    plain = Row("none", 0.0, "euler", 5)
    roads = {road: {} for road in ROADS} | {"x0 + backprop, computed twice": {"checkpoint": True}}
    ratios: dict[str, list[float]] = {name: [] for name in roads}
    for _ in range(pairs):
        for name, options in roads.items():
            road = name.split(",")[0]
            base = seconds(lambda: demo.sample(plain, batch, 1))
            row = plain._replace(road=road, scale=2.0)
            ratios[name].append(seconds(lambda r=row, o=options: demo.sample(r, batch, 1, **o)) / base)
    return {name: statistics.median(found) for name, found in ratios.items()}


def main() -> int:
    """Print the table and the costs; fail where a road misses what the project promises of it at full size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", type=Path, default=Path(os.environ.get("COMFYUI_PATH") or ROOT / ".host" / "ComfyUI"))
    parser.add_argument("--samples", type=int, default=2000, help="a row; fewer than 500 decide nothing (default 2000)")
    parser.add_argument("--batch", type=int, default=16, help="of the timed runs (default 16)")
    parser.add_argument("--pairs", type=int, default=7, help="of timed runs; 0 leaves the costs out (default 7)")
    given = parser.parse_args()
    enter_host(given.host)
    torch.set_num_threads(1)
    with torch.inference_mode():
        import comfy.utils

        comfy.utils.PROGRESS_BAR_ENABLED = False
        demo = Demo()
        best: dict[str, float] = {}
        for row, numbers in table(demo, given.samples) if given.samples else []:
            best[row.road] = max(best.get(row.road, 0.0), numbers["accuracy"])
        if given.pairs:
            print(f"time over a plain run, batch {given.batch}, 5 steps of euler, median of {given.pairs}")
            for name, ratio in costs(demo, given.batch, given.pairs).items():
                print(f"{name:31} {ratio:.2f}")
    wanted = {"noisy x_t": 0.95, "x0 + backprop": 0.85, "x0": 0.90}
    return int(given.samples >= 500 and any(best[road] < least for road, least in wanted.items()))


if __name__ == "__main__":
    sys.exit(main())
