"""The nodes of classifier guidance with the demo's own classifiers."""

import pytest
import torch

from guidance_geometry.extension import nodes_in
from guidance_geometry.nodes.classifier_guidance import GGClassifierGradient
from guidance_geometry.nodes.load_classifier import GGLoadClassifier
from guidance_geometry.nodes.start import GGClassLabel
from guidance_geometry.trace.checks import check

from .runs import guided

KNOBS = {
    "scale": 2.0,
    "evaluation": "auto",
    "normalise": "none",
    "limit": 0.2,
    "start_percent": 0.0,
    "end_percent": 1.0,
    "every_k": 1,
}


ENERGIES = {node.__name__: node for node in nodes_in("energies")}


def classifier(name):
    return GGLoadClassifier.execute(f"pocket-{name}-1")[0]


def energy(name="noisy", label="3", kind="label"):
    return ENERGIES["GGLabelEnergy"].execute(classifier(name), label, kind)[0]


def chain(given, guidance=None, **knobs):
    preset = "scale" if {"scale", "normalise"} & set(knobs) else "measured"
    given_knobs = {**KNOBS, "preset": preset, **knobs}
    return GGClassifierGradient.execute(given, **given_knobs, guidance=guidance)[0]


@pytest.fixture(scope="module")
def unconditional(labelled):
    """The demo denoiser and its null label twice, at its native size."""
    with torch.inference_mode():
        model = labelled["pocket"][0]
        null = GGClassLabel.execute(model, "")[0]
    return model, null, null, {"samples": torch.zeros(10, 3, 32, 32)}


@pytest.mark.parametrize(("name", "evaluation", "wanted"), [("noisy", "auto", 0.9), ("clean", "x0", 0.8)])
def test_each_road_makes_what_the_label_asks_for(unconditional, name, evaluation, wanted):
    """Ten images of ten labels from a denoiser that is told none; the judge, which never guides, says what they are."""
    guidance = chain(energy(name, "*"), evaluation=evaluation)
    given = {"scheduler": "karras", "steps": 20, "cfg": 1.0}
    out, _, trace = guided(*unconditional, "euler_ancestral", guidance=guidance, **given)
    judged = classifier("judge").logits(out["samples"].clamp(-1, 1)).argmax(dim=1)
    assert (judged == torch.arange(10)).double().mean() >= wanted
    assert trace.column("M12").isfinite().any()
    assert not check(trace)


@pytest.mark.parametrize(("evaluation", "gamma"), [("noisy x_t", 2.0), ("x0 + backprop", 4.0), ("x0", 200.0)])
def test_a_preset_is_what_was_measured_for_the_evaluation(host, evaluation, gamma):
    given = energy("noisy" if evaluation == "noisy x_t" else "clean")
    for preset, times in (("weak", 0.5), ("measured", 1.0), ("strong", 2.0)):
        (term,) = chain(given, evaluation=evaluation, preset=preset).terms
        assert term.gamma(evaluation) == times * gamma
    (term,) = chain(given, evaluation=evaluation, scale=3.0).terms
    assert term.gamma(evaluation) == 3.0
