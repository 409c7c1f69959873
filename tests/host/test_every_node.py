"""What holds for every node of the pack, whatever it does: arguments that are missing, absurd or of another wire."""

import math
from inspect import getfullargspec, signature
from itertools import chain, combinations
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from comfy.nested_tensor import NestedTensor
from comfy_api.internal import first_real_override

from guidance_geometry.dev.fixtures.interfaces import interfaces, read
from guidance_geometry.extension import every_node
from guidance_geometry.host.editor.checks import CheckedNode
from guidance_geometry.host.editor.wires import CARRIED, is_latent
from guidance_geometry.tests.hostile import Hostile

from .queued import queued

ATTRIBUTES = ("init step noise_aware judge log_prob classifiers begin runs header steps stage temperature draws "
              "checkpoint model decode sample model_patcher generate_noise seed")  # fmt: skip
OBJECT = SimpleNamespace(**dict.fromkeys(ATTRIBUTES.split()))
FITTING = {
    "CONDITIONING": [[None, {}]],
    "LATENT": {"samples": torch.zeros(1, 3, 8, 8)},
    "IMAGE": torch.zeros(1, 8, 8, 3),
    "MASK": torch.zeros(1, 8, 8),
    "SIGMAS": torch.linspace(1, 0, 3),
}
WORDS = ("STRING", "COMBO")
ABSURD = [None, math.nan, math.inf, 10**400, "x", [1], True]
NODES = every_node()
NUMBERS = ("INT", "FLOAT")


def inputs_of(node) -> dict[str, Any]:
    return {declared.id: declared for declared in node.define_schema().inputs}


def each_input(kinds):
    """Every input of these types, with its node and its name; whatever a node does not read is left out."""
    every = (
        (node, name, one) for node in NODES for name, one in inputs_of(node).items() if name not in node.unread_inputs
    )
    return [(node, name, one) for node, name, one in every if one.get_io_type() in kinds]


def fitting(declared):
    """Something that an input takes."""
    kind = declared.get_io_type()
    if kind == "COMBO":
        return next(iter(declared.options), "none")
    usual = getattr(declared, "default", None)
    return FITTING.get(kind, OBJECT) if usual is None else usual


def refusal(node, **changes):
    """The sentence with which a node refuses arguments, before anything else happens."""
    inputs = inputs_of(node)
    given = {name: fitting(declared) for name, declared in inputs.items()} | changes
    with pytest.raises(ValueError, match=next(iter(changes))) as caught:
        node.execute(**given)
    return str(caught.value)


@pytest.mark.parametrize("function", ["validate_inputs", "fingerprint_inputs"])
def test_no_missing_argument_is_an_error_in_the_queue(function):
    walked = 0
    for node in NODES:
        if (check := first_real_override(node, function)) is None:
            continue
        known = inputs_of(node)
        names = [name for name in getfullargspec(check).args if name != "cls"]
        sizes = {0, 1, max(len(names) - 1, 0), len(names)}
        for given in chain.from_iterable(combinations(names, size) for size in sizes):
            for value in (lambda declared: None, fitting):
                found = check(**{name: value(known[name]) for name in given})
                assert function == "fingerprint_inputs" or found is True or isinstance(found, str)
                walked += 1
    assert walked > (150 if function == "validate_inputs" else 10)


def test_every_execute_is_checked_against_its_schema():
    widgets = {"INT", "FLOAT", "BOOLEAN", *WORDS}
    for node in NODES:
        assert issubclass(node, CheckedNode), f"{node.__name__} is no CheckedNode"
        inputs = inputs_of(node)
        kinds = {declared.get_io_type() for name, declared in inputs.items() if name not in node.unread_inputs}
        assert kinds <= widgets | CARRIED.keys(), node.__name__
        assert inputs.keys() == set(signature(node.execute).parameters), node.__name__
    assert not [name for _, name, one in each_input(NUMBERS) if None in (one.min, one.max)]


