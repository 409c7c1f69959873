"""What recording costs: wall time of the traced sampler over the host's KSampler, same model, steps and batch.

Prints one line per capture mode: the median ratio of paired, interleaved runs, the middle half of the ratios, and the
ratio of the fastest runs, which a machine with other work on it disturbs least; and what it takes afterwards to make
the numbers of the trace, which happens in the node that reads them first. The process keeps the memory it has freed:
giving it back and fetching it again, as the C library does by chance, differs by a tenth of a run from run to run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from ..fixtures.timing import keep_freed_memory, seconds
from ..host.inside import enter_host
from ..places import HOST

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


def paired(plain: Callable, traced: Callable, capture: str, pairs: int) -> tuple[list[float], list[float]]:
    """Seconds of plain and of traced runs, in pairs whose order alternates."""
    times = ([], [])
    runs = (plain, lambda: traced(capture))
    for i in range(pairs):
        for which in (0, 1) if i % 2 == 0 else (1, 0):
            times[which].append(seconds(runs[which]))
    return times


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", type=Path, default=HOST)
    parser.add_argument("--pairs", type=int, default=61)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=32)
    options = parser.parse_args()
    keep_freed_memory()
    enter_host(options.host)
    with torch.inference_mode():
        plain, traced = samplers(options.steps, options.batch, options.size)
        plain()
        trace = traced("numbers").result[2]
        numbers = seconds(lambda: trace.steps["K"])
        found = {capture: paired(plain, traced, capture, options.pairs) for capture in LIMITS}
    print(f"traced / KSampler, pocket-1, {options.steps} steps, batch {options.batch}, {options.pairs} pairs")
    print(f"making the numbers, in the node that reads them first: {1e3 * numbers:.1f} ms")
    medians = {capture: shown(capture, *times) for capture, times in found.items()}
    return int(any(median > LIMITS[capture] for capture, median in medians.items()))


def shown(capture: str, plain: list[float], traced: list[float]) -> float:
    """Print one line and return the median ratio."""
    low, middle, high = statistics.quantiles((t / p for p, t in zip(plain, traced, strict=True)), n=4)
    print(
        f"{capture:9} {middle:.3f} (middle half {low:.3f} .. {high:.3f}, fastest {min(traced) / min(plain):.3f}, "
        f"limit {LIMITS[capture]:.2f})"
    )
    return middle


if __name__ == "__main__":
    sys.exit(main())
