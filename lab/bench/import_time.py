"""What the pack adds to the start of a host: processor seconds to import it and list its nodes, in a fresh process.

Prints the median of several starts and fails above the limit. Everything the host has loaded before it comes to its
packs is loaded first and not counted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

from ...dev.places import HOST, ROOT

LIMIT = 0.3
START = """
import asyncio, importlib.util, sys, time
root, host = sys.argv[1:3]
sys.argv = ["main.py", "--cpu"]
sys.path.insert(0, host)
from comfy import options
options.enable_args_parsing()
import utils.extra_config
import comfy.samplers, comfy.sd, server, folder_paths, latent_preview, comfy_api.latest
began = time.process_time()
spec = importlib.util.spec_from_file_location("pack", root + "/__init__.py", submodule_search_locations=[root])
pack = sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
async def load():
    return await (await pack.comfy_entrypoint()).get_node_list()
asyncio.run(load())
print(time.process_time() - began)
"""


def seconds(host: str) -> float:
    """Processor time of one import."""
    command = [sys.executable, "-c", START, str(ROOT), host]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def main() -> int:
    """Measure, print, and fail when the limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    median = statistics.median(seconds(str(HOST)) for _ in range(options.starts))
    over = median > LIMIT
    words = "OVER the limit of" if over else "limit"
    print(f"{median:.3f} s of processor time to import the pack (median of {options.starts}; {words} {LIMIT} s)")
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
