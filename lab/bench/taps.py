"""What the Guidance tab costs: the handler of prompts, a run that is recorded, and the memory that many jobs leave.

The handler is timed on prompts of 200 nodes: of stock templates, and one in which every second node samples. A run is
timed in pairs, one right after the other in an order that alternates: the host's KSampler in a job that does not ask
and, behind a tap, in one that does, with a browser that hears every step. That is Pocket, and a network of SD1.5's
shape. Other programs disturb the processor time of a run less than its wall time. What the record of a run costs, which
is made beside the nodes that follow, stands in a line of its own. Memory is that of a server over many
jobs with pictures, with a small bound of the store, so that it is reached. Fails when a limit is surely passed: 2 ms;
2 % without pictures, 4 % with them; and growth beyond the bound.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import torch

from ...dev.fixtures import tiny_families
from ...dev.fixtures.stock_workflows import flattened, stock_workflows, wired
from ...dev.fixtures.timing import in_pairs, keep_freed_memory, seconds
from ...dev.hosts import own_host
from ...dev.inside import enter_host
from ...sweeps.comfyui.client import Client
from ...sweeps.comfyui.process import Server
from ..command_line import parser_of
from .live import graph, median_interval, reported

NODES, MOST_MS = 200, 2.0
LIMITS = {"numbers": 1.02, "pictures": 1.04}
BOUND, MOST_GROWN = 4, 24  # megabytes: of the store here, and that a process may grow by between two quarters
STORE_SETTING = "GuidanceGeometry.Tab.Megabytes"
READERS = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "CFGGuider", "BasicGuider")
ASKING = {"guidance_geometry": {"record": True}}
WORKFLOW, TAB = "many jobs", "tab"
SD15 = {  # beside what the small one has; the width is an option
    "channel_mult": [1, 2, 4, 4],
    "num_res_blocks": [2, 2, 2, 2],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "context_dim": 768,
}


def prompts() -> dict[str, dict]:
    """Prompts of 200 nodes, in words what they are."""
    mixed = {}
    graphs = (wired(flattened(workflow)) for workflow in stock_workflows().values())
    sampling = (one for one in graphs if any(node["class_type"] in READERS for node in one.values()))
    for number, one in enumerate(sampling):
        mixed |= {f"{number}-{name}": moved(node, number) for name, node in one.items()}
        if len(mixed) >= NODES:
            break
    loaders = {f"l{k}": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a"}} for k in range(100)}
    readers = {f"s{k}": reader(k) for k in range(100)}
    return {"of stock templates": dict(list(mixed.items())[:NODES]), "half of them sampling": loaders | readers}


def moved(node: dict, number: int) -> dict:
    """A node whose wires lead to the nodes of its own graph."""
    return node | {"inputs": {name: [f"{number}-{source}", slot] for name, (source, slot) in node["inputs"].items()}}


def reader(k: int) -> dict:
    """A sampling node that reads the loader of the same number."""
    wires = {name: [f"l{k}", slot] for slot, name in enumerate(("model", "positive", "latent_image"))}
    return {"class_type": READERS[k % len(READERS)], "inputs": wires | {"seed": k, "cfg": 4.0}}


def on_a_prompt(calls: int) -> list[tuple[str, bool]]:
    """How long the handler of prompts takes, in words, and whether that is too long."""
    from ...host.taps import on_prompt

    lines = []
    for words, prompt in prompts().items():
        body = {"prompt": prompt, "extra_data": ASKING}
        taps = len(on_prompt(body)["prompt"]) - len(prompt)
        taken = [1e3 * seconds(lambda body=body: on_prompt(body)) for _ in range(calls)]
        middle, (least, most) = statistics.median(taken), median_interval(taken)
        line = f"handler, {len(prompt)} nodes {words}, {taps} taps: {middle:.2f} ms ({least:.2f} to {most:.2f})"
        lines.append((f"{line}, limit {MOST_MS:g}", least > MOST_MS))
    return lines


def pocket() -> tuple[Any, ...]:
    """MODEL, positive, negative, LATENT, steps."""
    from ...nodes.start import GGClassLabel, GGLoadDenoiser

    model = GGLoadDenoiser.execute("pocket-1", "auto", "auto", "default").result[0]
    return (model, *GGClassLabel.execute(model, "*").result, {"samples": torch.zeros(8, 3, 32, 32)}, 20)


def sd15(width: int) -> tuple[Any, ...]:
    """The same of a random network of SD1.5's shape, its first layer `width` wide, on latents of 256 pixels."""
    settings = tiny_families.CONFIGS["SD15"] | SD15 | {"model_channels": width}
    model = tiny_families.made("SD15", settings, 0)
    texts = ([[torch.randn(1, 77, 768), {}]] for _ in range(2))
    return (model, *texts, {"samples": torch.zeros(1, 4, 32, 32)}, 10)


def listening(extra: dict) -> SimpleNamespace:
    """A server in the middle of a job of one browser, which writes what it sends."""
    from comfy_execution.graph import DynamicPrompt
    from comfy_execution.progress import reset_progress_state

    prompt = {"4": {"class_type": "KSampler", "inputs": {}}}
    reset_progress_state("job", DynamicPrompt(prompt))
    queue = SimpleNamespace(currently_running={0: (0, "job", prompt, extra, [])})
    send = lambda kind, event, tab: json.dumps({"type": kind, "data": event})  # noqa: E731
    return SimpleNamespace(prompt_queue=queue, client_id=TAB, sockets={TAB: None}, send_sync=send)


