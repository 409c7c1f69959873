"""Whatever is queued, and whatever the files say that it reads, ends in a result or a clear error.

Of two browsers too, in any order: the queue goes on, answers, and what is valid comes out as it does alone.
"""

import copy
import json
import time
from contextlib import ExitStack
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from safetensors.torch import load_file

from guidance_geometry.sweeps.comfyui.client import Client
from guidance_geometry.tests.claimed_files import FIRST_LOOK, SOME_PICKS

from .budget import EXAMPLES, OUTCOMES, budget
from .files import CANARY, claims, remove, spoiled_file, write_file
from .prompts import PLACES, prompts, readers
from .readings import TABLES
from .values import texts
from .verdicts import OK, SLOW
from .watched import FATAL, HANGING, MOST_BYTES, TRIVIAL, Watched

pytestmark = pytest.mark.slow
KILLS = 200 if EXAMPLES else 1  # of a host, in all: a start takes long
ROUTES = ("runs/{}/{}", "records/{}", "tab/runs?workflow_id={}&prompt_id={}&key={}", "tab/runs/{}",
          "tab/runs/{}/report?half={}&shown={}", "picks?key={}&sampler_class={}&knob={}")  # fmt: skip
VALID = copy.deepcopy({node: FIRST_LOOK[node] for node in "1234"})
VALID["3"]["inputs"]["batch_size"] = 2
VALID["4"]["inputs"] |= {"steps": 4, "capture": "numbers"}
VALID["9"] = {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "latents/valid"}}
browsers, kinds = st.integers(0, 1), st.sampled_from(sorted(PLACES))


def try_prompt(host, kind, graph):
    """Queue a prompt; fail where that is a fault."""
    verdict = host.run(graph)
    OUTCOMES[kind][verdict.kind] += 1
    assert not verdict.is_fault, verdict
    return verdict


@given(data=st.data())
@budget(60)
def test_any_prompt_ends(watched, data):
    try_prompt(watched, "prompts", data.draw(prompts(watched.graphs, watched.catalogue)))


@given(data=st.data())
@budget(15)
def test_any_file_that_a_node_reads_is_used_or_refused(watched, data):
    kind = data.draw(st.sampled_from(sorted(PLACES)))
    source = data.draw(st.sampled_from(sorted((watched.place / "sources" / kind).iterdir())))
    name = f"spoiled{source.suffix}"
    path = watched.place / PLACES[kind][0] / name
    write_file(path, data.draw(spoiled_file(source, TABLES)), source)
    try:
        try_prompt(watched, f"{kind} in a graph", data.draw(readers(watched.catalogue, kind, name, source)))
        assert not (path.parent / CANARY).exists(), "code was run"
    finally:
        remove(path)


