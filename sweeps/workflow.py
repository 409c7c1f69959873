"""Workflows in API form: which input an axis means, and the workflow of a cell."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..guidance.printing import quote
from .axes import REPEAT, RULE, SAME, WORDS, Value, Word, suggest, word_of
from .graph import Workflow, is_link, title_of, upstream, widgets
from .judges import JUDGE, followers, judge_of, judging_node
from .rules import NOTHING, SOCKET, Nodes, RuleNode, chain_named

KNOBS = "knobs"  # input of the node of rules in files: JSON
PICTURES, TRACE = "gg-sweep-pictures", "gg-sweep-trace"  # ids of the nodes that a cell adds
PRESET, PRESET_SCALE = "preset", "scale"  # a widget that stands in for another, unless it holds the other's name
TRACED = {"KSampler": "GGGuidedSampler", "SamplerCustomAdvanced": "GGInspectedSampler"}  # same inputs, same pixels
TRACE_OUTPUT, ASKED = 2, "measure"  # of both: the output with the trace, the input that asks the model
SHOWING = ("SaveImage", "PreviewImage", "SaveAnimatedWEBP", "SaveAnimatedPNG")
NO_SAMPLER = "The workflow has no sampler that records a trace. Use KSampler, SamplerCustomAdvanced, or their twins."
NO_PICTURE = "The workflow shows no picture. Add Preview Image behind the decoder."


def check_workflow(workflow: Any) -> dict[str, dict]:
    """A workflow in API form.  Raises ValueError for one of the editor, and for what is none."""
    if isinstance(workflow, Mapping) and isinstance(workflow.get("nodes"), list):
        raise ValueError(
            "This is a workflow as the editor saves it; one in API form is needed. In ComfyUI choose Export (API)."
        )
    nodes = workflow.values() if isinstance(workflow, Mapping) else []
    if not nodes or not all(map(_is_node, nodes)):
        raise ValueError("This is no workflow in API form: {node id: {class_type, inputs}}. Choose Export (API).")
    return {str(name): copy.deepcopy(dict(node)) for name, node in workflow.items()}


def _is_node(value: Any) -> bool:
    kind, inputs = (value.get("class_type"), value.get("inputs")) if isinstance(value, Mapping) else (None, None)
    return isinstance(kind, str) and isinstance(inputs, Mapping)


def add_results(workflow: Workflow, judge: str = "", nodes: Nodes = NOTHING, draws: int = 0) -> dict[str, dict]:
    """The workflow with a trace of its last sampler saved and its picture previewed, and without what neither needs.

    judge: as in `judge_of`. draws: how often the model is asked about the picture. Raises ValueError where there is no
    sampler that can be traced, no picture, or no such judge.
    """
    made = check_workflow(workflow)
    shown = [name for name, node in made.items() if node["class_type"] in SHOWING and "images" in node["inputs"]]
    decoded = [name for name, node in made.items() if node["class_type"].startswith("VAEDecode")]
    if not shown and not decoded:
        raise ValueError(NO_PICTURE)
    images = made[shown[-1]]["inputs"]["images"] if shown else [decoded[-1], 0]
    made[PICTURES] = {"class_type": "PreviewImage", "inputs": {"images": images}}
    sampler = sampler_of(made)
    made[sampler]["class_type"] = TRACED.get(made[sampler]["class_type"], made[sampler]["class_type"])
    if draws:
        made[sampler]["inputs"][ASKED] = draws
    saved = {"trace": [sampler, TRACE_OUTPUT], "filename_prefix": "sweep"}
    made[TRACE] = {"class_type": "GGSaveTrace", "inputs": saved}
    energy = judge_of(made, judge, nodes.energies)
    if energy:
        made[JUDGE] = judging_node(made, energy, [sampler, TRACE_OUTPUT], PICTURES)
    needed = {name for end in (PICTURES, TRACE, JUDGE) for name in upstream(made, end)}
    return {name: node for name, node in made.items() if name in needed}


def sampler_of(workflow: Workflow) -> str:
    """The sampler nearest to the picture."""
    classes = (*TRACED, *TRACED.values())
    near = upstream(workflow, PICTURES) if PICTURES in workflow else reversed(list(workflow))
    name_of_sampler = next((name for name in near if workflow[name]["class_type"] in classes), None)
    if name_of_sampler is None:
        raise ValueError(NO_SAMPLER)
    return name_of_sampler


def place_of(workflow: Workflow, name: str, nodes: Nodes = NOTHING) -> tuple[str, str]:
    """The node and the input that an axis means: `cfg`, `prompt`, `4.steps`, `KSampler.steps`.

    Raises ValueError for none, with what may have been meant, and for several, with all of them.
    """
    owner, dot, widget = name.rpartition(".")
    places: list[tuple[str, str]] = []
    for names in (_widgets_of(widget), _widgets_of(word_of(widget))):
        places = places or [
            (node, input_name)
            for node, input_name in widgets(workflow)
            if input_name in names and (not dot or _is(workflow, node, owner))
        ]
    if not dot:
        places = [place for place in places if workflow[place[0]]["class_type"] not in nodes.energies] or places
    if widget == "prompt" and len(places) > 1:
        places = _positive_texts(workflow, places)
    if len(places) == 1:
        return places[0]
    if not places:
        every = widgets(workflow)
        owned = [f"{title_of(workflow[node])}.{input_name}" for node, input_name in every]
        owned += [f"{node}.{input_name}" for node, input_name in every]
        words = (
            owned
            if dot
            else [RULE, *(word_of(input_name) for _, input_name in every), *(input_name for _, input_name in every)]
        )
        raise ValueError(f"The workflow has no widget {quote(name)}. {suggest(name, dict.fromkeys(words))}")
    several = ", ".join(f"{node}.{input_name} ({title_of(workflow[node])})" for node, input_name in places)
    raise ValueError(f"{name} may be one of {len(places)} widgets. Write which: {several}.")


def _widgets_of(word: str) -> tuple[str, ...]:
    """What nodes call a setting; any other word is the name of a widget itself."""
    return WORDS.get(word, Word("widget")).widgets or (word,)


def _is(workflow: Workflow, node: str, owner: str) -> bool:
    return owner == node or owner.lower() in (title_of(workflow[node]).lower(), workflow[node]["class_type"].lower())


def _positive_texts(workflow: Workflow, places: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The text nearest to what a sampler takes as its positive."""
    positives = (node["inputs"].get("positive") for node in workflow.values())
    near = [name for wire in positives if is_link(wire) for name in upstream(workflow, str(wire[0]))]
    return sorted((place for place in places if place[0] in near), key=lambda place: near.index(place[0]))[:1] or places


