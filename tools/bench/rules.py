"""What a chain of five rules costs: a whole run of Pocket, and one step at the size of a large picture's latent.

Prints the median ratio of paired, interleaved runs with the middle half of the ratios, and milliseconds a step.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from ...guidance.chain import PLAIN, Chain
from ...guidance.predictions import Predictions
from ...guidance.schedules import Run
from .sampler_overhead import ROOT, enter_host, ratios, seconds

RULES = ("GGClassifierFree", "GGTangential", "GGAdaptiveProjected", "GGFrequencyBands", "GGRescale")
SHARE, MILLISECONDS = 1.03, 5.0


def five_rules() -> Chain:
    """A schedule, three rules on the difference and a rescale, as their nodes make them."""
    from ...nodes.rules import NODES
    from ..rule_nodes import active_chain

    nodes = {node.define_schema().node_id: node for node in NODES}
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


def step_milliseconds(chain: Chain, shape: tuple[int, ...], repeats: int) -> float:
    """Median time of one step of a chain on made-up predictions.  shape: [B, ...]"""
    generator = torch.Generator().manual_seed(0)
    x, uncond, cond = (torch.randn(shape, generator=generator) for _ in range(3))
    one = torch.ones(shape[0])
    p, state = Predictions(x, 2 * one, one, uncond, cond), chain.init(Run((4.0, 2.0, 1.0, 0.0)))
    chain.step(state, p, 4.0)
    return 1000 * statistics.median(seconds(lambda: chain.step(state, p, 4.0)) for _ in range(repeats))


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", type=Path, default=Path(os.environ.get("COMFYUI_PATH") or ROOT / ".host" / "ComfyUI"))
    parser.add_argument("--pairs", type=int, default=31)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    enter_host(options.host)
    with torch.inference_mode():
        chain, run = five_rules(), pocket_run(options.steps, options.batch)
        run(chain)
        found = ratios(lambda: run(PLAIN), lambda _: run(chain), "numbers", options.pairs)
        added = step_milliseconds(chain, (1, 4, 128, 128), 51) - step_milliseconds(PLAIN, (1, 4, 128, 128), 51)
    low, middle, high = statistics.quantiles(found, n=4)
    print(chain.text)
    print(f"chain / plain CFG, pocket-1, {options.steps} steps, batch {options.batch}, {options.pairs} pairs:")
    print(f"  {middle:.3f} (middle half {low:.3f} .. {high:.3f}, limit {SHARE:.2f})")
    print(f"added to a step at 1x4x128x128: {added:.2f} ms (limit {MILLISECONDS:.0f} ms)")
    return int(middle > SHARE or added > MILLISECONDS)


if __name__ == "__main__":
    sys.exit(main())
