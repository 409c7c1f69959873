"""The fuzzer's parts, each against what is made up for it: seeds, changes, verdicts, and how a fault is made small."""

import json
import runpy
import traceback
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load, save

from guidance_geometry.cli import sweep as run_sweep
from guidance_geometry.lab.fuzz import verdicts
from guidance_geometry.lab.fuzz.cases import Case, Stock, read_case
from guidance_geometry.lab.fuzz.catalogue import Slot, catalogue_of
from guidance_geometry.lab.fuzz.edits import apply_edits, delete, insert, leave_out, put
from guidance_geometry.lab.fuzz.files import PICKLE, Files, Parts, at, change_content
from guidance_geometry.lab.fuzz.mutations import MUTATIONS, spoil
from guidance_geometry.lab.fuzz.run import cases
from guidance_geometry.lab.fuzz.shrinking import smallest
from guidance_geometry.lab.fuzz.twins import twin_of
from guidance_geometry.lab.fuzz.values import limit_work
from guidance_geometry.lab.fuzz.verdicts import Judge
from guidance_geometry.lab.fuzz.watched import Limits, Observed
from guidance_geometry.sweeps.comfyui import client

PACK = """
def meant(value):
    raise ValueError(
        f"value is {value}. Give another."
    )

def looked_up(value):
    return {}[value]

def passed_on(value):
    return int(value)

def said_badly(value):
    raise KeyError(value)

def again(value):
    try:
        return int(value)
    except ValueError as error:
        raise error
"""


def kind(name, inputs, outputs, is_output=False, module="custom_nodes.ours"):
    facts = {"input": {"required": inputs}, "output": outputs, "output_node": is_output, "python_module": module}
    return {name: facts}


def wire(kind):
    return [kind, {}]


INFO = (
    kind("Start", {"name": [["a", "b"], {}]}, ["MODEL"])
    | kind(
        "Rule", {"strength": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0}], "guidance": wire("RULE")}, ["RULE"]
    )
    | kind("GGGuidedSampler", {"model": wire("MODEL"), "guidance": wire("RULE")}, ["LATENT"])
    | kind("KSampler", {"model": wire("MODEL"), "latent_image": wire("LATENT")}, ["LATENT"], module="nodes")
    | kind("PreviewAny", {"source": wire("*")}, [], True, "nodes")
    | kind("LoadLatent", {"latent": [["odd one"], {}]}, ["LATENT"], module="nodes")
    | {
        name: facts
        for k in ("Int", "Float", "String", "Boolean")
        for name, facts in kind(f"Primitive{k}", {"value": [k.upper(), {}]}, [k.upper()], module="nodes").items()
    }
)
CATALOGUE = catalogue_of(INFO, "ours")
GRAPH = {
    "1": {"class_type": "Start", "inputs": {"name": "a"}},
    "2": {"class_type": "Rule", "inputs": {"strength": 1.0}},
    "3": {"class_type": "Rule", "inputs": {"strength": 2.0, "guidance": ["2", 0]}},
    "4": {"class_type": "GGGuidedSampler", "inputs": {"model": ["1", 0], "guidance": ["3", 0]}},
    "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 0]}},
    "6": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}


def test_edits_apply_in_order_and_leave_the_graph_alone():
    before = json.dumps(GRAPH)
    edits = [
        put("2", "strength", 9),
        leave_out("1", "name"),
        delete("6"),
        insert("7", "Start", {}),
        put("none", "x", 1),
    ]
    found = apply_edits(GRAPH, edits)
    assert (found["2"]["inputs"], found["1"]["inputs"], "6" in found) == ({"strength": 9}, {}, False)
    assert found["7"] == {"class_type": "Start", "inputs": {}}
    assert json.dumps(GRAPH) == before


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_changes_something_and_does_so_again(name):
    """Every mutation finds something to do, and a seed does the same thing twice."""
    changed_once = False
    for seed in range(40):
        first, second = (MUTATIONS[name](Random(seed), GRAPH, CATALOGUE) for _ in range(2))
        assert json.dumps(first) == json.dumps(second)
        changed_once |= json.dumps(apply_edits(GRAPH, first)) != json.dumps(GRAPH)
    assert changed_once or name in ("odd latent", "list on a wire"), "no latent is wired in this graph"


