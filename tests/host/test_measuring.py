"""The model's own measure through the host: the same numbers as in a script, and nothing of the run is changed."""

import json

import pytest
import torch

from guidance_geometry import library as gg
from guidance_geometry.dev.fixtures.subjects import every_subject
from guidance_geometry.extension import every_node
from guidance_geometry.host.editor.tap_places import set_epoch
from guidance_geometry.host.editor.taps import requested_taps
from guidance_geometry.host.recording.measuring import measure_latent
from guidance_geometry.measure.estimates import coarse
from guidance_geometry.measure.measurement import measurement_of
from guidance_geometry.nodes.measure import GGMeasure
from guidance_geometry.nodes.sampling import GGGuidedSampler
from guidance_geometry.nodes.start import GGClassLabel, GGEmptyCanvas, GGLoadDenoiser
from guidance_geometry.nodes.sweep import GGSweep
from guidance_geometry.sweeps.measures import measure
from guidance_geometry.trace.file import load, save

from .runs import guided, ksampler, same

LABELS = "0; 3; 5; 7"


def loaded(name):
    model = GGLoadDenoiser.execute(name, "auto", "auto", "default")[0]
    positive, negative = GGClassLabel.execute(model, LABELS).args[:2]
    return model, positive, negative, GGEmptyCanvas.execute(model, 0, 0, 4).args[0]


@pytest.mark.parametrize("name", ["pocket-1", "pocket-flow-1"])
def test_it_says_of_a_latent_what_a_script_says(name):
    model, positive, negative, latent = loaded(name)
    samples = ksampler(model, positive, negative, latent, "euler", steps=6, cfg=4.0)
    (measured,) = measure_latent(model, positive, negative, {"samples": samples}, draws=2, seed=3)
    clean = model.get_model_object("latent_format").process_in(samples)
    expected = gg.measure(gg.load_denoiser(name), clean, [0, 3, 5, 7], draws=2, seed=3)
    assert measured.strength == pytest.approx(expected.strength, rel=1e-3)
    assert measured.ratio == pytest.approx(expected.ratio, rel=1e-3)
    assert measured.evaluations == expected.evaluations


def test_the_node_orders_pictures_says_what_guidance_did_and_whether_it_applies():
    model, positive, negative, latent = loaded("pocket-flow-1")
    run = (model, positive, negative, latent, "euler")
    plain, guided = ({"samples": ksampler(*run, scheduler="simple", steps=20, cfg=cfg)} for cfg in (1.0, 16.0))
    text, as_text, strength, ratio, ordered, best = GGMeasure.execute(
        model, positive, negative, guided, 3, 2, plain
    ).args
    found = json.loads(as_text)
    assert found["applies"] is True
    assert found["prompt_strength"][0] == strength > 1
    assert found["denoising_ratio"][0] == ratio > 1.3
    assert found["times_as_strange"][1] > 1.1
    assert "times as strange as the same seeds at cfg 1" in text
    assert torch.equal(ordered["samples"], guided["samples"][found["order"]])
    assert torch.equal(best["samples"], ordered["samples"][:1])


def test_a_model_that_answers_from_memory_is_not_believed():
    model, positive, negative, _ = loaded("pocket-1")
    answers = {}

    def from_memory(apply, given):
        key = given["input"].shape
        answers[key] = answers.get(key, 0) + 1
        return apply(given["input"] + 0.1 * answers[key], given["timestep"], **given["c"])

    counting = model.clone()
    counting.set_model_unet_function_wrapper(from_memory)
    samples = {"samples": 0.1 * torch.randn(2, 3, 32, 32)}
    with pytest.raises(ValueError, match="two ways"):
        measure_latent(counting, positive, negative, samples, draws=1)


def test_an_area_that_no_condition_covers_is_left_out_and_a_mask_counts_what_was_drawn():
    model, positive, negative, latent = loaded("pocket-1")
    samples = {"samples": ksampler(model, positive, negative, latent, "euler", steps=6, cfg=2.0)}
    half = [[tensor, {**options, "area": (32, 16, 0, 0), "strength": 1.0}] for tensor, options in positive]
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :16] = 1
    whole, covered, masked = (
        measure_latent(model, one, negative, {**samples, **extra}, draws=1)[0]
        for one, extra in ((positive, {}), (half, {}), (positive, {"noise_mask": mask}))
    )
    assert (masked.levels[-1].error < whole.levels[-1].error).all()
    assert (covered.levels[-1].error < 3 * whole.levels[-1].error).all(), (
        "not the zeros that the host answers elsewhere"
    )


