import pytest

from guidance_geometry.sweeps.axes import Axis
from guidance_geometry.sweeps.cells import cells_of
from guidance_geometry.sweeps.judges import JUDGE
from guidance_geometry.sweeps.plan import Plan
from guidance_geometry.sweeps.rules import Nodes, RuleNode, chain_named, rule_named
from guidance_geometry.sweeps.workflow import (
    PICTURES,
    TRACE,
    add_results,
    check_workflow,
    place_of,
    sampler_of,
    set_values,
)
from guidance_geometry.tests.sweeps.plans import NODES, RULES, workflow


def two_stages():
    graph = workflow()
    graph["14"] = {"class_type": "KSampler", "inputs": {**graph["4"]["inputs"], "latent_image": ["4", 0]}}
    graph["5"]["inputs"]["samples"] = ["14", 0]
    graph["14"]["_meta"] = {"title": "Refiner"}
    return graph


def texts():
    graph = workflow()
    graph["2"] = {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["1", 1]}}
    graph["12"] = {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["1", 1]}}
    graph["4"]["inputs"] |= {"positive": ["2", 0], "negative": ["12", 0]}
    return graph


def test_a_workflow_keeps_what_its_picture_and_its_trace_need():
    made = add_results(workflow())
    assert set(made) == {"1", "2", "3", "4", "5", "6", PICTURES, TRACE}
    assert made[TRACE]["inputs"]["trace"] == ["4", 2]


@pytest.mark.parametrize(
    ("graph", "name", "place"),
    [
        (workflow(), "cfg", ("4", "cfg")),
        (workflow() | {"7": {"class_type": "ImageGamma", "inputs": {"gamma": 1.0}}}, "gamma", ("7", "gamma")),
        (workflow(), "sampler", ("4", "sampler_name")),
        (workflow(), "ggguidedsampler.steps", ("4", "steps")),
        (workflow(), "label", ("2", "label")),
        (texts(), "prompt", ("2", "text")),
    ],
)
def test_an_axis_finds_its_widget(graph, name, place):
    assert place_of(graph, name) == place


def test_values_keep_the_kind_of_their_widget_and_repeats_count_from_the_seed():
    made = set_values(workflow(), {"label": 3, "cfg": 2})
    assert (made["2"]["inputs"]["label"], made["4"]["inputs"]["cfg"]) == ("3", 2)
    assert set_values(workflow(), {"seed": 7, "repeat": 2})["4"]["inputs"]["seed"] == 9


def test_rules_by_name_stand_on_the_guidance_wire():
    made = set_values(workflow(), {"rule": "APG + cfg zero*"}, NODES)
    last = made["4"]["inputs"]["guidance"][0]
    first = made[last]["inputs"]["guidance"][0]
    assert [made[n]["class_type"] for n in (first, last)] == ["GGAdaptiveProjected", "GGZeroStar"]
    assert made[first]["inputs"] == {"eta": 0.0}
    assert made[last]["inputs"]["guidance"] == [first, 0]
    assert "guidance" not in set_values(made, {"rule": "cfg"}, NODES)["4"]["inputs"]


def test_a_widget_of_a_rule_is_an_axis_where_the_rule_is():
    for owner in ("APG", "apg", "GGAdaptiveProjected"):
        made = set_values(workflow(), {f"{owner}.eta": 0.5, "rule": "APG"}, NODES)
        assert made["gg-sweep-rule-0"]["inputs"]["eta"] == 0.5
        plain = set_values(workflow(), {f"{owner}.eta": 0.5, "rule": "cfg"}, NODES)
        assert "gg-sweep-rule-0" not in plain
    for name in ("apg", "GGAdaptiveProjected", "Adaptive Projected Guidance"):
        assert rule_named(name, RULES).id == "GGAdaptiveProjected"


def test_rules_of_a_custom_sampler_stand_on_the_guider_of_this_pack_and_on_no_other():
    graph = workflow()
    graph["4"] = {"class_type": "GGInspectedSampler", "inputs": {"guider": ["15", 0], "latent_image": ["3", 0]}}
    graph["15"] = {"class_type": "GGGuider", "inputs": {"model": ["1", 0], "cfg": 4.0}}
    changed = set_values(graph, {"rule": "APG"}, NODES)
    rule, _ = changed["15"]["inputs"]["guidance"]
    assert changed[rule]["class_type"] == "GGAdaptiveProjected"
    assert "guidance" not in changed["4"]["inputs"]
    graph["15"]["class_type"] = "CFGGuider"
    with pytest.raises(ValueError, match="needs KSampler, or the guider of this pack"):
        set_values(graph, {"rule": "APG"}, NODES)