class Queue(RuleBasedStateMachine):
    """jobs: prompt id -> its graph, and whether it is valid; those that have not been judged. names: to ask for"""

    host: Watched
    reference: bytes
    kills = 0

    @initialize()
    def open_browsers(self):
        """Two of them, each with a socket."""
        self.jobs, self.names = {}, ["1", "ab", "ode"]
        self.browsers, self.stack = [], ExitStack()
        self.reconnect()

    def reconnect(self):
        """Connect both browsers to the host that lives now."""
        self.stack.close()
        self.browsers = [self.stack.enter_context(Client(self.host.live.address)) for _ in range(2)]
        self.printed, self.memory = self.host.live.log.stat().st_size, self.host.bytes()

    def queue(self, graph, browser, recorded, valid=False):
        """Queue a graph for a browser."""
        body = {
            "prompt": graph,
            "client_id": self.browsers[browser].id,
            "extra_data": {"guidance_geometry": {"record": recorded}},
        }
        status, content = self.host.ask("/prompt", body)
        assert status in (200, 400)
        if status == 200:
            self.jobs[json.loads(content)["prompt_id"]] = graph, valid

    @rule(browser=browsers, recorded=st.booleans())
    def queue_a_valid_job(self, browser, recorded):
        """One whose result is known."""
        self.queue(VALID, browser, recorded, valid=True)

    @rule(browser=browsers, recorded=st.booleans(), data=st.data())
    def queue_anything(self, browser, recorded, data):
        """A hostile prompt."""
        self.queue(data.draw(prompts(self.host.graphs, self.host.catalogue)), browser, recorded)

    @rule(browser=browsers, kind=kinds, data=st.data())
    def queue_a_reader(self, browser, kind, data):
        """A job that reads a file which changes."""
        source = self.source(data.draw, kind)
        self.queue(data.draw(readers(self.host.catalogue, kind, f"changing{source.suffix}", source)), browser, True)

    def source(self, draw, kind):
        """A sound file."""
        return draw(st.sampled_from(sorted((self.host.place / "sources" / kind).iterdir())))

    @rule(kind=kinds, data=st.data())
    def change_a_file(self, kind, data):
        """It is something else from now on, or gone."""
        source = self.source(data.draw, kind)
        path = self.host.place / PLACES[kind][0] / f"changing{source.suffix}"
        if data.draw(st.integers(0, 3)) == 3:
            remove(path)
        else:
            write_file(path, data.draw(spoiled_file(source, TABLES)), source)

    @rule(after=st.floats(0, 0.3))
    def interrupt(self, after):
        """Stop what runs after a while."""
        time.sleep(after)
        self.host.ask("/interrupt", {})

    @rule()
    def forget(self):
        """What comes next is computed anew."""
        self.host.ask("/free", {"unload_models": True, "free_memory": True})

    @rule()
    def cancel_all(self):
        """Empty the queue, but for what runs."""
        self.host.ask("/queue", {"clear": True})

    @rule(path=st.sampled_from(ROUTES), data=st.data())
    def ask(self, path, data):
        """An address of the pack by every method, for what is there and what is not."""
        names = [*self.names, *self.jobs]  # as many as time has let: so none is drawn itself, but its place
        known = st.integers(0, 50).map(lambda place: names[place % len(names)])
        part = (known | texts).map(lambda text: quote(text, "", errors="surrogatepass"))
        address = path.format(*(data.draw(part) for _ in range(path.count("{}"))))
        body = data.draw(claims(SOME_PICKS)).encode("latin-1", "replace")
        for method in ("HEAD", "GET", "POST", "DELETE", "PUT"):
            sent = body if method in ("POST", "PUT") else None
            status, _ = self.host.ask(f"/guidance_geometry/{address}", sent, method)
            OUTCOMES["requests"][f"HTTP {status}"] += 1
            assert status < 500, (method, address)

    @rule()
    def kill_the_host(self):
        """Let the next host come in its place; what was queued is lost."""
        if Queue.kills < KILLS:
            Queue.kills += 1
            self.host.kill()
            self.jobs.clear()
        self.reconnect()

    @rule()
    def wait(self):
        """Let all jobs end, and judge each."""
        end = time.monotonic() + HANGING * max(1, len(self.jobs))
        while any(json.loads(self.host.ask("/queue")[1]).values()):
            assert time.monotonic() < end, SLOW
            self.host_is_well()
            time.sleep(0.05)
        history = json.loads(self.host.ask("/history")[1])
        for job, (graph, valid) in self.jobs.items():
            if job in history:  # unless it was taken out of the queue
                self.judge(history[job], graph, valid)
                self.remember_runs(job)
        self.jobs.clear()

    def judge(self, entry, graph, valid):
        """Fail for a fault of ours, and for a valid job that fails or makes something else."""
        messages = dict(map(tuple, entry["status"]["messages"]))
        OUTCOMES["jobs of the machine"][[*messages][-1]] += 1
        if "execution_error" in messages:
            verdict = self.host.blame(self.host.judge_error(messages["execution_error"]), graph)
            assert not verdict.is_fault, verdict
            assert not valid, verdict
        if valid and "execution_success" in messages:
            assert bits_of(self.host, entry) == self.reference

    def remember_runs(self, job):
        """Keep the names of its runs, to ask for them."""
        status, content = self.host.ask(f"/guidance_geometry/tab/runs?prompt_id={job}")
        assert status == 200
        self.names = [*self.names, *(run["run"] for run in json.loads(content)["runs"])][-8:]

    @invariant()
    def host_is_well(self):
        """It lives, its worker too, and it has taken no more memory than it may; no code in a file was run."""
        assert self.host.live.process.poll() is None
        assert FATAL not in self.host.printed_since(self.printed)
        assert self.host.bytes() - self.memory < MOST_BYTES
        assert not [place for place, _ in PLACES.values() if (self.host.place / place / CANARY).exists()]

    def teardown(self):
        """After all of that a valid job makes, from the start, what it makes alone."""
        try:
            self.wait()
            assert valid_bits(self.host) == self.reference
        finally:
            self.stack.close()


def valid_bits(host):
    """What a valid job makes when nothing is cached."""
    host.ask("/free", {"unload_models": True, "free_memory": True})
    for graph in (TRIVIAL, VALID):  # the host empties its cache at the end of the next job
        prompt_id = json.loads(host.ask("/prompt", {"prompt": graph})[1])["prompt_id"]
        assert host.follow(prompt_id, host.live.log.stat().st_size, host.bytes())
    return bits_of(host, json.loads(host.ask(f"/history/{prompt_id}")[1])[prompt_id])


def bits_of(host, entry):
    """The samples that a job has saved, as bytes."""
    (saved,) = entry["outputs"]["9"]["latents"]
    return load_file(host.place / "output" / saved["subfolder"] / saved["filename"])["latent_tensor"].numpy().tobytes()


def test_a_queue_of_two_browsers_goes_on(watched):
    Queue.host, Queue.reference = watched, valid_bits(watched)
    run_state_machine_as_test(Queue, settings=budget(6, 10, stateful_step_count=20))
    assert watched.run(TRIVIAL).kind == OK