@pytest.mark.parametrize("name", ["pocket-1", "pocket-flow-1"])
def test_a_recorded_run_is_measured_where_it_ends_as_the_node_does(name, tmp_path):
    model, positive, negative, latent = loaded(name)
    run = (model, 7, 6, 4.0, "euler", "normal", positive, negative, latent)
    plain = GGGuidedSampler.execute(*run).args
    made, _, trace = GGGuidedSampler.execute(*run, measure=2).args
    assert torch.equal(made["samples"], plain[0]["samples"])
    assert measurement_of(plain[2].header) is None
    save(trace, tmp_path / "run.safetensors")
    found = measurement_of(load(tmp_path / "run.safetensors").header)
    (expected,) = measure_latent(model, positive, negative, made, draws=2, seed=7)
    assert found.strength == pytest.approx(expected.strength, rel=1e-3)
    assert found.ratio == pytest.approx(expected.ratio, rel=1e-3)
    assert found.evaluations == expected.evaluations
    assert trace.header["evaluations"] == plain[2].header["evaluations"]
    assert measure(trace, ["prompt_strength", "denoising_ratio"]) == {
        "prompt_strength": found.strength.value,
        "denoising_ratio": found.ratio.value,
    }


def test_a_job_asks_for_the_measure_through_its_taps():
    body = {"extra_data": {"guidance_geometry": {"record": True, "measure": 3}}, "prompt": {}}
    assert requested_taps(body).measure == 3
    assert requested_taps({**body, "extra_data": {"guidance_geometry": {"record": True, "measure": -1}}}).measure == 0


def test_a_sweep_shows_what_the_model_says_of_its_pictures():
    model, positive, negative, latent = loaded("pocket-flow-1")
    run = (model, positive, negative, latent, 3, 6, "euler", "simple", "cfg: 1, 9\nseed: 3, 4")
    plain, asked = (GGSweep.execute(*run, measure=draws).args[2] for draws in (0, 2))
    heads, *rows = (line.split() for line in asked.splitlines())
    assert "prompt_strength" not in plain
    places = {name: heads.index(name) for name in ("cfg", "prompt_strength", "denoising_ratio", "variety")}
    by_cfg = {row[places["cfg"]]: {name: float(row[at]) for name, at in places.items()} for row in rows}
    assert by_cfg["1"]["variety"] == 1 > by_cfg["9"]["variety"]
    assert by_cfg["9"]["prompt_strength"] > by_cfg["1"]["prompt_strength"]


def test_a_sweep_over_rules_compares_them_at_equal_prompt_strength():
    every_node()  # rules are named by their nodes
    run = (*loaded("pocket-flow-1"), 3, 4, "euler", "simple")
    axes = "cfg: {}, 3\nrule: cfg, APG\nseed: 3, 4"
    words = GGSweep.execute(*run, axes.format(1), measure=1).args[2]
    table = words[words.index("At the prompt strength of plain cfg 3") :].splitlines()
    assert [line.split()[0] for line in table[2:4]] == ["cfg", "APG"]
    assert "no measure of quality" in words
    assert "add cfg 1" in GGSweep.execute(*run, axes.format(2), measure=1).args[2]


def test_a_job_that_is_queued_once_more_is_measured_wherever_it_is_recorded():
    kinds = {"1": "GGTap", "2": "GGGuidedSampler", "3": "KSampler"}
    before = {name: {"class_type": kind, "inputs": {"measure": 0}} for name, kind in kinds.items()}
    later = set_epoch(before, 0, 3)
    assert [node["inputs"]["measure"] for node in later.values()] == [3, 3, 0]
    assert set_epoch(before, 0)["2"] == before["2"]


SUBJECTS = {one.name: one for one in every_subject()}
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
ASKED = [(name, "fp32") for name, one in SUBJECTS.items() if "labels" not in one.has or "unconditional" in one.has]
ASKED += [(name, dtype) for name in SUBJECTS if "(host)" in name for dtype in ("fp16", "bf16")]


@pytest.mark.parametrize(("name", "dtype"), ASKED)
def test_every_kind_of_model_is_measured_in_every_precision_and_draws_the_same(name, dtype):
    kind = SUBJECTS[name]
    model = kind.make(DTYPES[dtype])
    parts = (model, kind.positive(model), kind.negative(model), kind.latent(model, 2), "euler")
    plain, measured = (guided(*parts, scheduler="simple", steps=2, measure=draws) for draws in (0, 1))
    ends = [one[0]["samples"] for one in (plain, measured)]
    assert all(map(same, *([*one.unbind()] if "parts" in kind.has else [one] for one in ends)))
    found = measurement_of(measured[2].header)
    assert found, measured[2].header.get("faults")
    assert all(column.isfinite().all() for level in coarse(found.levels) for column in level[1:])
    assert all(level.error.isfinite().all() and level.expected.isfinite().all() for level in found.levels)
