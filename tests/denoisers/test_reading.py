import re

import pytest
import torch
from safetensors.torch import save_file

from guidance_geometry.denoisers.reading import read_denoiser
from guidance_geometry.denoisers.spec import choose_spec
from guidance_geometry.guidance.labels import label_indices
from guidance_geometry.tests.tiny_denoiser import LABELS, SIZES, tiny_weights, write_tiny


@pytest.fixture
def path(tmp_path):
    return tmp_path / "own.safetensors"


def refused(path, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_denoiser(path)
    assert path.name in str(caught.value)


def test_a_described_file_says_everything(path):
    file = read_denoiser(write_tiny(path))
    spec = choose_spec(file.spec)
    assert (spec.name, spec.parametrisation, spec.schedule, spec.time) == ("tiny", "edm", "edm", "log_sigma")
    assert (spec.labels, spec.null_index, spec.image_size, spec.sigma_data) == (LABELS, 4, 16, 0.599)
    assert spec.sizes == SIZES
    assert len(spec.sha256) == 64
    assert repr(file).startswith("DenoiserFile(tiny, pocket-unet-1, ")
    assert read_denoiser(write_tiny(path, image_size="4096")).spec.image_size == 4096, "the largest"


def test_explicit_choices_override_the_file_and_are_checked(path):
    spec = choose_spec(read_denoiser(write_tiny(path)).spec, "v", "flow")
    assert (spec.parametrisation, spec.schedule, spec.time) == ("v", "flow", "sigma")
    with pytest.raises(ValueError, match="parametrisation is 'noise' but must be auto or one of epsilon, x0"):
        choose_spec(spec, "noise")
    with pytest.raises(ValueError, match="edm has no table"):
        choose_spec(read_denoiser(write_tiny(path, time="index")).spec, "auto")


def test_a_bare_file_is_known_by_its_weights(path):
    save_file(tiny_weights(dtype=torch.bfloat16), path)
    spec = read_denoiser(path).spec
    assert (spec.sizes, spec.dtype) == (SIZES, torch.bfloat16)
    assert spec.labels == ("0", "1", "2", "3")
    assert (spec.parametrisation, spec.schedule, spec.sigma_data) == (None, None, None)
    assert choose_spec(spec, "edm", "edm").sigma_data == 0.5, "the paper's"
    assert choose_spec(spec, "epsilon", "vp_linear").sigma_data is None
    for given, what in (({}, "parametrisation"), ({"parametrisation": "v"}, "schedule")):
        with pytest.raises(ValueError, match=f"own does not say its {what}. Choose it on the node: "):
            choose_spec(spec, **given)


def test_a_trainers_prefix_is_dropped(path):
    save_file({"_orig_mod." + key: weight for key, weight in tiny_weights().items()}, path)
    assert read_denoiser(path).weights.keys() == tiny_weights().keys()


def test_a_users_schedule_keeps_its_numbers(path):
    changes = {"parametrisation": "epsilon", "schedule": "vp_linear", "time": "index", "timesteps": "400"}
    spec = choose_spec(read_denoiser(write_tiny(path, **changes, beta_end="0.05")).spec)
    assert (spec.levels.timesteps, spec.levels.beta_end, spec.time) == (400, 0.05, "index")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", "2", "format version '2'; this pack reads version 1"),
        ("architecture", "dit-9", "gg.architecture is 'dit-9' but must be one of pocket-unet-1"),
        ("parametrisation", "noise", "gg.parametrisation is 'noise' but must be one of epsilon"),
        ("schedule", "sigmoid", "gg.schedule is 'sigmoid'"),
        ("sigma_data", "-1", "gg.sigma_data is '-1' but must be a positive number"),
        ("sigma_min", "90", "sigma 90.0 .. 80.0 must be"),
        ("image_size", "30", "gg.image_size is 30 but must be a whole number divisible by 8"),
        ("image_size", "4104", "gg.image_size is '4104' but must be a positive number up to 4096"),
        ("null_index", "3", "gg.null_index is '3' but this file needs 4"),
        ("labels", None, "gg.labels is missing"),
        ("labels", "[" * 100_000, "gg.labels is not valid JSON"),
        ("labels", '["a"]', "gg.labels has 1 names but the weights have 4 classes"),
        ("labels", '["a", "a", "b", "c"]', "'a' cannot be typed"),
        ("config", '{"emb": 128}', "gg.config says emb = 128 but the weights have 16"),
    ],
)
def test_wrong_metadata_is_named(path, key, value, message):
    refused(write_tiny(path, **{key: value}), message)