def set_values(workflow: Workflow, values: Mapping[str, Value], nodes: Nodes = NOTHING) -> dict[str, dict]:
    """The workflow with these values: a widget each, `rule` a chain of rules, `repeat` what is added to the seed.

    A widget of a rule, such as `Limited Interval.start`, is left out where the chain is another.
    """
    made, names = check_workflow(workflow), {}
    for name, value in sorted(values.items(), key=lambda pair: pair[0] != RULE):
        if name == RULE:
            _wire_rules(made, chain_named(str(value), nodes.rules))
        elif RULE in values and _is_elsewhere(made, name, nodes.rules):
            continue
        elif name == REPEAT:
            node, widget = place_of(made, "seed", nodes)
            made[node]["inputs"][widget] = _fit_kind("seed", made[node]["inputs"][widget], 0) + int(value)
        else:
            place = place_of(made, name, nodes)
            if names.setdefault(place, name) != name:
                raise ValueError(SAME.format(f"{names[place]} and {name}"))
            for node, widget in (place, *followers(made, name, place, nodes.energies)):
                inputs = made[node]["inputs"]
                inputs[widget] = _fit_kind(name, value, inputs[widget])
                inputs |= {PRESET: widget} if widget == PRESET_SCALE and PRESET in inputs else {}
    return made


def write_knobs(workflow: Workflow) -> dict[str, dict]:
    """The workflow with those knobs of rules in files that differ from the usual as the text that their node takes."""
    made = check_workflow(workflow)
    for node in made.values():
        usual, inputs = (node.get("_meta") or {}).get(KNOBS, {}), node["inputs"]
        knobs = {name: inputs.pop(name) for name in usual}
        if other := {name: value for name, value in knobs.items() if value != usual[name]}:
            inputs[KNOBS] = json.dumps(other, sort_keys=True)
    return made


def _is_elsewhere(workflow: Workflow, name: str, rules: Sequence[RuleNode]) -> bool:
    """Whether an axis is a widget of a rule that is not in this workflow; `name` may have no such widget at all."""
    owner, _, widget = name.rpartition(".")
    named = [
        rule
        for rule in rules
        if owner.lower() in map(str.lower, rule.names) and widget in {**rule.defaults, **rule.knobs}
    ]
    return bool(named) and not any(_is(workflow, node, owner) for node in workflow)


def _fit_kind(name: str, value: Value, before: Any) -> Any:
    """The value as the widget holds it: text stays text, numbers stay numbers."""
    if isinstance(before, str):
        return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(before, int | float) and isinstance(value, str):
        raise ValueError(f"{name} is {quote(value)}, but a number is needed there. Give for example {before}.")
    return value


def _wire_rules(workflow: dict[str, dict], chain: Sequence[RuleNode]) -> None:
    """Put a chain of rules on the guidance wire of the sampler, in the place of what is there."""
    sampler = workflow[sampler_of(workflow)]
    if sampler["class_type"] == "GGInspectedSampler":
        near = upstream(workflow, sampler_of(workflow))
        sampler = next((workflow[n] for n in near if workflow[n]["class_type"] == "GGGuider"), None)
        if sampler is None:
            raise ValueError("The axis rule needs KSampler, or the guider of this pack (GGGuider) in the workflow.")
    sampler["inputs"].pop(SOCKET, None)
    before = None
    for number, rule in enumerate(chain):
        name = f"gg-sweep-rule-{number}"
        wire = {} if before is None else {SOCKET: [before, 0]}
        inputs = {**rule.defaults, **rule.knobs, **wire}
        about = {"title": rule.names[0], **({KNOBS: rule.knobs} if rule.knobs else {})}
        workflow[name] = {"class_type": rule.id, "inputs": inputs, "_meta": about}
        before = name
    if before:
        sampler["inputs"][SOCKET] = [before, 0]
