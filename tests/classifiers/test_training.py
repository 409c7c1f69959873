"""Training a noise-aware classifier: it learns, from a seed, and what is saved is what was learned."""

import math

import pytest
import torch

from guidance_geometry.classifiers.reading import open_classifier
from guidance_geometry.classifiers.training import Course, Lesson, accuracies, advanced, beginner, learn
from guidance_geometry.classifiers.wired import CleanClassifier
from guidance_geometry.guidance.files import write_atomically
from guidance_geometry.guidance.mixture import make_mixture
from guidance_geometry.tests.classifiers.slopes import noise, slope_error

SHORT = Course(steps=60, batch=32, rate=3e-3)


def lesson_of(shape=(2, 8, 8), flow=False, count=96):
    mixture = make_mixture(shape, 2, 0, 1)
    targets = torch.arange(count) % 2
    x0 = mixture.sample(count, targets, torch.Generator().manual_seed(0)).float()
    sigmas = torch.linspace(0.01, 1.0, 50) if flow else torch.logspace(-2, 1, 50)
    return Lesson(x0, targets, ("left", "right"), sigmas, flow)


def taught(lesson, told=True, course=SHORT):
    student = beginner(lesson, "mine", 8, told, 0)
    return student, [*learn(student, lesson, course)]


@pytest.mark.parametrize("flow", [False, True], ids=["ve", "flow"])
@pytest.mark.parametrize("told", [True, False])
def test_it_learns_and_reloads_as_the_same_function(tmp_path, flow, told):
    lesson = lesson_of(flow=flow)
    student, losses = taught(lesson, told)
    assert sum(losses[-10:]) / 10 < 0.8 * math.log(
        2
    )  # guessing costs ln 2, and at the highest noise nobody does better
    write_atomically(tmp_path / "mine.safetensors", student.file(lesson))
    loaded, kept = open_classifier(tmp_path / "mine.safetensors", None), student.classifier("mine", lesson)
    assert (loaded.labels, loaded.noise_aware, loaded.shape) == (("left", "right"), True, (2, None, None))
    x, alpha = noise((3, 2, 8, 8)), 0.4 if flow else 1.0
    assert (loaded.logits(x, 0.6, alpha) - kept.logits(x, 0.6, alpha)).abs().max() <= 1e-5
    assert slope_error(lambda x: loaded.logits(x, 0.6, alpha).log_softmax(1)[:, 1], x, 1e-2) <= 1e-2


def test_the_least_noise_is_read_best():
    lesson = lesson_of()
    student, _ = taught(lesson)
    shares = [*accuracies(student.classifier("mine", lesson), lesson).values()]
    assert shares[0] > 0.9
    assert shares[0] > shares[-1]


def test_the_same_seed_is_the_same_network_and_disturbs_no_other_draws():
    lesson, course = lesson_of(), Course(steps=3, batch=4)
    torch.manual_seed(5)
    undisturbed = torch.rand(3)
    torch.manual_seed(5)
    first, second = taught(lesson, course=course), taught(lesson, course=course)
    assert torch.equal(torch.rand(3), undisturbed)
    assert first[1] == second[1]
    assert [*learn(beginner(lesson, "mine", 8, True, 1), lesson, course)] != first[1]


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


def test_flow_at_full_noise_is_finite():
    lesson = lesson_of(flow=True)
    student, _ = taught(lesson, course=Course(steps=2, batch=4))
    assert student.classifier("mine", lesson).logits(noise((2, 2, 8, 8)), 1.0, 0.0).isfinite().all()


def test_a_loss_that_is_no_number_is_named():
    lesson = lesson_of()
    broken = Lesson(lesson.x0 * torch.nan, lesson.targets, lesson.labels, lesson.sigmas)
    with pytest.raises(ValueError, match=r"The loss is nan at step 1\. Lower learning_rate"):
        taught(broken)


def test_a_torchvision_network_learns_noise_and_new_labels(tmp_path):
    models = pytest.importorskip("torchvision", reason="torchvision comes with the host").models
    from guidance_geometry.classifiers.preprocessing import Preprocessing

    start = CleanClassifier("net", models.resnet18(num_classes=4), tuple("abcd"), Preprocessing((32, 32)))
    before = {name: tensor.clone() for name, tensor in start.network.state_dict().items()}
    lesson = lesson_of((3, 16, 16))
    student = advanced(start, lesson, 0)
    losses = [*learn(student, lesson, Course(steps=12, batch=16, rate=1e-3))]
    assert sum(losses[-3:]) < sum(losses[:3])
    assert all(torch.equal(tensor, before[name]) for name, tensor in start.network.state_dict().items())
    write_atomically(tmp_path / "net.safetensors", student.file(lesson))
    loaded = open_classifier(tmp_path / "net.safetensors", None)
    assert (loaded.noise_aware, loaded.labels) == (True, ("left", "right"))
    x = noise((2, 3, 16, 16))
    kept = student.classifier("net", lesson).logits(x, 0.75, 0.25)
    assert (loaded.logits(x, 0.75, 0.25) - kept).abs().max() <= 1e-4


def test_networks_that_cannot_go_on_are_named():
    class Other(torch.nn.Module):
        pass

    from guidance_geometry.classifiers.preprocessing import Preprocessing

    with pytest.raises(ValueError, match="other cannot be trained further"):
        advanced(CleanClassifier("other", Other(), ("a",), Preprocessing()), lesson_of(), 0)