@pytest.mark.parametrize("key", ["stem.bias", "stem.weight", "embedding.classes.weight"])
def test_a_missing_weight_is_named(path, key):
    """Without one of the last two it is no denoiser."""
    weights = tiny_weights()
    del weights[key]
    refused(write_tiny(path, weights), "the weight 'stem.bias' is missing" if key == "stem.bias" else key)


@pytest.mark.parametrize(
    ("key", "weight", "message"),
    [
        ("extra.weight", torch.zeros(1), r"'extra.weight' is \(1,\) but nothing is needed"),
        ("stem.bias", torch.zeros(5), r"'stem.bias' is \(5,\) but \(8,\) is needed"),
        ("stem.bias", torch.zeros(8, dtype=torch.int64), r"'stem.bias' is \(8,\) of whole numbers but"),
        ("stem.bias", torch.full((8,), torch.nan), "'stem.bias' holds inf or nan"),
        ("stem.weight", torch.zeros(7, 12, 3, 3), "has 7 channels where pocket-unet-1 needs a multiple of 8"),
        ("stem.weight", torch.zeros(0, 12, 3, 3), r"'stem.weight' has shape \(0, 12, 3, 3\), so no number"),
        ("embedding.classes.weight", torch.zeros(1, 16), "has 1 rows but needs one per label"),
        ("encode_half.blocks.999999999.norm.weight", torch.zeros(8), "encode_half.blocks.1"),
    ],
)
def test_a_weight_that_does_not_fit_is_named(path, key, weight, message):
    refused(write_tiny(path, tiny_weights() | {key: weight}, config=None), message)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("robot", [2]),
        ("3", [3]),
        ("", [4]),
        ("*", [0, 1, 2, 3]),
        ("0; cat\nrobot", [0, 3, 2]),
        (";cat", [4, 3]),
        ("*;cat", [0, 1, 2, 3, 3]),
        ("plant\r\ncat", [0, 3]),
    ],
)
def test_labels_are_read_as_typed(text, wanted):
    assert label_indices(text, LABELS, 4) == wanted


def test_a_name_goes_before_an_index():
    assert label_indices("2", ("0", "2", "1"), 3) == [1]
    assert label_indices("#2; #0; #1; *", ("", "*", "0"), 3) == [2, 0, 1, 0, 1, 2], "names that a text cannot say"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("robt", "Nearest: 'robot'. They are plant, monster, robot, cat. Empty means no label."),
        ("xyz", "Label 'xyz' is not one of the model's 4 labels. They are plant, monster, robot, cat."),
        ("4", "Label index 4 is outside 0 .. 3"),
        ("99999999999", "is not one of the model's 4 labels"),
        ("cat, robot", "Put ';' between labels."),
    ],
)
def test_unknown_labels_are_answered_with_the_nearest(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        label_indices(text, LABELS, 4)


def test_a_name_that_two_labels_have_asks_for_an_index():
    labels = ("crane", "owl", "crane", "Owl")
    assert label_indices("owl; Owl; 2", labels, None) == [1, 3, 2]
    for name in ("crane", "OWL"):
        with pytest.raises(ValueError, match=rf"2 of the model's labels are named '{name}': \d, \d\. Give an index"):
            label_indices(name, labels, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat", "Nearest: 'tabby, tabby cat', 'tiger cat'."),
        ("wash machine", "Nearest: 'washing machine'."),
        ("qqq", "None is like it; the first are 'tabby, tabby cat'"),
    ],
)
def test_of_many_labels_those_with_the_word_are_named(text, message):
    many = ("tabby, tabby cat", "tiger cat", "washing machine", *(f"thing number {i}" for i in range(50)))
    with pytest.raises(ValueError, match=re.escape(message)):
        label_indices(text, many, 60)
