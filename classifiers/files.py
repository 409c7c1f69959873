"""Loading a classifier from a safetensors file, with every claim of the file checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..files.claims import PAGE, check_claims, either, json_of, number, several, switch, table, text
from ..files.safetensors import positive, read_safetensors
from ..guidance.printing import told
from .contract import MOST_LABELS
from .networks import build, load_weights, weights_of
from .preprocessing import LARGEST_SIDE

FORMAT = "guidance-geometry/classifier"
VERSION = "1"
ROLES = ("clean", "noise-aware", "judge")
NEEDED = ("format", "version", "name", "licence", "architecture", "config", "role", "labels", "sigma_input")
STATED = {  # what the values that are JSON hold
    "gg.labels": several(text(), MOST_LABELS),
    "gg.config": table(either(number(-1e9, 1e9), switch()), 100),
}
WRITTEN = {"gg.licence": text(PAGE)} | {
    f"gg.{key}": text() for key in NEEDED if f"gg.{key}" not in (*STATED, "gg.licence")
}
LIMITS = {"gg.image_size": LARGEST_SIDE, "gg.channels": 4096, "gg.sigma_min": 1e6, "gg.sigma_max": 1e6}
REMEDY = "Write the file again."
MAX_BYTES = 64 * 2**20  # a hundred times the embedded ones


def load_classifier(path: str | Path, operations: Any = nn, **place: Any) -> tuple[nn.Module, dict[str, str]]:
    """Read a classifier: the network in evaluation mode, and the file's metadata (keys begin with `gg.`).

    path: a safetensors file in this pack's classifier format. operations, place: as for the networks.
    Raises FileNotFoundError, or ValueError that names the key: unknown format, architecture, role or version, missing
    key, wrong shape or dtype, non-finite weight, label count.
    """
    weights, metadata = read_safetensors(path, dtypes=("F16", "BF16", "F32"), finite=True, max_bytes=MAX_BYTES)
    file = Path(path).name
    check_metadata(file, metadata)
    labels = labels_of(metadata, file)
    config = parsed(file, metadata, "gg.config")
    if config.get("labels") != len(labels):
        raise ValueError(
            f"{file}: gg.labels names {len(labels)} labels but gg.config says {config.get('labels')}. "
            "Write the file again with one name a label."
        )
    architecture = metadata["gg.architecture"]
    planned = network_of(file, architecture, config, nn, device="meta")  # a claim of any size costs nothing
    check_weights(file, weights_of(planned), weights)
    network = network_of(file, architecture, config, operations, **place)
    load_weights(network, weights)
    return network.eval().requires_grad_(False), metadata


def network_of(file: str, architecture: str, config: dict[str, Any], operations: Any, **place: Any) -> nn.Module:
    """Build the network that the metadata describes, without its weights."""
    try:
        return build(architecture, config, operations, **place)
    except TypeError as error:
        raise ValueError(
            f"{file}: gg.config is {config}, which '{architecture}' does not take. Write the file again."
        ) from error
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{file}: gg.config is {config}: {error}. Write the file again.") from error


def check_metadata(file: str, metadata: Mapping[str, str]) -> None:
    """Refuse a file whose metadata this version cannot honour."""
    for key in NEEDED:
        if f"gg.{key}" not in metadata:
            raise ValueError(
                f"{file}: gg.{key} is missing; a classifier needs {', '.join('gg.' + k for k in NEEDED)}. "
                "Choose a file in this pack's classifier format, or write the key."
            )
    said = {key.removeprefix("gg."): value for key, value in metadata.items() if key.startswith("gg.")}
    check_claims(file, {"gg": said}, WRITTEN, REMEDY)
    for key, known in (("format", (FORMAT,)), ("version", (VERSION,)), ("role", ROLES)):
        if metadata[f"gg.{key}"] not in known:
            raise ValueError(
                f"{file}: gg.{key} is {told(metadata[f'gg.{key}'])} but this version reads {', '.join(known)}. "
                "Update the pack, or choose another file."
            )


def check_weights(file: str, wanted: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> None:
    """Refuse missing, surplus and misshapen tensors."""
    for name, tensor in wanted.items():
        if name not in stored:
            raise ValueError(f"{file}: tensor '{name}' is missing. The file is incomplete: fetch or write it again.")
        if stored[name].shape != tensor.shape:
            raise ValueError(
                f"{file}: tensor '{name}' has shape {tuple(stored[name].shape)} but {tuple(tensor.shape)} is needed. "
                "gg.config and the weights disagree: write the file again."
            )
        if not stored[name].is_floating_point():
            raise ValueError(f"{file}: tensor '{name}' holds whole numbers, which cannot be weights. Write it again.")
    surplus = sorted(set(stored) - set(wanted))
    if surplus:
        raise ValueError(
            f"{file}: tensor '{surplus[0]}' has no place in the network ({len(surplus)} such). "
            "gg.architecture and the weights disagree: write the file again."
        )


def labels_of(metadata: Mapping[str, str], file: str = "classifier") -> list[str]:
    """The label names, in the order of the logits."""
    return parsed(file, metadata, "gg.labels")


def stated_number(file: str, metadata: Mapping[str, str], key: str, usual: float) -> float:
    """A number above 0, up to its limit, that a file may state."""
    said = metadata.get(key, str(usual))
    value = positive(said)
    if value is None or value > LIMITS[key]:
        needed = f"a number above 0, up to {LIMITS[key]:g},"
        raise ValueError(f"{file}: {key} is {told(said)}; {needed} is needed. {REMEDY}")
    return value


def stated_size(file: str, metadata: Mapping[str, str], key: str, usual: int) -> int:
    """The same where it is a whole number."""
    value = stated_number(file, metadata, key, usual)
    if value != int(value):
        raise ValueError(f"{file}: {key} is {value:g}; a whole number is needed. {REMEDY}")
    return int(value)


def parsed(file: str, metadata: Mapping[str, str], key: str) -> Any:
    """Read a metadata value that is JSON, of the kind its key has."""
    value = json_of(f"{file}: {key}", metadata[key], REMEDY)
    if not STATED[key].fits(value):
        raise ValueError(f"{file}: {key} is {told(value)}; {STATED[key].needed} is needed. {REMEDY}")
    return value
