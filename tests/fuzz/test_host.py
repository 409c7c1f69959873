"""Whatever is queued ends in a result or a clear error, and what is valid comes out as it does alone.

Of two browsers too, in any order, while somebody interrupts, forgets, clears the queue and asks for anything.
"""

import copy
import json
import time
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from guidance_geometry.sweeps.comfyui.client import Client
from guidance_geometry.tests.claimed_files import FIRST_LOOK

from .budget import OUTCOMES, budget
from .prompts import prompts
from .verdicts import OK, SLOW
from .watched import HANGING, TRIVIAL

pytestmark = pytest.mark.slow
VALID = copy.deepcopy({node: FIRST_LOOK[node] for node in "1234"})
VALID["3"]["inputs"]["batch_size"] = 2
VALID["4"]["inputs"] |= {"steps": 4, "capture": "numbers"}
VALID["9"] = {"class_type": "SaveLatent", "inputs": {"samples": ["4", 0], "filename_prefix": "latents/valid"}}
ACTIONS = st.sampled_from(("valid", "anything", "anything", "/interrupt", "/free", "/queue"))
BODIES = {"/interrupt": {}, "/free": {"unload_models": True, "free_memory": True}, "/queue": {"clear": True}}


@given(data=st.data())
@budget(15)
def test_any_prompt_ends(watched, data):
    verdict = watched.run(data.draw(prompts(watched.graphs, watched.catalogue)))
    OUTCOMES["prompts"][verdict.kind] += 1
    assert not verdict.is_fault, verdict


def queued(host, graph, browser="", recorded=False):
    """The id of a job; None where it is refused."""
    asking = {"guidance_geometry": {"record": recorded}}
    status, content = host.ask("/prompt", {"prompt": graph, "client_id": browser, "extra_data": asking})
    assert status in (200, 400)
    return json.loads(content)["prompt_id"] if status == 200 else None


def entry_of(host, job):
    return json.loads(host.ask(f"/history/{job}")[1])[job]


def bits_of(host, entry):
    """The samples that a job has saved, as bytes."""
    (saved,) = entry["outputs"]["9"]["latents"]
    return load_file(host.place / "output" / saved["subfolder"] / saved["filename"])["latent_tensor"].numpy().tobytes()


def valid_bits(host):
    """What a valid job makes when nothing is cached: the host empties its cache at the end of the next job."""
    host.ask("/free", BODIES["/free"])
    for graph in (TRIVIAL, VALID):
        job = queued(host, graph)
        assert host.follow(job, *host.state())
    return bits_of(host, entry_of(host, job))


@given(data=st.data())
@budget(2, 10)
def test_a_queue_of_two_browsers_goes_on(watched, reference, data):
    state, jobs = watched.state(), {}
    with ExitStack() as stack:
        browsers = [stack.enter_context(Client(watched.live.address)).id for _ in range(2)]
        for action in data.draw(st.lists(ACTIONS, min_size=4, max_size=16)):
            if action in BODIES:
                time.sleep(data.draw(st.floats(0, 0.3)))
                watched.ask(action, BODIES[action])
                continue
            graph = VALID if action == "valid" else data.draw(prompts(watched.graphs, watched.catalogue))
            jobs[queued(watched, graph, data.draw(st.sampled_from(browsers)), data.draw(st.booleans()))] = graph
        wait(watched, state, len(jobs))
    history = json.loads(watched.ask("/history")[1])
    for job in jobs.keys() & history.keys():  # others were refused, or taken out of the queue
        judge(watched, history[job], jobs[job] is VALID, reference)
    assert valid_bits(watched) == reference


@pytest.fixture(scope="module")
def reference(watched):
    """What a valid job makes alone."""
    return valid_bits(watched)


def wait(host, state, count):
    """Let all jobs end."""
    end = time.monotonic() + HANGING * max(1, count)
    while any(json.loads(host.ask("/queue")[1]).values()):
        assert time.monotonic() < end, SLOW
        assert not host.is_ill(*state)
        time.sleep(0.05)


def judge(host, entry, valid, reference):
    """Fail for a fault of ours, and for a valid job that fails or makes something else."""
    messages = dict(map(tuple, entry["status"]["messages"]))
    OUTCOMES["jobs of two browsers"][[*messages][-1]] += 1
    if "execution_error" in messages:
        verdict = host.judge_error(messages["execution_error"])
        assert not verdict.is_fault, verdict
        assert not valid, verdict
    if valid and "execution_success" in messages:
        assert bits_of(host, entry) == reference


def test_the_host_is_well_in_the_end(watched):
    assert watched.run(TRIVIAL).kind == OK
