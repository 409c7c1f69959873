"""What is asked of a server, and heard of its jobs."""

import http.server
import json
import threading
from functools import partial

import pytest
from aiohttp import web

from guidance_geometry.dev.fixtures.hostile_answers import send
from guidance_geometry.sweeps.cells import Cell, cells_of
from guidance_geometry.sweeps.comfyui import client
from guidance_geometry.sweeps.comfyui.cell import SHOWS_ANY, refuse_deaf_judges
from guidance_geometry.sweeps.comfyui.client import Client, RefusedError
from guidance_geometry.sweeps.judges import JUDGE
from guidance_geometry.sweeps.rules import NOTHING

from .stubbed import plan_of_seeds, rows_in

PROMPT = cells_of(plan_of_seeds([0]), NOTHING, {}, "1")[0].prompt


@pytest.fixture
def one(served, stub):
    """A client."""
    with Client(served[1], 20.0) as found:
        yield found


def progress(number):
    return json.dumps({"type": "progress", "data": {"value": number, "of": "x" * 100}})


def keeping(bodies, answer):
    """The JSON that is sent to an address is kept, and gets this answer."""

    async def keep(request, honest):
        bodies.append(await request.json())
        return web.json_response(answer)

    return keep


def test_a_job_that_was_accepted_in_part_is_taken_back(one, stub):
    told, half = [], {"prompt_id": "half", "node_errors": {"4": {"errors": ["no such sampler"]}}}
    stub.spoilt["/prompt"], stub.spoilt["/queue"] = keeping([], half), keeping(told, {})
    with pytest.raises(RefusedError, match="no such sampler"):
        one.submit(PROMPT)
    assert (told, one.job_ids) == ([{"delete": ["half"]}], [])


def test_a_listener_sees_every_message_and_the_previews(one, stub):
    heard = []
    stub.words = lambda message: [progress(1), b"\0\0\0\1\0\0\0\1a picture", json.dumps(message)]
    job = one.run(PROMPT, lambda kind, data: heard.append((kind, data)))
    assert [kind for kind, _ in heard] == ["progress", "preview", "execution_success"]
    assert heard[1][1] == {"bytes": b"a picture"}
    assert job.events == heard


def test_of_a_job_that_says_too_much_the_first_messages_are_kept_and_its_end_is_seen(one, stub, monkeypatch):
    monkeypatch.setattr(client, "MOST_HEARD", 1000)
    heard = []
    stub.words = lambda message: [*map(progress, range(50)), json.dumps(message)]
    job = one.run(PROMPT, lambda kind, data: heard.append(kind))
    assert (len(heard), 1 < len(job.events) < 10, job.ending) == (51, True, "execution_success")
    assert job.events[0][1]["value"] == 0


def test_the_report_of_a_server_that_has_one_is_kept_with_its_cell(swept, stub, tmp_path, monkeypatch):
    """Of a cell without a judge, the report is asked for beside what the workflow makes."""
    report = {"display_name": "Report", "category": "", "input": {"required": {"trace": ["GG_TRACE", {}]}}}
    monkeypatch.setattr(stub, "node_types", stub.node_types | {"GGReport": report})
    prompts = []

    async def keep(request, honest):
        prompts.append((await request.json())["prompt"])
        return await honest(request)

    async def with_report(request, honest):
        entries = json.loads((await honest(request)).body)
        for entry in entries.values():
            entry["outputs"]["gg-sweep-report"] = {"text": ["Too strong."]}
        return web.json_response(entries)

    stub.spoilt["/prompt"], stub.spoilt["/history/{job}"] = keep, with_report
    code, words = swept("--cfg", "1")
    assert (code, [row["verdict"] for row in rows_in(tmp_path / "out")]) == (0, ["Too strong."]), words
    (prompt,) = prompts
    assert prompt["gg-sweep-report"] == {
        "class_type": "GGReport",
        "inputs": {"trace": prompt["gg-sweep-trace"]["inputs"]["trace"]},
    }


def judged(number, **nodes):
    """A cell whose judge is the node "energy"."""
    report = {"class_type": "GGReport", "inputs": {"trace": ["4", 2], "energy": ["energy", 0]}}
    return Cell(str(number), {"cfg": number}, {**PROMPT, JUDGE: report, **nodes})


def energy(label, **more):
    return {"class_type": "GGLabelEnergy", "inputs": {"classifier": ["classifier", 0], "label": label, **more}}


CLASSIFIER = {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": "a"}}


@pytest.fixture
def asked(stub):
    """The workflows that a server was asked for, all of which end well."""
    prompts = []

    async def end_well(request, honest):
        body = await request.json()
        prompts.append(body["prompt"])
        stub.jobs["1"] = {"outputs": {}}
        await stub.sockets[body["client_id"]].send_json({"type": "execution_success", "data": {"prompt_id": "1"}})
        return web.json_response({"prompt_id": "1", "node_errors": {}})

    stub.spoilt["/prompt"] = end_well
    return prompts


def test_every_judge_is_made_once_and_no_picture(one, asked):
    cells = [judged(n, energy=energy(label), classifier=CLASSIFIER) for n, label in enumerate("aab")]
    refuse_deaf_judges(one, cells, {SHOWS_ANY: None})
    (prompt,) = asked
    kinds = sorted(node["class_type"] for node in prompt.values())
    assert kinds == sorted([SHOWS_ANY, "GGLabelEnergy", "GGLoadClassifier"] * 2)
    shown = [node["inputs"]["source"][0] for node in prompt.values() if node["class_type"] == SHOWS_ANY]
    assert {prompt[name]["inputs"]["label"] for name in shown} == {"a", "b"}
    for name in shown:
        assert prompt[prompt[name]["inputs"]["classifier"][0]]["class_type"] == "GGLoadClassifier"


def test_a_judge_that_cannot_be_asked_is_said_before_any_picture(one, stub):
    stub.spoilt["/prompt"] = partial(send, '{"error": "\'robot\' is not one of its labels"}', "application/json", 400)
    with pytest.raises(ValueError, match=r"The judge cannot be asked: .*'robot'.* Change it, or add --judge none\."):
        refuse_deaf_judges(one, [judged(1, energy=energy("robot"), classifier=CLASSIFIER)], {SHOWS_ANY: None})


def test_a_server_sends_nobody_to_another_one(served, stub, swept):
    asked = []

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)

        do_POST = do_GET

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{other.server_port}"

        async def leave(request, honest):
            raise web.HTTPTemporaryRedirect(address + request.path_qs)

        stub.spoilt["/prompt"] = leave
        code, words = swept("--cfg", "1")
        other.shutdown()
    assert (asked, code > 0, f"sends to {address}" in words) == ([], True, True)
