"""The node that writes a run as one page, in the host's process."""

import json
import re
from dataclasses import replace
from pathlib import Path

from comfy.cli_args import args

from guidance_geometry.host import page_file
from guidance_geometry.nodes.export_html import GGExportHTML as node
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.record import run_record

from .shown import PROMPT, WORKFLOW, in_a_workflow, ui_of


def written(trace, prefix="page", **more):
    """Run the node; returns the file, what the node says, and the data in the page by name."""
    out = in_a_workflow(node).execute(trace, prefix, **more)
    (said,) = ui_of(out)["text"]
    (file,) = ui_of(out)["gg_files"]
    assert said.startswith(file["filename"]), "the name in the words becomes a link"
    return out[0], said, data_of(out[0])


def data_of(path):
    text = Path(path).read_text(encoding="utf-8")
    parts = re.findall(r'<script type="application/json" id="gg-(\w+)">(.*?)</script>', text, re.DOTALL)
    return {name: json.loads(value) for name, value in parts}


def test_the_page_holds_the_record_and_its_pictures(output):
    trace = exact_trace(4.0, batch=2, steps=6)
    path, said, data = written(trace)
    assert path == str(output / "page_00001_.html")
    assert re.fullmatch(r"page_00001_\.html: \d+ kB, 6 of 6 steps, pictures of 6\. Open it in a browser\.", said)
    numbers = run_record(trace)
    assert {name: data["record"][name] for name in numbers} == numbers
    assert {sheet["filename"] for sheet in data["record"]["pictures"]["steps"]} == set(data["sheets"])
    assert all(address.startswith("data:image/jpeg;base64,") for address in data["sheets"].values())


def test_the_workflow_can_be_recovered_unless_the_user_wants_none(output, monkeypatch):
    trace = exact_trace(4.0, batch=1, steps=2, capture=False)
    assert written(trace)[2]["sources"] == {"workflow": WORKFLOW, "prompt": PROMPT}
    own = replace(trace, header={**trace.header, "workflow": {"id": "of the run"}})
    assert written(own)[2]["sources"] == {"workflow": {"id": "of the run"}}
    monkeypatch.setattr(args, "disable_metadata", True)
    assert written(own)[2]["sources"] == {}


def test_steps_beyond_the_budget_are_left_out_and_named(output, monkeypatch):
    monkeypatch.setattr(page_file, "RECORD_BYTES", 6000)
    _, said, data = written(exact_trace(4.0, batch=1, steps=20, capture=False))
    kept = len(data["record"]["steps"])
    assert 2 <= kept < 20
    assert f"{kept} of 20 steps" in said
    assert any("left out" in note for note in data["record"]["notes"])