def judged(watched=True):
    """The first look with a classifier that guides and another that watches, or with the second alone."""
    graph = workflow() | {
        "7": {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": "pocket-judge-1"}},
        "8": {"class_type": "GGLabelEnergy", "inputs": {"classifier": ["7", 0], "label": "*", "kind": "label"}},
    }
    if watched:
        graph["9"] = {"class_type": "GGTextEnergy", "inputs": {"classifier": ["7", 0], "text": "a cat"}}
        graph["9"]["_meta"] = {"title": "Taste"}
        graph["10"] = {"class_type": "GGWatchEnergy", "inputs": {"energy": ["8", 0]}}
    return graph


@pytest.mark.parametrize(
    ("graph", "chosen", "judge"),
    [
        (judged(), "", ["8", 0]),
        (judged(watched=False), "", ["8", 0]),
        (judged(), "taste", ["9", 0]),
        (judged(), "none", None),
        (workflow(), "", None),
        ({name: node for name, node in judged().items() if name != "10"}, "", None),
    ],
)
def test_the_judge_is_the_energy_that_watches_or_the_only_one(graph, chosen, judge):
    made = add_results(graph, chosen, NODES)
    found = made.get(JUDGE, {"inputs": {}})["inputs"]
    assert found.get("energy") == judge
    assert ("7" in made) == (judge is not None)
    if judge:
        assert (found["trace"], found["vae"]) == ([sampler_of(made), 2], ["1", 1])


def test_a_judge_that_asks_for_the_label_or_the_prompt_of_the_picture_follows_it():
    asked = set_values(add_results(judged() | texts(), "9", NODES), {"prompt": "a dog"}, NODES)
    assert (asked["2"]["inputs"]["text"], asked["9"]["inputs"]["text"]) == ("a dog", "a dog")
    unknown, known = (
        workflow() | {"8": {"class_type": "SomebodysEnergy", "inputs": {"label": "*"}}},
        Nodes((), {"SomebodysEnergy"}),
    )
    made = set_values(add_results(unknown, "", known), {"label": "cat"}, known)
    assert (made[JUDGE]["inputs"]["energy"], made["8"]["inputs"]["label"]) == (["8", 0], "cat")
    moved = set_values(add_results(judged(), "", NODES), {"label": "cat"}, NODES)
    assert (moved["2"]["inputs"]["label"], moved["8"]["inputs"]["label"]) == ("cat", "cat")
    graph = judged()
    graph["8"]["inputs"]["label"] = "dog"
    kept = set_values(add_results(graph, "", NODES), {"label": "cat"}, NODES)
    assert (kept["2"]["inputs"]["label"], kept["8"]["inputs"]["label"]) == ("cat", "dog")
    alone = set_values(add_results(judged(), "", NODES), {"8.label": "cat"}, NODES)
    assert (alone["2"]["inputs"]["label"], alone["8"]["inputs"]["label"]) == ("*", "cat")


def steered(count=1, preset="measured"):
    """The first look with so many links of Classifier Guidance."""
    graph = workflow()
    for number in range(count):
        wire = {"guidance": [str(29 + number), 0]} if number else {}
        inputs = {"energy": ["40", 0], "scale": 2.0, "preset": preset, **wire}
        graph[str(30 + number)] = {
            "class_type": "GGClassifierGradient", "inputs": inputs, "_meta": {"title": "Classifier Guidance"}
        }  # fmt: skip
    graph["4"]["inputs"]["guidance"] = [str(29 + count), 0]
    return graph


@pytest.mark.parametrize("name", ["classifier guidance.scale", "30.scale", "scale"])
def test_the_scale_of_a_gradient_is_an_axis_and_no_preset_takes_its_place(name):
    made = set_values(steered(), {name: 5})
    assert (made["30"]["inputs"]["scale"], made["30"]["inputs"]["preset"]) == (5, "scale")
    assert set_values(steered(), {"cfg": 3})["30"]["inputs"]["preset"] == "measured"


FILES = RuleNode("GGRuleFile", "Rule from a File", {"rule": "", "digest": ""})
TWO = r"30\.scale \(Classifier Guidance\), 31\.scale \(Classifier Guidance\)"
HELD = {name: workflow()[name] for name in "1234"}  # without a picture


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: place_of(two_stages(), "cfg"), r"one of 2 widgets.*4\.cfg \(GGGuidedSampler\), 14\.cfg \(Refiner\)"),
        (lambda: place_of(workflow(), "lable"), "Did you mean label"),
        (lambda: set_values(workflow(), {"cfg": 4, "4.cfg": 2}), r"cfg and 4\.cfg are the same axis"),
        (lambda: set_values(workflow(), {"cfg": "high"}), "cfg is 'high', but a number is needed"),
        (lambda: set_values(steered(2), {"Classifier Guidance.scale": 5}), TWO),
        (lambda: set_values(workflow(), {"APG.eta": 0.5}, NODES), r"no widget .APG\.eta."),
        (lambda: set_values(workflow(), {"rule": "nowhere.py:halfway"}, NODES), "this ComfyUI runs no files"),
        (lambda: rule_named("Autoguidance", RULES), "needs weak_model"),
        (lambda: chain_named("elsewhere.py:halfway", [FILES]), "the command line does not name"),
        (lambda: check_workflow({"nodes": [], "links": []}), "as the editor saves it"),
        (lambda: check_workflow({"1": {"class_type": "X"}}), "no workflow in API form"),
        (lambda: add_results(HELD), "no picture"),
        (lambda: add_results(workflow(), "8"), "could judge"),
        (lambda: add_results(judged(), "tatse", NODES), r"no energy 'tatse'\. Did you mean Taste"),
        (lambda: rule_named("AGP", RULES), "Did you mean APG"),
    ],
)  # fmt: skip
def test_what_cannot_be_found_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


