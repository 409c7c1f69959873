"""The report in the host: what is known of a model is found, the node gives scales or says why there is none."""

import json
from dataclasses import replace
from types import SimpleNamespace

import comfy.sd
import folder_paths
import pytest
import torch
from comfy_execution.graph_utils import ExecutionBlocker

from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.host.editor.choices import forget_picks
from guidance_geometry.host.editor.jobs import RunningJob, file_of
from guidance_geometry.host.editor.users import ONLY_USER
from guidance_geometry.measure.levels import LEVELS
from guidance_geometry.nodes.load_classifier import GGLoadClassifier
from guidance_geometry.nodes.report import GGReport
from guidance_geometry.nodes.start import GGClassLabel, GGEmptyCanvas, GGLoadDenoiser
from guidance_geometry.tests.flow_files import NOTES, flow_weights
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.verdict.known import CARDS as INCLUDED
from guidance_geometry.verdict.measured import ModelCurves, measure_curve, read_curves, write_curves
from guidance_geometry.verdict.picks import Pick, Picks, write_picks
from guidance_geometry.verdict.sentences import SENTENCES

from .runs import guided
from .shown import ui_of

HASH = "ab" * 32


@pytest.fixture
def knowledge(host, tmp_path, monkeypatch):
    from guidance_geometry.host.editor import knowledge

    monkeypatch.setattr(folder_paths, "get_user_directory", lambda: str(tmp_path))
    return knowledge


def of_model(trace, **facts):
    return replace(trace, header={**trace.header, "model": {"name": "m", "hash": HASH, **facts}})


@pytest.fixture(scope="module")
def traces():
    return {gamma: of_model(exact_trace(gamma, batch=1, steps=16)) for gamma in (1.0, 4.0, 8.0)}


def curves_of(traces, key=HASH):
    """The model calls pictures of these runs 1, 1.09 and 1.49 times as strange as those at cfg 1."""
    rows = dict.fromkeys(("along", "length", "expected"), [[1.0]] * len(LEVELS)) | {"sigmas": [*LEVELS]}
    told = [{**rows, "evaluations": 8, "error": [[ratio]] * len(LEVELS)} for ratio in (1.0, 1.09, 1.49)]
    runs = [replace(run, header={**run.header, "measured": sums}) for run, sums in zip(traces, told, strict=True)]
    return ModelCurves("m", key, (measure_curve(runs, "cfg", "2026-12-01"),))


def test_curves_and_picks_of_the_user_are_found(knowledge, traces):
    assert knowledge.make_report(traces[8.0]).answer.against == "nothing"
    before = knowledge.state_of_files()
    place = knowledge.place_of(knowledge.CURVES, HASH)
    place.parent.mkdir(parents=True)
    write_curves(curves_of(traces.values()), place)
    found = knowledge.make_report(traces[8.0])
    assert (found.answer.headline.id, found.answer.colour) == ("head.measured.seen", "above")
    assert knowledge.make_report(traces[4.0]).answer.headline.id == "head.measured.calm"
    write_picks(Picks("m", HASH, (Pick(8.0, "ode", True),)), knowledge.place_of(knowledge.PICKS, HASH))
    assert knowledge.make_report(traces[8.0]).answer.headline.id == "head.picks.inside"
    assert knowledge.state_of_files() != before
    assert not knowledge.knowledge_of(traces[8.0], "somebody else").curves


def test_what_is_damaged_is_said_and_not_used(knowledge, traces):
    for kind in (knowledge.CURVES, knowledge.PICKS):
        place = knowledge.place_of(kind, HASH)
        place.parent.mkdir(parents=True)
        place.write_text("{")
    found = knowledge.make_report(traces[8.0])
    assert {"why.curves.damaged", "why.picks.damaged"} <= {one.id for one in found.answer.reasons}
    assert place.name in found.text()
    assert found.answer.suggested is None
    own = knowledge.place_of(knowledge.PICKS, HASH, ONLY_USER)
    assert forget_picks(ONLY_USER, HASH, "ode") is None
    assert not own.exists(), "a kind of sampler of a damaged file can be forgotten"


def test_every_included_curve_can_be_read(knowledge):
    included = [read_curves(path) for path in INCLUDED.glob("*.measured.json")]
    assert len({one.key for one in included}) == len(included) > 1
    for one in included:
        trace = of_model(exact_trace(8.0, batch=1, steps=16), hash=one.key)
        assert [found.key for found in knowledge.knowledge_of(trace).curves] == [one.key]


@pytest.fixture
def report(knowledge):
    return GGReport.execute


def test_the_node_gives_text_json_and_scales(report, knowledge, traces):
    liked = Picks("m", HASH, (Pick(2.0, "ode", True), Pick(4.0, "ode", False)))
    write_picks(liked, knowledge.place_of(knowledge.PICKS, HASH))
    out = report(traces[8.0])
    text, written, cfg, low, high, trace = out.args
    data = json.loads(written)
    assert (data["suggested"], data["colour"]) == (cfg, "above")
    assert data["range"] == pytest.approx([low, high], rel=1e-5)
    assert low <= cfg <= high < 4
    assert trace is traces[8.0]
    assert out.ui == {"text": [text]}
    assert data["headline"]["en"] == text.splitlines()[0]
    assert all(one["id"] in SENTENCES and one["zh"] for one in [data["headline"], *data["reasons"], *data["findings"]])


def test_where_the_report_cannot_tell_nothing_runs_on_a_scale(report, traces):
    assert report(traces[1.0])[2] == 1.0, "off is nothing to change"
    _, _, cfg, low, high, _ = report(traces[4.0]).args
    assert "has not been measured" in cfg.message
    assert isinstance(low, ExecutionBlocker)
    assert "There is no range" in high.message
    trace = traces[4.0]
    unknown = replace(trace, steps={**trace.steps, "gamma": trace.steps["gamma"] * torch.nan})
    assert "does not say which cfg" in report(unknown)[2].message


