"""What an earlier state of the pack made opens, and its workflows give what they gave: pixels, numbers, verdicts.

tests/fixtures/released holds its prompts, and of each the picture and the trace of every sampler; its templates, a
card, picks, a sweep, and a classifier that it trained. `python lab released COMMIT` has a commit's own code make them.
"""

import json
import shutil
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from guidance_geometry.dev.browser import page_in
from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.registry import draw_still
from guidance_geometry.figures.table import as_text
from guidance_geometry.tests.queue.prompts import picture
from guidance_geometry.tests.queue.steering import SETTLE
from guidance_geometry.trace.checks import check
from guidance_geometry.trace.file import load
from guidance_geometry.trace.record import run_record
from guidance_geometry.verdict.card import read_card
from guidance_geometry.verdict.known import Known
from guidance_geometry.verdict.picks import read_picks
from guidance_geometry.verdict.report import report_of

FOLDER = Path(__file__).parents[1] / "fixtures" / "released"
TRAINED = FOLDER / "trained_00001_.safetensors"
TRACES = sorted(file for file in FOLDER.glob("*.safetensors") if file != TRAINED)
PROMPTS = sorted(file for file in FOLDER.glob("*.json") if file.stem not in ("card", "picks"))
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.json"))
QUEUED = """async workflow => { await app.loadGraphData(workflow, true, true, "earlier.json");
  return (await app.graphToPrompt()).output; }"""
SAME_PIXEL = 3  # levels of 255, which another build of PyTorch may be off


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_its_traces_open_everywhere(path):
    trace = load(path)
    assert trace.n >= 4
    assert check(trace) == []
    assert as_text(trace, 0)
    assert len(json.dumps(run_record(trace), allow_nan=False)) > 1000
    assert report_of(trace, Known(card=read_card(FOLDER / "card.json"))).text()
    assert draw_still(Order(trace, sample=0, pictures=Pictures()), "step plane").caption


def test_its_card_and_picks_say_what_they_said():
    card, claims = read_card(FOLDER / "card.json"), json.loads((FOLDER / "card.json").read_text())
    assert card.name == claims["model"]["name"]
    picks = read_picks(FOLDER / "picks.json")
    assert [(pick.cfg, pick.good, pick.by) for pick in picks.picks] == [
        (2.5, True, None), (9.0, False, None), (3.0, True, "judge")
    ]  # fmt: skip
    assert picks.as_json() == json.loads((FOLDER / "picks.json").read_text())


@pytest.mark.parametrize("path", PROMPTS, ids=lambda path: path.stem)
def test_its_workflows_give_the_same(client, server, path, tmp_path):
    folder = server.log.parent / "models" / "classifiers"
    folder.mkdir(exist_ok=True)
    shutil.copy(TRAINED, folder)
    graph = json.loads(path.read_text())
    job = client.run(graph)
    for node, told in graph.items():
        name = f"{path.stem}-{node.partition('-')[2]}_00001_"
        if told["class_type"] == "SaveImage":
            here = picture(client, job.outputs[node]["images"][0]).astype(int)
            there = numpy.asarray(Image.open(FOLDER / f"{name}.png").convert("RGB")).astype(int)
            assert (abs(here - there) <= SAME_PIXEL).mean() > 0.995
        if told["class_type"] == "GGSaveTrace":
            saved = job.outputs[node]["text"][0].partition(": ")[0]
            entry = {"filename": saved, "subfolder": "traces", "type": "output"}
            (tmp_path / f"{name}.safetensors").write_bytes(client.file(entry))
            same_numbers(load(tmp_path / f"{name}.safetensors"), load(FOLDER / f"{name}.safetensors"))


@pytest.fixture(scope="module")
def opened(server, browser):
    with page_in(browser, server.address) as page:
        page.evaluate(SETTLE)
        yield page


@pytest.mark.browser
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_its_templates_queue_in_the_editor_what_they_queued(opened, path):
    kept = json.loads(path.read_text(encoding="utf-8"))
    queued = opened.evaluate(QUEUED, kept["workflow"])
    assert queued.keys() == kept["prompt"].keys()
    for node, facts in kept["prompt"].items():
        there = queued[node]["inputs"].items()
        assert queued[node]["class_type"] == facts["class_type"]
        assert {key: value for key, value in there if key in facts["inputs"]} == facts["inputs"], node


def same_numbers(here, there):
    assert here.stage == there.stage
    assert here.header["chain"] == there.header["chain"]
    assert here.header["evaluations"] == there.header["evaluations"]
    for name in there.record.vectors:
        mine, theirs = (trace.record.square({name: 1.0}).sqrt() for trace in (here, there))
        known = theirs.isfinite()
        assert torch.allclose(mine[known], theirs[known], rtol=1e-3, atol=1e-4), name
