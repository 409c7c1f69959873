"""The inspector's node and the live messages, in the host's process, with a server that only writes down."""

import json
import math
import sys
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import folder_paths
import numpy
import numpy as np
import pytest
import torch
from PIL import Image

import nodes  # noqa: F401 - the host has loaded it before any job
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.host.editor import live
from guidance_geometry.host.editor.live import EVENT, SHARE, Job, Live
from guidance_geometry.host.editor.panel_record import IN_MESSAGE, record_with_parts, thin_record
from guidance_geometry.host.editor.thumbnails import KINDS, MIXED_BYTES, SIDE, _smaller, mixable, thumbnails
from guidance_geometry.nodes.inspector import GGInspector
from guidance_geometry.nodes.trace_part import GGTracePart
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.tests.two_parts import two_parts
from guidance_geometry.trace.accumulator import Accumulator, Capture
from guidance_geometry.trace.record import size_of
from guidance_geometry.trace.recorder import Evaluation, Recorded
from guidance_geometry.trace.rows import Setting

from .conftest import WORKFLOW
from .runs import guided
from .shown import ui_of

PROMPT = {
    "4": {"class_type": "GGGuidedSampler", "inputs": {"model": ["1", 0]}},
    "5": {"class_type": "GGSaveTrace", "inputs": {"trace": ["4", 2], "filename_prefix": "t"}},
    "6": {"class_type": "GGInspector", "inputs": {"trace": ["5", 0]}},
    "9": {"class_type": "GGGuidedSampler", "inputs": {"latent_image": ["4", 0]}},
    "10": {"class_type": "GGInspector", "inputs": {"trace": ["9", 2]}},
}


@pytest.fixture
def sent(job):
    """Messages to the browser while node 4 of a job runs that nobody records."""
    job.prompt |= PROMPT
    del job.extra["guidance_geometry"]
    return job.messages


def sampled(labelled, empty_latent):
    return guided(*labelled["ve"], empty_latent("ve"), "euler", capture="numbers")


def inspected(trace, **given):
    class Prepared(GGInspector):
        hidden: Any = SimpleNamespace(unique_id="6", prompt=PROMPT, extra_pnginfo={"workflow": {"id": WORKFLOW}})

    node = Prepared.execute(trace, **given)
    assert node[0] is trace
    return ui_of(node)["gg_record"][0]


def test_a_run_sends_each_step_once_and_ends_with_the_same_record(sent, labelled, empty_latent, monkeypatch):
    monkeypatch.setattr(live, "MOST_EVENTS", math.inf)
    monkeypatch.setattr(live, "MOST_BYTES", 10**6)  # so fast a run gathers more steps than an event has room for
    trace = sampled(labelled, empty_latent)[2]
    kinds, events, tabs = zip(*sent, strict=True)
    assert set(kinds) == {"guidance_geometry.step"}
    assert set(tabs) == {"tab"}
    assert {(e["prompt_id"], e["workflow_id"], e["run"]) for e in events} == {("job", WORKFLOW, trace.header["run"])}
    assert {tuple(e["targets"]) for e in events} == {("6",)}
    steps = [step for event in events for step in event["steps"]]
    assert [step["i"] for step in steps] == list(range(6))
    final = inspected(trace, pictures=0)["steps"]
    for early, late in zip(steps, final, strict=True):
        assert early["kappa"] == pytest.approx(late["kappa"], rel=1e-5)
        assert [s["K"] for s in early["samples"]] == [s["K"] for s in late["samples"]]


@pytest.mark.parametrize(("batch", "steps", "rule"), [(1, 60, "zeros"), (24, 60, "digits"), (200, 6, "digits")])
def test_no_message_exceeds_9_kilobytes(host, batch, steps, rule):
    sent = []
    accumulator = Accumulator(Setting(), Capture("numbers"))
    now = iter(range(10**6))
    job = Job(sent.append, "job-" + "0" * 32, WORKFLOW, ["6", "12:7", "8"])
    live = Live({"": accumulator}, "0123456789ab", steps, 0.5, job, lambda: next(now))
    x = torch.randn(batch, 3, 4, 4, generator=torch.Generator().manual_seed(batch))
    for i in range(steps):
        u, c = (x, 2 * x) if rule == "zeros" else (0.123456 * x, 0.1 * x + 0.01)
        denoised, noise = (c, None) if rule == "zeros" else (0.987654 * c + 1e-3, 1e-4 * x.roll(1))
        seen = Evaluation(denoised, u, c, 1.0, nfe=2)
        accumulator.enter(Recorded(i, x, 2.0, 1.0, seen, 0.1 * (denoised - x), noise, nfe=2))
        if i % 9 == 0:
            live.add_row(48)
    live.flush()
    assert max(len(json.dumps({"type": EVENT, "data": event})) for event in sent) <= 9000
    assert all(event["steps"] for event in sent)
    assert all(step["samples"] for event in sent for step in event["steps"])


@pytest.mark.parametrize(("parts", "cost"), [(("",), 0.025), (("video", "audio"), 0.001)])
def test_at_most_5_messages_a_second_and_a_small_share_of_the_run(host, parts, cost):
    now, times = [0.0], []

    def send(_):
        times.append(now[0])
        now[0] += cost

    named = {name: Accumulator(Setting(), Capture("numbers")) for name in parts}
    live = Live(named, "run", 500, None, Job(send, "job", None, ["6"]), lambda: now[0])
    x = torch.ones(1, 4)
    for i in range(500):
        for accumulator in named.values():
            accumulator.enter(Recorded(i, x, 2.0, 1.0, Evaluation(x, x, 2 * x, 2.0, 2), x, None, nfe=2))
        live.add_row(*(4 for _ in parts))
        now[0] += 0.02
    live.flush()
    assert live.steps_sent == 500
    assert max(sum(start <= t < start + 1 for t in times) for start in times) <= 5
    assert len(times) >= 3
    assert cost * len(times) <= 1.5 * SHARE * now[0]


