"""What the measurements share: a run of the demo model in a graph, intervals of medians, and limits."""

from __future__ import annotations

import copy
import itertools
import json
import math

from ...dev.places import ROOT

WORKFLOW_ID = "0c6b1f0e-5a55-4f4e-9d5c-00000000be2c"
SEEDS = itertools.count(1)
OPEN = """async ([api, id]) => { await app.loadApiJson(api, "live");
  const saved = (app.rootGraph ?? app.graph).serialize(); saved.id = id;
  await app.loadGraphData(saved, true, true, "live.json"); return app.api.clientId; }"""


def graph(batch: int, steps: int, pictures: int | None) -> dict:
    """A Pocket run with a seed of its own, and its table. pictures: of the inspector, None for a job without one."""
    first_look = json.loads((ROOT / "sweeps" / "comfyui" / "first_look.json").read_text(encoding="utf-8"))
    found = {node: copy.deepcopy(first_look[node]) for node in "1234"}
    found["1"]["inputs"]["denoiser_name"] = "pocket-1"
    found["3"]["inputs"]["batch_size"] = batch
    found["4"]["inputs"] |= {"seed": next(SEEDS), "steps": steps, "scheduler": "karras"}
    written = {"trace": ["4", 2], "filename_prefix": "bench/live", "sample": -1}
    found["9"] = {"class_type": "GGMetrics", "inputs": written}
    if pictures is not None:
        inputs = {"trace": ["4", 2], "vae": ["1", 1], "pictures": pictures}
        found["8"] = {"class_type": "GGInspector", "inputs": inputs}
    return found


def median_interval(values: list[float]) -> tuple[float, float]:
    """Order statistics that hold the median with 95 %: n/2 -+ 0.98 sqrt(n)."""
    ranked, reach = sorted(values), 0.98 * math.sqrt(len(values))
    low, high = math.floor(len(values) / 2 - reach), math.ceil(len(values) / 2 + reach)
    return ranked[max(0, low)], ranked[min(len(values) - 1, high)]


def held(least: float, most: float, limit: float) -> str:
    """What an interval says of a limit."""
    return "holds" if most <= limit else "passed" if least > limit else "undecided"
