"""Train Noisy Classifier in the host: in a MODEL's own space, and what it saves can be loaded and guides."""

import math

import comfy.model_management
import folder_paths
import pytest
import torch
from safetensors import safe_open

from guidance_geometry.classifiers.training import Course, continue_training
from guidance_geometry.host.classifier_training import clean_samples, lesson_of, train_student
from guidance_geometry.nodes.load_classifier import GGLoadClassifier
from guidance_geometry.nodes.train_classifier import GGTrainNoisyClassifier as Training

WIDGETS = {
    "labels": "cat; dog",
    "steps": 4,
    "batch_size": 4,
    "learning_rate": 1e-3,
    "width": 8,
    "sigma_conditioning": True,
    "seed": 0,
    "filename_prefix": "noisy",
}
DEFAULTS = WIDGETS | {"steps": 500, "batch_size": 32, "width": 32}


@pytest.fixture
def folder(tmp_path):
    """The host's first folder of the type `classifiers`."""
    folders = folder_paths.folder_names_and_paths["classifiers"][0]
    folders.insert(0, str(tmp_path))
    yield tmp_path
    folders.remove(str(tmp_path))
    folder_paths.filename_list_cache.pop("classifiers", None)


@pytest.mark.parametrize("kind", ["ve", "flow", "pocket"])
def test_what_is_trained_is_saved_and_has_a_gradient(folder, labelled, empty_latent, kind):
    model, *_ = labelled[kind]
    latent = {"samples": torch.randn_like(empty_latent(kind, 6)["samples"])}
    classifier, curve, about = Training.execute(model, **WIDGETS, latent=latent).args
    assert "noisy_00001_.safetensors in models/classifiers" in about
    assert curve.shape[-1] == 3
    loaded, labels, about = GGLoadClassifier.execute("noisy_00001_.safetensors").args
    assert f"sees samples {latent['samples'].shape[1]} x any x any at any noise level" in about
    assert labels == "cat\ndog"
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.randn(2, *latent["samples"].shape[1:]).requires_grad_()
        assert (loaded.logits(x, 0.5, 0.5) - classifier.logits(x, 0.5, 0.5)).abs().max() <= 1e-5
        (gradient,) = torch.autograd.grad(loaded.logits(x, 0.5, 0.5)[:, 0].sum(), x)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize(("kind", "flow"), [("ve", False), ("flow", True), ("pocket", False)])
def test_noise_is_drawn_from_the_models_own_table_and_the_file_says_so(folder, labelled, empty_latent, kind, flow):
    model, *_ = labelled[kind]
    table = model.get_model_object("model_sampling").sigmas.float()
    lesson = lesson_of(model, empty_latent(kind, 6), None, "cat; dog")
    assert torch.equal(lesson.sigmas, table[table > 0])
    assert lesson.flow == flow
    drawn = lesson.draw_batch(200, torch.Generator().manual_seed(0))[1]
    assert torch.isin(drawn, table).all()
    assert drawn.unique().numel() > 50
    Training.execute(model, **WIDGETS, latent={"samples": torch.randn_like(empty_latent(kind, 6)["samples"])})
    with safe_open(folder / "noisy_00001_.safetensors", "pt") as file:
        said = file.metadata()
    low, high = lesson.ratios
    found = [float(said["gg.sigma_min"]), float(said["gg.sigma_max"])]
    assert found == pytest.approx([low, high], rel=1e-4)
    assert (said["gg.space"], said["gg.sigma_input"]) == ("flow" if flow else "ve", "log_sigma")


def test_pictures_are_learned_from_where_the_model_works_on_pixels(folder, labelled):
    model, *_ = labelled["pocket"]
    image = torch.rand(4, 32, 32, 3)

    assert (clean_samples(model, None, image) - (image * 2 - 1).movedim(-1, 1)).abs().max() <= 1e-6
    Training.execute(model, **WIDGETS, image=image)
    Training.execute(model, **WIDGETS, image=image)
    assert sorted(path.name for path in folder.glob("*.safetensors")) == [
        "noisy_00001_.safetensors",
        "noisy_00002_.safetensors",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": "cat"}, "names 1 different labels"),
        ({"labels": "a;b;c;d;e;f;g"}, "7 entries for 6 pictures"),
        ({"labels": "a;;b"}, "names 2 different labels"),
        ({"width": 12}, "width is 12 but must be divisible by 8"),
        ({"latent": None}, "either latent or image"),
        (
            {"latent": {"samples": torch.full((6, 3, 8, 8), torch.nan)}},
            "6 of 6 samples hold numbers that are not finite",
        ),
        ({"latent": {"samples": torch.zeros(6, 3, 8, 8)}}, "are the same"),
        ({"latent": {"samples": torch.zeros(6, 4, 8, 8)}}, r"the MODEL has 3 channels"),
    ],
)
def test_bad_input_is_named_and_leaves_no_file(folder, labelled, empty_latent, change, words):
    model, *_ = labelled["ve"]
    inputs = WIDGETS | {"latent": {"samples": torch.randn_like(empty_latent("ve", 6)["samples"])}} | change
    with pytest.raises(ValueError, match=words):
        Training.execute(model, **inputs)
    assert not [*folder.rglob("*")]


