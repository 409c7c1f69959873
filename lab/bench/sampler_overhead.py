"""What recording costs: wall time of the traced sampler over the host's KSampler, same model, steps and batch.

Prints one line per capture mode: the median ratio of paired, interleaved runs, the middle half of the ratios, and the
ratio of the fastest runs, which a machine with other work on it disturbs least; and what it takes afterwards to make
the numbers of the trace, which happens in the node that reads them first. The process keeps the memory it has freed:
giving it back and fetching it again, as the C library does by chance, differs by a tenth of a run from run to run.

With --families a line for each architecture instead, with random weights and about half as wide as published, or as the
smallest that was: networks of a few thousand weights answer in a few milliseconds, and what recording costs once a step
would be all that is seen. One thread, and its processor time, which other work on the machine disturbs least.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ...dev.fixtures.subjects import Subject, hosted, networks
from ...dev.fixtures.timing import keep_freed_memory, seconds
from ...dev.fixtures.tiny_families import CONFIGS
from ...dev.inside import enter_host
from ...dev.places import HOST

BATCH = 2  # samples of a family
FAMILY_LIMITS = {"numbers": 1.03, "pictures": 1.10}
LIMITS = {"numbers": 1.03, "pictures": 1.10, "tensors": 1.10}


def samplers(steps: int, batch: int, size: int) -> tuple[Callable, Callable]:
    """KSampler and the traced sampler, each as one function without arguments but for the capture mode."""
    import comfy.utils

    import nodes as host_nodes  # noqa: TID251  the host's own sampler is what we compare with

    from ...nodes.sampling import GGGuidedSampler
    from ...nodes.start import GGClassLabel, GGLoadDenoiser

    comfy.utils.PROGRESS_BAR_ENABLED = False
    model = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "default").result[0]
    positive, negative = GGClassLabel.execute(model, "*").result
    latent = {"samples": torch.zeros(batch, 3, size, size)}
    settings = (model, 1, steps, 4.0, "euler", "karras", positive, negative, latent)
    return (
        lambda: host_nodes.common_ksampler(*settings),
        lambda capture: GGGuidedSampler.execute(*settings, capture=capture),
    )


def paired(
    plain: Callable, traced: Callable, capture: str, pairs: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[list[float], list[float]]:
    """Seconds of plain and of traced runs, in pairs whose order alternates."""
    times = ([], [])
    runs = (plain, lambda: traced(capture))
    for i in range(pairs):
        for which in (0, 1) if i % 2 == 0 else (1, 0):
            times[which].append(seconds(runs[which], clock))
    return times


def of_family(subject: Subject, steps: int) -> tuple[Callable, Callable]:
    """The same of a small network with random weights."""
    import nodes as host_nodes  # noqa: TID251  the host's own sampler is what we compare with

    from ...nodes.sampling import GGGuidedSampler

    model = subject.make(torch.float32)
    cfg = 4.0 if "unconditional" in subject.has else 1.0
    both = (subject.positive(model), subject.negative(model))
    settings = (model, 1, steps, cfg, "euler", "simple", *both, subject.latent(model, BATCH))
    return (
        lambda: host_nodes.common_ksampler(*settings),
        lambda capture: GGGuidedSampler.execute(*settings, capture=capture),
    )


def families(pairs: int, steps: int, only: str) -> bool:
    """Print a line for each, and whether all keep within the limits."""
    import comfy.utils

    comfy.utils.PROGRESS_BAR_ENABLED, kept = False, True
    torch.set_num_threads(1)
    wide = [*(hosted(name, wide=True) for name in CONFIGS), *networks(wide=True)]
    for subject in (one for one in wide if only in one.name):
        plain, traced = of_family(subject, steps)
        plain()
        taken = 1e3 * seconds(plain, time.process_time) / steps
        print(f"{subject.name}, batch {BATCH}, {taken:.0f} ms a step, {steps} steps, {pairs} pairs", flush=True)
        for capture, limit in FAMILY_LIMITS.items():
            traced(capture)
            ratio = shown(capture, *paired(plain, traced, capture, pairs, time.process_time), limit)
            kept &= ratio <= limit
    return kept


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", type=Path, default=HOST)
    parser.add_argument("--families", nargs="?", const="", metavar="NAME", help="each architecture, or those so named")
    parser.add_argument("--pairs", type=int, default=61)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=32)
    options = parser.parse_args()
    keep_freed_memory()
    enter_host(options.host)
    with torch.inference_mode():
        if options.families is not None:
            return int(not families(options.pairs, options.steps, options.families))
        plain, traced = samplers(options.steps, options.batch, options.size)
        plain()
        trace = traced("numbers").result[2]
        numbers = seconds(lambda: trace.steps["K"])
        found = {capture: paired(plain, traced, capture, options.pairs) for capture in LIMITS}
    print(f"traced / KSampler, pocket-1, {options.steps} steps, batch {options.batch}, {options.pairs} pairs")
    print(f"making the numbers, in the node that reads them first: {1e3 * numbers:.1f} ms")
    medians = {capture: shown(capture, *times, LIMITS[capture]) for capture, times in found.items()}
    return int(any(median > LIMITS[capture] for capture, median in medians.items()))


def shown(capture: str, plain: list[float], traced: list[float], limit: float) -> float:
    """Print one line and return the median ratio."""
    low, middle, high = statistics.quantiles((t / p for p, t in zip(plain, traced, strict=True)), n=4)
    print(
        f"{capture:9} {middle:.3f} (middle half {low:.3f} .. {high:.3f}, fastest {min(traced) / min(plain):.3f}, "
        f"limit {limit:.2f}){'' if middle <= limit else '  above the limit'}",
        flush=True,
    )
    return middle


if __name__ == "__main__":
    sys.exit(main())