KNOBBED = """
from dataclasses import dataclass
from guidance_geometry.guidance.rules.kinds import Combine

@dataclass(frozen=True)
class Share(Combine):
    share: float = 0.5

    def step(self, state, p, gamma):
        return p.cond + self.share * (gamma - 1) * (p.cond - p.uncond), state
"""


def test_a_knob_of_a_rule_in_a_file_is_an_axis(tmp_path, monkeypatch):
    file = tmp_path / "my_rule.py"
    file.write_text(KNOBBED)
    monkeypatch.setenv("GG_RULE_FILES", f"{file}:Share")
    axes = (Axis("rule", ("cfg", f"{file}:Share")), Axis("Share.share", (0.5, 0.25)))
    known = Nodes([*RULES, FILES])
    plain, usual, other = cells_of(Plan(workflow(), axes), known, {}, "1")
    assert (len(plain.also), "guidance" in plain.prompt["4"]["inputs"]) == (1, False), (
        "a knob of no rule changes nothing"
    )
    asked = [cell.prompt[cell.prompt["4"]["inputs"]["guidance"][0]]["inputs"] for cell in (usual, other)]
    assert asked[0].keys() == {"rule", "digest"}, "as it was before knobs could be set"
    assert asked[1] == asked[0] | {"knobs": '{"share": 0.25}'}
    (fixed,) = cells_of(Plan(workflow(), axes[1:], {"rule": f"{file}:Share"}), known, {}, "1")[1:]
    assert fixed.prompt["gg-sweep-rule-0"]["inputs"] == asked[1]
    with pytest.raises(ValueError, match=r"no widget 'Share\.shore'"):
        cells_of(Plan(workflow(), (axes[0], Axis("Share.shore", (1,)))), known, {}, "1")


def test_rule_nodes_are_read_from_what_a_server_tells():
    told = {
        "GGRescale": {
            "display_name": "Rescale CFG (std)",
            "category": "guidance geometry/rules",
            "input": {"required": {"phi": ["FLOAT", {"default": 0.7}], "mode": [["a", "b"], {}], "m": ["MODEL", {}]}},
        },
        "KSampler": {"display_name": "KSampler", "category": "sampling", "input": {}},
        "Taste": {"display_name": "Taste", "category": "", "input": {}, "output": ["GG_ENERGY"]},
        "Odd": None,
    }
    known = Nodes.of(told)
    (found,) = known.rules
    assert known.energies == {"Taste"}
    assert (found.defaults, found.sockets) == ({"phi": 0.7, "mode": "a"}, ("m",))
