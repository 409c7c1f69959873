"""What the server tells panels about runs: what it keeps, what was never there, and what is gone."""

import json
import urllib.parse
from typing import Any

import pytest

from guidance_geometry.dev.browser import page_in
from guidance_geometry.sweeps.comfyui.process import DIRECT
from guidance_geometry.tests.queue import steering
from guidance_geometry.tests.queue.prompts import fetched


def answered(client, *path) -> tuple[int, Any]:
    """Status and JSON that the server answers, None without content."""
    place = "/".join(urllib.parse.quote(part, safe="") for part in path)
    with DIRECT.open(f"{client.address}/guidance_geometry/{place}") as answer:
        body = answer.read()
        return answer.status, json.loads(body) if body else None


def inspected(client, steps, batch):
    """A job with an inspector, and the record on the inspector's output."""
    prompt = steering.graph(steps=steps)
    prompt["3"]["inputs"]["batch_size"] = batch
    job = client.run(prompt)
    return job.prompt_id, job.outputs["8"]["gg_record"][0]


def test_a_small_record_is_kept_with_its_job(client):
    job, record = inspected(client, steps=3, batch=1)
    assert "file" not in record
    assert answered(client, "runs", job, "8") == (200, record)
    assert answered(client, "runs", job, "9") == (200, None)
    assert answered(client, "runs", "no such job", "8") == (204, None)
    assert record["prompt_id"] == job, "which it can be queued again from"


def test_the_report_on_a_run_that_only_a_node_shows_can_be_made_anew_and_the_tab_lists_none(client):
    job, record = inspected(client, steps=3, batch=1)
    status, report = answered(client, "tab", "runs", record["run"], "report")
    assert (status, report["headline"]) == (200, record["report"]["headline"])
    assert fetched(client, "tab/runs", prompt_id=job)["runs"] == []
    assert answered(client, "tab", "runs", record["run"]) == (204, None)


def test_a_large_record_is_kept_in_a_file_until_that_is_deleted(client, server):
    job, record = inspected(client, steps=60, batch=8)
    name = record["file"]["filename"]
    status, whole = answered(client, "runs", job, "8")
    assert (status, whole["run"], len(whole["steps"])) == (200, record["run"], 60)
    assert answered(client, "records", name) == (200, whole)
    (server.log.parent / "temp" / "guidance_geometry" / name).unlink()
    assert answered(client, "runs", job, "8") == (204, None)
    assert answered(client, "records", name) == (204, None)


@pytest.mark.browser
def test_after_a_restart_of_the_server_the_panel_says_that_the_record_is_gone(browser, mortal):
    with page_in(browser, mortal.live.address) as page:
        page.newer, page.complaints = False, []
        page.on("console", lambda line: page.complaints.append(line) if line.type == "error" else None)
        large = steering.graph(steps=60)
        large["3"]["inputs"]["batch_size"] = 8
        steering.start(page, large)
        steering.shows_run_of(page, 60)
        page.wait_for_timeout(2000)  # the editor keeps its draft late
        page.goto("about:blank")
        steering.clean(page)
        page.goto(mortal.start().address)
        page.wait_for_selector(".gg-panel")
        steering.says(page, "The record of this run is no longer on the server. Queue again.")
        steering.clean(page)
        steering.queue(page)
        steering.shows_run_of(page, 60)