@pytest.mark.parametrize(
    ("value", "found"),
    [(5000, 6), (3, 3), (10**6, 10**6), ("5000", "5000"), (None, None), (float("inf"), float("inf"))],
)
def test_much_work_is_asked_for_only_where_it_is_refused(value, found):
    assert limit_work(Slot("steps", "INT", True, {"min": 1, "max": 10000}), value) == found


@pytest.mark.parametrize("name", ["odd latent", "list on a wire"])
def test_a_latent_takes_the_place_of_a_wire(name):
    graph = GRAPH | {"8": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "latent_image": ["4", 0]}}}
    edits = MUTATIONS[name](Random(1), graph, CATALOGUE)
    assert apply_edits(graph, edits)["8"]["inputs"]["latent_image"] == [edits[0]["node"], 0]
    assert edits[0]["add"]["inputs"] in ({"latent": "odd one"}, {"latents": ["4", 0], "batch_size": 1})


def test_a_seed_gives_the_same_cases(tmp_path):
    stock = Stock(CATALOGUE, tmp_path, {"graph": GRAPH})
    runs = [
        [json.dumps(spoil(Random(f"{seed} {number}"), GRAPH, CATALOGUE)) for number in range(30)] for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]
    assert list(cases(1, {"prompt": 0, "header": 0, "model file": 0}, stock)) == []


@pytest.fixture
def pack(tmp_path):
    """The functions of a pack, and a judge that knows where it lies."""
    place = tmp_path / "custom_nodes" / "ours"
    place.mkdir(parents=True)
    (place / "work.py").write_text(PACK, encoding="ascii")
    module = runpy.run_path(str(place / "work.py"), run_name="work_of_a_pack")
    return module, Judge(place, lambda name: name == "Ours", Limits())


def error_of(function, *values, node="Ours"):
    """What a host reports when a node calls this."""
    try:
        function(*values)
    except Exception as error:  # noqa: BLE001 - any
        said = {"node_type": node, "exception_type": type(error).__qualname__, "exception_message": str(error)}
        lines = traceback.format_tb(error.__traceback__)
        return Observed(status=200, messages=[("execution_error", said | {"traceback": lines})])


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("meant", verdicts.CLEAR),
        ("looked_up", verdicts.RAW),
        ("passed_on", verdicts.RAW),
        ("said_badly", verdicts.RAW),
        ("again", verdicts.RAW),
    ],
)
def test_an_error_is_clear_only_where_the_pack_made_it(pack, name, verdict):
    inside, judge = pack
    found = judge(error_of(inside[name], "x"))
    assert (found.kind, "work.py" in found.place) == (verdict, True), found


def test_an_error_that_never_enters_the_pack_is_the_hosts(pack):
    assert pack[1](error_of(int, "x")).kind == verdicts.HOST


def process_inputs(function):
    """The host's function of this name calls a node, with what inputs there are."""
    return function()


@pytest.mark.parametrize(("node", "verdict"), [("Ours", verdicts.RAW), ("Other", verdicts.HOST)])
def test_a_missing_argument_is_the_fault_of_the_node_that_is_called(pack, node, verdict):
    inside, judge = pack
    assert judge(error_of(process_inputs, inside["meant"], node=node)).kind == verdict


def refusal(seen, kind="exception_during_validation"):
    error = seen.error
    more = {"exception_type": error["exception_type"], "traceback": error["traceback"]}
    reason = {"type": kind, "message": "m", "details": "d", "extra_info": more}
    return {"node_errors": {"1": {"class_type": error["node_type"], "errors": [reason]}}, "error": {"message": "no"}}


