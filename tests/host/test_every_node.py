"""What holds for every node of the pack, whatever it does: arguments that are missing, absurd or of another wire."""

import math
from fractions import Fraction
from inspect import getfullargspec, signature
from itertools import chain, combinations
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from comfy.nested_tensor import NestedTensor
from comfy_api.internal import first_real_override
from comfy_api.latest import io
from comfy_execution.validation import validate_node_input

from guidance_geometry.classifiers.training import continue_training
from guidance_geometry.extension import every_node, in_order, names_in
from guidance_geometry.host import checks
from guidance_geometry.host.checks import CheckedNode, number
from guidance_geometry.host.energy_inputs import ASKED, answering
from guidance_geometry.host.wires import CARRIED, is_latent, misfit
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
OUTPUTS = {  # nodes that run though nothing reads them
    *("GGCompareTraces", "GGDifferenceImages", "GGExportHTML", "GGFigure", "GGInspector", "GGMeasure", "GGMetrics"),
    "GGReport",
    *("GGSaveTrace", "GGSweep", "GGTrainNoisyClassifier"),
}


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


def widgets_of(node):
    """What its widgets show at first."""
    widgets = (one for one in inputs_of(node).values() if one.get_io_type() in ("INT", "FLOAT", "BOOLEAN", *WORDS))
    return {declared.id: fitting(declared) for declared in widgets}


def refusal(node, **changes):
    """The sentence with which a node refuses arguments, before anything else happens."""
    inputs = inputs_of(node)
    given = {name: fitting(declared) for name, declared in inputs.items()} | changes
    with pytest.raises(ValueError, match=next(iter(changes))) as caught:
        node.execute(**given)
    return str(caught.value)


def test_what_editors_and_hosts_are_told_of_nodes():
    for node in NODES:
        pack, *words = node.GET_NODE_INFO_V1()["search_aliases"]
        assert pack == "guidance geometry"
        assert len(set(words)) == len(words) > 0, node.node_id
        for paper in getattr(node.owner, "papers", ()):
            assert {paper.title, paper.authors, paper.arxiv} <= set(words)
    found = [node.node_id for node in NODES if any("burned" in words for words in node.search_aliases())]
    assert "GGAdaptiveProjected" in found
    assert {node.node_id for node in NODES if node.GET_NODE_INFO_V1()["dev_only"]} == {"GGTap", "GGPipeTap"}
    assert {node.__name__ for node in NODES if node.unread_inputs} == {"GGTap", "GGPipeTap"}
    assert {node.__name__ for node in NODES if node.GET_SCHEMA().is_output_node} == OUTPUTS
    assert [node.__name__ for node in NODES if node.GET_SCHEMA().not_idempotent] == ["GGInspector"]


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


@pytest.mark.parametrize("absurd", ABSURD, ids=type)
def test_whatever_a_widget_holds_the_queue_answers_in_sentences(absurd):
    for node in NODES:
        asked = getfullargspec(node.validate_inputs).args[1:]
        usual = {name: fitting(inputs_of(node)[name]) for name in asked}
        for name in asked:
            found = node.validate_inputs(**usual | {name: absurd})
            assert found is True or found.endswith(".") or "Choose one of" in found


def test_every_execute_is_checked_against_its_schema():
    widgets = {"INT", "FLOAT", "BOOLEAN", *WORDS}
    for node in NODES:
        assert issubclass(node, CheckedNode), f"{node.__name__} is no CheckedNode"
        inputs = inputs_of(node)
        kinds = {declared.get_io_type() for name, declared in inputs.items() if name not in node.unread_inputs}
        assert kinds <= widgets | CARRIED.keys(), node.__name__
        assert inputs.keys() == set(signature(node.execute).parameters), node.__name__
    assert not [name for _, name, one in each_input(NUMBERS) if None in (one.min, one.max)]


@pytest.mark.parametrize("wrong", ["x", [], Hostile(), {"samples": "x"}, torch.zeros(2, 2, 2, 2, 2)], ids=type)
def test_a_literal_or_another_wire_is_named(wrong):
    wires = each_input(CARRIED)
    for node, name, declared in wires:
        said = refusal(node, **{name: wrong})
        assert said.startswith(f"{name} is a {type(wrong).__name__}; a {declared.get_io_type()} is needed. Connect ")
    assert len(wires) > 50


SAMPLES = torch.zeros(2, 3, 8, 8)


@pytest.mark.parametrize(
    "wrong",
    [
        {"samples": SAMPLES.numpy()},
        {"samples": torch.tensor(0.0)},
        {"samples": torch.zeros(8, 8)},
        {"samples": SAMPLES.long()},
        {"samples": None},
        {"samples": Hostile()},
        {"samples": SAMPLES, "noise_mask": "x"},
        {"samples": SAMPLES, "batch_index": 1},
        [SAMPLES],
    ],
    ids=range(9),
)
def test_what_is_no_latent_is_named(wrong):
    wires = each_input(("LATENT",))
    assert all("; a LATENT is needed" in refusal(node, **{name: wrong}) for node, name, _ in wires)
    assert len(wires) > 2


