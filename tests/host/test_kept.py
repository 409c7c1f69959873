"""What panels are answered, without a server."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from aiohttp import web

from guidance_geometry.host import routes
from guidance_geometry.host.adapter import labels_of

from .runs import guided


@pytest.fixture
def kept(host, tmp_path, monkeypatch):
    monkeypatch.setattr(routes, "temporary_folder", lambda subfolder: tmp_path)
    return routes


def queue_with(outputs):
    entry = {"prompt": (0, "job", {}, {}, []), "outputs": outputs}
    return SimpleNamespace(get_history=lambda map_function, prompt_id=None: {"job": map_function(entry)})


FILE = {"filename": ["large.json"]}
SHOWN = {  # what node 8 left -> the answer
    "a list of traces": ({"gg_record": [{"run": "a"}, {"run": "b"}]}, {"run": "a"}),
    "no record": ({"gg_record": []}, None),
    "another node's": ({}, None),
    "a list": ([1], None),
    "no list of records": ({"gg_record": {"run": "a"}}, None),
    "a number": ({"gg_record": 5}, None),
    "a number in a list": ({"gg_record": [float("nan")]}, None),
    "no file": ({"gg_record": [{"file": None}]}, 204),
    "no name of a file": ({"gg_record": [{"file": FILE}]}, 204),
    "no number": ({"gg_record": [{"rms": float("nan")}]}, 204),
    "no JSON": ({"gg_record": [{"rms": {1, 2}}]}, 204),
}


@pytest.mark.parametrize(("shown", "answer"), SHOWN.values(), ids=SHOWN)
def test_a_panel_gets_one_record_or_nothing_whatever_its_node_showed(kept, shown, answer):
    response = kept.run_of(queue_with({"8": shown}), "default", "job", "8")
    assert response.status == (204 if answer == 204 else 200)
    assert answer == 204 or json.loads(response.body) == answer
    assert not kept.was_shown(queue_with({"8": shown}), "default", "small.json")


@pytest.mark.parametrize("outputs", [{}, None])
def test_a_job_without_that_node_has_no_record(kept, outputs):
    assert json.loads(kept.run_of(queue_with(outputs), "default", "job", "8").body) is None
    assert not kept.was_shown(queue_with(outputs), "default", "small.json")


def test_a_large_record_is_sent_from_its_file_and_not_read_in_the_event_loop(kept, tmp_path, monkeypatch):
    (tmp_path / "large.json").write_text("{}")
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("read in the event loop"))
    outputs = {"8": {"gg_record": [{"file": {"filename": "large.json"}}]}}
    assert kept.was_shown(queue_with(outputs), "default", "large.json")
    for response in (kept.run_of(queue_with(outputs), "default", "job", "8"), kept.record_named("large.json")):
        assert isinstance(response, web.FileResponse)
        assert response.headers["Cache-Control"] == "no-store"
    assert kept.record_named("gone.json").status == 204


def test_labels_of_another_model_are_said_and_stop_nothing(labelled):
    model, _, negative = labelled["ve"]
    positive = [[None, {"class_label": torch.tensor([99])}]]
    assert guided(model, positive, negative, {"samples": torch.zeros(1, 3, 8, 8)}, "euler", denoise=0.0)[2].n == 0

    def labels(values, batch=3):
        asked = [{"class_label": torch.tensor(values)}]
        return labels_of(SimpleNamespace(model_patcher=labelled["ve"][0], original_conds={"positive": asked}), batch)

    assert labels([0, 3]) == ["class 0", "unconditional", "class 0"]
    assert labels([7, -1]) == ["7, a label of another model", "-1, a label of another model", *(labels([7], 1) or ())]
    assert labels([]) is None
