"""Opening any classifier: what the file is, is decided by its content, and nothing in it is ever run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from ...files.notes import CLASSIFIER, Notes
from ...files.safetensors import read_header, read_safetensors, strip_prefix
from ...guidance.printing import quote
from ..networks.imagenet import LABELS
from ..networks.weights import check_weights, fill
from .adm import AdmEntrance, is_adm, plan_network
from .contract import Contract, contract_of
from .efficientnet_lite import is_lite, lite_classifier
from .files import load_classifier
from .networks import PocketNoisy, SmallNoisy
from .preprocessing import Preprocessing
from .probes import is_probe, probe_classifier
from .torchvision_files import FAMILIES, family_of, torchvision_classifier
from .transformers_folders import folder_classifier
from .wired import CleanClassifier, NoisyClassifier, Shown, Unit, WiredNetwork, exploding, preserving

DTYPES = ("F16", "BF16", "F32", "I64")  # torchvision counts training batches in I64
SCHEDULES = ("linear", "cosine")


def open_classifier(path: Path, find: Callable[[str], Path] | None = None) -> WiredNetwork:
    """Read a classifier.

    path: a safetensors file, or a folder with config.json. find: name of a listed classifier -> its path (a probe
    names the network its features come from); default: beside the file.
    Raises FileNotFoundError, or ValueError that names the file and the reason: no safetensors, cut off, inconsistent,
    of a kind that is not known here, or without a library it needs.
    """
    if path.is_dir():
        return folder_classifier(path)
    _, metadata = read_header(path)
    if "gg.format" in metadata:
        return own_classifier(path, metadata)
    tensors, _ = read_safetensors(path, dtypes=DTYPES, finite=True)
    return classifier_of(tensors, contract_of(path, metadata), find or path.parent.joinpath)


def classifier_of(tensors: Mapping[str, Tensor], contract: Contract, find: Callable[[str], Path]) -> WiredNetwork:
    """The published classifier that these weights are, by their names and shapes.

    Raises ValueError where they are none, or do not fit.
    """
    weights = strip_prefix(tensors)
    if is_adm(weights):
        return adm_classifier(weights, contract)
    if is_lite(weights):
        return lite_classifier(weights, contract)
    if family := family_of(weights):
        network = torchvision_classifier(family, weights, contract)
        return made_noisy(network) if contract.claims.get("noisy") is True else network
    if is_probe(weights):
        return probe_classifier(weights, contract, lambda name: folder_classifier(find(name)))
    raise ValueError(
        f"{contract.file} is not a known classifier; its first tensor is {min(tensors, default='absent')!r}. Known: "
        "this pack's format, guided-diffusion classifiers, EfficientNet-Lite, probes, folders with config.json, and of "
        f"torchvision {', '.join(family.starts[0].strip('_') for family in FAMILIES)}."
    )


def own_classifier(path: Path, metadata: Mapping[str, str]) -> WiredNetwork:
    """A file in this pack's format; a judge says that it is one, and the gradient node refuses it."""
    if metadata["gg.format"] != CLASSIFIER:
        raise ValueError(f"{path.name} is a {quote(metadata['gg.format'])}, not a {CLASSIFIER!r}. Choose another file.")
    network, notes = load_classifier(path)[0], Notes(path.name, metadata)
    labels, role = tuple(notes.json("labels")), notes.text("role")
    if isinstance(network, SmallNoisy):  # what `GGTrainNoisyClassifier` made, with the noise levels it was trained on
        data, low, high = network.config["sigma_data"], notes.number("sigma_min", 1e-3), notes.number("sigma_max", 1e3)
        shape = (int(network.config["channels"]), None, None)
        return NoisyClassifier(path.stem, network, labels, Unit(data, low, high), shape)
    side = notes.whole("image_size", 32)
    if role == "noise-aware" and isinstance(network, PocketNoisy):
        entrance = partial(exploding, least=notes.number("sigma_min", 0.01))
        return NoisyClassifier(path.stem, network, labels, entrance, (notes.whole("channels", 3), side, side))
    clean = CleanClassifier(path.stem, network, labels, Preprocessing((side, side)), judge=role == "judge")
    return made_noisy(clean) if role == "noise-aware" else clean


def made_noisy(clean: CleanClassifier) -> NoisyClassifier:
    """A network of images that has learned to read noisy ones, without being told how noisy they are."""
    shown = Shown(clean.preprocessing, clean.network)
    return NoisyClassifier(clean.name, shown, clean.labels, preserving, (3, None, None))


def adm_classifier(weights: Mapping[str, Tensor], contract: Contract) -> NoisyClassifier:
    """A guided-diffusion classifier with the schedule and labels its file states, or those it was released with."""
    try:
        network = plan_network(weights)
    except ValueError as wrong:
        raise ValueError(f"{contract.file} {wrong} Save the whole state_dict of one of these.") from None
    size = network.size
    schedule = contract.claims.get("schedule", size.schedule)
    if schedule not in SCHEDULES:
        raise ValueError(f"{contract.file}: gg.schedule is {schedule!r} but must be one of {', '.join(SCHEDULES)}.")
    check_weights(contract.file, network.state_dict(), weights)
    fill(network, weights)
    return NoisyClassifier(
        contract.file,
        network,
        contract.labels(network.labels, LABELS),
        AdmEntrance(schedule),
        (3, size.side, size.side),
    )
