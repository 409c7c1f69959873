"""Recording never changes or stops a run: schedules nobody would choose, empty batches, faults of the recorder."""

import importlib

import comfy.model_management
import comfy.samplers
import pytest
import torch

from guidance_geometry.figures.scene import scene_of
from guidance_geometry.trace import accumulator
from guidance_geometry.trace.checks import check

from .runs import STEPS, both, draws_a_path, guided, ksampler, names, readable, same, trace_of_both

ODD = {  # sigmas of a VE model; on flow they are divided by the largest that occurs
    "repeated": [10.0, 10.0, 1.0, 0.0],
    "clean twice": [0.0, 0.0],
    "clean in the middle": [10.0, 0.0, 5.0, 0.0],
    "rising": [0.0, 10.0],
    "rising later": [5.0, 1.0, 8.0, 2.0],
    "one level": [10.0],
    "none": [],
    "all the same": [3.0, 3.0, 3.0, 3.0],
    "ends noisy": [10.0, 4.0, 1.0],
}
MOST = 14.0
CALM = ("ends noisy", "one level", "none")  # the schedules that the host's own samplers all come to an end with


def restless(name):
    """Samplers that a rising schedule may keep for ever: one chooses its steps, the others ask a Brownian tree."""
    return name == "dpm_adaptive" or draws_a_path(name)


def levels(sigmas, model):
    return [s / MOST for s in sigmas] if model == "flow" else list(sigmas)


def ends_as_unrecorded(labelled, empty_latent, name, model, sigmas, capture="numbers", batch=2):
    sampler, sigmas = comfy.samplers.sampler_object(name), levels(sigmas, model)
    expected, found, trace = both(labelled[model], empty_latent(model, batch), sampler, sigmas, capture)
    assert same(expected, found), (name, sigmas, expected, found)
    if trace is not None and batch:
        assert not trace.header["faults"], (name, sigmas, trace.header["faults"])
        readable(trace)


@pytest.mark.parametrize("kind", ODD)
def test_odd_schedules_end_recorded_as_they_end_unrecorded(labelled, empty_latent, kind):
    """Every sampler meets one, those that a rising schedule may keep a calm one, and euler all."""
    for i, name in enumerate(names()):
        its = CALM[i % len(CALM)] if restless(name) else [*ODD][i % len(ODD)]
        if its == kind or name == "euler":
            ends_as_unrecorded(labelled, empty_latent, name, ("ve", "flow")[i % 2], ODD[kind])


def test_an_empty_batch_is_sampled_and_said(labelled, empty_latent):
    latent, sampler = empty_latent("ve", 0), comfy.samplers.sampler_object("euler")
    trace = trace_of_both(labelled["ve"], latent, sampler, [10.0, 1.0, 0.0])
    assert trace.header["faults"] == ["not recorded from step 1 on: the batch is empty"]


@pytest.mark.parametrize("waiting", [0, 2 * 3 * 16 * 16])
def test_a_record_is_the_same_whatever_mode_it_is_made_and_read_in(labelled, empty_latent, monkeypatch, waiting):
    def recorded(loop, read):
        with loop:
            trace = guided(*labelled["ve"], empty_latent("ve"), "euler_ancestral")[2]
        with read:
            return trace, {name: trace.column(name).clone() for name in trace.metrics}

    expected = recorded(torch.no_grad(), torch.no_grad())[1]
    monkeypatch.setattr(accumulator, "WAITING", waiting)
    trace, columns = recorded(torch.inference_mode(), torch.inference_mode(False))
    assert (trace.n, trace.header["faults"], check(trace)) == (STEPS, [], [])
    for name, column in expected.items():
        assert torch.allclose(columns[name], column, rtol=1e-9, equal_nan=True), name
    assert not any(column.is_inference() for column in trace.steps.values())


