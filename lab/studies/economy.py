"""What skipped unconditional passes cost: the table of docs/rules.md, and that of any chain.

A pass is one prediction of one sample; full guidance makes two at each step. The judge and the distances
are those of the demo model's card; "apart" is the mean relative distance from the samples of plain CFG with the same
noise. `python lab economy` prints the table in twenty minutes of one core, `--chains NAME ...` other rows.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from ... import library as gg
from ...guidance.presets import PRESETS
from ..markdown import table
from ..train.demo_evaluation import dpmpp_2m
from .judging import LABELS, judge

STEPS, BATCH, SEED = 20, 50, 7
FULL = "plain CFG"
CHAINS = {name: gg.Chain(preset.rules) for name, preset in PRESETS.items()} | {
    **{
        f"interval {a:g} .. {b:g}": gg.Chain((gg.Interval("percent", a, b),))
        for a, b in ((0.2, 0.8), (0.05, 0.6), (0.05, 0.4))
    },
    **{f"line, every {k}": gg.Chain((gg.Reuse(k),)) for k in (2, 3, 4)},
    **{f"hold, every {k}": gg.Chain((gg.Reuse(k, "hold"),)) for k in (2, 3)},
    **{f"stop at {stop:g}": gg.Chain((gg.Reuse(1, stop=stop),)) for stop in (0.99, 0.99998)},
}
SHOWN = (FULL, "interval 0.05 .. 0.4", "line, every 2", "faster (interval + reuse)")
STOPS = (FULL, "stop at 0.99", "stop at 0.99998")
HEAD = "chain | passes | one sample alone | judge agrees | Frechet | class-wise Frechet | apart"


def samples(chain: gg.Chain, count: int, gamma: float, batch: int) -> tuple[Tensor, float]:
    """Pictures of a chain [count, 3, 32, 32], and its share of the passes of full guidance."""
    pocket, sigmas = gg.load_denoiser("pocket-1"), gg.karras(STEPS, 0.002, 80.0)
    noise = sigmas[0] * torch.randn(count, *pocket.shape, generator=torch.Generator().manual_seed(SEED))
    labels = torch.arange(count) % LABELS
    ends, passes = [], 0
    for x, y in zip(noise.split(batch), labels.split(batch), strict=True):
        run = gg.record(pocket, sigmas, cond=y, gamma=gamma, rule=chain, capture="numbers")
        ends.append(dpmpp_2m(run, x, torch.tensor(sigmas, dtype=torch.float64)))
        passes += len(x) * int(run.finish(ends[-1]).steps["evals"].sum())
    return torch.cat(ends), passes / (2 * STEPS * count)


def row_of(name: str, count: int, gamma: float, full: Tensor, alone: bool) -> list[str]:
    """A line of the table.  full: the samples of plain CFG. alone: passes are also counted sample by sample"""
    x0, passes = samples(CHAINS[name], count, gamma, BATCH)
    single = samples(CHAINS[name], count, gamma, 1)[1] if alone else passes
    found = judge(x0)
    apart = float(((x0 - full).flatten(1).norm(dim=1) / full.flatten(1).norm(dim=1)).mean())
    shares = [f"{share:.1%}" for share in (passes, single)]
    return [
        name,
        *shares,
        f"{found['accuracy']:.2%}",
        f"{found['frechet']:.3f}",
        f"{found['classwise']:.3f}",
        f"{apart:.1%}",
    ]


def main() -> None:
    """Print both tables: the chains, and the adaptive stop, whose samples end at steps of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--probe", type=int, default=100, help="samples of the second table")
    parser.add_argument("--gamma", type=float, default=4.0)
    parser.add_argument("--chains", nargs="*", metavar="NAME", choices=CHAINS, default=[*SHOWN])
    given = parser.parse_args()
    torch.set_num_threads(1)
    for names, count in ((given.chains, given.samples), (STOPS, given.probe)):
        full, _ = samples(gg.Chain(()), count, given.gamma, BATCH)
        rows = [row_of(name, count, given.gamma, full, names is STOPS) for name in names]
        print(f"{count:,} samples, gamma {given.gamma:g}\n\n{table(HEAD, rows)}\n", flush=True)


if __name__ == "__main__":
    main()
