"""Runs kept for the Guidance tab, without a server."""

import itertools
import json
import math
from typing import Any

import comfy.model_management
import comfy.sample
import pytest
import torch
from comfy.cli_args import args

from guidance_geometry.files.writing import NotWritten
from guidance_geometry.host.editor import live, run_store
from guidance_geometry.host.editor.run_store import RunPlace, RunStore, StoredRun
from guidance_geometry.nodes.start import GGClassLabel
from guidance_geometry.nodes.tap import GGTap
from guidance_geometry.tests.host.conftest import WORKFLOW


def record_of(run):
    entry: Any = run_store.STORE.find_run("default", run)
    return json.loads(entry.record)


def place(run, **changes):
    facts = {"prompt_id": "job", "node": "4", "title": "KSampler", "list_index": 0, "index": 0}
    facts |= {"workflow_id": WORKFLOW, "run": run, "steps": 3, "ended": "", "when": 1.0}
    return RunPlace(**facts | changes)


def stored(run, size=10, files=(), user="default", **changes):
    return StoredRun(place(run, **changes), user, json.dumps({"run": run}).encode(), frozenset(files), size)


@pytest.fixture
def store(host):
    return RunStore(most_runs=3, most_bytes=100)


def names(store, **asked):
    return [run["run"] for run in store.list_runs("default", **asked)]


def test_the_oldest_runs_go_first_by_number_and_by_bytes(store):
    for name in "abcd":
        store.add(stored(name))
    assert names(store, workflow_id=WORKFLOW) == ["b", "c", "d"]
    store.add(stored("e", size=85))
    assert names(store, workflow_id=WORKFLOW) == ["d", "e"]
    store.add(stored("f", size=1000))
    assert names(store, workflow_id=WORKFLOW) == ["f"]


def test_what_a_user_wants_and_does_touches_no_other(store):
    for user in ("her", "him"):
        store.set_bound(user, 4)
        for name in "abc":
            store.add(stored(user + name, size=1 << 20, user=user))
    store.set_bound("him", 1)
    store.begin_epoch("him", WORKFLOW)
    store.add(stored("more", size=1, user="him"))
    assert [*store.runs] == ["hera", "herb", "herc", "more"]
    assert store.epoch("her", WORKFLOW) == 0


def test_a_sampler_whose_last_record_went_runs_again(store):
    store.add(stored("a"))
    store.add(stored("b", node="5"))
    assert store.epoch("default", WORKFLOW) == 0
    store.add(stored("c"))
    store.add(stored("d"))  # a goes, and c and d are of the same node
    assert store.epoch("default", WORKFLOW) == 0
    store.add(stored("e"))  # b goes, the only one of its node
    assert store.epoch("default", WORKFLOW) == 1
    assert store.epoch("default", "another") == 0
    assert store.epoch("default", WORKFLOW, "another of this id") == 0
    store.begin_epoch("default", WORKFLOW)
    assert store.epoch("default", WORKFLOW) == 2


def test_files_go_with_the_last_run_that_shows_them(store, tmp_path, monkeypatch):
    monkeypatch.setattr(run_store, "temporary_folder", lambda subfolder: tmp_path)
    for name in ("shared.jpg", "own.json"):
        (tmp_path / name).write_text("x")
    store.add(stored("a", files=["shared.jpg", "own.json"]))
    store.add(stored("b", files=["shared.jpg"]))
    store.add(stored("c", size=85))
    assert {file.name for file in tmp_path.iterdir()} == {"shared.jpg"}
    store.add(stored("d", size=99))
    assert not list(tmp_path.iterdir())


def test_runs_are_listed_by_job_and_by_workflow_to_their_user(store):
    store.add(stored("a"))
    store.add(stored("b", prompt_id="other"))
    store.add(stored("c", workflow_id=None, prompt_id="headless", user="her"))
    assert names(store, workflow_id=WORKFLOW) == ["a", "b"]
    assert names(store, prompt_id="other") == ["b"]
    assert names(store) == names(store, workflow_id="") == names(store, prompt_id="headless") == []
    assert [run["run"] for run in store.list_runs("her", prompt_id="headless")] == ["c"]
    assert store.find_run("her", "c").place.run == "c"
    assert store.find_run("default", "c") is store.find_run("her", "nothing") is None


def sampled(labelled, sampler="euler", asked=None, **given):
    """Sample with a tap.  asked: is called before the network is."""
    model, positive, negative = labelled["pocket"]
    model, latent = model.clone(), torch.zeros(3, 3, 16, 16)
    if asked:
        call = lambda apply, call: (asked(), apply(call["input"], call["timestep"], **call["c"]))[1]  # noqa: E731
        model.set_model_unet_function_wrapper(call)
    noise = comfy.sample.prepare_noise(latent, 7)
    run = GGTap.execute(model)[0], noise, 4, 3.0, sampler, "normal", positive, negative, latent
    return comfy.sample.sample(*run, disable_pbar=True, seed=7, **given)


