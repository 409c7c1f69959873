"""What skipped unconditional passes cost: Pocket's judge and Frechet distance by guidance chain.

`python lab economy [--samples 2000] [--seed 7] [--gamma 4] [NAME ...]` prints one row a chain: the share of
the passes of full CFG that were run (c and u count one each), how many samples the judge recognises, the Frechet
distance of its features to real pictures, and the distance of the samples from those of plain CFG with the same noise.
`--page` also writes docs/economy.json, a section of docs/rules.md and its figure. The protocol and the sampler are
those of the demo model's card. Samples are kept in .cache/economy, under the checksum of what made them, so that a
stopped run goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from ...dev.places import ROOT
from ...files.safetensors import read_safetensors
from ...guidance.chain import PLAIN, Chain, ChainState
from ...guidance.predictions import Predictions
from ...guidance.run import Run
from ..train.demo_evaluation import Bench, Protocol, Statistics, dpmpp_2m, karras_sigmas
from ..train.demo_files import read_denoiser, read_judge
from .economy_page import NUMBERS, write
from .economy_rows import CHAINS, FAMILIES, FULL, PROBE, Row
from .pocket_means import CARD
from .sources import kept, origin

REAL = ROOT / "tests" / "fixtures" / "pocket_judge_statistics.safetensors"
KEPT = ROOT / ".cache" / "economy"
WEIGHTS = (CARD.with_suffix(".safetensors"),)
PART = 500  # samples that are kept together


class Counted:
    """Predictions of a chain for the protocol's samplers, that evaluates what the chain needs and counts it.

    passes, alone: sample passes in this batch, and had every sample been sampled alone; full: those of full CFG.
    """

    def __init__(self, bench: Bench, chain: Chain, gamma: float):
        self.bench, self.chain, self.gamma, self.passes, self.alone, self.full = bench, chain, gamma, 0, 0, 0
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
            self._count(len(x), "uncond" in asked, state)
            p = Predictions(x, level, torch.ones_like(level), found.get("uncond"), found["cond"])
            guided, state = self.chain.step(state, p, scale)
            return guided

        return prediction

    def _count(self, batch: int, both: bool, state: ChainState) -> None:
        ended = max((int(memory.end.at_end.sum()) for memory in state.rules if getattr(memory, "end", None)), default=0)
        self.full += 2 * batch
        self.passes += (1 + both) * batch
        self.alone += batch + both * (batch - ended)


def make_bench(samples: int, seed: int = Protocol.seed) -> Bench:
    """Pocket, its judge and the stored statistics of real pictures, by the card's protocol."""
    network, metadata = read_denoiser(CARD.with_suffix(".safetensors"))
    judge = read_judge()
    tensors, _ = read_safetensors(REAL)
    real = Statistics(*(tensors[name].double() for name in Statistics.__dataclass_fields__))
    protocol = replace(Protocol(), samples=samples, seed=seed, dtype="float32")
    return Bench(network, judge, real, float(metadata["gg.sigma_data"]), protocol)


def sample_chain(bench: Bench, chain: Chain, gamma: float) -> tuple[Tensor, Tensor]:
    """All samples of a chain [N, 3, 32, 32], and how many passes they took: [passes, alone, full]."""
    count = bench.protocol.samples
    noise, labels = bench.noise(count).split(PART), bench.labels(count).split(PART)
    parts = [part(bench, chain, gamma, x, y) for x, y in zip(noise, labels, strict=True)]
    return torch.cat([x0 for x0, _ in parts]), torch.stack([counts for _, counts in parts]).sum(0)


def part(bench: Bench, chain: Chain, gamma: float, noise: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Samples from this noise and their passes, from the disk if they are there."""
    knobs = [(type(rule).__name__, vars(rule)) for rule in chain.rules]
    facts = (CARD.stem, bench.protocol.steps, bench.protocol.batch, knobs, gamma)
    digest = hashlib.sha256(repr(facts).encode() + noise.numpy().tobytes() + labels.numpy().tobytes()).hexdigest()

    def measure() -> dict[str, ndarray]:
        counted, sigmas = Counted(bench, chain, gamma), karras_sigmas(bench.protocol.steps)
        batches = zip(noise.split(bench.protocol.batch), labels.split(bench.protocol.batch), strict=True)
        x0 = torch.cat([dpmpp_2m(counted.rule(y), x, sigmas) for x, y in batches])
        return {"x0": x0.numpy(), "counts": np.array([counted.passes, counted.alone, counted.full])}

    found = kept(KEPT / origin(Path(__file__), WEIGHTS) / f"{digest[:24]}.npz", measure)
    return torch.from_numpy(found["x0"]), torch.from_numpy(found["counts"])


def measure_chain(bench: Bench, name: str, gamma: float) -> Row:
    """One chain's row."""
    chain, protocol = CHAINS[name], bench.protocol
    (x0, counts), (full, _) = sample_chain(bench, chain, gamma), sample_chain(bench, PLAIN, gamma)
    passes, alone, both = counts.tolist()
    found = bench.measure(x0)
    apart = float(((x0 - full).flatten(1).norm(dim=1) / full.flatten(1).norm(dim=1)).mean())
    judged = (found["accuracy"], found["frechet"], found["classwise"], round(apart, 4))
    about = (name, chain.text, protocol.samples, protocol.seed, gamma)
    return Row(*about, round(passes / both, 4), round(alone / both, 4), *judged)


def line_of(row: Row) -> str:
    """A row for a terminal."""
    return (
        f"{row.chain:36} {row.passes:7.1%} {row.alone:7.1%} {row.accuracy:9.2%} {row.frechet:9.3f} "
        f"{row.classwise:9.3f} {row.apart:9.1%}"
    )


def measure_all(samples: int, gamma: float, seed: int, names: tuple[str, ...]) -> list[Row]:
    """Rows of some chains, printed as they come, plain CFG first."""
    bench, rows = make_bench(samples, seed), []
    print(f"gamma {gamma:g}, {samples} samples, {bench.protocol}")
    print(
        f"{'chain':36} {'passes':>7} {'alone':>7} {'judge':>9} {'Frechet':>9} {'by class':>9} {'apart':>9}", flush=True
    )
    for name in dict.fromkeys([FULL, *names]):
        rows.append(measure_chain(bench, name, gamma))
        print(line_of(rows[-1]), flush=True)
    return rows


def write_page(samples: int, gamma: float, seed: int, names: tuple[str, ...]) -> None:
    """Measure what the page shows, and write it with its numbers and its figure."""

    rows = measure_all(samples, gamma, seed, names) + measure_all(PROBE, gamma, seed, tuple(FAMILIES["stop"]))
    NUMBERS.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    write(rows)


def main() -> None:
    """Print the table, plain CFG first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--gamma", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=Protocol.seed)
    parser.add_argument("--page", action="store_true", help="write the section of docs/rules.md, numbers and figure")
    parser.add_argument("names", nargs="*", metavar="NAME", help="chains; all of them if none")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in CHAINS]
    if unknown:
        parser.error(f"no chain is called {unknown[0]!r}; there are {', '.join(CHAINS)}")
    torch.set_num_threads(1)
    if options.page:
        shown = tuple(name for chains in FAMILIES.values() for name in chains)
        write_page(options.samples, options.gamma, options.seed, tuple(options.names or shown))
    else:
        measure_all(options.samples, options.gamma, options.seed, tuple(options.names or CHAINS))


if __name__ == "__main__":
    main()
