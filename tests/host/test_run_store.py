"""Runs kept for the Guidance tab, without a server."""

import itertools
import json
import math
import threading
import time
from typing import Any

import comfy.model_management
import comfy.sample
import pytest
import torch
from comfy.cli_args import args

from guidance_geometry.files.writing import NotWritten
from guidance_geometry.host import choices, live, run_store
from guidance_geometry.host.panel_record import temporary
from guidance_geometry.host.run_store import RunPlace, RunStore, StoredRun
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


def test_what_only_a_node_shows_is_kept_and_listed_nowhere(store):
    shown = StoredRun(place("b", node="8"), "default", b"", frozenset(), 10)
    for one in (stored("a"), shown):
        store.add(one)
    assert names(store, workflow_id=WORKFLOW) == names(store, prompt_id="job") == ["a"]
    assert store.find_run("default", "b") is shown
    assert (store.count("job", "8", 0), [*store.latest_nodes]) == (0, [("job", "4")])
    store.add(stored("c", size=95, node="5"))
    assert store.find_run("default", "b") is None
    assert store.epoch("default", WORKFLOW) == 1, "a's sampler would leave no record from the cache; b has no sampler"


def test_the_bound_is_a_setting_and_nonsense_is_none(store):
    for megabytes in (None, 0, -5, "x", 1 << 40, 2.5, True):
        store.set_bound("default", megabytes)
        assert store.user_bounds == {}
    store.set_bound("default", 2)
    assert store.user_bounds == {"default": 2 << 20}


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
    (tmp_path / "held.jpg").mkdir()  # which cannot be deleted
    store.add(stored("a", files=["shared.jpg", "own.json"]))
    store.add(stored("b", files=["shared.jpg"]))
    store.add(stored("c", size=85))
    assert {file.name for file in tmp_path.iterdir()} == {"shared.jpg", "held.jpg"}
    store.add(stored("d", size=99, files=["held.jpg"]))
    store.add(stored("e", size=99))
    assert {file.name for file in tmp_path.iterdir()} == {"held.jpg"}
    assert list(store.runs) == ["e"]


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
    sampled(labelled)
    sampled(labelled)
    first, second = run_store.STORE.list_runs("default", workflow_id=WORKFLOW)
    assert (first["index"], second["index"], first["title"]) == (0, 1, "My sampler")
    assert (first["steps"], first["ended"], first["node"], first["list_index"]) == (4, "", "4", 0)
    record = record_of(first["run"])
    assert first["stopped_at"] is record["stopped_at"] is None
    assert len(record["steps"]) == 4
    assert record["pictures"]["steps"]
    assert [to for kind, _, to in job.messages if kind == "guidance_geometry.run"] == ["tab"] * 2
    steps = [message for kind, message, _ in job.messages if kind == "guidance_geometry.step"]
    assert {(one["node"], tuple(one["targets"])) for one in steps} == {("4", ())}
    assert all(len(json.dumps(one)) <= 8965 for one in steps)


def in_pieces(labelled, *regions, callback=None):
    """Sample a step here and a step there in turn, each over its own part of the picture, as nodes for regions do."""
    model, _, negative = labelled["pocket"]
    positives = [GGClassLabel.execute(model, label)[0] for label in regions]
    tapped, x = GGTap.execute(model)[0], torch.zeros(3, 3, 16, 16)
    noise = comfy.sample.prepare_noise(x, 7)
    for step, (number, positive) in itertools.product(range(4), enumerate(positives)):
        mask = torch.zeros(1, 1, 16, 16)
        mask[..., number :: len(regions)] = 1
        own = noise if step + number == 0 else torch.zeros_like(x)
        span = {"start_step": step, "last_step": step + 1, "disable_noise": step + number > 0, "seed": 7}
        run = (tapped, own, 4, 3.0, "euler", "normal", positive, negative, x)
        x = comfy.sample.sample(*run, **span, noise_mask=mask, callback=callback, disable_pbar=True)


def test_what_a_node_samples_in_pieces_is_one_run_by_region(job, labelled):
    in_pieces(labelled, "3", "5")
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


def test_the_verdict_is_told_before_the_record_is_made(job, labelled, monkeypatch):
    may_go, whole = threading.Event(), run_store.of_every_part

    def verdicts():
        return [message for kind, message, _ in job.messages if kind == run_store.VERDICT]

    monkeypatch.setattr(run_store, "of_every_part", lambda *a: may_go.wait(60) and whole(*a))
    sampled(labelled)
    for _ in range(600):
        if verdicts():
            break
        time.sleep(0.05)
    (early,) = verdicts()
    assert not run_store.STORE.runs
    may_go.set()
    (run,) = run_store.STORE.list_runs("default", workflow_id=WORKFLOW)
    assert {name: early[name] for name in run} == run
    assert early["report"] == record_of(run["run"])["report"]


def test_a_job_that_does_not_ask_leaves_nothing(job, labelled):
    job.extra["guidance_geometry"] = {"record": 1}
    sampled(labelled)
    assert (run_store.STORE.wait_for_runs().runs, job.messages) == ({}, [])


@pytest.mark.parametrize(("said", "key"), [("mine", "mine"), (7, None), ("x" * 99, "x" * 64)])
def test_runs_and_steps_carry_the_key_of_their_workflow(job, labelled, said, key):
    job.extra["extra_pnginfo"]["workflow"]["extra"] = {"guidance_geometry": {"record": True, "key": said}}
    sampled(labelled)
    (run,) = run_store.STORE.list_runs("default", workflow_id=WORKFLOW)
    assert run["key"] == key
    assert {message["key"] for _, message, _ in job.messages} == {key}


