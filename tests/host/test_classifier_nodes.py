"""The nodes of classifier guidance with the demo's own classifiers."""

import pytest
import torch

from guidance_geometry.extension import nodes_in
from guidance_geometry.guidance.energies.label import wanted_labels
from guidance_geometry.nodes.classifier_guidance import GGClassifierGradient, GGGradientOptions, GGWatchEnergy
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


def test_labels_are_read_image_by_image():
    assert wanted_labels("cat | dog; 2; *", ("cat", "dog", "robot")) == ((0, 1), (2,), (0,), (1,), (2,))


def refused_label(text):
    return lambda: wanted_labels(text, ("cat", "dog", "robot"))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (refused_label("robt"), "Nearest: 'robot'"),
        (refused_label("cat;;dog"), "label is empty"),
        (lambda: chain(energy("judge"), evaluation="x0"), "is the judge"),
        (lambda: chain(energy("clean"), normalise="rms_ratio", preset="measured"), "Set preset to scale"),
        (lambda: chain(energy("clean"), start_percent=0.7, end_percent=0.3), "is empty"),
        (lambda: chain(energy("clean"), evaluation="noisy x_t"), "clean pictures only"),
    ],
)
def test_what_does_not_go_together_is_named(host, made, words):
    with pytest.raises(ValueError, match=words):
        made()


def test_options_reach_the_term_and_a_judge_may_watch(unconditional):
    changed = {"views": 2, "draws": 3, "backward_steps": 4, "temperature": 5.0, "seed": 6, "radius": 0.5, "shrink": 7}
    found = GGGradientOptions.execute(**changed, memory="compute twice")[0]
    assert {name: getattr(found, name) for name in changed} == changed
    assert found.checkpoint
    watched = GGWatchEnergy.execute(energy("judge"), guidance=chain(energy()))[0]
    _, _, trace = guided(*unconditional, "euler", steps=2, cfg=1.0, guidance=watched)
    assert trace.steps["log_prob watch"].isfinite().all()
    assert "watch" in trace.header["chain"]


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


def test_energies_combine_and_keep_to_a_region(unconditional):
    image, half = torch.full((1, 8, 8, 3), 0.9), torch.zeros(1, 32, 32)
    half[..., 16:] = 1
    red = ENERGIES["GGReferenceEnergy"].execute("colours", 0.1, image=image)[0]
    both = ENERGIES["GGCombineEnergies"].execute(energy("clean"), "product", 1.0, 0.5, energy_b=red)[0]
    inside = ENERGIES["GGMaskedEnergy"].execute(both, half)[0]
    _, _, trace = guided(*unconditional, "euler", cfg=1.0, guidance=chain(inside, evaluation="x0"), capture="tensors")
    shift = trace.tensors["gradient"].float().abs()
    assert shift[..., :16].max() == 0
    assert shift[..., 16:].max() > 0


@pytest.mark.parametrize(("evaluation", "gamma"), [("noisy x_t", 2.0), ("x0 + backprop", 4.0), ("x0", 200.0)])
def test_a_preset_is_what_was_measured_for_the_evaluation(host, evaluation, gamma):
    given = energy("noisy" if evaluation == "noisy x_t" else "clean")
    for preset, times in (("weak", 0.5), ("measured", 1.0), ("strong", 2.0)):
        (term,) = chain(given, evaluation=evaluation, preset=preset).terms
        assert term.gamma(evaluation) == times * gamma
    (term,) = chain(given, evaluation=evaluation, scale=3.0).terms
    assert term.gamma(evaluation) == 3.0