def test_a_run_of_a_job_that_asks_is_kept_and_said(job, labelled, monkeypatch):
    monkeypatch.setattr(live, "MOST_EVENTS", math.inf)
    monkeypatch.setattr(live, "SHARE", math.inf)
    job.extra["extra_pnginfo"]["workflow"]["extra"] = {"guidance_geometry": {"record": True, "key": "mine"}}
    sampled(labelled)
    sampled(labelled)
    first, second = run_store.STORE.list_runs("default", workflow_id=WORKFLOW)
    assert (first["index"], second["index"], first["title"], first["key"]) == (0, 1, "My sampler", "mine")
    assert (first["steps"], first["ended"], first["node"], first["list_index"]) == (4, "", "4", 0)
    record = record_of(first["run"])
    assert first["stopped_at"] is record["stopped_at"] is None
    assert len(record["steps"]) == 4
    assert record["pictures"]["steps"]
    assert [to for kind, _, to in job.messages if kind == "guidance_geometry.run"] == ["tab"] * 2
    steps = [message for kind, message, _ in job.messages if kind == "guidance_geometry.step"]
    assert {(one["node"], tuple(one["targets"]), one["key"]) for one in steps} == {("4", (), "mine")}


def test_what_a_node_samples_in_pieces_is_one_run_by_region(job, labelled):
    """A step here and a step there in turn, each over its own part of the picture, as nodes for regions do."""
    model, _, negative = labelled["pocket"]
    positives = [GGClassLabel.execute(model, label)[0] for label in ("3", "5")]
    tapped, x = GGTap.execute(model)[0], torch.zeros(3, 3, 16, 16)
    noise = comfy.sample.prepare_noise(x, 7)
    for step, (number, positive) in itertools.product(range(4), enumerate(positives)):
        mask = torch.zeros(1, 1, 16, 16)
        mask[..., number::2] = 1
        own = noise if step + number == 0 else torch.zeros_like(x)
        span = {"start_step": step, "last_step": step + 1, "disable_noise": step + number > 0, "seed": 7}
        run = (tapped, own, 4, 3.0, "euler", "normal", positive, negative, x)
        x = comfy.sample.sample(*run, **span, noise_mask=mask, disable_pbar=True)
    runs = run_store.STORE.list_runs("default", WORKFLOW)
    assert [(run["index"], run["steps"]) for run in runs] == [(0, 4), (1, 4)]
    for record in (record_of(run["run"]) for run in runs):
        for shown in (record["steps"], record["pictures"]["steps"]):
            assert [step["i"] for step in shown] == [0, 1, 2, 3]
        assert (len(record["sigmas"]), record["sigmas"][-1]) == (5, 0)
        assert record["report"]["headline"]["id"] != "head.one_step"
    on_disk = {file.name for file in run_store.temporary_folder(run_store.TAB_FOLDER).iterdir()}
    assert on_disk == set().union(*(run.files for run in run_store.STORE.runs.values()))
    assert len({message["run"] for kind, message, _ in job.messages if kind == run_store.EVENT}) == 2


@pytest.mark.parametrize(("sampler", "evaluated", "last"), [("euler", None, 2), ("uni_pc", 2, 2)])
def test_a_run_that_stops_is_kept_as_far_as_it_came(job, labelled, sampler, evaluated, last):
    """A user stops it behind a step, or the network fails when it has evaluated so many steps."""
    stop = comfy.model_management.InterruptProcessingException() if evaluated is None else OSError("no disk")
    reached = []

    def stopping(step, *_):
        reached.append(step)
        if evaluated is None and step == last:
            raise stop

    def asked():
        if len(reached) == evaluated:
            raise stop

    with pytest.raises(type(stop)):
        sampled(labelled, sampler, asked, callback=stopping)
    (run,) = run_store.STORE.list_runs("default", prompt_id="job")
    assert run["ended"].startswith(f"stopped at step {last + 1}: {'interrupted' if evaluated is None else 'OSError'}")
    record = record_of(run["run"])
    assert (record["ended"], record["stopped_at"], len(record["steps"])) == (run["ended"], last + 1, run["steps"])
    assert run["stopped_at"] == last + 1
    assert sampler != "euler" or run["steps"] == last


def test_a_run_belongs_to_the_user_of_the_request_and_only_his_browser_hears_of_it(job, labelled, monkeypatch):
    monkeypatch.setattr(args, "multi_user", True)
    job.extra["guidance_geometry"]["user"] = "her"
    sampled(labelled)
    assert len(run_store.STORE.list_runs("her", WORKFLOW)) == 1
    assert {to for _, _, to in job.messages} == {"tab"}
    assert run_store.STORE.list_runs("default", WORKFLOW) == run_store.STORE.list_runs("him", WORKFLOW) == []


def test_a_store_that_fails_and_a_full_disk_cost_the_run_nothing(job, labelled, monkeypatch, caplog):
    def full(*_):
        raise NotWritten("a could not be written to b (No space left). Free some space.")

    whole, words = sampled(labelled), "the numbers of this run are not kept"
    run_store.STORE.wait_for_runs()
    monkeypatch.setattr(run_store, "save", full)
    assert torch.equal(sampled(labelled), whole)
    *_, run = run_store.STORE.list_runs("default", WORKFLOW)
    (note,) = [note for note in record_of(run["run"])["notes"] if words in note]
    assert "No space left" in note
    assert words in caplog.text
    monkeypatch.setattr(run_store, "portable", full)
    assert torch.equal(sampled(labelled), whole)
    assert len(run_store.STORE.wait_for_runs().runs) == 2


def test_256_megabytes_are_kept_unless_somebody_says_otherwise(host):
    usual = RunStore()
    for name in "abc":
        usual.add(stored(name, size=100 << 20))
    assert names(usual, workflow_id=WORKFLOW) == ["b", "c"]
