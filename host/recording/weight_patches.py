"""What a job puts on the weights of its MODEL by a strength, such as LoRAs: found by what its nodes declare and did.

The mark of a MODEL's patches changes with each strength. What was measured over one strength is kept by another mark:
of the nodes that the MODEL goes through, with all their inputs but this one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import folder_paths

from ..editor.job_wires import class_of, given_of, walk, wires_of
from ..editor.jobs import RunningJob, within
from ..editor.node_types import MODEL, SAMPLED, declaration_of
from ..editor.tap_places import PIPE_TAP, TAP
from ..models.model_folders import fingerprint
from ..models.model_marks import HEX

CONDITIONS = {"CLIP", "CLIP_VISION_OUTPUT", "CONDITIONING", "VAE", *SAMPLED}  # wires that bring no weights
NUMBERS = {"FLOAT", "INT", "BOOLEAN", "STRING", "COMBO"}
GUIDER = "GUIDER"
TAPS = (TAP, PIPE_TAP)  # of what records: they change from job to job
WHOLE = 1.0  # of the weights below a patch, all of which stay; a merge keeps less
LONGEST = 80  # letters of a name


@dataclass(frozen=True)
class WeightPatch:
    """One strength with which a node puts something on a MODEL.

    node: its id. name: of the input. value: of it. what: the file that is put on, without its ending, else the node.
    """

    node: str
    name: str
    value: float
    what: str

    @property
    def words(self) -> str:
        """What, and how strongly."""
        return f"{self.what} {self.value:g}"


def weight_patches(job: RunningJob, patcher) -> list[WeightPatch]:
    """Each strength in a job with which the weights of this MODEL were patched, in the order of its wire.

    A strength of 0 leaves no patch: it counts where its node names a file.
    """
    strengths = {float(one[0]) for patches in patcher.patches.values() for one in patches if one[2] == WHOLE}
    found = (_patch(job, node, strengths) for node in walk(job, lambda reader, name, kind: kind in (MODEL, GUIDER)))
    return [one for one in found if one][::-1]


def _patch(job: RunningJob, node: str, strengths: set[float]) -> WeightPatch | None:
    """The first number of a node that patched the weights; None where it takes no MODEL, or brings nothing for one."""
    declares = declaration_of(class_of(job, node) or "")
    if declares is None or MODEL not in declares.outputs or MODEL not in declares.kinds.values():
        return None
    file = next((one for one in _texts(job, node) if _path(one)), None)
    brings = any(kind not in {MODEL, *CONDITIONS, *NUMBERS} for _, _, kind in wires_of(job, node))
    if file is None and not brings:
        return None
    for name, kind in declares.kinds.items():
        value = given_of(job, node, name) if kind == "FLOAT" else None
        if not isinstance(value, int | float):
            continue
        if any(math.isclose(value, one) for one in strengths) or (value == 0 and file):
            what = PureWindowsPath(file).stem if file else job.title_of(node)
            return WeightPatch(node, name, float(value), what[:LONGEST])
    return None


def _texts(job: RunningJob, node: str) -> Iterator[str]:
    inputs = within(job.prompt, node, "inputs") or {}
    return (one for one in inputs.values() if isinstance(one, str) and one)


def _path(name: str) -> Path | None:
    """The file that a loader of the host means by a name; None where there is none."""
    paths = (folder_paths.get_full_path(kind, name) for kind in [*folder_paths.folder_names_and_paths])
    return next((Path(path) for path in paths if path), None) if "\n" not in name else None


def mark_without(job: RunningJob, patch: WeightPatch) -> str:
    """A mark of all that the MODEL of a job goes through, with the state of its files, but for one strength.

    Nodes count by their place along the wires, so that their ids do not matter.
    """

    def leads(reader: str, name: str, kind: str) -> bool:
        of_model = kind in (MODEL, GUIDER) or (reader != job.display and kind not in CONDITIONS)
        return of_model and (reader, name) != (patch.node, patch.name)

    nodes = [node for node in walk(job, leads) if node != job.display and class_of(job, node) not in TAPS]
    order = {node: i for i, node in enumerate(nodes)}
    told = [_told(job, node, order, patch) for node in nodes]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:HEX]


def _told(job: RunningJob, node: str, order: dict[str, int], patch: WeightPatch) -> list[Any]:
    """What a node is and is given.  A guider is given what guides, of which the key of a knob tells."""
    inputs = within(job.prompt, node, "inputs") or {}
    wires = {name: order.get(_untapped(job, source)) for name, source, _ in wires_of(job, node)}
    own = {name: value for name, value in inputs.items() if (node, name) != (patch.node, patch.name)}
    declares = declaration_of(class_of(job, node) or "")
    if declares and GUIDER in declares.outputs:
        own = {name: value for name, value in own.items() if name in wires}
    files = [fingerprint(path) for one in own.values() if isinstance(one, str) and one and (path := _path(one))]
    return [class_of(job, node), {name: wires.get(name, own[name]) for name in sorted(own)}, files]


def _untapped(job: RunningJob, node: str) -> str:
    """The node itself, or the one that it taps."""
    wires = [source for _, source, _ in wires_of(job, node)] if class_of(job, node) in TAPS else []
    return _untapped(job, wires[0]) if wires else node