PACK = "guidance_geometry"
WATCH = ("_begin", "_marked_noise", "_note_call", "_note_answer", "_note_step", "_note_end")
IN_THE_RUN = [
    *(f"host.recording.watch.Watch.{name}" for name in WATCH),
    *(f"host.recording.evaluations.{name}" for name in ("Evaluations.add", "Evaluations.complete", "Predicted.split")),
    *(
        "host.recording.evaluations.conditions_of",
        "host.recording.host_run.HostRun.identify",
        "host.recording.noise_handover.NoiseHandOver.draws",
    ),
    *(f"trace.recorder.{name}" for name in ("Recorded.split", "Recorder.mark", "Recorder._complete")),
    *("trace.accumulator.Accumulator.enter", "trace.accumulator.Capture.keep"),
]
ONCE = {"_begin", "_marked_noise", "_note_end", "identify", "draws"}  # called once in a run
AFTERWARDS = [
    *("trace.accumulator.Capture.stack", "host.recording.run_facts.map_tensors", "host.recording.run_facts.notes_of"),
    *(f"host.models.adapter.{name}" for name in ("describe_model", "labels_of", "distilled_guidance")),
]
IN_THE_NUMBERS = ["trace.rows.Measurement.row", "trace.accumulator.columns_of"]


class Broken:
    """Something of the pack that fails from its n-th call on."""

    def __init__(self, monkeypatch, where, after=0, fault=None):
        *path, name = where.split(".")
        holder = importlib.import_module(".".join([PACK, *path[:2]]))
        for part in path[2:]:
            holder = getattr(holder, part)
        self.works, self.left, self.fault = getattr(holder, name), after, fault or RuntimeError("boom")
        broken = self
        monkeypatch.setattr(holder, name, lambda *given, **named: broken(*given, **named))

    def __call__(self, *given, **named):
        self.left -= 1
        if self.left < 0:
            raise self.fault
        return self.works(*given, **named)


@pytest.fixture(scope="module")
def expected(labelled, empty_latent):
    """The host's samples of the run."""
    with torch.inference_mode():
        return ksampler(*labelled["ve"], empty_latent("ve"), "euler_ancestral")


@pytest.fixture
def run(labelled, empty_latent, expected):
    """The record of a run, which every reader can read; its sample is the host's."""

    def recorded(**more):
        out, denoised, trace = guided(*labelled["ve"], empty_latent("ve"), "euler_ancestral", **more)
        assert torch.equal(out["samples"], expected)
        assert denoised["samples"].isfinite().all()
        readable(trace)
        return trace

    return recorded


@pytest.mark.parametrize("where", IN_THE_RUN)
def test_a_fault_in_the_run_ends_the_record_and_leaves_the_sample(run, monkeypatch, where):
    Broken(monkeypatch, where, 0 if where.rpartition(".")[2] in ONCE else 3)
    trace = run(capture="tensors")
    (sentence,) = trace.header["faults"]
    assert sentence.startswith(f"not recorded from step {trace.n + 1} on: RuntimeError at ")
    assert sentence.endswith("(boom)")
    assert sentence in trace.header["notes"]
    assert trace.n <= STEPS


@pytest.mark.parametrize("where", AFTERWARDS)
def test_a_fault_after_the_run_costs_what_it_was_about(run, monkeypatch, where):
    Broken(monkeypatch, where)
    trace = run()
    assert trace.n == STEPS
    assert trace.column("M1").isfinite().all()
    (sentence,) = trace.header["faults"]
    assert "RuntimeError at " in sentence


@pytest.mark.parametrize("where", IN_THE_NUMBERS)
def test_a_fault_in_the_numbers_leaves_the_steps_before_it(run, monkeypatch, where):
    """A small run's numbers are made when they are first read: nobody may fail then."""
    Broken(monkeypatch, where, 3 if where.endswith(".row") else 0)
    trace = run()
    known = 3 if where.endswith(".row") else 0
    assert trace.column("M1").isfinite().all(dim=1).tolist() == [True] * known + [False] * (STEPS - known)
    assert trace.steps["sigma"].isfinite().all()
    assert [note for note in trace.header["notes"] if note.startswith(f"no numbers from step {known + 1} on: Runtime")]
    assert not check(trace), "nothing is said of what nobody measured"
    assert scene_of(trace, known, 0).missing == "nothing was measured at this step"


def test_an_interruption_is_no_fault(run, monkeypatch):
    stop = comfy.model_management.InterruptProcessingException()
    Broken(monkeypatch, "trace.accumulator.Accumulator.enter", 1, stop)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run()
