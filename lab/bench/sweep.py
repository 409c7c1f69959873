"""What a sweep in one node saves: 5 scales x 4 seeds, against as many queued jobs of KSampler, on one server.

Each job samples, decodes and previews; the sweep does the same in one job, exact and shared. Prints the fastest of
several rounds, whose order turns, and the largest deviation of any sample from its own job's, for docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys

import torch

from ...dev.fixtures.timing import seconds
from ...dev.hosts import own_host
from ...sweeps.comfyui.client import Client
from .. import markdown
from ..command_line import parser_of

CFGS, SEEDS = (1.0, 2.0, 4.0, 6.0, 8.0), (0, 1, 2, 3)
LIMITS = {"exact": 1.2, "shared": 2.4}
DENOISER = {"denoiser_name": "pocket-1", "parametrisation": "auto", "schedule": "auto", "weight_dtype": "default"}
START = {
    "1": {"class_type": "GGLoadDenoiser", "inputs": DENOISER},
    "2": {"class_type": "GGClassLabel", "inputs": {"model": ["1", 0], "label": "robot"}},
    "3": {"class_type": "GGEmptyCanvas", "inputs": {"model": ["1", 0], "width": 0, "height": 0, "batch_size": 1}},
    "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 1]}},
    "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
}  # fmt: skip
KEPT = {"7": {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "bench"}}}
WIRES = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 1], "latent_image": ["3", 0]}


def job(cfg: float, seed: int, settings: dict) -> dict:
    """One run of KSampler."""
    own = {"cfg": cfg, "seed": seed, "denoise": 1.0}
    return START | {"4": {"class_type": "KSampler", "inputs": {**WIRES, **settings, **own}}}


def sweep(mode: str, settings: dict, salt: int) -> dict:
    """All of them in one node.  salt: makes the job another one than the last, so that nothing is cached."""
    axes = f"# {salt}\ncfg: {', '.join(map(str, CFGS))}\nseed: {', '.join(map(str, SEEDS))}"
    own = {"seed": 0, "axes": axes, "best_by": "auto", "mode": mode, "vae": ["1", 1]}
    return START | {"4": {"class_type": "GGSweep", "inputs": {**WIRES, **settings, **own}}}


def latents(client: Client, prompt: dict) -> torch.Tensor:
    """The samples of a job, exact."""
    from safetensors.torch import load

    done = client.run(prompt | KEPT)
    return load(client.file(done.outputs["7"]["latents"][0]))["latent_tensor"]


def deviations(client: Client, settings: dict) -> dict[str, float]:
    """The largest difference of any number of any sample from that of its own job, for each mode."""
    single = torch.cat([latents(client, job(cfg, seed, settings)) for cfg in CFGS for seed in SEEDS])
    return {mode: float((latents(client, sweep(mode, settings, -1)) - single).abs().max()) for mode in LIMITS}


def queue_jobs(client: Client, settings: dict, salt: int) -> None:
    """All jobs, queued at once, until the last has ended."""
    seeds = [seed + 1000 * (salt + 1) for seed in SEEDS]
    ids = [client.submit(job(cfg, seed, settings)) for cfg in CFGS for seed in seeds]
    client.follow(ids[-1])


def measure_ways(client: Client, settings: dict, rounds: int) -> dict[str, float]:
    """Seconds of the fastest round of each way."""
    ways = {"jobs": lambda salt: queue_jobs(client, settings, salt)} | {
        mode: lambda salt, mode=mode: client.run(sweep(mode, settings, salt)) for mode in LIMITS
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for salt in range(rounds):
        names = list(ways)[salt % 3 :] + list(ways)[: salt % 3]
        for name in names:
            found[name].append(seconds(lambda name=name, salt=salt: ways[name](salt)))
    return {name: min(times) for name, times in found.items()}


def in_words(args: argparse.Namespace, times: dict[str, float], apart: dict[str, float]) -> list[str]:
    """What was measured, the jobs first."""
    grid = f"{len(CFGS)} scales x {len(SEEDS)} seeds, pocket-1, {args.sampler}, {args.steps} steps"
    lines = [f"{grid}; fastest of {args.rounds}: 20 jobs {times['jobs']:.2f} s"]
    for mode, limit in LIMITS.items():
        ratio = f"{times['jobs'] / times[mode]:.2f} x (at least {limit:.1f})"
        lines.append(f"{mode}: {times[mode]:.2f} s, {ratio}, deviation {apart[mode]:.1e}")
    return lines


def main() -> int:
    """Measure, print, and fail below a limit."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sampler", default="euler")
    args = parser.parse_args()
    settings = {"steps": args.steps, "sampler_name": args.sampler, "scheduler": "karras"}
    with own_host(args.host) as live, Client(live.address) as client:
        apart = deviations(client, settings)
        times = measure_ways(client, settings, args.rounds)
    lines = in_words(args, times, apart)
    print(markdown.bullets(lines))
    return int(apart["exact"] > 0 or any(times["jobs"] < limit * times[mode] for mode, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
