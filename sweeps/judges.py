"""The judge of a study: an energy of its workflow that scores the picture of every cell."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..guidance.printing import quote
from .axes import WORDS, suggest
from .graph import Workflow, is_link, title_of, upstream

JUDGE = "gg-sweep-judge"  # id of the node that a cell adds
NONE = "none"  # in the place of a judge's name
WATCHING = ("GGWatchEnergy", "GGReport", "GGSweep")  # what they are given measures and does not guide
FOLLOWED = ("label", "prompt")  # axes of what a judge may ask for
NO_ENERGY = "The workflow has no energy, such as Label Energy or Text Energy, that could judge. Leave out the judge."


def judge_of(workflow: Workflow, chosen: str = "", kinds: Collection[str] = ()) -> list | None:
    """The wire of the energy that judges; None where there is none.

    chosen: a node by its number or title, "none" for no judge; "": the energy that only watches, or the only one there
    is. kinds: the nodes that are energies. Raises ValueError for a chosen one that is no energy.
    """
    energies = [name for name, node in workflow.items() if node["class_type"] in kinds]
    if chosen == NONE:
        return None
    if chosen:
        return [_find_judge(workflow, energies, chosen), 0]
    wires = (node["inputs"].get("energy") for node in workflow.values() if node["class_type"] in WATCHING)
    if watched := [wire for wire in wires if is_link(wire)]:
        return watched[-1]
    inner = {wire[0] for name in energies for wire in workflow[name]["inputs"].values() if is_link(wire)}
    last = [name for name in energies if name not in inner]
    return [last[0], 0] if len(last) == 1 else None


def _find_judge(workflow: Workflow, energies: list[str], chosen: str) -> str:
    matches = [name for name in energies if chosen == name or chosen.lower() == title_of(workflow[name]).lower()]
    if matches:
        return matches[0]
    if not energies:
        raise ValueError(NO_ENERGY)
    names = [*energies, *(title_of(workflow[name]) for name in energies)]
    raise ValueError(f"The workflow has no energy {quote(chosen)}. {suggest(chosen, dict.fromkeys(names))}")


def judging_node(workflow: Workflow, energy: list, trace: list, pictures: str) -> dict[str, Any]:
    """The node that scores the finished pictures of a trace.  pictures: of the node that shows them."""
    near = [workflow[name] for name in upstream(workflow, pictures)]
    vae = next((node["inputs"]["vae"] for node in near if is_link(node["inputs"].get("vae"))), None)
    return {"class_type": "GGReport", "inputs": {"trace": trace, "energy": energy, **({"vae": vae} if vae else {})}}


def followers(workflow: Workflow, axis: str, place: tuple[str, str], kinds: Collection[str]) -> list[tuple[str, str]]:
    """The widgets of energies that ask for what the axis sets, and go on asking for it: node, input.

    place: the widget of the axis. kinds: the nodes that are energies. One that asks for something else stays as it is.
    """
    (node, name), word = place, axis.rpartition(".")[2]
    if word not in FOLLOWED or workflow[node]["class_type"] in kinds:
        return []
    before, asking = workflow[node]["inputs"][name], [n for n in workflow if workflow[n]["class_type"] in kinds]
    return [(n, w) for n in asking for w in WORDS[word].widgets if workflow[n]["inputs"].get(w) == before]
