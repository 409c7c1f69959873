"""One cell of a study on a server: queue its workflow, fetch its picture, its trace and its verdict."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from ..studies.cells import Cell
from ..studies.workflow import PICTURES, TRACE
from .host.client import Client, Listener

REPORT, REPORT_NODE = "gg-sweep-report", "GGReport"


def told_by(client: Client) -> Mapping[str, Mapping]:
    """What a server says of its nodes."""
    return json.loads(client.get("/object_info"))


def models_of(client: Client) -> dict[str, int]:
    """Every model file of a server with its size, by which two of one name are told apart; none on older servers."""
    try:
        folders = [folder["name"] for folder in json.loads(client.get("/experiment/models"))]
        listed = [one for folder in folders for one in json.loads(client.get(f"/experiment/models/{folder}"))]
    except (OSError, ValueError):
        return {}
    return {one["name"]: one.get("size") for one in listed}


def run_cell(client: Client, cell: Cell, reports: bool, listener: Listener | None = None) -> tuple[bytes, bytes, dict]:
    """The trace, the first picture and other facts of a cell.  reports: whether the server has GGReport.

    Raises JobError or RefusedError where the server fails.
    """
    prompt: dict[str, Any] = dict(cell.prompt)
    if reports:
        prompt[REPORT] = {"class_type": REPORT_NODE, "inputs": {"trace": cell.prompt[TRACE]["inputs"]["trace"]}}
    began = time.monotonic()
    job = client.run(prompt, listener)
    facts: dict[str, Any] = {"seconds": round(time.monotonic() - began, 3), "server": client.address}
    if reports and job.outputs.get(REPORT):
        facts["verdict"] = job.outputs[REPORT]["text"][0]
    saved = job.outputs[TRACE]["text"][0].split(":")[0]
    trace = client.file({"filename": saved, "subfolder": "traces", "type": "output"})
    return trace, client.file(job.outputs[PICTURES]["images"][0]), facts
