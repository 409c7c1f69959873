"""The skill for agents, followed to the letter: every request of it is sent to a real server."""

import json
import re
import runpy
import time
import urllib.error
import urllib.request
from urllib.parse import quote

import pytest

from guidance_geometry.sweeps.comfyui.process import DIRECT
from guidance_geometry.tests.queue.prompts import ROOT
from guidance_geometry.tests.report_schema import misfits

FOLDER = ROOT / "docs" / "agents"
SKILL = (FOLDER / "SKILL.md").read_text(encoding="utf-8")
REQUESTS = re.findall(r"```http\n(.*?)\n```", SKILL, re.DOTALL)
EXAMPLES = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("examples/*.json"))}
RULE = runpy.run_path(str(FOLDER / "next_value.py"))
MOST_RUNS = 3
TOLD = ("colour", "against", "suggested", "range", "sampler_class", "knob", "cfg", "plain")


class Agent:
    """Knows the skill and an address, and sees no picture."""

    def __init__(self, address):
        self.address = address

    def send(self, line, **words):
        """Status and answer of the request of the skill that begins with this line, its capitals filled in."""
        (request,) = [one for one in REQUESTS if one.splitlines()[0] == line]
        first, _, body = re.sub(r"\b[A-Z]{2,}\b", lambda word: words.get(word[0], word[0]), request).partition("\n\n")
        method, path = first.split(" ")
        headers = {"Content-Type": "application/json"}
        try:
            asked = urllib.request.Request(self.address + path, body.encode() or None, headers, method=method)
            with DIRECT.open(asked) as answer:
                status, answered = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, answered = error.code, error.read()
        return status, json.loads(answered or b"null")

    def queue(self, workflow, draws=0):
        """The id of a job that has ended well."""
        status, answer = self.send("POST /prompt", WORKFLOW=json.dumps(workflow), DRAWS=str(draws))
        assert status == 200, answer
        job = answer["prompt_id"]
        until = time.monotonic() + 60
        while job not in (history := self.send("GET /history/ID", ID=job)[1]):
            assert time.monotonic() < until, "the job did not end"
            time.sleep(0.1)
        assert history[job]["status"]["status_str"] == "success"
        return job

    def runs(self, job):
        """The ids of its runs."""
        status, answer = self.send("GET /guidance_geometry/tab/runs?prompt_id=ID", ID=job)
        assert (status, answer["unreached"]) == (200, [])
        return [one["run"] for one in answer["runs"]]

    def run(self, workflow, draws=0):
        """The one run of a job, sampled afresh where the host had it in its cache."""
        runs = self.runs(self.queue(workflow, draws))
        if not runs:
            assert self.send("POST /guidance_geometry/tab/runs")[0] == 204
            runs = self.runs(self.queue(workflow, draws))
        (run,) = runs
        return run

    def forget(self, key):
        """All that was measured of a model."""
        path = f"/guidance_geometry/measured?key={quote(key)}"
        DIRECT.open(urllib.request.Request(self.address + path, method="DELETE")).close()

    def report(self, run):
        """What its report says, as the schema has it."""
        status, report = self.send("GET /guidance_geometry/tab/runs/RUN/report", RUN=run)
        assert status == 200
        assert misfits(report) == []
        return report


@pytest.fixture
def agent(server):
    return Agent(server.address)


def job_of(example, **sampler):
    """The job of an example, with other inputs of its sampler."""
    workflow = json.loads(json.dumps(EXAMPLES[example]["prompt"]))
    workflow["4"]["inputs"] |= sampler
    return workflow


def test_an_agent_without_eyes_measures_a_model_and_goes_where_it_does_not_find_its_pictures_strange(agent, request):
    """By the skill, with the host's own sampler; it changes nothing but what the report names."""
    assert agent.send("GET /guidance_geometry/tab/runs")[0] == 200
    job = job_of("fine", cfg=14.0, seed=71, steps=7)  # of so many steps no curve comes with the pack
    job["2"]["inputs"]["label"], job["3"]["inputs"]["batch_size"] = "*", 10
    first = agent.run(job)
    report, runs = agent.report(first), []
    assert report["against"] == "nothing"
    for value in RULE["values_to_measure"](report):
        job["4"]["inputs"]["cfg"] = value
        runs.append(agent.run(job, draws=1))
    status, curves = agent.send("POST /guidance_geometry/measured", RUNS=json.dumps(runs))
    assert status == 200, curves
    request.addfinalizer(lambda: agent.forget(curves["model"]["key"]))
    report, tried = agent.report(first), []
    assert report["against"] == "measured"
    assert report["curve"]["gate"]["applies"]
    while (value := RULE["next_value"](report)) is not None and len(tried) < MOST_RUNS:
        knob = report["knob"]
        tried.append((report["cfg"], report["colour"]))
        job[knob["node"]]["inputs"][knob["input"]] = value
        report = agent.report(agent.run(job))
    assert tried[0] == (14, "above")
    assert report["colour"] == "fine"
    assert report["curve"]["measured"][0] > report["cfg"]


def test_what_the_host_has_in_its_cache_is_sampled_afresh_and_two_runs_are_compared(agent):
    whole, again, half = (agent.run(job_of("fine", cfg=cfg, seed=72)) for cfg in (4.0, 4.0, 2.0))
    assert whole != again, "the second is a run of its own"
    status, compared = agent.send("GET /guidance_geometry/tab/runs/RUN/report?half=HALF", RUN=again, HALF=half)
    assert (status, misfits(compared)) == (200, [])
    assert any(one["id"].startswith("half.") for one in compared["findings"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_the_server_answers(agent, name):
    """`python lab verdict_schema` writes them."""
    shown, found = EXAMPLES[name]["report"], agent.report(agent.run(EXAMPLES[name]["prompt"]))
    assert misfits(shown) == []
    assert {field: found[field] for field in TOLD} == {field: shown[field] for field in TOLD}
    assert [one["id"] for one in found["findings"]] == [one["id"] for one in shown["findings"]]
    assert found["headline"] == shown["headline"]
    assert found["features"] == pytest.approx(shown["features"], rel=0.01, nan_ok=True)