def test_every_latent_of_the_host_fits():
    sound = torch.zeros(1, 3, 8)
    for latent in (
        {"samples": sound.half()},
        {"samples": torch.zeros(1, 3, 5, 8, 8), "batch_index": None, "noise_mask": None},
        {"samples": SAMPLES, "noise_mask": torch.ones(1, 8, 8), "batch_index": [0, 3], "type": "audio"},
        {"samples": NestedTensor([SAMPLES, sound]), "noise_mask": NestedTensor([SAMPLES, sound])},
    ):
        assert is_latent(latent)


def test_a_wire_of_every_other_type_is_named():
    alone = FITTING | {"GG_GUIDANCE": SimpleNamespace(init=0, step=0)}
    for kind in CARRIED:
        for other, value in alone.items():
            assert (misfit("wire", kind, value) is None) == (kind == other), (kind, other)


@pytest.mark.parametrize("absurd", ABSURD, ids=type)
def test_an_absurd_number_is_refused_by_its_name_and_range(absurd):
    for node, name, declared in each_input(NUMBERS):
        said = refusal(node, **{name: absurd})
        assert said.startswith(f"{name} is ")
        assert f"{declared.min:g} to {declared.max:g}" in said
        assert len(said) < 300


@pytest.mark.parametrize("kind", [numpy.int64, numpy.float32, Fraction], ids=str)
def test_a_number_of_another_library_is_one(kind):
    class Node(CheckedNode):
        @classmethod
        def define_schema(cls):
            inputs = [io.Float.Input("gain", min=0.0, max=9.0), io.Int.Input("seed", min=0, max=9)]
            return io.Schema(node_id="Node", inputs=inputs)

        @classmethod
        def execute(cls, gain, seed=0):
            return gain, seed

    found = Node.execute(kind(3), seed=kind(4))
    assert found == (3, 4)
    assert {type(value) for value in found} <= {int, float}
    assert "outside 0 to 2" in str(number("gain", kind(3), 0, 2))
    for absurd in (numpy.float32("nan"), numpy.float64("inf"), Fraction(10**400)):
        assert "which is not a" in str(number("gain", absurd, 0, 2))


def test_the_queue_says_once_that_a_number_is_out_of_its_range_and_the_node_refuses_it():
    asked = 0
    for node, name, declared in each_input(NUMBERS):
        for outside in (declared.min - 1, declared.max + 1):
            assert "outside" in refusal(node, **{name: outside})
        words = queued(node, **{name: declared.max + 1})
        assert len(words) == 1, (node.__name__, name, words)
        assert name in words[0]
        asked += name not in getfullargspec(node.validate_inputs).args
    assert asked > 60, "the host itself checks most numbers"


@pytest.mark.parametrize("absurd", [None, 7, ["x"], {"x": 1}, b"x", "x" * 100_001], ids=type)
def test_what_is_no_text_or_one_without_end_is_refused_by_its_name(absurd):
    words = "100,001 characters" if isinstance(absurd, str) else "which is not text"
    for node, name, _ in each_input(WORDS):
        assert words in refusal(node, **{name: absurd})


def test_a_word_no_combo_offers_is_refused_before_it_runs():
    for node, name, _ in each_input(("COMBO",)):
        (said,) = queued(node, **{name: "never heard of"})
        assert said.partition(": ")[2].startswith(name), said


def test_a_fault_stands_under_its_own_widget():
    for node in NODES:
        for name in node.checks:
            said = queued(node, **widgets_of(node) | {name: "never\nheard\x00of"})
            assert {words.partition(": ")[2].split()[0].strip(":") for words in said} == {name}, (node.__name__, said)


def test_a_newer_host_that_knows_combos_is_handed_their_type(monkeypatch):
    """It looks types up in a table, where no list can be."""
    monkeypatch.setattr(checks, "KNOWS_COMBOS", True)
    kinds = [kind for node in NODES for inputs in node.INPUT_TYPES().values() for kind, *_ in inputs.values()]
    assert all(isinstance(kind, str) for kind in kinds)
    monkeypatch.undo()
    assert len({kind for node in NODES for inputs in node.INPUT_TYPES().values() for kind, *_ in inputs.values()}) > 5


def test_a_wire_of_words_fits_every_combo():
    for node, name, _ in each_input(("COMBO",)):
        kinds = {one: found[0] for inputs in node.INPUT_TYPES().values() for one, found in inputs.items()}
        fits = {kind: validate_node_input(kind, kinds[name]) for kind in ("COMBO", "INT", "STRING,COMBO")}
        assert fits == {"COMBO": True, "INT": False, "STRING,COMBO": True}, (node.__name__, name)


@pytest.mark.parametrize("output", ["labels", "text", "depth", "segmentation", "features", "a smell", None])
def test_a_classifier_of_another_pack_that_cannot_be_asked_is_named(output):
    theirs: Any = SimpleNamespace(noise_aware=False, judge=False, output=output, name="theirs")
    for wanted in ASKED:
        assert " is needed. Choose " in str(answering(theirs, wanted))
    with pytest.raises(ValueError, match="is not a network"):
        continue_training(theirs, theirs, 0)


def test_what_systems_and_editors_leave_in_a_folder_is_no_node(tmp_path):
    left = ("._start.py", ".ipynb_checkpoints/x.py", "__pycache__/a.pyc")
    for name in ("start.py", "lab.py", "energies/label.py", *left):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert in_order({*names_in(tmp_path)}) == ["start", "energies", "lab"]