STOPS = [("euler", None, 2), ("uni_pc", 2, 2), ("euler", 0, 0)]


@pytest.mark.parametrize(("sampler", "evaluated", "last"), STOPS)
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


def test_a_further_stage_of_a_step_is_not_the_next_step(job, labelled):
    for calls in (5, 6):  # the first of step 3 of Heun's method, and its second
        left = iter(range(calls - 1))
        with pytest.raises(StopIteration):
            sampled(labelled, "heun", lambda left=left: next(left))
    assert [run["stopped_at"] for run in run_store.STORE.list_runs("default", WORKFLOW)] == [3, 3]


def test_names_that_are_no_short_text_are_not_taken(job, labelled):
    job.extra["extra_pnginfo"]["workflow"] = {"id": ["a", "list"], "extra": {"guidance_geometry": {"key": {}}}}
    job.prompt["4"] = {"class_type": "KSampler", "_meta": {"title": "x" * 1000}, "inputs": {}}
    sampled(labelled)
    job.extra["extra_pnginfo"]["workflow"] = {"id": "y" * 1000}
    job.prompt["4"]["_meta"]["title"] = [[[]]]
    sampled(labelled)
    first, second = run_store.STORE.list_runs("default", prompt_id="job")
    assert (first["workflow_id"], first["key"], first["title"]) == (None, None, "x" * 200)
    assert (second["workflow_id"], second["key"], second["title"]) == (None, None, "KSampler")


def test_a_run_belongs_to_the_user_of_the_request_and_only_his_browser_hears_of_it(job, labelled, monkeypatch):
    monkeypatch.setattr(args, "multi_user", True)
    job.extra["guidance_geometry"]["user"] = "her"
    sampled(labelled)
    assert len(run_store.STORE.list_runs("her", WORKFLOW)) == 1
    assert {to for _, _, to in job.messages} == {"tab"}
    assert run_store.STORE.list_runs("default", WORKFLOW) == run_store.STORE.list_runs("him", WORKFLOW) == []
    job.messages.clear()
    job.client_id = None
    sampled(labelled)
    assert len(run_store.STORE.list_runs("her", WORKFLOW)) == 2
    assert job.messages == []


def test_files_that_an_inspector_shows_stay(job, labelled, tmp_path):
    sampled(labelled)
    (run,) = run_store.STORE.wait_for_runs().runs.values()
    tab = tmp_path / run_store.TAB_FOLDER
    shown = {file.name: file.read_bytes() for file in tab.iterdir()}
    assert set(shown) == run.files
    assert run.size > sum(map(len, shown.values()))
    (numbers,) = (name for name in shown if name.endswith(".safetensors"))
    shown.pop(numbers)  # that is the tab's alone
    for name, data in shown.items():
        assert temporary(data, name[-4:])["filename"] == name
    run_store.STORE.add(stored("next", size=run_store.MOST_BYTES))
    assert not list(tab.iterdir())
    assert {file.name for file in (tmp_path / "guidance_geometry").glob("*.*")} == set(shown)


def test_a_store_that_fails_costs_the_run_nothing(job, labelled, monkeypatch):
    whole = sampled(labelled)
    run_store.STORE.wait_for_runs()

    def broken(*_):
        raise RuntimeError("no room")

    monkeypatch.setattr(run_store, "portable", broken)
    assert torch.equal(sampled(labelled), whole)
    assert len(run_store.STORE.wait_for_runs().runs) == 1


def test_numbers_that_find_no_room_are_told_and_the_run_is_kept(job, labelled, monkeypatch, caplog):
    whole = sampled(labelled)

    def full(*_):
        raise NotWritten("a could not be written to b (No space left). Free some space.")

    monkeypatch.setattr(run_store, "save", full)
    monkeypatch.setattr(choices, "STORE", run_store.STORE)
    assert torch.equal(sampled(labelled), whole)
    *_, run = run_store.STORE.list_runs("default", WORKFLOW)
    words = "the numbers of this run are not kept"
    (note,) = [note for note in record_of(run["run"])["notes"] if words in note]
    assert "No space left" in note
    assert words in caplog.text
    with pytest.raises(ValueError, match=words[1:]):
        choices.report_on("default", run["run"], None, [lambda prompt: None])


def test_epochs_are_kept_within_bounds(store, monkeypatch):
    monkeypatch.setattr(run_store, "MOST_EPOCHS", 2)
    for name in "abc":
        store.begin_epoch("default", name)
    store.begin_epoch("her", "d")
    assert [*store.epochs] == [("default", "b", None), ("default", "c", None), ("her", "d", None)]
    assert len({*store.epochs.values()}) == 3, "the host's cache is one: a number of another user would be found there"


def test_where_a_piece_stops_is_counted_from_the_first(job, labelled):
    ends = iter([None, None, comfy.model_management.InterruptProcessingException()])

    def stopping(*_):
        if stop := next(ends):
            raise stop

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        in_pieces(labelled, "0;1;2", callback=stopping)
    (run,) = run_store.STORE.list_runs("default", WORKFLOW)
    assert (run["steps"], run["stopped_at"], run["ended"]) == (2, 3, "stopped at step 3: interrupted")


def test_who_asks_while_a_run_is_handed_over_waits_for_no_thread_that_has_not_begun(store, monkeypatch):
    done = []

    class Late(run_store.Thread):
        def start(self):
            store.wait_for_runs()  # as a request would, from a thread of the server
            super().start()

    monkeypatch.setattr(run_store, "Thread", Late)
    store.soon(lambda: done.append("first"))
    store.soon(lambda: done.append("second"))
    store.wait_for_runs()
    assert done == ["first", "second"]
