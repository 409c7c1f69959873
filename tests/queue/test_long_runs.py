"""As many steps as the host's sampler makes, 10,000, through the queue of a real host with the tab's recording on.

By default fewer, another number for every commit: `--full` runs all.
"""

import re
from pathlib import Path

import pytest

from guidance_geometry.sweeps.comfyui.client import Client
from guidance_geometry.tests.queue import steering
from guidance_geometry.tests.queue.prompts import ASKING, fetched, latents, runs_of
from guidance_geometry.tests.queue.tab_steering import (
    TAB,
    begin,
    close_below,
    load,
    offers,
    open_below,
    sampled,
    turn_to,
)
from guidance_geometry.tests.shares import share_of_steps

MOST_STEPS = 10_000
MOST_BYTES = 256 << 20  # of all runs, as docs/guidance-tab.md says
PATIENCE = 1800  # seconds
GROWTH = 400 << 20  # bytes that the host may take at once for such a run, beside the model
LIVE = f"""n => document.querySelector('{TAB} .gg-steps output')?.textContent.split('/')[1] === String(n)"""


@pytest.fixture(scope="module")
def steps(request):
    return share_of_steps(request.config, MOST_STEPS)


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


@pytest.mark.turn("long job")
def test_a_long_job_is_recorded_within_bounds(server, steps):
    with Client(server.address, PATIENCE) as client:
        client.run(sampled(steps=2), **ASKING)
        before, _ = memory(server.process)
        job = client.run(sampled(steps=steps), **ASKING)
        _, most = memory(server.process)
        assert latents(client, job).isfinite().all()
        (run,) = runs_of(client, job)
        assert (run["steps"], run["ended"]) == (steps, "")
        record = fetched(client, f"tab/runs/{run['run']}")
        client.forget()
    assert [step["i"] for step in record["steps"]] == list(range(steps))
    assert record["report"]["headline"]["en"]
    assert kept_for_the_tab(server) < MOST_BYTES
    assert most - before < GROWTH


@pytest.mark.browser
@pytest.mark.turn("long job in the panel")
def test_the_panel_follows_a_long_run_and_opens_it(editor, steps):
    load(editor, sampled())
    open_below(editor)
    begin(editor, sampled(steps=steps))
    editor.set_default_timeout(1000 * PATIENCE)
    steering.queue(editor)
    editor.set_default_timeout(12000)
    offers(editor, [r"^Mine \(4\) . \d\d:\d\d$"], timeout=1000 * PATIENCE)
    turn_to(editor, "geometry")
    editor.wait_for_function(LIVE, arg=steps, timeout=60000)
    editor.locator(f"{TAB} .gg-verdict").wait_for(state="visible", timeout=60000)
    editor.wait_for_function(steering.DRAWN.replace(".gg-panel", TAB), timeout=60000)
    close_below(editor)
    steering.clean(editor)
