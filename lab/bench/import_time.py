"""What the pack adds to the start of a host: processor seconds to load it, and memory that stays, in fresh processes.

Prints medians of several starts and fails above a limit. Everything the host has loaded before it comes to its packs is
loaded first and not counted, and bytecode is cached, as it is from the second start on.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from ...dev.places import HOST, ROOT

SECONDS, MEGABYTES = 0.10, 3.1  # 3.05 measured with 28 rules
START = """
import asyncio, gc, importlib.util, sys, time
root, host = sys.argv[1:3]
sys.argv = ["main.py", "--cpu"]
sys.path.insert(0, host)
from comfy import options
options.enable_args_parsing()
import psutil, utils.extra_config
import comfy.samplers, comfy.sd, execution, nodes, server, folder_paths, latent_preview, comfy_api.latest
spec = importlib.util.spec_from_file_location("pack", root + "/__init__.py", submodule_search_locations=[root])
async def load():
    pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    for node in await (await pack.comfy_entrypoint()).get_node_list():
        nodes.NODE_CLASS_MAPPINGS[node.GET_SCHEMA().node_id] = node
loop, process = asyncio.new_event_loop(), psutil.Process()
loop.run_until_complete(nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False))
gc.collect()
began, before = time.process_time(), process.memory_info().rss
loop.run_until_complete(load())
took = time.process_time() - began
gc.collect()
print(took, process.memory_info().rss - before)
"""


def start() -> tuple[float, float]:
    """Processor seconds and megabytes of one start, which leaves its bytecode beside the sources."""
    command = [sys.executable, "-c", START, str(ROOT), str(HOST)]
    cached = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=cached).stdout.split()
    return float(out[-2]), float(out[-1]) / 1e6


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--busy", action="store_true", help="other work runs beside it: seconds fail nothing")
    options = parser.parse_args()
    start()
    seconds, memory = map(statistics.median, zip(*(start() for _ in range(options.starts)), strict=True))
    over = memory > MEGABYTES or (seconds > SECONDS and not options.busy)
    print(
        f"{seconds:.3f} s of processor time and {memory:.2f} MB to load the pack, medians of {options.starts} starts; "
        f"{'OVER the' if over else 'the'} limits are {SECONDS} s and {MEGABYTES} MB"
    )
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