@pytest.mark.parametrize("wrong", ["x", Hostile(), {"samples": "x"}, torch.zeros(2, 2, 2, 2, 2)], ids=type)
def test_a_literal_or_another_wire_is_named(wrong):
    wires = each_input(CARRIED)
    for node, name, declared in wires:
        said = refusal(node, **{name: wrong})
        assert said.startswith(f"{name} is a {type(wrong).__name__}; a {declared.get_io_type()} is needed. Connect ")
    assert len(wires) > 50


SAMPLES = torch.zeros(2, 3, 8, 8)


def test_what_is_no_latent_is_named_and_every_latent_of_the_host_fits():
    sound = torch.zeros(1, 3, 8)
    for wrong in (SAMPLES.numpy(), torch.zeros(8, 8), SAMPLES.long(), Hostile()):
        for node, name, _ in each_input(("LATENT",)):
            assert "; a LATENT is needed" in refusal(node, **{name: {"samples": wrong}})
    assert not is_latent({"samples": SAMPLES, "noise_mask": "x"})
    for latent in (
        {"samples": sound.half()},
        {"samples": torch.zeros(1, 3, 5, 8, 8), "batch_index": None, "noise_mask": None},
        {"samples": SAMPLES, "noise_mask": torch.ones(1, 8, 8), "batch_index": [0, 3], "type": "audio"},
        {"samples": NestedTensor([SAMPLES, sound]), "noise_mask": NestedTensor([SAMPLES, sound])},
    ):
        assert is_latent(latent)


@pytest.mark.parametrize("absurd", ABSURD, ids=type)
def test_an_absurd_number_is_refused_by_its_name_and_range(absurd):
    for node, name, declared in each_input(NUMBERS):
        said = refusal(node, **{name: absurd})
        assert said.startswith(f"{name} is ")
        assert f"{declared.min:g} to {declared.max:g}" in said
        assert len(said) < 300


def test_the_queue_says_once_that_a_number_is_out_of_its_range_and_the_node_refuses_it():
    for node, name, declared in each_input(NUMBERS):
        for outside in (declared.min - 1, declared.max + 1):
            assert "outside" in refusal(node, **{name: outside})
        words = queued(node, **{name: declared.max + 1})
        assert len(words) == 1, (node.__name__, name, words)
        assert name in words[0]


@pytest.mark.parametrize("absurd", [None, 7, ["x"], {"x": 1}, b"x", "x" * 100_001], ids=type)
def test_what_is_no_text_or_one_without_end_is_refused_by_its_name(absurd):
    words = "100,001 characters" if isinstance(absurd, str) else "which is not text"
    for node, name, _ in each_input(WORDS):
        assert words in refusal(node, **{name: absurd})


NAMES = sorted(read())


def broken(was, now):
    """What a saved workflow or prompt would miss in an interface."""
    if now is None:
        return ["the node is gone"]
    more = now["inputs"][len(was["inputs"]) :]
    pairs = zip(was["inputs"], now["inputs"], strict=False)
    wrong = [f"{one['name']}: {one} is now {other}" for one, other in pairs if not covers(one, other)]
    wrong += [f"{one['name']} is missing" for one in was["inputs"][len(now["inputs"]) :]]
    wrong += [f"{one['name']} came later and is not optional" for one in more if not one["optional"]]
    return wrong + ([] if now["outputs"][: len(was["outputs"])] == was["outputs"] else ["outputs"])


def covers(was, now):
    """Whether an input takes all that it took; a menu may grow."""
    options = was.get("options", [])
    return {**was, "options": []} == {**now, "options": []} and [o for o in options if o not in now["options"]] == []


@pytest.fixture(scope="module")
def now(host):
    return interfaces()


@pytest.mark.parametrize("name", NAMES)
def test_an_interface_stays_as_it_was_frozen(now, name):
    assert broken(read()[name], now.get(name)) == []