def test_a_judge_and_a_second_run_are_read(report, labelled):
    model, positive, negative = labelled["pocket"]
    latent = {"samples": torch.zeros(3, 3, 32, 32)}
    runs = [
        guided(model, positive, negative, latent, "euler", steps=4, cfg=cfg, capture="pictures")[2] for cfg in (4, 2)
    ]
    judge = GGLoadClassifier.execute("pocket-judge-1")[0]
    out = report(runs[0], energy=LabelEnergy(judge, ((0,), (1,), (2,))), half=runs[1])
    text = out[0]
    assert ui_of(out)["judge"] == [json.loads(out[1])["judge"]["mean"]]
    assert ui_of(out)["judge_name"] == ["pocket-judge-1"], "whatever it is asked for"
    assert "of 3 samples." in text
    assert "At cfg 2" in text


def test_latents_are_judged_through_a_vae_alone(report, traces):
    trace = replace(traces[4.0], header={**traces[4.0].header, "latent": {"shape": [3, 32, 32], "format": "SD15"}})
    seen, energy = [], SimpleNamespace(text="fixed", noise_aware=False, classifiers=())
    energy.log_prob = lambda x: seen.append(x) or torch.full((len(x),), -0.1)
    assert "fixed could not judge the pictures" in report(trace, energy=energy)[0]
    vae = SimpleNamespace(latent_channels=3, decode=lambda x: torch.ones(len(x), 8, 8, 3))
    assert "fixed finds what was asked for in 1 of 1 sample." in report(trace, vae=vae, energy=energy)[0]
    assert torch.equal(seen[-1], torch.ones(1, 3, 8, 8))


def unsized(trace, form, **model):
    """Latents of a model whose file says nothing of its data."""
    header = {**trace.header, "sigma_data": None, "latent": {"shape": [3, 32, 32], "format": form}}
    return replace(trace, header=header | {"model": {**header["model"], **model}})


def encoder(encode):
    return SimpleNamespace(encode=encode, decode=None, latent_channels=3)


def sizes(trace_report):
    """What a report says of the size of clean data, from its number on."""
    lines = trace_report.splitlines()
    return [line.partition("\u03c3_d, is ")[2] for line in lines if "\u03c3_d, is " in line]


def test_the_size_of_data_is_measured_through_the_vae_and_kept_for_the_model(report, knowledge, traces):
    """By construction it is known where a format scales latents, and only there."""
    assert "construction" in sizes(report(unsized(traces[4.0], "SD15"))[0])[0]
    for form in ("PixelFormat", "LatentFormat", "nobody's"):
        assert sizes(report(unsized(traces[4.0], form))[0]) == [], form
    trace, pictures = unsized(traces[4.0], "SD15"), torch.rand(8, 16, 16, 4)
    vae = encoder(lambda x: torch.full((len(x), x.shape[-1], 2, 2), 5.0))
    measured = ["0.911, measured through the VAE on 8 pictures."]  # 5 times the format's 0.18215
    assert sizes(report(trace, vae=vae, pictures=pictures)[0]) == measured
    assert sizes(report(trace)[0]) == measured
    assert "construction" in sizes(report(unsized(traces[4.0], "SD15", hash="cd" * 32))[0])[0]


PROMPT = {
    "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux\\m.safetensors"}},
    "2": {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["1", 0], "lora_name": "a/fast.safetensors"}},
    "3": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "cfg": 4}},
    "4": {"class_type": "KSampler", "inputs": {"model": ["2", 0]}},
    "5": {"class_type": "Merge", "inputs": {"model1": ["1", 0], "model2": ["6", 0]}},
    "6": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "other.ckpt"}},
    "7": {"class_type": "KSampler", "inputs": {"model": ["5", 0]}},
    "8": {"class_type": "Loop", "inputs": {"model": ["8", 0], "guider": 3}},
}


@pytest.mark.parametrize(
    ("node", "file"),
    [("3", "m.safetensors"), ("4", "m.safetensors + fast.safetensors"), ("7", None), ("8", None), ("absent", None)],
)
def test_the_file_of_the_weights_is_read_from_the_prompt(host, node, file):
    assert file_of(RunningJob("job", node, 0, PROMPT, {})) == file
    assert file_of(None) is None


@pytest.fixture
def loaded(denoisers):
    """MODEL, VAE and labels of a small file."""
    write_safetensors(denoisers / "tiny-flow.safetensors", flow_weights(), NOTES)
    return GGLoadDenoiser.execute("tiny-flow.safetensors", "auto", "auto", "default").args


def test_the_report_compares_latents_by_what_the_vae_makes_of_them(loaded):
    model, vae, _ = loaded
    positive, negative = GGClassLabel.execute(model, "a").args
    canvas = GGEmptyCanvas.execute(model, 0, 0, 2)[0]
    own, half, near = (
        guided(model, positive, negative, canvas, "euler", steps=3, cfg=cfg, capture="pictures")[2]
        for cfg in (8.0, 4.0, 7.9999)
    )
    assert "Colours and details were not compared" in GGReport.execute(own, half=near)[0]
    assert "At cfg 8 you get the same picture in all 2 samples" in GGReport.execute(own, vae, half=near)[0]
    assert "not compared" not in GGReport.execute(own, vae, half=half)[0]
    other = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})  # of other latents
    assert "Colours and details were not compared" in GGReport.execute(own, other, half=near)[0]