def test_a_fault_while_a_prompt_is_validated_is_no_refusal(pack):
    inside, judge = pack
    raw, meant = (refusal(error_of(inside[name], "x")) for name in ("looked_up", "meant"))
    assert judge(Observed(status=400, refusal=raw)).kind == verdicts.RAW
    assert judge(Observed(status=400, refusal=meant)).kind == verdicts.REFUSED
    plain = {"node_errors": {"1": {"class_type": "Ours", "errors": [{"type": "t", "message": "m", "details": "d"}]}}}
    assert judge(Observed(status=400, refusal=plain)).kind == verdicts.REFUSED
    assert judge(Observed(status=200, complaints=raw["node_errors"])).kind == verdicts.RAW
    assert judge(Observed(status=500)).kind == verdicts.HOST


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (Observed(status=200, messages=[("execution_success", {})]), verdicts.OK),
        (Observed(status=200, complaints={"1": {"class_type": "Ours", "errors": []}}), verdicts.REFUSED),
        (Observed(status=200, growth=3 << 30), verdicts.MEMORY),
        (Observed(status=200, seconds=61.0), verdicts.SLOW),
        (Observed(status=200, has_ended=False, healthy=False), verdicts.DEAD),
        (Observed(status=200, messages=[("execution_success", {})], silence="/runs: 500"), verdicts.RAW),
    ],
)
def test_what_a_host_does_is_judged_before_what_it_says(pack, seen, verdict):
    assert pack[1](seen).kind == verdict


def test_a_fault_is_made_as_small_as_it_goes():
    """The fault: a rule with a strength of 9, wherever."""
    edits = [put("2", "strength", 9), put("3", "strength", 1.5), put("1", "name", "b")]
    tried = []

    def same(case):
        tried.append(case)
        rules = [facts["inputs"].get("strength") for facts in case.prompt.values() if facts["class_type"] == "Rule"]
        return 9 in rules

    found = smallest(Case("prompt", "", GRAPH, edits), same, CATALOGUE)
    (rule,) = [facts for facts in found.prompt.values() if facts["class_type"] == "Rule"]
    assert rule["inputs"] == {"strength": 9}
    assert sorted(facts["class_type"] for facts in found.prompt.values()) == ["PreviewAny", "Rule"]
    count = len(tried)
    assert smallest(Case("prompt", "", GRAPH, edits), same, CATALOGUE, most=3)
    assert len(tried) - count == 3, "no more trials than allowed"


def test_a_change_of_a_file_is_undone_unless_the_fault_needs_it():
    recipe = {"path": "a", "source": "b", "edits": [{"op": "cut", "at": 0.5}, {"op": "append", "count": 1}]}
    found = smallest(Case("header", "", {}, [], [recipe]), lambda case: "append" in str(case.files), CATALOGUE)
    assert found.files[0]["edits"] == [{"op": "append", "count": 1}]


def test_a_case_that_was_kept_is_the_same(tmp_path):
    case = Case(
        "prompt", "name", GRAPH, [put("2", "strength", float("inf"))], [{"path": "a", "source": "b", "edits": []}]
    )
    case.save(tmp_path / "deep" / "case.json", verdict="raw error")
    assert read_case(tmp_path / "deep" / "case.json") == case


def test_the_twin_has_the_hosts_sampler_and_no_rules():
    found = twin_of(GRAPH, CATALOGUE)
    assert found
    assert {facts["class_type"] for facts in found.values()} == {"Start", "KSampler", "PreviewAny"}
    assert found["4"]["inputs"] == {"model": ["1", 0]}
    assert twin_of({"1": GRAPH["1"]}, CATALOGUE) is None


