"""What a job puts on the weights of its MODEL by a strength, such as LoRAs: found by what its nodes declare and did.

The mark of a MODEL's patches changes with each strength. What was measured over one strength is kept by another mark:
of the nodes that the MODEL goes through, with all their inputs but this one.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import folder_paths
from comfy.model_patcher import ModelPatcher

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


def weight_patches(job: RunningJob, patcher: ModelPatcher) -> list[WeightPatch]:
    """Each strength in a job with which the weights of this MODEL were patched, in the order of its wire.

    A strength of 0 leaves no patch: it counts where its node names a file.
    """
    strengths = {float(patch[0]) for patches in patcher.patches.values() for patch in patches if patch[2] == WHOLE}
    nodes = walk(job, lambda reader, name, kind: kind in (MODEL, GUIDER))
    patches = [patch for patch in (_patch(job, node, strengths) for node in nodes) if patch]
    return patches[::-1]


def _patch(job: RunningJob, node: str, strengths: set[float]) -> WeightPatch | None:
    """The first number of a node that patched the weights; None where it takes no MODEL, or brings nothing for one."""
    declares = declaration_of(class_of(job, node) or "")
    if declares is None or MODEL not in declares.outputs or MODEL not in declares.kinds.values():
        return None
    inputs = within(job.prompt, node, "inputs") or {}
    texts = (value for value in inputs.values() if isinstance(value, str) and value)
    file = next((text for text in texts if _path(text)), None)
    brings = any(kind not in {MODEL, *CONDITIONS, *NUMBERS} for _, _, kind in wires_of(job, node))
    if file is None and not brings:
        return None
    for name, kind in declares.kinds.items():
        value = given_of(job, node, name) if kind == "FLOAT" else None
        if not isinstance(value, int | float):
            continue
        if any(math.isclose(value, strength) for strength in strengths) or (value == 0 and file):
            what = PureWindowsPath(file).stem if file else job.title_of(node)
            return WeightPatch(node, name, float(value), what[:LONGEST])
    return None


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
    described = [_describe(job, node, order, patch) for node in nodes]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:HEX]


def _describe(job: RunningJob, node: str, order: dict[str, int], patch: WeightPatch) -> list[Any]:
    """What a node is and is given.  A guider is given what guides, of which the key of a knob tells."""
    inputs = within(job.prompt, node, "inputs") or {}
    wires = {name: order.get(_untapped(job, source)) for name, source, _ in wires_of(job, node)}
    given = {name: value for name, value in inputs.items() if (node, name) != (patch.node, patch.name)}
    declares = declaration_of(class_of(job, node) or "")
    if declares and GUIDER in declares.outputs:
        given = {name: value for name, value in given.items() if name in wires}
    texts = (value for value in given.values() if isinstance(value, str) and value)
    files = [fingerprint(path) for text in texts if (path := _path(text))]
    return [class_of(job, node), {name: wires.get(name, given[name]) for name in sorted(given)}, files]


def _untapped(job: RunningJob, node: str) -> str:
    """The node itself, or the one that it taps."""
    wires = [source for _, source, _ in wires_of(job, node)] if class_of(job, node) in TAPS else []
    return _untapped(job, wires[0]) if wires else node
