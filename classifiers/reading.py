"""Opening any classifier: what the file is, is decided by its content, and nothing in it is ever run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from ..guidance.files import read_header, read_safetensors, unwrapped
from .adm import AdmClassifier, AdmEntrance, adm_size, is_adm
from .contract import Contract, contract_of
from .files import FORMAT, check_weights, labels_of, load_classifier
from .preprocessing import Preprocessing
from .probes import is_probe, probe_classifier
from .torchvision_files import FAMILIES, family_of, fill, torchvision_classifier
from .transformers_folders import folder_classifier
from .wired import CleanClassifier, NoisyClassifier, WiredNetwork, exploding

DTYPES = ("F16", "BF16", "F32", "I64")  # torchvision counts training batches in I64
SCHEDULES = ("linear", "cosine")


def open_classifier(path: Path, find: Callable[[str], Path]) -> WiredNetwork:
    """Read a classifier.

    path: a safetensors file, or a folder with config.json. find: name of a listed classifier -> its path (a probe
    names the network its features come from).
    Raises FileNotFoundError, or ValueError that names the file and the reason: no safetensors, cut off, inconsistent,
    of a kind that is not known here, or without a library it needs.
    """
    if path.is_dir():
        return folder_classifier(path)
    names, metadata = read_header(path)
    if "gg.format" in metadata:
        return own_classifier(path, metadata)
    tensors, _ = read_safetensors(path, dtypes=DTYPES, finite=True)
    weights, contract = unwrapped(tensors), contract_of(path, metadata)
    if is_adm(weights):
        return adm_classifier(weights, contract)
    if family := family_of(weights):
        return torchvision_classifier(family, weights, contract)
    if is_probe(weights):
        return probe_classifier(weights, contract, lambda name: folder_classifier(find(name)))
    raise ValueError(
        f"{path.name} is no classifier known here; its first tensor is {min(names, default='absent')!r}. Known: this "
        "pack's format, guided-diffusion classifiers, probes, folders with config.json, and of torchvision "
        f"{', '.join(family.starts[0].strip('_') for family in FAMILIES)}."
    )


def own_classifier(path: Path, metadata: Mapping[str, str]) -> WiredNetwork:
    """A file in this pack's format; a judge says that it is one, and the gradient node refuses it."""
    if metadata["gg.format"] != FORMAT:
        raise ValueError(f"{path.name} is a {metadata['gg.format']!r}, not a {FORMAT!r}. Choose another file.")
    network, metadata = load_classifier(path)
    labels, side = tuple(labels_of(metadata)), int(metadata.get("gg.image_size", 32))
    if metadata["gg.role"] == "noise-aware":
        least = float(metadata.get("gg.sigma_min", 0.01))
        shape = (int(metadata.get("gg.channels", 3)), side, side)
        return NoisyClassifier(path.stem, network, labels, partial(exploding, least=least), shape)
    return CleanClassifier(
        path.stem, network, labels, Preprocessing((side, side)), judge=metadata["gg.role"] == "judge"
    )


def adm_classifier(weights: Mapping[str, Tensor], contract: Contract) -> NoisyClassifier:
    """A guided-diffusion classifier with the schedule its file states, or the one its size was released with."""
    try:
        size = adm_size(weights)
    except ValueError as wrong:
        raise ValueError(f"{contract.file} {wrong} Save the whole state_dict of one of these.") from None
    schedule = contract.said.get("schedule", size.schedule)
    if schedule not in SCHEDULES:
        raise ValueError(f"{contract.file}: gg.schedule is {schedule!r} but must be one of {', '.join(SCHEDULES)}.")
    labels = len(weights["out.2.c_proj.weight"]) if "out.2.c_proj.weight" in weights else 1000
    network = AdmClassifier(size, labels, width=weights["time_embed.0.weight"].shape[1], device="meta")
    check_weights(contract.file, network.state_dict(), weights)
    fill(network, weights)
    return NoisyClassifier(
        contract.file, network, contract.labels(labels), AdmEntrance(schedule), (3, size.side, size.side)
    )
