"""Loading a classifier from a safetensors file of this pack, with every claim of the file checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ...files.claims import check_claims, either, number, switch, table
from ...files.notes import CLASSIFIER, REMEDY, VERSION, Notes
from ...files.safetensors import read_safetensors
from ..networks.weights import check_weights
from .networks import ARCHITECTURES

ROLES = ("clean", "noise-aware", "judge")
CONFIG = {"gg.config": table(either(number(-1e9, 1e9), switch()), 100)}
MAX_BYTES = 64 * 2**20  # a hundred times the embedded ones


def load_classifier(path: str | Path, operations: Any = nn, **place: Any) -> tuple[nn.Module, dict[str, str]]:
    """Read a classifier: the network in evaluation mode, and the file's metadata (keys begin with `gg.`).

    path: a safetensors file in this pack's classifier format. operations, place: as for the networks.
    Raises FileNotFoundError, or ValueError that names the key: unknown format, architecture, role or version, missing
    key, wrong shape or dtype, non-finite weight, label count.
    """
    weights, metadata = read_safetensors(path, dtypes=("F16", "BF16", "F32"), finite=True, max_bytes=MAX_BYTES)
    notes = Notes(Path(path).name, metadata)
    architecture, config = read_description(notes)
    try:
        planned = architecture(**config, operations=nn, device="meta")  # a claim of any size costs nothing
    except (RuntimeError, TypeError, ValueError) as wrong:
        raise ValueError(f"{notes.file}: gg.config is {config}, which the network does not take: {wrong}.") from wrong
    check_weights(notes.file, planned.state_dict(), weights)
    network = architecture(**config, operations=operations, **place)
    network.load_state_dict(weights, strict=False)  # counters of training batches stay zero
    return network.eval().requires_grad_(False), metadata


def read_description(notes: Notes) -> tuple[type[nn.Module], dict[str, Any]]:
    """The network's class, and its settings.  Raises ValueError for what this version cannot honour."""
    for key, allowed in (("format", (CLASSIFIER,)), ("version", (VERSION,)), ("role", ROLES)):
        notes.choice(key, allowed)
    for key in ("name", "licence", "sigma_input"):
        notes.text(key)
    architecture, labels = notes.choice("architecture", ARCHITECTURES), notes.json("labels")
    config = notes.json("config")
    check_claims(notes.file, {"gg": {"config": config}}, CONFIG, REMEDY)
    if config.get("labels") != len(labels):
        misfit = f"gg.labels names {len(labels)} labels but gg.config says {config.get('labels')}"
        raise ValueError(f"{notes.file}: {misfit}. Write the file again with one name a label.")
    return ARCHITECTURES[architecture], config


def labels_of(metadata: Mapping[str, str]) -> list[str]:
    """The label names, in the order of the logits."""
    return Notes("classifier", metadata).json("labels")