def test_without_an_editor_nothing_is_sent_and_nothing_changes(host, labelled, empty_latent, sent):
    watched = sampled(labelled, empty_latent)[0]["samples"]
    assert sent
    sys.modules["server"].PromptServer.instance.sockets.clear()
    sent.clear()
    assert torch.equal(sampled(labelled, empty_latent)[0]["samples"], watched)
    assert not sent


def test_pictures_of_the_inspector_keep_their_proportions():
    shape, size = (152, 104), [66, 96]
    trace = exact_trace(4.0, batch=1, steps=2)
    across = torch.linspace(-1, 1, shape[1]).expand(3, *shape)
    tensors = {name: across.expand(*tensor.shape[:-3], *across.shape) for name, tensor in trace.tensors.items()}
    sheets = thumbnails(replace(trace, tensors=tensors), Pictures(), 2)
    assert sheets.size == size
    guided, where = (KINDS.index(kind) * size[0] for kind in ("guided", "where"))
    for data in sheets.files.values():
        page = numpy.asarray(Image.open(BytesIO(data)), int)
        assert page.shape == (size[1], len(KINDS) * size[0], 3)
        heat = page[:, where + 8 : where + size[0]]  # a JPEG blurs what is next to it
        assert (numpy.ptp(heat, axis=(0, 1)) < 12).all(), "no difference anywhere: one colour, and no bars"
        left, right = (page[size[1] // 2, guided + at, 0] for at in (1, size[0] - 2))
        assert left < 60 < 200 < right, "the whole picture, from edge to edge"


def test_a_part_of_a_trace_goes_to_any_node(host):
    part, name = GGTracePart.execute(two_parts(), 1).args
    assert (name, part.latent_shape, part.header["cfg"]) == ("audio", (4, 5, 7), 7.0)
    for trace, number in ((two_parts(), 2), (exact_trace(4.0, batch=2, steps=2), 1)):
        with pytest.raises(ValueError, match="part"):
            GGTracePart.execute(trace, number)


def test_the_panel_is_given_every_part_and_pictures_where_there_are_some(host, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    record = record_with_parts(two_parts(), None, 8)
    assert (record["part"], list(record["parts"])) == ("video", ["audio"])
    sound = record["parts"]["audio"]
    assert (sound["part"], len(sound["steps"]), sound["latent"]["shape"]) == ("audio", 3, [4, 5, 7])
    assert [step["gamma"] for step in record["steps"] + sound["steps"]] == [3.0] * 3 + [7.0] * 3
    assert len(record["pictures"]["steps"]) == 3
    assert sound["pictures"] == {"note": "This part (audio) has no pictures."}
    assert "parts" not in record_with_parts(replace(two_parts(), parts={}), None, 0)
    assert size_of(thin_record(record, "no room")) < IN_MESSAGE
    assert "parts" not in thin_record(record, "no room")


PICTURES = {"steps": [{"i": 2}, {"i": 7}], "samples": [0, 2]}


def kept(trace, pictures=PICTURES):
    """The layout, and the content of each file as colours [u and c, samples, h, w, 3]."""
    files = []
    found = mixable(trace, pictures, lambda data, ending: files.append(data) or {"filename": f"{len(files)}{ending}"})
    w, h = found["mix"]["size"]
    shape = (2, len(pictures["samples"]), h, w, 3)
    levels = (np.frombuffer(data, "<i2").reshape(shape).astype(np.float64) for data in files)
    return found["mix"], [step["scale"] * one for step, one in zip(found["mix"]["steps"], levels, strict=True)]


@pytest.mark.parametrize("gamma", [0.0, 16.0])
def test_a_mix_is_the_picture_of_the_prediction_at_that_scale(host, gamma):
    trace = exact_trace(4.0, batch=3, steps=10)
    mix, colours = kept(trace)
    assert [step["i"] for step in mix["steps"]] == [2, 7]
    for step, (u, c) in zip((2, 7), colours, strict=True):
        tensors = [trace.require_tensor(name, step)[[0, 2]].double() for name in ("uncond", "cond")]
        expected = 0.5 + 0.5 * (tensors[0] + gamma * (tensors[1] - tensors[0])).movedim(1, -1)
        found = torch.from_numpy(u + gamma * (c - u))
        assert found.shape == expected.shape
        assert (found - expected).abs().max() < 1 / 255


def test_large_pictures_are_made_smaller_and_so_are_many(host):
    one = torch.rand(2, 300, 150, 3)
    assert _smaller(one, 8).shape == (2, SIDE, SIDE // 2, 3)
    many = _smaller(one.repeat(8, 1, 1, 1), 64)
    assert 0.9 * MIXED_BYTES < 64 * 2 * many.numel() <= MIXED_BYTES
    halves = _smaller(torch.cat([torch.zeros(1, 200, 100, 3), torch.ones(1, 200, 100, 3)]), 8)
    assert [float(part.mean()) for part in halves] == [0.0, 1.0]
