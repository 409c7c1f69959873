"""What the tests of the converter ask of every file."""

import pytest
import torch

from guidance_geometry.files.safetensors import read_safetensors
from guidance_geometry.models.conversion.convert import convert

USUAL_READER = """
import json, pickle, sys, time
from pathlib import Path
import torch
for file in map(Path, sys.argv[1:]):
    try:
        pickle.loads(file.read_bytes()) if file.suffix == ".pkl" else torch.load(file, weights_only=False)
    except BaseException as error:
        print(file.name, type(error).__name__, str(error)[:200], file=sys.stderr)
"""


def refused(path, words=None):
    """The sentence with which a file is refused; nothing is written."""
    with pytest.raises(ValueError, match=words) as caught:
        tensors_or_sentence(path)
    return str(caught.value)


def tensors_or_sentence(path):
    """The tensors of a converted file; a ValueError of one line about a file that is refused leaves nothing behind."""
    before = sorted(path.parent.iterdir())
    try:
        target, _ = convert(path, force=True)
    except ValueError as error:
        said = str(error)
        assert sorted(path.parent.iterdir()) == before
        assert said.startswith(path.name)
        assert len(said) < 700
        assert "\n" not in said
        raise
    return read_safetensors(target)[0]


def same(path, wanted):
    """Whether a converted file holds exactly these tensors."""
    tensors, _ = read_safetensors(convert(path)[0])
    assert tensors.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert tensors[name].dtype == tensor.dtype
        assert tensors[name].shape == tensor.shape
        assert bits(tensors[name]) == bits(tensor), name
    return tensors


def bits(tensor):
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
