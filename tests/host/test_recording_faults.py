"""A fault of the recorder ends the record with a sentence: the sample is the host's, and every reader goes on."""

import importlib

import comfy.model_management
import pytest
import torch

from guidance_geometry.dev.fixtures.tiny_streams import latent, text, two_streams
from guidance_geometry.figures.scene import scene_of
from guidance_geometry.host.host_run import TOLD
from guidance_geometry.nodes.records import GGReadTrace, GGRecord
from guidance_geometry.nodes.sampling import GGGuidedSampler
from guidance_geometry.trace.checks import check
from guidance_geometry.trace.file import load, save

from .runs import CFG, STEPS, guided, ksampler, readable
from .shown import ui_of

PACK = "guidance_geometry"
WATCH = ("_begin", "_marked_noise", "_note_call", "_note_answer", "_note_step", "_note_end")
IN_THE_RUN = [
    *(f"host.recording.Watch.{name}" for name in WATCH),
    *(f"host.evaluations.{name}" for name in ("Evaluations.add", "Evaluations.complete", "Predicted.split")),
    *("host.evaluations.conditions_of", "host.host_run.HostRun.identify", "host.noise_handover.NoiseHandOver.draws"),
    *(f"trace.recorder.{name}" for name in ("Recorded.split", "Recorder.mark", "Recorder._complete")),
    *("trace.accumulator.Accumulator.enter", "trace.accumulator.Capture.keep"),
]
ONCE = {"_begin", "_marked_noise", "_note_end", "identify", "draws"}  # called once in a run
AFTERWARDS = [
    *("trace.accumulator.Capture.stack", "host.run_facts.map_tensors", "host.run_facts.notes_of"),
    *(f"host.adapter.{name}" for name in ("describe_model", "labels_of", "distilled_guidance")),
]
OF_THE_RUN = {"name": {"sampler"}, "options": {"options"}, "flow": set(), "foreign": set()}  # what each is for a reader
KNOWN = ("sampler", "latent", "terms", "options", "cfg", "labels", "chain", "model", "host", "sigma_data")
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


@pytest.mark.parametrize(
    ("where", "after"),
    [
        ("host.evaluations.Predicted.split", 2),
        ("trace.accumulator.Accumulator.enter", 3),  # the sound's
        ("trace.accumulator.Capture.keep", 4),  # the video's
        ("trace.rows.Measurement.row", 3),
        ("host.recording._setting", 0),
    ],
)
def test_a_fault_in_the_record_of_a_part_leaves_the_sample(monkeypatch, tmp_path, where, after):
    arguments = (two_streams(), text(1), text(2), latent(), "euler")
    expected = ksampler(*arguments)
    Broken(monkeypatch, where, after)
    out, _, trace = guided(*arguments, capture="tensors")
    assert all(map(torch.equal, out["samples"].unbind(), expected.unbind()))
    assert trace.n <= STEPS
    save(trace, tmp_path / "run.safetensors")
    assert any("boom" in sentence for part in trace.every_part for sentence in part.header["notes"])
    for part in load(tmp_path / "run.safetensors").every_part:
        readable(part)


class Wordless(RuntimeError):
    """A fault that cannot be printed."""

    def __str__(self):
        raise RuntimeError


def test_a_fault_that_cannot_be_printed_is_named_by_its_type(run, monkeypatch):
    Broken(monkeypatch, "trace.accumulator.Accumulator.enter", fault=Wordless())
    assert ": Wordless at " in run().header["faults"][0]


@pytest.mark.parametrize("where", AFTERWARDS)
def test_a_fault_after_the_run_costs_what_it_was_about(run, monkeypatch, where):
    Broken(monkeypatch, where)
    trace = run()
    assert trace.n == STEPS
    assert trace.column("M1").isfinite().all()
    (sentence,) = trace.header["faults"]
    assert "RuntimeError at " in sentence


@pytest.mark.parametrize("fact", OF_THE_RUN)
def test_a_fault_while_a_run_is_identified_costs_the_header_one_fact(run, monkeypatch, fact):
    def fails(_):
        raise RuntimeError("boom")

    whole = run()
    monkeypatch.setitem(TOLD, fact, fails)
    trace = run()
    (sentence,) = trace.header["faults"]
    assert sentence.startswith("not recorded from step 1 on: RuntimeError at ")
    assert {name for name in KNOWN if trace.header.get(name) != whole.header[name]} <= OF_THE_RUN[fact]


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


@pytest.mark.parametrize("where", ["host.recording.job_of_this_node", "host.live.Live.add_row", "host.live.Live.close"])
def test_a_fault_of_the_live_view_ends_that_alone(run, monkeypatch, where):
    Broken(monkeypatch, where)
    trace = run()
    assert trace.n == STEPS
    assert trace.column("M1").isfinite().all()
    assert all(fault.startswith("not shown live from step ") for fault in trace.header["faults"])
    assert trace.header["faults"]


def test_the_node_itself_says_what_ended_its_record(labelled, empty_latent, monkeypatch):
    model, positive, negative = labelled["ve"]
    settings = (model, 1, 3, CFG, "euler", "karras", positive, negative, empty_latent("ve"))
    assert GGGuidedSampler.execute(*settings).ui == {"text": []}
    Broken(monkeypatch, "trace.accumulator.Accumulator.enter", 1)
    (said,) = ui_of(GGGuidedSampler.execute(*settings))["text"]
    assert said.startswith("not recorded from step 2 on")


def test_a_run_that_cannot_be_kept_for_a_reader_is_sampled_all_the_same(labelled, empty_latent, monkeypatch):
    Broken(monkeypatch, "host.run_recorder.marks_of")
    plain, positive, negative = labelled["ve"]
    model, recorder = GGRecord.execute(plain).args
    arguments = (positive, negative, empty_latent("ve"), "euler")
    found = ksampler(model, *arguments)
    assert torch.equal(found, ksampler(plain, *arguments))
    monkeypatch.undo()
    with pytest.raises(ValueError, match="The recorder holds no run"):
        GGReadTrace.execute(recorder, {"samples": found})


def test_an_interruption_is_no_fault(run, monkeypatch):
    stop = comfy.model_management.InterruptProcessingException()
    Broken(monkeypatch, "trace.accumulator.Accumulator.enter", 1, stop)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run()
