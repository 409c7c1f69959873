"""What a chain of five rules costs: a whole run of Pocket, and one step at the size of a large picture's latent.

Numbers for the run, since other programs disturb the first: wall time and the process's CPU time, each as the median
ratio of paired, interleaved runs with the middle half of the ratios and the ratio of the fastest runs; and the time
inside the chain itself as a share of its run. Then the milliseconds that a step of the large latent takes longer.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ...dev.fixtures.timing import keep_freed_memory, seconds
from ...dev.inside import enter_host
from ...dev.places import HOST
from ...guidance.chain import PLAIN, Chain
from ...guidance.predictions import Predictions
from ...guidance.run import Run

RULES = ("GGCFGSchedule", "GGTangential", "GGAdaptiveProjected", "GGFrequencyBands", "GGRescale")
SHARE, MILLISECONDS = 1.03, 5.0
CLOCKS = (time.perf_counter, time.process_time)


@dataclass(frozen=True)
class Watched(Chain):
    """A chain that notes the seconds spent in its own methods."""

    spent: list[float] = field(default_factory=list)

    def scale(self, *args):
        """Gamma in force, timed."""
        return self._timed(super().scale, *args)

    def needs(self, *args):
        """Predictions to evaluate, timed."""
        return self._timed(super().needs, *args)

    def step(self, *args):
        """One guided step, timed."""
        return self._timed(super().step, *args)

    def _timed(self, method: Callable, *args):
        start = time.perf_counter()
        found = method(*args)
        self.spent.append(time.perf_counter() - start)
        return found


def five_rules() -> Chain:
    """A schedule, three rules on the difference and a rescale, as their nodes make them."""
    from ...dev.fixtures.rule_nodes import active_chain
    from ...extension import nodes_in

    nodes = {node.define_schema().node_id: node for node in nodes_in("rules")}
    chain = PLAIN
    for name in RULES:
        for rule in active_chain(nodes[name], {}).rules:
            chain = chain.then(rule)
    return chain


def pocket_run(steps: int, batch: int) -> Callable[[Chain], object]:
    """A run of Pocket as a function of its chain."""
    import comfy.utils

    from ...nodes.sampling import GGGuidedSampler
    from ...nodes.start import GGClassLabel, GGLoadDenoiser

    comfy.utils.PROGRESS_BAR_ENABLED = False
    model = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "default").result[0]
    positive, negative = GGClassLabel.execute(model, "*").result
    latent = {"samples": torch.zeros(batch, 3, 32, 32)}
    settings = (model, 1, steps, 4.0, "euler", "karras", positive, negative, latent)
    return lambda chain: GGGuidedSampler.execute(*settings, guidance=chain, capture="numbers")


def clocked(run: Callable[[], object]) -> list[float]:
    """Wall and CPU seconds of one call."""
    start = [clock() for clock in CLOCKS]
    run()
    return [clock() - then for clock, then in zip(CLOCKS, start, strict=True)]


def paired(run: Callable[[Chain], object], chain: Chain, pairs: int) -> list[list]:
    """Seconds of runs without the chain and with it, in pairs whose order alternates; and the shares inside the chain.

    The first two hold one list a clock.
    """
    plain, guided, inside = [], [], []
    for i in range(pairs):
        watched = Watched(chain.rules)
        for one, times in ((PLAIN, plain), (watched, guided))[:: 1 if i % 2 == 0 else -1]:
            times.append(clocked(lambda one=one: run(one)))
        inside.append(sum(watched.spent) / guided[-1][0])
    return [list(zip(*times, strict=True)) for times in (plain, guided)] + [inside]


def step_milliseconds(chain: Chain, shape: tuple[int, ...], repeats: int) -> float:
    """Median time of one step of a chain on made-up predictions.  shape: [B, ...]"""
    generator = torch.Generator().manual_seed(0)
    x, uncond, cond = (torch.randn(shape, generator=generator) for _ in range(3))
    one = torch.ones(shape[0])
    p, state = Predictions(x, 2 * one, one, uncond, cond), chain.init(Run((4.0, 2.0, 1.0, 0.0)))
    chain.step(state, p, 4.0)
    return 1000 * statistics.median(seconds(lambda: chain.step(state, p, 4.0)) for _ in range(repeats))


def shown(name: str, plain: list[float], guided: list[float]) -> float:
    """Print one line and return the median ratio."""
    low, middle, high = statistics.quantiles((g / p for p, g in zip(plain, guided, strict=True)), n=4)
    print(f"  {name} {middle:.3f} (middle half {low:.3f} .. {high:.3f}, fastest {min(guided) / min(plain):.3f})")
    return middle


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", type=Path, default=HOST)
    parser.add_argument("--pairs", type=int, default=31)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    keep_freed_memory()
    enter_host(options.host)
    with torch.inference_mode():
        chain, run = five_rules(), pocket_run(options.steps, options.batch)
        run(chain)
        plain, guided, inside = paired(run, chain, options.pairs)
        added = step_milliseconds(chain, (1, 4, 128, 128), 51) - step_milliseconds(PLAIN, (1, 4, 128, 128), 51)
    print(chain.text)
    about = f"pocket-1, {options.steps} steps, batch {options.batch}, {options.pairs} pairs"
    print(f"chain / plain CFG, {about}, {torch.get_num_threads()} threads (limit {SHARE})")
    wall, _ = (shown(*of) for of in zip(("wall time", "CPU time "), plain, guided, strict=True))
    print(f"  inside the chain {statistics.median(inside):.2%} of its run")
    print(f"added to a step at 1x4x128x128: {added:.2f} ms (limit {MILLISECONDS:.0f} ms)")
    return int(wall > SHARE or added > MILLISECONDS)


if __name__ == "__main__":
    sys.exit(main())
