"""The strength of a LoRA is a knob of the run, and its curve is kept apart from nothing but that strength."""

from dataclasses import replace

import folder_paths
import pytest
from comfy_extras.nodes_model_advanced import RescaleCFG

from guidance_geometry.host.editor.jobs import RunningJob
from guidance_geometry.host.recording import run_facts
from guidance_geometry.host.recording.weight_patches import mark_without, weight_patches
from guidance_geometry.nodes.start import GGClassLabel, GGEmptyCanvas, GGLoadDenoiser
from guidance_geometry.nodes.tap import GGTap
from guidance_geometry.trace.trace import model_key
from guidance_geometry.verdict.measured import put_on
from guidance_geometry.verdict.run_knobs import RunKnob, model_of

from .runs import guided, host_nodes, with_lora


@pytest.fixture(scope="module")
def model():
    return GGLoadDenoiser.execute("pocket-1", "auto", "auto", "default")[0]


@pytest.fixture
def loras(tmp_path, monkeypatch):
    """A folder of LoRAs: the job names them, and their weights are in the MODEL already."""
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    for name in ("detail", "line"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"1234")
    return tmp_path


def lora(below, name, strength):
    given = {"model": [below, 0], "lora_name": f"{name}.safetensors", "strength_model": strength}
    return {"class_type": "LoraLoaderModelOnly", "inputs": given}


def job(strength, line=1.0, sampler="9", tap=False, **more):
    """A job with two LoRAs and a node that has a number and puts nothing on the weights."""
    prompt = {
        "1": {"class_type": "GGLoadDenoiser", "inputs": {"denoiser_name": "pocket-1"}},
        "2": lora("1", "detail", strength),
        "3": lora("2", "line", line),
        "4": {"class_type": "RescaleCFG", "inputs": {"model": ["3", 0], "multiplier": 0.8}},
        "5": {"class_type": "GGTap", "inputs": {"model": ["4", 0], "epoch": 7}},
        sampler: {"class_type": "KSampler", "inputs": {"model": ["5" if tap else "4", 0], "cfg": 3.0, **more}},
    }
    return RunningJob("job", sampler, 0, prompt, {})


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """The classes of that job, and nodes by their ids: nothing runs them."""
    monkeypatch.setattr(RunningJob, "display", property(lambda self: self.node))
    for kind in (RescaleCFG, GGLoadDenoiser, GGTap):
        monkeypatch.setitem(host_nodes().NODE_CLASS_MAPPINGS, kind.__name__, kind)


def patched(model, *strengths):
    for seed, strength in enumerate(strengths):
        model = with_lora(model, strength, seed)
    return model


def test_each_lora_is_found_by_the_strength_that_patched_the_weights(model, loras):
    found = weight_patches(job(0.8), patched(model, 0.8, 1.0))
    assert [(one.node, one.name, one.words) for one in found] == [
        ("2", "strength_model", "detail 0.8"),
        ("3", "strength_model", "line 1"),
    ]
    off = weight_patches(job(0.0), patched(model, 1.0))
    assert [one.words for one in off] == ["detail 0", "line 1"], "a strength of 0 leaves no patch"
    assert weight_patches(job(0.8), model) == [], "nothing patched these weights"
    (loras / "detail.safetensors").unlink()
    assert [one.words for one in weight_patches(job(0.0), patched(model, 1.0))] == ["line 1"]


def test_a_mark_changes_with_everything_on_the_wire_but_the_one_strength(model, loras):
    def mark(*given, **more):
        made = job(*given, **more)
        return mark_without(made, weight_patches(made, patched(model, given[0] or 1.0, more.get("line", 1.0)))[0])

    own = mark(0.8)
    same = [mark(1.2), mark(0.0), mark(0.8, sampler="71"), mark(0.8, tap=True), mark(0.8, seed=5)]
    assert same == [own] * 5
    assert mark(0.8, line=0.5) != own
    (loras / "line.safetensors").write_bytes(b"12345")
    assert mark(0.8) != own, "a file of the same name that is another"


def test_a_recorded_run_names_its_loras_and_runs_of_two_strengths_have_one_curve(model, loras, monkeypatch):
    positive, negative = GGClassLabel.execute(model, "0").args[:2]
    latent, headers = GGEmptyCanvas.execute(model, 0, 0, 1).args[0], []
    for strength, cfg in ((0.8, 3.0), (0.4, 3.0), (0.4, 1.0)):
        monkeypatch.setattr(run_facts, "running_job", lambda strength=strength: job(strength))
        made = patched(model, strength, 1.0)
        trace = guided(made, positive, negative, latent, "euler", steps=2, cfg=cfg, capture="numbers")[2]
        headers.append(trace.header)
    assert RunKnob.of(headers.pop()["knobs"][1]).key == "strength_model, detail", "cfg 1 guides by c alone"
    knobs = [RunKnob.of(header["knobs"][1]) for header in headers]
    assert [(one.kind, one.what, one.value, one.key) for one in knobs] == [
        ("lora", "detail", value, "strength_model, detail, cfg 3") for value in (0.8, 0.4)
    ]
    assert put_on(headers[0]["model"]) == ("detail 0.8", "line 1")
    assert len({model_key(header["model"]) for header in headers}) == 2
    assert len({model_of(replace(trace, header=header), knobs[0].key) for header in headers}) == 1
