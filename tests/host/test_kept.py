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


@pytest.mark.parametrize(
    ("outputs", "answer"),
    [
        ({"8": {"gg_record": [{"run": "a"}, {"run": "b"}]}}, {"run": "a"}),
        ({"8": {"gg_record": []}}, None),
        ({"8": {}}, None),
        ({}, None),
    ],
    ids=["a list of traces", "none", "another node's", "no node"],
)
def test_a_panel_gets_one_record_whatever_its_node_showed(kept, outputs, answer):
    response = kept.run_of(queue_with(outputs), "default", "job", "8")
    assert (response.status, json.loads(response.body)) == (200, answer)


@pytest.mark.parametrize(
    ("outputs", "status"),
    [
        ({"8": {"gg_record": [{"file": None}]}}, 204),
        ({"8": {"gg_record": [{"file": {"filename": ["large.json"]}}]}}, 204),
        ({"8": {"gg_record": [{"rms": float("nan")}]}}, 204),
        ({"8": {"gg_record": [{"rms": {1, 2}}]}}, 204),
        ({"8": {"gg_record": [float("nan")]}}, 200),
        ({"8": {"gg_record": 5}}, 200),
        ({"8": {"gg_record": {"run": "a"}}}, 200),
        ({"8": [1]}, 200),
        (None, 200),
    ],
    ids=str,
)
def test_what_other_nodes_left_in_a_history_is_no_fault(kept, outputs, status):
    response = kept.run_of(queue_with(outputs), "default", "job", "8")
    assert response.status == status
    assert status == 204 or json.loads(response.body) is None
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
    def labels(values, batch=3):
        asked = [{"class_label": torch.tensor(values)}]
        return labels_of(SimpleNamespace(model_patcher=labelled["ve"][0], original_conds={"positive": asked}), batch)

    assert labels([0, 3]) == ["class 0", "unconditional", "class 0"]
    assert labels([7, -1]) == ["7, a label of another model", "-1, a label of another model", *(labels([7], 1) or ())]
    assert labels([]) is None


def test_a_run_of_no_steps_with_labels_of_another_model_is_no_fault(labelled):
    model, _, negative = labelled["ve"]

    positive = [[None, {"class_label": torch.tensor([99])}]]
    latent = {"samples": torch.zeros(1, 3, 8, 8)}
    assert guided(model, positive, negative, latent, "euler", denoise=0.0)[2].n == 0