def dark_and_bright(empty_latent, kind):
    clean = torch.tensor([-1.0, 1.0] * 3)[:, None, None, None]
    return {"samples": clean.expand_as(empty_latent(kind, 6)["samples"]).clone()}


@pytest.mark.parametrize("kind", ["ve", "flow"])
def test_training_goes_on_from_a_saved_file(folder, labelled, empty_latent, kind):
    model, *_ = labelled[kind]
    latent = dark_and_bright(empty_latent, kind)
    Training.execute(model, **WIDGETS | {"labels": "dark; bright", "steps": 40, "learning_rate": 5e-3}, latent=latent)
    saved = GGLoadClassifier.execute("noisy_00001_.safetensors").args[0]
    with torch.inference_mode(False), torch.enable_grad():
        lesson = lesson_of(model, latent, None, "dark; bright")
        losses = train_student(continue_training(saved, lesson, 0), lesson, Course(5, 96, 1e-4))
    assert max(losses) < 0.7 * math.log(2)
    changes = {"labels": "dark; bright", "width": 512, "sigma_conditioning": False, "learning_rate": 1e-4}
    made, _, about = Training.execute(model, **WIDGETS | changes, latent=latent, start_from=saved).args
    assert "noisy_00002_.safetensors in models/classifiers" in about
    again = GGLoadClassifier.execute("noisy_00002_.safetensors").args[0]
    assert again.network.config == saved.network.config
    assert (again.logits(latent["samples"], 0.5, 0.5) - made.logits(latent["samples"], 0.5, 0.5)).abs().max() <= 1e-5
    Training.execute(model, **WIDGETS | {"labels": "a; b; c"}, latent=latent, start_from=made)
    assert GGLoadClassifier.execute("noisy_00003_.safetensors").args[1] == "a\nb\nc"


def test_the_packs_clean_one_is_taught_to_read_noise(folder, labelled, empty_latent):
    model, *_ = labelled["pocket"]
    start = GGLoadClassifier.execute("pocket-clean-1").args[0]
    Training.execute(model, **WIDGETS, latent=dark_and_bright(empty_latent, "pocket"), start_from=start)
    loaded, labels, about = GGLoadClassifier.execute("noisy_00001_.safetensors").args
    assert labels == "cat\ndog"
    assert "noise-aware\nsees samples 3 x any x any" in about
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.randn(2, 3, 16, 16).requires_grad_()
        (gradient,) = torch.autograd.grad(loaded.logits(x, 0.5)[:, 0].sum(), x)
    assert gradient.abs().max() > 0


def test_the_judge_is_not_trained_further(folder, labelled, empty_latent):
    judge = GGLoadClassifier.execute("pocket-judge-1").args[0]
    with pytest.raises(ValueError, match="pocket-judge-1 cannot be trained further: it only measures"):
        Training.execute(labelled["ve"][0], **WIDGETS, latent=dark_and_bright(empty_latent, "ve"), start_from=judge)
    assert not [*folder.rglob("*")]


def test_an_interrupted_training_leaves_no_file(folder, labelled, empty_latent):
    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        Training.execute(labelled["ve"][0], **WIDGETS, latent=dark_and_bright(empty_latent, "ve"))
    assert not [*folder.rglob("*")]


@pytest.mark.parametrize("image", [torch.rand(4, 32, 32, 3) * 2 - 1, torch.rand(4, 32, 32, 3) * 255])
def test_pictures_of_another_range_are_refused(folder, labelled, image):
    with pytest.raises(ValueError, match="0 to 1"):
        Training.execute(labelled["pocket"][0], **WIDGETS, image=image)
    assert not [*folder.rglob("*")]


def test_what_is_told_is_of_pictures_that_were_held_out(folder, labelled, empty_latent):
    clean = torch.tensor([-1.0, 1.0] * 10)[:, None, None, None]
    latent = {"samples": clean + 0.1 * torch.randn(20, 3, 8, 8)}
    inputs = WIDGETS | {"labels": "dark; bright", "steps": 60, "batch_size": 16, "learning_rate": 5e-3}
    about = Training.execute(labelled["ve"][0], **inputs, latent=latent).args[2]
    assert "accuracy on 4 held-out pictures with new noise: 100%" in about
    assert "on the 16 it learned from" in about
