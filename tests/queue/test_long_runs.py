"""More steps than anyone takes, through the queue of a real host with the tab's recording on."""

import re
from pathlib import Path

import pytest

from guidance_geometry.sweeps.comfyui.client import Client
from guidance_geometry.tests.queue.prompts import ASKING, fetched, latents, runs_of
from guidance_geometry.tests.queue.tab_steering import sampled

STEPS = 400
MOST_BYTES = 256 << 20  # of all runs, as docs/guidance-tab.md says
GROWTH = 400 << 20  # bytes that the host may take at once for such a run, beside the model


def memory(process):
    """Bytes that a process has now, and the most that it ever had."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("this system does not tell how much memory a process takes")
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status.read_text(encoding="utf-8"), re.MULTILINE))
    return int(found["VmRSS"]) << 10, int(found["VmHWM"]) << 10


def kept_for_the_tab(server):
    """Bytes of every file that the host keeps for the tab."""
    folder = server.log.parent / "temp" / "guidance_geometry" / "tab"
    return sum(file.stat().st_size for file in folder.iterdir())


def test_a_long_job_is_recorded_within_bounds(server):
    with Client(server.address) as client:
        client.run(sampled(steps=2), **ASKING)
        before, _ = memory(server.process)
        job = client.run(sampled(steps=STEPS), **ASKING)
        _, most = memory(server.process)
        assert latents(client, job).isfinite().all()
        (run,) = runs_of(client, job)
        assert (run["steps"], run["ended"]) == (STEPS, "")
        record = fetched(client, f"tab/runs/{run['run']}")
        client.forget()
    assert [step["i"] for step in record["steps"]] == list(range(STEPS))
    assert record["report"]["headline"]["en"]
    assert kept_for_the_tab(server) < MOST_BYTES
    assert most - before < GROWTH
