"""What holds for every node of the pack, whatever it does: arguments that are missing, absurd or of another wire."""

from fractions import Fraction
from inspect import getfullargspec, signature
from itertools import chain, combinations
from pathlib import Path
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
from guidance_geometry.host.checks import CheckedNode, misfits, number
from guidance_geometry.host.energy_inputs import ASKED, answering
from guidance_geometry.host.run_recorder import RunRecorder
from guidance_geometry.host.wires import CARRIED, is_latent, misfit
from guidance_geometry.nodes.classifier_guidance import GGClassifierGradient
from guidance_geometry.nodes.sweep import GGSweep
from guidance_geometry.tests.hostile import Hostile, filled
from guidance_geometry.tests.plain_words import explained, first_part, stumbles

from .queued import queued

ROOT = Path(__file__).resolve().parents[2]

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
ABSURD = {
    "nothing": None,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "huge": 10**400,
    "word": "x",
    "list": [1],
    "flag": True,
}
MOST = 9  # missing arguments of every number are tried up to here


NODES = every_node()
NUMBERS = ("INT", "FLOAT")
OUTPUTS = {  # nodes that run though nothing reads them
    *("GGCompareTraces", "GGDifferenceImages", "GGExportHTML", "GGFigure", "GGInspector", "GGMetrics", "GGReport"),
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


def subsets(names):
    sizes = range(len(names) + 1) if len(names) <= MOST else (0, 1, len(names) - 1, len(names))
    return chain.from_iterable(combinations(names, size) for size in sizes)


def test_an_editor_is_told_what_people_search_for():
    """The pack, words of its own, and its papers by title, authors and number; on hosts that know no aliases, too."""
    for node in NODES:
        info = node.GET_NODE_INFO_V1()
        pack, *words = info["search_aliases"]
        assert pack == "guidance geometry"
        assert len(set(words)) == len(words) > 0, node.node_id
        assert info["display_name"] not in words, node.node_id
        for paper in getattr(node.owner, "papers", ()):
            assert {paper.title, paper.authors, paper.arxiv} <= set(words)
    assert [node.node_id for node in NODES if node.GET_NODE_INFO_V1()["dev_only"]] == ["GGTap", "GGPipeTap"]


@pytest.mark.parametrize(
    ("typed", "node"),
    {
        "burned": "GGAdaptiveProjected",
        "overcooked": "GGReport",
        "oversaturated": "GGRescale",
        "xy plot": "GGSweep",
        "best cfg": "GGSweep",
        "guidance scale": "GGCFGSchedule",
        "noise level": "GGFigure",
    }.items(),
)
def test_a_node_is_found_by_what_people_type(typed, node):
    """Editors look for the letters as they are typed."""
    assert node in [one.node_id for one in NODES if any(typed in words for words in one.search_aliases())]


@pytest.mark.parametrize("function", ["validate_inputs", "fingerprint_inputs"])
def test_no_missing_argument_is_an_error_in_the_queue(function):
    walked = 0
    for node in NODES:
        if (check := first_real_override(node, function)) is None:
            continue
        known = inputs_of(node)
        names = [name for name in getfullargspec(check).args if name != "cls"]
        for given in subsets(names):
            for value in (lambda declared: None, fitting):
                found = check(**{name: value(known[name]) for name in given})
                assert function == "fingerprint_inputs" or found is True or isinstance(found, str)
                walked += 1
    assert walked > (150 if function == "validate_inputs" else 10)


@pytest.mark.parametrize("absurd", ABSURD.values(), ids=ABSURD)
def test_whatever_a_widget_holds_the_queue_answers_in_sentences(absurd):
    for node in NODES:
        for name in getfullargspec(node.validate_inputs).args[1:]:
            others = {other: fitting(declared) for other, declared in inputs_of(node).items() if other != name}
            named = {key: value for key, value in others.items() if key in getfullargspec(node.validate_inputs).args}
            found = node.validate_inputs(**named, **{name: absurd})
            assert found is True or found.endswith(".") or "Choose one of" in found


def test_every_widget_that_the_queue_checks_is_an_input():
    for node in NODES:
        names = getfullargspec(node.validate_inputs).args[1:]
        assert set(names) <= inputs_of(node).keys(), node.__name__


def test_every_execute_is_checked_against_its_schema():
    widgets = {"INT", "FLOAT", "BOOLEAN", *WORDS}
    for node in NODES:
        assert issubclass(node, CheckedNode), f"{node.__name__} is no CheckedNode"
        inputs = inputs_of(node)
        kinds = {declared.get_io_type() for name, declared in inputs.items() if name not in node.unread_inputs}
        assert kinds <= widgets | CARRIED.keys(), node.__name__
        assert inputs.keys() == set(signature(node.execute).parameters), node.__name__
    assert not [name for _, name, one in each_input(NUMBERS) if None in (one.min, one.max)]


@pytest.mark.parametrize("wrong", ["x", 7, [], Hostile(), {"samples": "x"}, torch.zeros(2, 2, 2, 2, 2)], ids=type)
def test_a_literal_or_another_wire_is_named(wrong):
    wires = each_input(CARRIED)
    for node, name, declared in wires:
        said = refusal(node, **{name: wrong})
        assert said.startswith(f"{name} is a {type(wrong).__name__}; a {declared.get_io_type()} is needed. Connect ")
    assert len(wires) > 50


def test_every_node_explains_itself():
    for node in NODES:
        schema = node.GET_SCHEMA()
        assert schema.category.startswith("guidance geometry/")
        assert schema.description
        assert all(one.tooltip for one in (*schema.inputs, *schema.outputs)), node.__name__
        page = (ROOT / "web" / "docs" / f"{node.__name__}.md").read_text(encoding="utf-8")
        assert page.startswith("# "), node.__name__
    assert {node.__name__ for node in NODES if node.GET_SCHEMA().is_output_node} == OUTPUTS
    assert [node.__name__ for node in NODES if node.GET_SCHEMA().not_idempotent] == ["GGInspector"]


def test_whoever_read_the_help_page_understands_the_tooltips():
    """Of an experiment they may hold a formula. The node stands in a menu, and its wire may be a trace."""
    faults = []
    for node in NODES:
        schema = node.GET_SCHEMA()
        told = f"{explained(first_part(node.__name__))} trace {schema.category}"
        texts = [schema.description, *(one.tooltip for one in (*schema.inputs, *schema.outputs))]
        faults += [(node.__name__, stumbles(text, told)) for text in texts if not schema.is_experimental]
    assert [fault for fault in faults if fault[1]] == []


def test_the_taps_alone_read_nothing_of_a_wire():
    taps = {"GGTap": ("model",), "GGPipeTap": ("pipe",)}
    assert {node.__name__: node.unread_inputs for node in NODES if node.unread_inputs} == taps


SAMPLES = torch.zeros(2, 3, 8, 8)


@pytest.mark.parametrize(
    "wrong",
    [
        {"samples": SAMPLES.numpy()},
        {"samples": torch.tensor(0.0)},
        {"samples": torch.zeros(8)},
        {"samples": torch.zeros(8, 8)},
        {"samples": SAMPLES.long()},
        {"samples": None},
        {"samples": Hostile()},
        {"samples": SAMPLES, "noise_mask": "x"},
        {"samples": SAMPLES, "batch_index": "x"},
        {"samples": SAMPLES, "batch_index": 1},
        [SAMPLES],
    ],
    ids=["numpy", "0-d", "1-d", "2-d", "int64", "none", "hostile", "mask", "places", "place", "list"],
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


def test_an_optional_wire_may_be_absent():
    for node in NODES:
        wires = {name: each for name, each in inputs_of(node).items() if each.get_io_type() in CARRIED}
        absent = {name: None for name, declared in wires.items() if declared.optional}
        assert not any(misfits(node, absent)), node.__name__


@pytest.mark.parametrize("absurd", ABSURD.values(), ids=ABSURD)
def test_an_absurd_number_is_refused_by_its_name_and_range(absurd):
    for node, name, declared in each_input(NUMBERS):
        said = refusal(node, **{name: absurd})
        assert said.startswith(f"{name} is ")
        assert f"{declared.min:g} to {declared.max:g}" in said
        assert len(said) < 300


@pytest.mark.parametrize("kind", [numpy.int64, numpy.uint8, numpy.float32, numpy.float64, Fraction], ids=str)
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


def test_a_class_is_checked_once_and_its_clones_as_they_are():
    for node in NODES:
        clone: Any = node.PREPARE_CLASS_CLONE({})
        assert clone.execute.__func__ is node.execute.__func__
        assert clone.inputs_by_id is node.inputs_by_id
        carried = [declared.get_io_type() in CARRIED for declared in node.inputs_by_id.values()]
        assert carried == sorted(carried), "widgets first, sorted when the class is made"
        assert layers_of(node.execute.__func__).count(checks.__file__) == 1, node.__name__


def layers_of(function):
    """The files of what stands around a function."""
    files = []
    while hasattr(function, "__wrapped__"):
        files.append(function.__code__.co_filename)
        function = function.__wrapped__
    return files


def test_widgets_that_do_not_belong_together_are_refused_in_the_queue_and_when_they_run():
    class Window(CheckedNode):
        @classmethod
        def define_schema(cls):
            ends = [io.Float.Input(name, min=0.0, max=1.0) for name in ("start", "end")]
            return io.Schema(node_id="Window", inputs=[*ends, io.Float.Input("gain", min=0.0, max=1.0)])

        @classmethod
        def validate_inputs(cls, start=None, end=None) -> Any:
            return "The window is empty." if start is not None and end is not None and start >= end else None

        @classmethod
        def execute(cls, start, end, gain=0.5):
            return io.NodeOutput(end - start)

    assert getfullargspec(Window.validate_inputs).args == ["cls", "start", "end"]
    assert Window.validate_inputs(start=0.5, end=0.1) == "The window is empty."
    assert Window.validate_inputs(start=0.5) is True
    assert Window.validate_inputs(start=float("nan"), end=2.0).startswith("start is nan")
    assert Window.execute(0.0, 1.0).args == (1.0,)
    with pytest.raises(ValueError, match=r"The window is empty\."):
        Window.execute(0.5, 0.1)


@pytest.mark.parametrize("absurd", [numpy.float32("nan"), numpy.float64("inf"), Fraction(10**400)], ids=type)
def test_a_number_of_another_library_that_is_none_is_named(absurd):
    assert "which is not a" in str(number("gain", absurd, 0, 2))


def test_a_number_just_outside_its_range_is_refused():
    for node, name, declared in each_input(NUMBERS):
        assert "outside" in refusal(node, **{name: declared.min - 1})
        assert "outside" in refusal(node, **{name: declared.max + 1})


def test_the_queue_says_once_that_a_number_is_out_of_its_range():
    asked = 0
    for node, name, declared in each_input(NUMBERS):
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


def test_a_fault_of_the_axes_stands_under_the_axes():
    (said,) = queued(GGSweep, **widgets_of(GGSweep) | {"axes": "cfg: 3..1"})
    assert said.startswith("Custom validation failed for node: axes - The range 3..1 runs downwards."), said


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
    theirs = SimpleNamespace(noise_aware=False, judge=False, output=output)
    for wanted in ASKED:
        assert " is needed. Choose " in str(answering(theirs, wanted))


def test_a_classifier_of_another_pack_is_not_trained_further():
    theirs: Any = SimpleNamespace(noise_aware=False, judge=False, name="theirs")
    with pytest.raises(ValueError, match="it is not a network that this pack has loaded"):
        continue_training(theirs, theirs, 0)


@pytest.mark.parametrize("part", [Hostile(), None, "x", 7, [Hostile()]], ids=type)
def test_a_recorder_prints_whatever_it_holds(part):
    assert str(filled(RunRecorder, part)).startswith(("Recorder", "RunRecorder"))


def test_every_node_is_valid_in_a_prompt_without_its_optional_widgets():
    """Prompts from before a widget came have no value for it."""
    asked = {node: check for node in NODES if (check := first_real_override(node, "validate_inputs"))}
    for node, check in asked.items():
        needed = {one.id: fitting(one) for one in inputs_of(node).values() if not one.optional}
        given = {name: value for name, value in needed.items() if name in getfullargspec(check).args}
        assert check(**given) is True or "none" in given.values(), node.__name__
    assert len(asked) > 15


@pytest.mark.parametrize(("preset", "valid"), [({}, True), ({"preset": "scale"}, True), ({"preset": "weak"}, False)])
def test_rms_ratio_needs_no_preset_to_be_named(preset, valid):
    widgets = {"normalise": "rms_ratio", "start_percent": 0.0, "end_percent": 1.0}
    assert (GGClassifierGradient.validate_inputs(**widgets, **preset) is True) is valid


def test_what_systems_and_editors_leave_in_a_folder_is_no_node(tmp_path):
    for name in (
        "start.py",
        "lab.py",
        "energies/label.py",
        "._start.py",
        ".ipynb_checkpoints/x.py",
        "__pycache__/a.pyc",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert in_order({*names_in(tmp_path)}) == ["start", "energies", "lab"]
