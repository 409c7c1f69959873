"""What skipped unconditional passes cost: Pocket's judge and Frechet distance by guidance chain.

`python tools/run.py economy [--samples 2000] [--gamma 4] [NAME ...]` prints one row a chain: the share of the passes of
full CFG that were run (c and u count one each), how many samples the judge recognises, the Frechet distance of its
features to real pictures, and the distance of the samples from those of plain CFG with the same noise. The protocol,
seed and sampler are those of the demo model's card.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..classifiers.files import load_classifier
from ..guidance.chain import PLAIN, Chain
from ..guidance.files import read_safetensors
from ..guidance.predictions import Predictions
from ..guidance.presets import PRESETS
from ..guidance.rules.interval import Interval
from ..guidance.rules.reuse import Reuse
from ..guidance.schedules import Run
from .demo_evaluation import Bench, Protocol, Statistics, karras_sigmas
from .demo_files import read_denoiser
from .pocket_means import CARD

ROOT = Path(__file__).resolve().parents[1]
JUDGE = ROOT / "assets" / "classifiers" / "pocket-judge-1.safetensors"
REAL = ROOT / "tests" / "fixtures" / "pocket_judge_statistics.safetensors"
MIDDLE = Interval("percent", 0.05, 0.6)
CHAINS = {
    **{name: Chain(preset.rules) for name, preset in PRESETS.items()},
    "interval 0.05 .. 0.6": PLAIN.then(MIDDLE),
    "line, every 2": PLAIN.then(Reuse(2)),
    "line, every 3": PLAIN.then(Reuse(3)),
    "line, every 4": PLAIN.then(Reuse(4)),
    "hold, every 3": PLAIN.then(Reuse(3, "hold")),
    "stop at 0.999": PLAIN.then(Reuse(1, stop=0.999)),
    "line, every 3, stop at 0.999": PLAIN.then(Reuse(3, stop=0.999)),
}


class Counted:
    """Predictions of a chain for the protocol's samplers, that evaluates what the chain needs and counts it."""

    def __init__(self, bench: Bench, chain: Chain, gamma: float):
        self.bench, self.chain, self.gamma, self.passes, self.steps = bench, chain, gamma, 0, 0
        self.run = Run(tuple(karras_sigmas(bench.protocol.steps).tolist()))

    def rule(self, labels: Tensor) -> Callable[[Tensor, float], Tensor]:
        """One batch's run: x, sigma -> guided prediction."""
        state, null = self.chain.init(self.run), torch.full_like(labels, self.bench.null_index)

        def prediction(x: Tensor, sigma: float) -> Tensor:
            nonlocal state
            scale = self.chain.scale(state, sigma, self.gamma)
            asked = {"cond": labels} | ({"uncond": null} if "uncond" in self.chain.needs(state, sigma, scale) else {})
            level = torch.full((len(x),), sigma)
            rows = torch.cat([x] * len(asked)), torch.cat([level] * len(asked)), torch.cat(list(asked.values()))
            found = dict(zip(asked, self.bench.denoise(*rows).chunk(len(asked)), strict=True))
            self.passes, self.steps = self.passes + len(asked), self.steps + 1
            p = Predictions(x, level, torch.ones_like(level), found.get("uncond"), found["cond"])
            guided, state = self.chain.step(state, p, scale)
            return guided

        return prediction


def make_bench(samples: int) -> Bench:
    """Pocket, its judge and the stored statistics of real pictures, by the card's protocol."""
    network, metadata = read_denoiser(CARD.with_suffix(".safetensors"))
    judge, _ = load_classifier(JUDGE)
    tensors, _ = read_safetensors(REAL)
    real = Statistics(*(tensors[name].double() for name in Statistics.__dataclass_fields__))
    protocol = replace(Protocol(), samples=samples, dtype="float32")
    return Bench(network, judge, real, float(metadata["gg.sigma_data"]), protocol)


def row(bench: Bench, name: str, gamma: float, full: Tensor | None) -> tuple[str, Tensor]:
    """One line of the table, and the samples."""
    counted = Counted(bench, CHAINS[name], gamma)
    x0, _ = bench.sample(counted.rule, bench.protocol.samples)
    found = bench.measure(x0)
    apart = 0.0 if full is None else float(((x0 - full).flatten(1).norm(dim=1) / full.flatten(1).norm(dim=1)).mean())
    share = counted.passes / (2 * counted.steps)
    return f"{name:30} {share:7.1%} {found['accuracy']:9.2%} {found['frechet']:9.3f} {apart:9.1%}", x0


def main() -> None:
    """Print the table, plain CFG first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--gamma", type=float, default=4.0)
    parser.add_argument("names", nargs="*", metavar="NAME", help="chains; all of them if none")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in CHAINS]
    if unknown:
        parser.error(f"no chain is called {unknown[0]!r}; there are {', '.join(CHAINS)}")
    torch.set_num_threads(1)
    bench, full = make_bench(options.samples), None
    print(f"gamma {options.gamma:g}, {options.samples} samples, {bench.protocol}")
    print(f"{'chain':30} {'passes':>7} {'judge':>9} {'Frechet':>9} {'apart':>9}")
    for name in dict.fromkeys(["plain CFG", *(options.names or CHAINS)]):
        line, x0 = row(bench, name, options.gamma, full)
        full = x0 if full is None else full
        print(line, flush=True)


if __name__ == "__main__":
    main()
