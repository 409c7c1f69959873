"""Train Noisy Classifier in the host: in a MODEL's own space, and what it saves can be loaded and guides."""

import comfy.model_management
import folder_paths
import pytest
import torch
from safetensors import safe_open

from guidance_geometry.host.sampling.classifier_training import clean_samples, lesson_of
from guidance_geometry.nodes.load_classifier import GGLoadClassifier
from guidance_geometry.nodes.train_classifier import GGTrainNoisyClassifier as Training

WIDGETS = {"labels": "cat; dog", "steps": 4, "batch_size": 4, "learning_rate": 1e-3, "width": 8}
WIDGETS |= {"sigma_conditioning": True, "seed": 0, "filename_prefix": "noisy"}


@pytest.fixture
def folder(tmp_path):
    """The host's first folder of the type `classifiers`."""
    folders = folder_paths.folder_names_and_paths["classifiers"][0]
    folders.insert(0, str(tmp_path))
    yield tmp_path
    folders.remove(str(tmp_path))
    folder_paths.filename_list_cache.pop("classifiers", None)


@pytest.mark.parametrize(("kind", "flow"), [("flow", True), ("pocket", False)])
def test_what_is_trained_on_the_models_own_table_is_saved_and_has_a_gradient(
    folder, labelled, empty_latent, kind, flow
):
    model, latent = labelled[kind][0], {"samples": torch.randn_like(empty_latent(kind, 6)["samples"])}
    table = model.get_model_object("model_sampling").sigmas.float()
    lesson = lesson_of(model, latent, None, "cat; dog")
    assert torch.equal(lesson.sigmas, table[table > 0])
    assert lesson.flow == flow
    drawn = lesson.draw_batch(200, torch.Generator().manual_seed(0))[1]
    assert torch.isin(drawn, table).all()
    assert drawn.unique().numel() > 50
    classifier, curve, about = Training.execute(model, **WIDGETS, latent=latent).args
    assert "noisy_00001_.safetensors in models/classifiers" in about
    assert curve.shape[-1] == 3
    with safe_open(folder / "noisy_00001_.safetensors", "pt") as file:
        said = file.metadata()
    assert [float(said["gg.sigma_min"]), float(said["gg.sigma_max"])] == pytest.approx([*lesson.ratios], rel=1e-4)
    assert (said["gg.space"], said["gg.sigma_input"]) == ("flow" if flow else "ve", "log_sigma")
    loaded, labels, about = GGLoadClassifier.execute("noisy_00001_.safetensors").args
    assert "at any noise level" in about
    assert labels == "cat\ndog"
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.randn(2, *latent["samples"].shape[1:]).requires_grad_()
        assert (loaded.logits(x, 0.5, 0.5) - classifier.logits(x, 0.5, 0.5)).abs().max() <= 1e-5
        (gradient,) = torch.autograd.grad(loaded.logits(x, 0.5, 0.5)[:, 0].sum(), x)
    assert gradient.abs().max() > 0


def test_pictures_are_learned_from_where_the_model_works_on_pixels(folder, labelled):
    model, *_ = labelled["pocket"]
    image = torch.rand(4, 32, 32, 3)

    assert (clean_samples(model, None, image) - (image * 2 - 1).movedim(-1, 1)).abs().max() <= 1e-6
    for other in (image * 2 - 1, image * 255):
        with pytest.raises(ValueError, match="0 to 1"):
            Training.execute(model, **WIDGETS, image=other)
    for _ in range(2):
        Training.execute(model, **WIDGETS, image=image)
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    assert files == ["noisy_00001_.safetensors", "noisy_00002_.safetensors"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": "cat"}, "1 different labels"),
        ({"labels": "a;b;c;d;e;f;g"}, "7 entries for 6 pictures"),
        ({"latent": None}, "either latent or image"),
        ({"latent": {"samples": torch.full((6, 3, 8, 8), torch.nan)}}, "not finite"),
        ({"latent": {"samples": torch.zeros(6, 4, 8, 8)}}, "3 channels"),
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


def test_an_interrupted_training_leaves_no_file(folder, labelled, empty_latent):
    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        Training.execute(labelled["ve"][0], **WIDGETS, latent=dark_and_bright(empty_latent, "ve"))
    assert not [*folder.rglob("*")]
