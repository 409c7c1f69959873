"""Training a noise-aware classifier: it learns, from a seed, and what is saved is what was learned."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from guidance_geometry.files.writing import write_atomically
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.models.classifiers.exact import MixtureClassifier
from guidance_geometry.models.classifiers.preprocessing import Preprocessing
from guidance_geometry.models.classifiers.reading import open_classifier
from guidance_geometry.models.classifiers.training import (
    Course,
    Lesson,
    accuracies,
    beginner,
    continue_training,
    describe_training,
    learn,
)
from guidance_geometry.models.classifiers.wired import CleanClassifier, NoisyClassifier
from guidance_geometry.tests.classifier_files import CLASSIFIERS
from guidance_geometry.tests.classifier_slopes import noise, open_as, slope_error

SHORT = Course(steps=60, batch=32, rate=3e-3)


def lesson_of(shape=(2, 8, 8), flow=False, count=96):
    mixture = make_mixture(shape, 2, 0, 1)
    targets = torch.arange(count) % 2
    x0 = mixture.sample(count, targets, torch.Generator().manual_seed(0)).float()
    sigmas = torch.linspace(0.01, 1.0, 50) if flow else torch.logspace(-2, 1, 50)
    return Lesson(x0, targets, ("left", "right"), sigmas, flow)


def reloaded(student, lesson, path):
    write_atomically(path, student.file(path.stem, lesson))
    return open_as(path, NoisyClassifier)


def pack_own(name):
    return open_classifier(CLASSIFIERS / f"{name}.safetensors")


def taught(lesson, told=True, course=SHORT):
    student = beginner(lesson, 8, told, 0)
    return student, [*learn(student, lesson, course)]


@pytest.mark.parametrize(("flow", "told"), [(False, True), (True, False)], ids=["ve", "flow"])
def test_it_learns_and_reloads_as_the_same_function(tmp_path, flow, told):
    lesson = lesson_of(flow=flow)
    student, losses = taught(lesson, told)
    assert sum(losses[-10:]) / 10 < 0.8 * math.log(2)  # guessing costs that, and at the highest noise everybody guesses
    loaded, kept = reloaded(student, lesson, tmp_path / "mine.safetensors"), student.classifier("mine", lesson)
    assert (loaded.labels, loaded.noise_aware, loaded.shape) == (("left", "right"), True, (2, None, None))
    x, alpha = noise((3, 2, 8, 8)), 0.4 if flow else 1.0
    assert (loaded.logits(x, 0.6, alpha) - kept.logits(x, 0.6, alpha)).abs().max() <= 1e-5
    assert loaded.logits(x, 1.0, 0.0).isfinite().all(), "at full noise"
    shares = [float(share.mean()) for share in accuracies(loaded, lesson).values()]
    assert shares[0] > max(0.9, shares[-1]), "the least noise is read best"
    assert slope_error(lambda x: loaded.logits(x, 0.6, alpha).log_softmax(1)[:, 1], x, 1e-2) <= 1e-2


def test_every_fifth_sample_of_each_label_is_held_out():
    lesson = lesson_of(count=43)
    learned, held = lesson.split(3)
    assert [int((held.targets == label).sum()) for label in (0, 1)] == [4, 4]
    rows = torch.cat([learned.x0, held.x0]).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows) == 43
    assert torch.equal(lesson.split(3)[1].x0, held.x0)
    assert not torch.equal(lesson.split(4)[1].x0, held.x0)
    few, none = lesson_of(count=8).split(3)
    assert (len(few.x0), len(none.x0)) == (8, 0)


@pytest.mark.parametrize(("rare", "told"), [(1, "nothing is known"), (8, "learned nothing")])
def test_one_frequent_label_is_no_accuracy(rare, told):
    """A classifier that always says the label that most pictures have names all or nearly all of them right."""
    lesson = lesson_of(count=64)
    lesson = replace(lesson, targets=torch.tensor([0] * (64 - rare) + [1] * rare))
    learned, held = lesson.split(0)
    always: Any = SimpleNamespace(logits=lambda x, *_: torch.tensor([[1.0, 0.0]]).expand(len(x), -1))
    always.network = torch.nn.PReLU()  # a weight
    found = describe_training(always, learned, held)
    assert told in found
    assert ("held-out pictures with new noise: 50%" in found) == (rare > 4)
    assert "100% at sigma" not in found
    assert "None is held out, as no label has 5" in describe_training(always, *lesson_of(count=8).split(0))


@pytest.mark.parametrize(
    ("value", "words"), [(math.nan, "5 of 96 samples hold numbers that are not finite"), (None, "are the same")]
)
def test_samples_that_teach_nothing_are_refused_before_any_step(value, words):
    lesson = lesson_of()
    x0 = lesson.x0[:1].expand_as(lesson.x0) if value is None else lesson.x0.clone()
    if value is not None:
        x0[:5, 0, 0, 0] = value
    with pytest.raises(ValueError, match=words):
        taught(replace(lesson, x0=x0))
    with pytest.raises(ValueError, match=r"The loss is nan at step 1\. Lower learning_rate"):
        taught(replace(lesson, sigmas=lesson.sigmas * math.inf))


def test_the_same_seed_is_the_same_network_and_disturbs_no_other_draws():
    lesson, course = lesson_of(), Course(steps=3, batch=4)
    torch.manual_seed(5)
    undisturbed = torch.rand(3)
    torch.manual_seed(5)
    first, second = taught(lesson, course=course), taught(lesson, course=course)
    assert torch.equal(torch.rand(3), undisturbed)
    assert first[1] == second[1]
    assert [*learn(beginner(lesson, 8, True, 1), lesson, course)] != first[1]


def test_noise_follows_the_models_coordinates():
    for flow in (False, True):
        lesson = lesson_of(flow=flow, count=4)
        chosen, sigma = torch.arange(4), torch.full((4,), 0.75)
        x, told, alpha = lesson.noisy(chosen, sigma, torch.Generator().manual_seed(2))
        eps = torch.randn(lesson.x0.shape, generator=torch.Generator().manual_seed(2))
        share = 0.25 if flow else 1.0
        assert (x - (share * lesson.x0 + 0.75 * eps)).abs().max() <= 1e-6
        assert (alpha - share).abs().max() <= 1e-6
        assert torch.equal(told, sigma)


PICTURES = lesson_of((3, 16, 16))


@pytest.fixture(scope="module", params=["small", "pocket-clean-1"])
def first(request, tmp_path_factory):
    """A trained classifier of a kind that the node saves, loaded from its file."""
    own = request.param == "small"
    student = beginner(PICTURES, 8, True, 0) if own else continue_training(pack_own(request.param), PICTURES, 0)
    for loss in learn(student, PICTURES, Course(steps=60, batch=16, rate=3e-3)):
        assert math.isfinite(loss)
    return reloaded(student, PICTURES, tmp_path_factory.mktemp("first") / "first.safetensors")


def test_a_saved_one_goes_on_from_what_it_knew(tmp_path, first):
    before = {name: tensor.clone() for name, tensor in first.network.state_dict().items()}
    student = continue_training(first, PICTURES, 0)
    losses = [*learn(student, PICTURES, Course(steps=10, batch=96, rate=1e-4, seed=3))]
    anew = [*learn(beginner(PICTURES, 8, True, 0), PICTURES, Course(steps=10, batch=96, rate=1e-4, seed=3))]
    assert max(losses) < 0.6 * math.log(2)
    assert min(anew) > 0.9 * math.log(2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in first.network.state_dict().items())
    second = reloaded(student, PICTURES, tmp_path / "second.safetensors")
    x = noise((3, 3, 16, 16))
    assert (second.logits(x, 0.6) - student.classifier("second", PICTURES).logits(x, 0.6)).abs().max() <= 1e-4
    assert slope_error(lambda x: second.logits(x, 0.6).log_softmax(1)[:, 1], x, 1e-2) <= 2e-2


def test_other_labels_are_a_new_last_layer(tmp_path, first):
    other = Lesson(PICTURES.x0, torch.arange(96) % 3, ("left", "right", "both"), PICTURES.sigmas)
    with pytest.raises(ValueError, match=r"first.* reads samples of 3 channels but these have 2"):
        continue_training(first, lesson_of((2, 16, 16)), 0)
    student = continue_training(first, other, 0)
    assert len([*learn(student, other, Course(steps=2, batch=8))]) == 2
    second = reloaded(student, other, tmp_path / "second.safetensors")
    assert (second.labels, second.logits(noise((2, 3, 16, 16)), 1.0).shape) == (other.labels, (2, 3))


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (lambda: CleanClassifier("net", torch.nn.Flatten(), ("a", "b"), Preprocessing()), "more than the one file"),
        (lambda: pack_own("pocket-judge-1"), "would judge itself"),
        (lambda: MixtureClassifier(make_mixture((3, 8, 8), 2, 0, 1), ("a", "b")), "is a formula"),
    ],
)
def test_what_cannot_go_on_is_told_why(start, reason):
    with pytest.raises(ValueError, match=f"cannot be trained further: .*{reason}"):
        continue_training(start(), lesson_of((3, 8, 8)), 0)
