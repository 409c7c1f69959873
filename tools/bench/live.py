"""What the live panel costs: events and bytes, thumbnails, and time with and without a browser, on a real server.

Sizes and rates are exact. Times are ratios of interleaved runs: the same job with and without an inspector that
waits for it (its own node does not run), as wall time of the job and as processor time of the server. Fails when a
limit is passed: 9 kB and 20 events a second, 300 kB of thumbnails, 3 % with a browser and 1 % without.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ..api_client import Client
from ..browser import CHROMIUM, editor
from ..server import Server, own_folders, running

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW_ID = "0c6b1f0e-5a55-4f4e-9d5c-00000000be2c"
EVENT = "guidance_geometry.step"
MOST_BYTES, MOST_A_SECOND, MOST_PICTURES = 9000, 20, 300_000
WITH_BROWSER, WITHOUT = 1.03, 1.01
BATCHES = (1, 8, 24, 200)
NOBODY = "no-browser-has-this-id"
SEEDS = itertools.count(1)
REFUSED = 99  # pictures: above the widget's limit, so that the server leaves the inspector out and runs the rest
OPEN = """async ([api, id]) => { await app.loadApiJson(api, "live");
  const saved = (app.rootGraph ?? app.graph).serialize(); saved.id = id;
  await app.loadGraphData(saved, true, true, "live.json"); return app.api.clientId; }"""


def graph(batch: int, steps: int, pictures: int | None) -> dict:
    """A Pocket run with a seed of its own. pictures: of the inspector, None for a job without one."""
    first_look = json.loads((ROOT / "tools" / "workflows" / "first_look.json").read_text(encoding="utf-8"))
    found = {node: copy.deepcopy(first_look[node]) for node in "1234"}
    found["3"]["inputs"]["batch_size"] = batch
    found["4"]["inputs"] |= {"seed": next(SEEDS), "steps": steps}
    found["9"] = {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "bench/live"}}
    if pictures is not None:
        inputs = {"trace": ["4", 2], "vae": ["1", 1], "pictures": pictures}
        found["8"] = {"class_type": "GGInspector", "inputs": inputs}
    return found


def events_of(client: Client, batch: int, steps: int) -> list[tuple[float, int]]:
    """When every live event of a run came, and its bytes as the server sends it."""
    found = []

    def listen(kind: str, data: dict) -> None:
        if kind == EVENT:
            found.append((time.monotonic(), len(json.dumps({"type": kind, "data": data}))))

    client.run(graph(batch, steps, 0), listen)
    return found


def busiest_second(times: list[float]) -> int:
    """The most events that came within any second."""
    return max((sum(start <= t < start + 1 for t in times) for start in times), default=0)


def thumbnail_bytes(client: Client, pictures: int) -> int:
    """Bytes of all thumbnails of a 20-step run of batch 8."""
    record = client.run(graph(8, 20, pictures)).outputs["8"]["gg_record"][0]
    whole = json.loads(client.file(record["file"])) if "file" in record else record
    return sum(len(client.file(sheet)) for sheet in whole["pictures"]["steps"])


def cost(server: Server, client: Client, user: str, prompt: dict) -> tuple[float, float]:
    """Seconds of a job from start to end by the server's clock, and processor seconds of the server."""
    began = processor_seconds(server.process.pid)
    extra = {"extra_pnginfo": {"workflow": {"id": WORKFLOW_ID}}}
    answer = client.post("/prompt", {"prompt": prompt, "client_id": user, "extra_data": extra})
    while not (entry := json.loads(client.get(f"/history/{answer['prompt_id']}"))):
        time.sleep(0.05)
    messages = dict(entry[answer["prompt_id"]]["status"]["messages"])
    wall = messages["execution_success"]["timestamp"] - messages["execution_start"]["timestamp"]
    return wall / 1000, processor_seconds(server.process.pid) - began


def processor_seconds(process: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def paired(measure: Callable[[dict], tuple[float, float]], pairs: int) -> list[tuple]:
    """(plain, watched) of wall and processor seconds, in pairs whose order alternates."""
    found = []
    for i in range(pairs):
        taken = {}
        for pictures in (None, REFUSED) if i % 2 == 0 else (REFUSED, None):
            taken[pictures] = measure(graph(8, 20, pictures))
        found.append((taken[None], taken[REFUSED]))
    return found


def reported(words: str, found: list[tuple], limit: float) -> bool:
    """Print what watching costs; returns whether the fastest runs, which nobody disturbed, pass the limit."""
    passed = []
    for k, name in enumerate(("wall", "processor")):
        plain, watched = ([one[k] for one in side] for side in zip(*found, strict=True))
        low, middle, high = statistics.quantiles([w / p for p, w in zip(plain, watched, strict=True)], n=4)
        passed.append(min(watched) / min(plain))
        pair = f"of pairs {middle:.3f} (middle half {low:.3f} .. {high:.3f})"
        print(f"{words}, {name:9} of the fastest {passed[-1]:.3f} (limit {limit:.2f}), {pair}", flush=True)
    return min(passed) > limit


def sizes(client: Client) -> bool:
    """Print events and thumbnails; returns whether a limit is passed."""
    failed = False
    for batch, steps in [*((batch, 20) for batch in BATCHES), (1, 300)]:
        events = events_of(client, batch, steps)
        most, rate = max(size for _, size in events), busiest_second([at for at, _ in events])
        failed |= most > MOST_BYTES or rate > MOST_A_SECOND
        print(
            f"batch {batch:3}, {steps:3} steps: {len(events):2} events, {most:5,} bytes at most, {rate:2} in a second"
        )
    for pictures in (8, 20):
        total = thumbnail_bytes(client, pictures)
        failed |= total > MOST_PICTURES
        print(f"thumbnails of {pictures} of 20 steps, batch 8: {total:,} bytes", flush=True)
    return failed


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", type=Path, default=Path(os.environ.get("COMFYUI_PATH") or ROOT / ".host" / "ComfyUI"))
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base:
        folders, pack = own_folders(Path(base))
        with running(Path(sys.executable), options.host, Path(base) / "log", [*folders, "--cpu"], pack) as server:
            return measured(server, options.pairs)


def measured(server: Server, pairs: int) -> int:
    """Everything on one server."""
    with Client(server.address) as client:
        failed = sizes(client)
        alone = paired(lambda prompt: cost(server, client, NOBODY, prompt), pairs)
        failed |= reported("no browser", alone, WITHOUT)
        if CHROMIUM is None:
            print("no Chromium on the path: the cost with a browser was not measured")
            return int(failed)
        with editor(server.address) as page:
            tab = page.evaluate(OPEN, [graph(8, 20, 0), WORKFLOW_ID])
            page.wait_for_selector(".gg-panel")
            drawn = paired(lambda prompt: cost(server, client, tab, prompt), pairs)
            shown = page.evaluate("document.querySelector('.gg-panel output').textContent")
        print(f"the panel shows step {shown}")
        return int(failed | reported("browser", drawn, WITH_BROWSER))


if __name__ == "__main__":
    sys.exit(main())
