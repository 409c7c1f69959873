"""The share of a run that the live panel's own code takes, measured inside it: no other program disturbs that.

A 20-step Pocket run of batch 8 in this process, with an inspector that waits for it, in the processor time of the
sampler's thread. Counted is everything that the pack does for the panel: finding the inspectors, gathering steps,
writing the events as JSON as the server does on its way to the browser. Prints medians and fails above 3 % with a
browser, 1 % without.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch

from ...dev.inside import enter_host
from ...dev.places import HOST
from .sampler_overhead import samplers

WITH_BROWSER, WITHOUT = 0.03, 0.01
TAB, JOB, NODE = "tab", "job", "4"
PROMPT = {
    NODE: {"class_type": "GGGuidedSampler", "inputs": {}},
    "8": {"class_type": "GGInspector", "inputs": {"trace": [NODE, 2]}},
}


class Stopwatch:
    """Thread time spent in some functions, however they call each other."""

    def __init__(self):
        self.seconds, self.inside = 0.0, False

    def around(self, function: Callable) -> Callable:
        """The function, timed unless it was called by one that is."""

        def timed(*given, **named):
            if self.inside:
                return function(*given, **named)
            self.inside, began = True, time.thread_time()
            try:
                return function(*given, **named)
            finally:
                self.seconds += time.thread_time() - began
                self.inside = False

        return timed


def listening(tabs: dict) -> SimpleNamespace:
    """A server in the middle of a job of one tab, which writes what it sends."""
    queue = SimpleNamespace(currently_running={0: (0, JOB, PROMPT, {}, [])})
    send = lambda kind, event, tab: json.dumps({"type": kind, "data": event})  # noqa: E731
    return SimpleNamespace(prompt_queue=queue, client_id=TAB, sockets=tabs, send_sync=send)


def shares(runs: int, tabs: dict) -> list[float]:
    """Time in the live code over the time of the run, a number for each run."""
    from comfy_execution.utils import CurrentNodeContext

    from ...host import live

    watch, found = Stopwatch(), []
    for name in ("__init__", "stepped", "flush"):
        setattr(live.Live, name, watch.around(getattr(live.Live, name)))
    sys.modules["server"] = SimpleNamespace(PromptServer=SimpleNamespace(instance=listening(tabs)))  # pyright: ignore
    _, traced = samplers(20, 8, 32)
    with torch.inference_mode(), CurrentNodeContext(JOB, NODE):
        traced("pictures")
        for _ in range(runs):
            watch.seconds, began = 0.0, time.thread_time()
            traced("pictures")
            found.append(watch.seconds / (time.thread_time() - began))
    return found


def main() -> int:
    """Measure, print, and fail when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", type=Path, default=HOST)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    enter_host(options.host)
    failed = False
    for words, tabs, limit in (("with a browser", {TAB: None}, WITH_BROWSER), ("with none", {}, WITHOUT)):
        found = shares(options.runs, tabs)
        low, middle, high = (100 * share for share in statistics.quantiles(found, n=4))
        print(f"live code {words}: {middle:.3f} % of a run (middle half {low:.3f} to {high:.3f}), limit {limit:.0%}")
        failed |= middle > 100 * limit
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
