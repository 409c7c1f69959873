"""A denoiser or classifier file may say anything: it is refused in a sentence of ours, or read."""

import json
import random
import struct
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guidance_geometry.classifiers.contract import CLAIMS
from guidance_geometry.classifiers.reading import open_classifier
from guidance_geometry.denoisers.reading import read_denoiser
from guidance_geometry.denoisers.spec import choose_spec
from guidance_geometry.files.notes import JSON, LIMITS
from guidance_geometry.files.safetensors import read_header, read_safetensors, write_safetensors
from guidance_geometry.tests.classifier_files import stored
from guidance_geometry.tests.hostile import ABSURD, mutated
from guidance_geometry.tests.tiny_denoiser import write_tiny
from guidance_geometry.tests.tiny_networks import NETWORKS, transformer_weights

TRIES = 150
SLOWEST = 20.0  # seconds for one file, on a busy machine
NUMBERS = ("", "x", "nan", "1e999", "-1", "0", "9" * 400, "9" * 6000, "0.5", "1e6")
LISTS = ("{}", "[]", '["a"]', "[1]", "[" * 100_000, "[" * 900 + "]" * 900, json.dumps([str(i) for i in range(200_000)]))
TABLES = ('{"labels": 1e999}', '{"labels": 4, "sigma_data": ' + "9" * 400 + "}", "x" * 2_000_000, "\0")
TEXTS = (*NUMBERS, *LISTS, *TABLES)


def refusal_of(read):
    """The sentence with which a file is refused; empty where it is read."""
    started, said = time.perf_counter(), ""
    try:
        read()
    except ValueError as refusal:
        said = str(refusal)
    assert time.perf_counter() - started < SLOWEST
    return said


def not_there(name):
    raise ValueError(f"probe: the claims are in order, but {name[:20]} is not there")


def check(path, read):
    said = refusal_of(lambda: read(path))
    assert len(said) < 1000
    assert not said or path.name.split(".")[0] in said
    return bool(said)


@pytest.fixture
def denoiser(tmp_path):
    path = write_tiny(tmp_path / "own.safetensors")
    tensors, metadata = read_safetensors(path)
    return path, {name: tensor.clone() for name, tensor in tensors.items()}, metadata


@pytest.fixture
def classifier(tmp_path):
    path = stored(tmp_path, "pocket-noisy-1")
    tensors, metadata = read_safetensors(path)
    return path, {name: tensor.clone() for name, tensor in tensors.items()}, metadata


@pytest.mark.parametrize("kind", ["denoiser", "classifier"])
def test_any_text_under_any_key_is_refused_or_read(request, kind):
    path, tensors, metadata = request.getfixturevalue(kind)
    read = (lambda f: choose_spec(read_denoiser(f).spec)) if kind == "denoiser" else open_classifier
    keys, refused = sorted({*metadata, *(f"gg.{key}" for key in (*LIMITS, *JSON))}), []

    @settings(max_examples=TRIES, deadline=None, derandomize=True)
    @given(st.sampled_from(keys), st.sampled_from(TEXTS))
    def one(key, text):
        path.unlink()  # with some of these it is a file of another kind, which none may replace
        write_safetensors(path, tensors, metadata | {key: text})
        refused.append(check(path, read))

    one()
    assert sum(refused) > TRIES // 3


@pytest.mark.parametrize("key", CLAIMS)
def test_every_value_of_the_json_beside_a_file_is_refused_or_read(tmp_path, key):
    path = tmp_path / "probe.safetensors"
    write_safetensors(path, {"weight": torch.zeros(3, 4), "bias": torch.zeros(3)}, {})
    for value in ABSURD:
        (tmp_path / "probe.json").write_text(json.dumps({"features": "nobody", key: value}))
        check(path, lambda file: open_classifier(file, not_there))


def test_any_change_of_a_safetensors_header_is_refused_or_read(denoiser):
    path, _, _ = denoiser
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header, dice, refused = json.loads(whole[8 : 8 + length]), random.Random(0), 0
    for _ in range(TRIES):
        text = json.dumps(mutated(header, dice)).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])
        refused += check(path, lambda file: choose_spec(read_denoiser(file).spec))
    assert refused > TRIES // 2


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2**40] * 100_000, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [10**4000, 1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]},
        {"dtype": "x" * 10**6, "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 10**300]},
    ],
    ids=["axes", "digits", "size", "dtype", "offset"],
)
def test_a_claim_of_any_size_is_refused_at_once(tmp_path, entry):
    path = tmp_path / "own.safetensors"
    text = json.dumps({"a": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4 * (entry["data_offsets"][1] == 4))
    assert check(path, read_safetensors)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("adm", "time_embed.0.weight"),
        ("edm2", "unet.emb_noise.weight"),
        ("dit", "x_embedder.proj.weight"),
        ("jit", "x_embedder.proj1.weight"),
    ],
)
def test_a_weight_without_numbers_takes_no_memory_and_is_named(tmp_path, kind, name):
    """Such a weight has no bytes in the file, whatever its other sizes are."""
    path, weights = (
        tmp_path / "own.safetensors",
        transformer_weights(kind) if kind in ("dit", "jit") else NETWORKS[kind](),
    )
    for shape in ((2**40, 0), (0, 2**40), (2**47, 0, 2**14, 0), (8, 3, 0, 0)):
        write_safetensors(path, weights | {name: torch.zeros(shape)}, {})
        with pytest.raises(ValueError, match=rf"own\.safetensors: the weight '{name}' .* so no number\. Fetch"):
            read_denoiser(path)


@pytest.mark.parametrize("names", [["x" * 10**6], [str(i) for i in range(100_001)]], ids=["long", "many"])
def test_names_of_tensors_are_bounded(tmp_path, names):
    path = tmp_path / "own.safetensors"
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    text = json.dumps(dict.fromkeys(names, empty)).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(ValueError, match=r"own\.safetensors names [\d,]+ tensors"):
        read_header(path)