def runs(model: Any, positive: Any, negative: Any, latent: dict, steps: int) -> tuple[Callable, Callable]:
    """KSampler in a job that does not ask, and in one that does, behind a tap; the second takes what is captured."""
    from ...nodes.tap import GGTap

    server = sys.modules["server"].PromptServer.instance
    sample, settings = import_module("nodes").common_ksampler, (1, steps, 4.0, "euler", "karras")

    def job(one: Any, extra: dict) -> None:
        server.prompt_queue.currently_running[0] = (*server.prompt_queue.currently_running[0][:3], extra, [])
        sample(one, *settings, positive, negative, dict(latent))

    return lambda: job(model, {}), lambda capture: job(GGTap.execute(model, capture).result[0], ASKING)


def overhead(shapes: dict[str, tuple], pairs: int) -> list[tuple[str, bool]]:
    """What being recorded costs a run, in words, and whether a limit is surely passed."""
    import comfy.utils
    from comfy_execution.utils import CurrentNodeContext

    comfy.utils.PROGRESS_BAR_ENABLED = False
    sys.modules["server"] = SimpleNamespace(PromptServer=SimpleNamespace(instance=listening({})))  # pyright: ignore
    lines = []
    with torch.inference_mode(), CurrentNodeContext("job", "4"):
        for words, shape in shapes.items():
            plain, tapped = runs(*shape)
            for capture, limit in LIMITS.items():
                recorded = partial(tapped, capture)
                after = statistics.median(1e3 * time_after(recorded) for _ in range(5))
                found = in_pairs(partial(taken_by, plain), partial(taken_by, recorded), pairs)
                lines += reported(f"{words}, {capture}", found, limit)
                lines.append((f"{words}, {capture}: record made in {after:.0f} ms afterwards", False))
    return lines


def time_after(run: Callable[[], None]) -> float:
    """Seconds from the end of a run until its record is there."""
    run()
    return seconds(run_store().settled)


def run_store() -> Any:
    """The pack's, which needs the host."""
    from ...host.run_store import STORE

    return STORE


def taken_by(run: Callable[[], None]) -> tuple[float, float]:
    """Wall seconds of a call, and seconds that this process worked; the next one does not pay for its record."""
    began = time.process_time()
    taken = seconds(run), time.process_time() - began
    run_store().settled()
    return taken


def memory(host: Path, jobs: int) -> list[tuple[str, bool]]:
    """Memory and files of a server over many recorded jobs, in words, and whether they grow."""
    with own_host(host, cpu=True) as server, Client(server.address) as client:
        client.post("/settings", {STORE_SETTING: BOUND})
        client.get("/guidance_geometry/tab/runs")
        tab = server.log.parent / "temp" / "guidance_geometry" / "tab"
        sizes = [sizes_after_a_job(client, server, tab) for _ in range(jobs)]
        listed = json.loads(client.get("/guidance_geometry/tab/runs", workflow_id=WORKFLOW))["runs"]
    return grown(*map(list, zip(*sizes, strict=True)), len(listed))


def sizes_after_a_job(client: Client, server: Server, tab: Path) -> tuple[float, float]:
    """Megabytes of the server's process, and of the files of its store."""
    client.run(sampled_by_the_host(), extra_data=EXTRA)
    resident = psutil.Process(server.process.pid).memory_info().rss
    return resident / 2**20, sum(file.stat().st_size for file in tab.glob("*")) / 2**20


EXTRA = ASKING | {"extra_pnginfo": {"workflow": {"id": WORKFLOW}}}


def sampled_by_the_host() -> dict:
    """A short Pocket run of the host's own sampler, with a seed of its own."""
    found = graph(8, 8, None)
    inputs = {name: value for name, value in found["4"]["inputs"].items() if not name.startswith("capture")}
    found["4"] = {"class_type": "KSampler", "inputs": inputs | {"denoise": 1.0}}
    found["9"] = {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "bench/taps"}}
    return found


def grown(resident: list[float], kept: list[float], listed: int) -> list[tuple[str, bool]]:
    """How memory and files went, in words, and whether that is too much.  resident, kept: megabytes after each job"""
    quarter = max(1, len(resident) // 4)
    early, late = statistics.median(resident[quarter : 2 * quarter] or resident), statistics.median(resident[-quarter:])
    return [
        (
            f"memory over {len(resident)} jobs: {early:,.0f} MB in the second quarter, {late:,.0f} MB in the last",
            late - early > MOST_GROWN,
        ),
        (f"files of the store: {max(kept):.2f} MB at most, bound {BOUND}, {listed} runs left", max(kept) > BOUND),
    ]


def main() -> int:
    """Measure, print, and fail when a limit is surely passed."""
    parser = parser_of(__doc__)
    parser.add_argument("--calls", type=int, default=200, help="of the handler")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--width", type=int, default=64, help="of the SD1.5 shape; 320 is the published one")
    options = parser.parse_args()
    keep_freed_memory()
    lines = memory(options.host, options.jobs) if options.jobs else []
    enter_host(options.host)
    asyncio.run(import_module("nodes").init_builtin_extra_nodes())
    lines += on_a_prompt(options.calls) if options.calls else []
    print("\n".join(line for line, _ in lines), flush=True)
    if options.pairs:
        shapes = {"Pocket": pocket(), f"SD1.5 shape, width {options.width}": sd15(options.width)}
        lines += overhead(shapes, options.pairs)
    return int(any(failed for _, failed in lines))


if __name__ == "__main__":
    sys.exit(main())
