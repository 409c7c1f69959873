"""What the live panel costs: events and bytes, thumbnails, and time with and without a browser, on a real server.

Sizes and rates are exact. Times are ratios of paired jobs, one right after the other in an order that alternates: the
same job with and without an inspector that waits for it (its own node does not run); both make the trace's numbers, for
a table. Prints the median ratio, its 95 % interval and the middle half of the ratios, of the job's wall time and of the
server's processor time, which other programs on the machine disturb less. Fails when a limit is surely passed, that is,
by the whole interval: 3 % with a browser that draws, 1 % without; 9 kB and 20 events a second, 300 kB of thumbnails.
`--write` keeps the lines in docs/performance.md.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
import os
import statistics
import sys
import time

from ...dev.browser import CHROMIUM, editor
from ...dev.fixtures.timing import in_pairs
from ...dev.hosts import own_host
from ...dev.places import ROOT
from ...guidance.printing import count_of
from ...sweeps.comfyui.client import Client
from ...sweeps.comfyui.process import Server
from .. import markdown
from ..command_line import parser_of
from ..markdown import PERFORMANCE

TEXT = markdown.passages(__file__)
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
    """A Pocket run with a seed of its own, and its table. pictures: of the inspector, None for a job without one."""
    first_look = json.loads((ROOT / "sweeps" / "comfyui" / "first_look.json").read_text(encoding="utf-8"))
    found = {node: copy.deepcopy(first_look[node]) for node in "1234"}
    found["3"]["inputs"]["batch_size"] = batch
    found["4"]["inputs"] |= {"seed": next(SEEDS), "steps": steps}
    written = {"trace": ["4", 2], "filename_prefix": "bench/live", "sample": -1}
    found["9"] = {"class_type": "GGMetrics", "inputs": written}
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
    """Time that all threads of a process have worked so far, by its clock (clock_getcpuclockid)."""
    return time.clock_gettime((~process << 3) | 2)


def measure_pairs(server: Server, client: Client, user: str, pairs: int) -> list[tuple]:
    """(plain, watched) of wall and processor seconds."""
    measure = lambda pictures: cost(server, client, user, graph(8, 20, pictures))  # noqa: E731
    return in_pairs(lambda: measure(None), lambda: measure(REFUSED), pairs)


def median_interval(values: list[float]) -> tuple[float, float]:
    """Order statistics that hold the median with 95 %: n/2 -+ 0.98 sqrt(n)."""
    ranked, reach = sorted(values), 0.98 * math.sqrt(len(values))
    low, high = math.floor(len(values) / 2 - reach), math.ceil(len(values) / 2 + reach)
    return ranked[max(0, low)], ranked[min(len(values) - 1, high)]


def held(least: float, most: float, limit: float) -> str:
    """What an interval says of a limit."""
    return "holds" if most <= limit else "passed" if least > limit else "undecided"


def cost_lines(words: str, found: list[tuple], limit: float) -> list[tuple[str, bool]]:
    """What watching costs, in words, and whether the limit is surely passed."""
    lines = []
    for k, name in enumerate(("wall", "processor")):
        ratios = [watched[k] / plain[k] for plain, watched in found]
        low, middle, high = statistics.quantiles(ratios, n=4)
        least, most = median_interval(ratios)
        verdict = held(least, most, limit)
        line = f"{words}, {name}: {middle:.4f} ({least:.4f} to {most:.4f}), limit {limit:.2f} {verdict}; "
        lines.append((line + f"middle half {low:.3f} to {high:.3f}", least > limit))
        print(lines[-1][0], flush=True)
    return lines


def sizes(client: Client) -> list[tuple[str, bool]]:
    """Events and thumbnails in words, and whether a limit is passed."""
    lines = []
    for batch, steps in [*((batch, 20) for batch in BATCHES), (1, 300)]:
        events = events_of(client, batch, steps)
        most, rate = max(size for _, size in events), busiest_second([at for at, _ in events])
        heard = f"{count_of(len(events), 'event')}, {most:,} bytes at most, {rate} in a second"
        line = f"batch {batch}, {steps} steps: {heard}"
        lines.append((line, most > MOST_BYTES or rate > MOST_A_SECOND))
    for pictures in (8, 20):
        total = thumbnail_bytes(client, pictures)
        lines.append((f"thumbnails of {pictures} of 20 steps, batch 8: {total:,} bytes", total > MOST_PICTURES))
    print("\n".join(line for line, _ in lines), flush=True)
    return lines


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = parser_of(__doc__, PERFORMANCE)
    parser.add_argument("--pairs", type=int, default=40)
    options = parser.parse_args()
    with own_host(options.host, cpu=True) as server:
        lines = measure_server(server, options.pairs)
    if options.write:
        opening = TEXT["OPENING"].format(cores=os.cpu_count(), pairs=options.pairs)
        markdown.put_section(PERFORMANCE, "The live panel", opening, markdown.bullets(line for line, _ in lines))
    return int(any(failed for _, failed in lines))


def measure_server(server: Server, pairs: int) -> list[tuple[str, bool]]:
    """Everything on one server."""
    with Client(server.address) as client:
        lines = sizes(client)
        lines += cost_lines("no browser", measure_pairs(server, client, NOBODY, pairs), WITHOUT)
        if CHROMIUM is None:
            print("no Chromium on the path: the cost with a browser was not measured")
            return lines
        with editor(server.address) as page:
            tab = page.evaluate(OPEN, [graph(8, 20, 0), WORKFLOW_ID])
            page.wait_for_selector(".gg-panel")
            drawn = measure_pairs(server, client, tab, pairs)
            shown = page.evaluate("document.querySelector('.gg-panel output').textContent")
        print(f"the panel shows step {shown}")
        return lines + cost_lines("browser", drawn, WITH_BROWSER)


if __name__ == "__main__":
    sys.exit(main())
