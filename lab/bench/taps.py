"""What the Guidance tab costs a server: the handler of prompts, and the memory that many jobs leave.

The handler is timed on prompts of 200 nodes: of stock templates, and one in which every second node samples. Memory is
that of a server over many jobs with pictures, with a small bound of the store, so that it is reached. Fails when a
limit is surely passed: 2 ms, and growth beyond the bound. `bench device` says what a recorded run costs.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from importlib import import_module
from pathlib import Path

import psutil

from ...dev.fixtures.stock_workflows import flatten, stock_workflows, wires_alone
from ...dev.fixtures.timing import keep_freed_memory, seconds
from ...dev.hosts import own_host
from ...dev.inside import enter_host
from ...sweeps.comfyui.client import Client
from ...sweeps.comfyui.process import Server
from ..command_line import parser_of
from .live import graph, median_interval

NODES, MOST_MS = 200, 2.0
BOUND, MOST_GROWN = 4, 24  # megabytes: of the store here, and that a process may grow by between two quarters
STORE_SETTING = "GuidanceGeometry.Tab.Megabytes"
READERS = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "CFGGuider", "BasicGuider")
ASKING = {"guidance_geometry": {"record": True}}
WORKFLOW = "many jobs"


def prompts() -> dict[str, dict]:
    """Prompts of 200 nodes, in words what they are."""
    mixed = {}
    graphs = (wires_alone(flatten(workflow)) for workflow in stock_workflows().values())
    sampling = (one for one in graphs if any(node["class_type"] in READERS for node in one.values()))
    for number, one in enumerate(sampling):
        mixed |= {f"{number}-{name}": move_wires(node, number) for name, node in one.items()}
        if len(mixed) >= NODES:
            break
    loaders = {f"l{k}": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a"}} for k in range(100)}
    readers = {f"s{k}": reader(k) for k in range(100)}
    return {"of stock templates": dict(list(mixed.items())[:NODES]), "half of them sampling": loaders | readers}


def move_wires(node: dict, number: int) -> dict:
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


def memory(host: Path, jobs: int) -> list[tuple[str, bool]]:
    """Memory and files of a server over many recorded jobs, in words, and whether they grow."""
    with own_host(host, cpu=True) as server, Client(server.address) as client:
        client.post("/settings", {STORE_SETTING: BOUND})
        client.get("/guidance_geometry/tab/runs")
        tab = server.log.parent / "temp" / "guidance_geometry" / "tab"
        sizes = [sizes_after_a_job(client, server, tab) for _ in range(jobs)]
        listed = json.loads(client.get("/guidance_geometry/tab/runs", workflow_id=WORKFLOW))["runs"]
    resident, kept = map(list, zip(*sizes, strict=True))
    return growth_lines(resident, kept, len(listed))


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


def growth_lines(resident: list[float], kept: list[float], listed: int) -> list[tuple[str, bool]]:
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
    parser.add_argument("--jobs", type=int, default=500)
    options = parser.parse_args()
    keep_freed_memory()
    lines = memory(options.host, options.jobs) if options.jobs else []
    enter_host(options.host)
    asyncio.run(import_module("nodes").init_builtin_extra_nodes())
    lines += on_a_prompt(options.calls) if options.calls else []
    print("\n".join(line for line, _ in lines), flush=True)
    return int(any(failed for _, failed in lines))


if __name__ == "__main__":
    sys.exit(main())