CONTENT = save({"a": torch.ones(2, 3), "b": torch.zeros(4)}, {"gg.header": '{"deep": [1, {"x": 2}]}', "gg.format": "f"})


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({"op": "metadata", "place": ["gg.format"], "value": 3}, lambda p: p.metadata["gg.format"] == 3),
        ({"op": "metadata", "place": ["gg.format"]}, lambda p: set(p.metadata) == {"gg.header"}),
        (
            {"op": "metadata", "place": ["gg.header", "deep", 1, "x"], "value": []},
            lambda p: json.loads(p.metadata["gg.header"]) == {"deep": [1, {"x": []}]},
        ),
        ({"op": "claim", "place": ["a", "dtype"], "value": "F4"}, lambda p: p.header["a"]["dtype"] == "F4"),
        ({"op": "tensor", "name": "a"}, lambda p: set(load(p.join())) == {"b"}),
        (
            {"op": "tensor", "name": "b", "shape": [1, 2], "dtype": "float16", "fill": "nan"},
            lambda p: load(p.join())["b"].isnan().all() and load(p.join())["a"].sum() == 6,
        ),
    ],
)
def test_a_header_is_changed_as_said_and_the_rest_stays(tmp_path, change, holds):
    assert load(Parts.of(CONTENT).join())["a"].shape == (2, 3)
    assert holds(Parts.of(change_content(CONTENT, [change], tmp_path)))


def test_bytes_are_changed_as_said(tmp_path):
    assert change_content(CONTENT, [{"op": "cut", "at": 0.5}], tmp_path) == CONTENT[: len(CONTENT) // 2]
    assert change_content(CONTENT, [{"op": "length", "value": 2**40}], tmp_path)[:8] == (2**40).to_bytes(8, "little")
    assert change_content(b"", [{"op": "whole", "value": PICKLE}], tmp_path).endswith(b"tR.")
    assert str(tmp_path).encode() in change_content(b"", [{"op": "whole", "value": PICKLE}], tmp_path)
    assert json.loads(change_content(b"[1, 2]", [{"op": "json", "place": [0], "value": 5}], tmp_path)) == [5, 2]


@pytest.mark.parametrize(
    ("place", "found"),
    [
        (["b"], {"a": [1], "b": 2}),
        (["a", 0], {"a": [2]}),
        (["a", 9], {"a": [1]}),
        (["a", "x"], {"a": [1]}),
        ([0], {"a": [1]}),
    ],
)
def test_a_place_that_is_not_there_changes_nothing(place, found):
    assert at(place, {"a": [1]}, {"value": 2}) == found


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources" / "net"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"a": 1}')
    return folder


def test_files_lie_there_for_a_while_and_sources_stay_sound(tmp_path, sources):
    """A change that follows a link must not reach the file that the link leads to."""
    edits = [
        {"file": "config.json", "op": "link", "to": "sources/net/config.json"},
        {"file": "config.json", "op": "json", "place": ["a"], "value": 2},
    ]
    place = tmp_path / "models" / "net"
    with Files(tmp_path, [{"path": "models/net", "source": "net", "edits": edits}]) as files:
        assert json.loads((place / "config.json").read_text()) == {"a": 2}
        assert not files.ran_code
    assert not place.exists()
    assert json.loads((sources / "config.json").read_text()) == {"a": 1}


def test_code_that_was_run_leaves_a_trace(tmp_path, sources):
    edits = [{"file": "model.bin", "op": "whole", "value": PICKLE}]
    with Files(tmp_path, [{"path": "net", "source": "net", "edits": edits}]) as files:
        assert not files.ran_code
        with pytest.raises((TypeError, RuntimeError, AttributeError, ValueError, EOFError)):
            torch.load(tmp_path / "net" / "model.bin", weights_only=False)
        assert files.ran_code
    assert not files.ran_code


def test_every_template_is_among_the_seeds():
    from guidance_geometry.dev.templates.layouts import LAYOUTS

    templates = {*(Path(__file__).resolve().parents[2] / "example_workflows").glob("*.json")}
    assert templates == {layout.template for layout in LAYOUTS.values()}


def test_strange_answers_from_a_seed_have_no_fault(monkeypatch):
    from guidance_geometry.lab.fuzz.answers import fuzz

    for module, name in ((run_sweep, "PAUSES"), (client, "AGAIN")):
        monkeypatch.setattr(module, name, ())  # both are changed, and put back afterwards
    tally, faults, _ = fuzz(6, 3)
    assert (tally.total(), faults) == (6, [])
