import re

import pytest
import torch
from safetensors.torch import save_file

from guidance_geometry.guidance.labels import label_indices
from guidance_geometry.models.denoisers.reading import denoiser_of, read_denoiser
from guidance_geometry.models.denoisers.spec import choose_spec
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


def test_a_users_schedule_keeps_its_numbers(path):
    changes = {"parametrisation": "epsilon", "schedule": "vp_linear", "time": "index", "timesteps": "400"}
    spec = choose_spec(read_denoiser(write_tiny(path, **changes, beta_end="0.05")).spec)
    assert (spec.levels.timesteps, spec.levels.beta_end, spec.time) == (400, 0.05, "index")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", "2", "this pack reads version 1"),
        ("architecture", "dit-9", "must be one of pocket-unet-1"),
        ("schedule", "sigmoid", "gg.schedule is 'sigmoid'"),
        ("sigma_data", "-1", "a positive number"),
        ("sigma_min", "90", "sigma 90.0 .. 80.0 must be"),
        ("image_size", "30", "divisible by 8"),
        ("image_size", "4104", "up to 4096"),
        ("null_index", "3", "this file needs 4"),
        ("labels", None, "gg.labels is missing"),
        ("labels", "[" * 100_000, "not valid JSON"),
        ("labels", '["a"]', "has 1 names but the weights have 4 classes"),
        ("config", '{"emb": 128}', "says emb = 128 but the weights have 16"),
    ],
)
def test_wrong_metadata_is_named(path, key, value, message):
    refused(write_tiny(path, **{key: value}), message)


@pytest.mark.parametrize(
    ("key", "weight", "message"),
    [
        ("stem.bias", None, "the weight 'stem.bias' is missing"),
        ("extra.weight", torch.zeros(1), r"'extra.weight' is \(1,\) but nothing is needed"),
        ("stem.bias", torch.zeros(5), r"'stem.bias' is \(5,\) but \(8,\) is needed"),
        ("stem.bias", torch.zeros(8, dtype=torch.int64), "of whole numbers but"),
        ("stem.bias", torch.full((8,), torch.nan), "'stem.bias' holds inf or nan"),
        ("stem.weight", torch.zeros(7, 12, 3, 3), "needs a multiple of 8"),
        ("embedding.classes.weight", torch.zeros(1, 16), "needs one per label"),
        ("encode_half.blocks.999999999.norm.weight", torch.zeros(8), "encode_half.blocks.1"),
    ],
)
def test_a_weight_that_does_not_fit_is_named(path, key, weight, message):
    weights = {name: one for name, one in (tiny_weights() | {key: weight}).items() if one is not None}
    refused(write_tiny(path, weights, config=None), message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a", "is not a denoiser that this pack knows"),
        ("double_blocks.0.img_attn.weight", "use Load Diffusion Model"),
        ("decoder.conv_in.weight", "is a VAE: use Load VAE"),
        ("lora_up", "is a LoRA: use Load LoRA"),
    ],
)
def test_what_is_no_denoiser_is_told_where_it_belongs(name, message):
    with pytest.raises(ValueError, match=message):
        denoiser_of("a", {name: torch.zeros(1)}, {})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("robot", [2]), ("", [4]), ("*", [0, 1, 2, 3]), ("0; cat\nrobot", [0, 3, 2]), (";cat", [4, 3])],
)
def test_labels_are_read_as_typed(text, wanted):
    assert label_indices(text, LABELS, 4) == wanted


def test_a_name_goes_before_an_index_and_a_name_that_two_have_asks_for_one():
    assert label_indices("2", ("0", "2", "1"), 3) == [1]
    assert label_indices("#2; #0; #1; *", ("", "*", "0"), 3) == [2, 0, 1, 0, 1, 2], "names that a text cannot say"
    labels = ("crane", "owl", "crane", "Owl")
    assert label_indices("owl; Owl; 2", labels, None) == [1, 3, 2]
    with pytest.raises(ValueError, match=r"2 of the model's labels are named 'crane': \d, \d\. Give an index"):
        label_indices("crane", labels, None)


MANY = ("tabby, tabby cat", "tiger cat", "washing machine", *(f"thing number {i}" for i in range(50)))


@pytest.mark.parametrize(
    ("text", "labels", "message"),
    [
        ("robt", LABELS, "Nearest: 'robot'. They are plant, monster, robot, cat."),
        ("4", LABELS, "Label index 4 is outside 0 .. 3"),
        ("99999999999", LABELS, "is not one of the model's 4 labels"),
        ("cat, robot", LABELS, "Put ';' between labels."),
        ("cat", MANY, "Nearest: 'tabby, tabby cat', 'tiger cat'."),
        ("qqq", MANY, "None is like it; the first are 'tabby, tabby cat'"),
    ],
)
def test_unknown_labels_are_answered_with_the_nearest(text, labels, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        label_indices(text, labels, len(labels))
