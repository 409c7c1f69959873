"""What a denoiser file is: read from its metadata, or from its weights' names and shapes, and checked before use."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files.safetensors import read_header, read_safetensors, unwrapped
from ..guidance.predictions import PARAMETRISATIONS
from ..guidance.printing import Printed, shortened, told
from .architectures import ARCHITECTURES, Architecture
from .metadata import FORMAT, VERSION, Notes
from .schedules import SCHEDULES, TIMES, Levels, usual_time

OTHER_FORMATS = {
    "guidance-geometry/classifier": "a classifier: use Load Classifier",
    "guidance-geometry/trace": "a guidance trace: use Load Guidance Trace",
}
FOREIGN_KEYS = (
    ("model.diffusion_model.", "a checkpoint: use Load Checkpoint"),
    ("lora_", "a LoRA: use Load LoRA"),
    ("double_blocks.", "a diffusion model: use Load Diffusion Model"),
    ("transformer_blocks.", "a diffusion model: use Load Diffusion Model"),
    ("input_blocks.", "a diffusion model: use Load Diffusion Model"),
    ("first_stage_model.", "a VAE: use Load VAE"),
    ("decoder.conv_in.", "a VAE: use Load VAE"),
    ("text_model.", "a text encoder: use Load CLIP"),
)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
KARRAS_SIGMA_DATA = 0.5  # the paper's value, for files without metadata


@dataclass(frozen=True)
class DenoiserSpec:
    """What a denoiser's file says of it: everything but the weights.

    sizes: the network's keyword arguments. parametrisation, schedule: None where the file does not say. time: what the
    network is told of the noise level (None: the schedule's usual). image_size: native side in pixels. dtype: widest
    type among the weights. sha256: of the whole file.
    """

    name: str
    architecture: str
    sizes: Mapping[str, Any]
    labels: tuple[str, ...]
    parametrisation: str | None
    schedule: str | None
    time: str | None
    levels: Levels
    sigma_data: float | None
    image_size: int
    dtype: torch.dtype
    sha256: str = ""

    @property
    def null_index(self) -> int:
        """The label that means "no label"."""
        return len(self.labels)


@dataclass(frozen=True)
class ChosenSpec(DenoiserSpec):
    """A spec that leaves nothing open: what `chosen` makes, and what a MODEL is built from."""

    parametrisation: str
    schedule: str
    time: str


@dataclass(frozen=True, eq=False)
class DenoiserFile(Printed):
    """A checked denoiser: its spec and its weights by the network's own names."""

    spec: DenoiserSpec
    weights: Mapping[str, Tensor]

    def __repr__(self) -> str:
        count = sum(weight.numel() for weight in self.weights.values())
        return f"DenoiserFile({self.spec.name}, {self.spec.architecture}, {count:,} weights)"


def read_denoiser(path: str | Path) -> DenoiserFile:
    """Read and check a denoiser file.

    Raises FileNotFoundError or OSError for a file that cannot be read, ValueError for one that is truncated, no
    safetensors, of another kind, of an unknown architecture or version, or whose weights do not fit.
    """
    path = Path(path)
    names, metadata = read_header(path)
    _refuse_other_formats(Notes(path.name, metadata), names)
    tensors, metadata = read_safetensors(path)
    file = checked(path.name, tensors, metadata)
    return replace(file, spec=replace(file.spec, sha256=sha256_of(path)))


def checked(file: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None) -> DenoiserFile:
    """Decide what a file's contents are, or say why they are no denoiser.  file: its name, for messages"""
    notes = Notes(file, metadata or {})
    _refuse_other_formats(notes, tensors)
    weights = unwrapped(tensors)
    known = notes.choice("architecture", ARCHITECTURES) if notes.described else next(iter(ARCHITECTURES))
    sizes = _sizes(file, known, weights)
    _check_weights(file, ARCHITECTURES[known], sizes, weights)
    spec = _spec(notes, known, sizes, weights)
    return DenoiserFile(spec, weights)


def chosen(spec: DenoiserSpec, parametrisation: str = "auto", schedule: str = "auto") -> ChosenSpec:
    """Let explicit choices override what the file says, and fill what follows from them.

    Raises ValueError where neither says it, naming the choices.
    """
    kind = _decided(spec, "parametrisation", parametrisation, PARAMETRISATIONS)
    levels = _decided(spec, "schedule", schedule, SCHEDULES)
    time = spec.time if spec.time and levels == spec.schedule else usual_time(levels)
    if time == "index" and levels == "edm":
        raise ValueError(f"{spec.name} is told table indices but the schedule edm has no table. Choose another.")
    sigma_data = KARRAS_SIGMA_DATA if spec.sigma_data is None and "edm" in (kind, levels) else spec.sigma_data
    changes = {"parametrisation": kind, "schedule": levels, "time": time, "sigma_data": sigma_data}
    return ChosenSpec(**vars(spec) | changes)


def _decided(spec: DenoiserSpec, what: str, choice: str, options: Collection[str]) -> str:
    value = getattr(spec, what) if choice == "auto" else choice
    if value is None:
        raise ValueError(f"{spec.name} does not say its {what}. Choose it on the node: {', '.join(options)}.")
    if value not in options:
        raise ValueError(f"{what} is {value!r} but must be auto or one of {', '.join(options)}.")
    return value


def sha256_of(path: Path) -> str:
    """Hash of the whole file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _refuse_other_formats(notes: Notes, names: Collection[str]) -> None:
    said = notes.metadata.get("gg.format", FORMAT)
    if said != FORMAT:
        what = OTHER_FORMATS.get(said, f"of the format {told(said)}, not {FORMAT!r}")
        raise ValueError(f"{notes.file} is {what}.")
    if notes.described and (version := notes.text("version")) != VERSION:
        raise ValueError(f"{notes.file} has format version {version!r}; this pack reads version {VERSION}. Update it.")
    for start, what in FOREIGN_KEYS:
        if any(key.startswith(start) for key in names):
            raise ValueError(f"{notes.file} is {what}. Load Denoiser reads {', '.join(ARCHITECTURES)}.")


def _sizes(file: str, known: str, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    try:
        return ARCHITECTURES[known].sizes({key: tuple(weight.shape) for key, weight in weights.items()})
    except KeyError as missing:
        raise ValueError(
            f"{file} has no weight {missing}, so it is no {known}. Load Denoiser reads {', '.join(ARCHITECTURES)}."
        ) from None
    except (IndexError, ValueError) as wrong:
        raise ValueError(f"{file} {wrong}, so its weights do not fit.") from None


def _check_weights(file: str, known: Architecture, sizes: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Compare every weight's name, shape, type and values with what the network has."""
    rows = next(iter(weights[known.classes].shape), 0) if known.classes in weights else 0
    if rows < 2:
        raise ValueError(f"{file}: {known.classes} has {rows} rows but needs one per label and one for no label.")
    wanted = known.network(**sizes, labels=rows - 1, device="meta").state_dict()
    for key in sorted(wanted.keys() | weights.keys()):
        if key not in weights:
            raise ValueError(f"{file}: the weight {key!r} is missing. Save the network's whole state_dict.")
        if key not in wanted:
            raise ValueError(f"{file}: the weight {key!r} belongs to no part of the network. Save only its state_dict.")
        got, need = tuple(weights[key].shape), tuple(wanted[key].shape)
        if got != need:
            raise ValueError(f"{file}: the weight {key!r} has shape {got} but the network needs {need}.")
        if weights[key].dtype not in DTYPES:
            raise ValueError(f"{file}: the weight {key!r} is {weights[key].dtype}. Save it in float16 or float32.")
        if not torch.isfinite(weights[key]).all():
            raise ValueError(f"{file}: the weight {key!r} holds inf or nan. Use an earlier save.")


def _spec(notes: Notes, known: str, sizes: dict[str, Any], weights: Mapping[str, Tensor]) -> DenoiserSpec:
    count = weights[ARCHITECTURES[known].classes].shape[0] - 1
    kind, schedule = _parametrisation(notes), _schedule(notes)
    _check_description(notes, known, sizes, count)
    return DenoiserSpec(
        name=notes.text("name", Path(notes.file).stem),
        architecture=known,
        sizes=sizes,
        labels=_labels(notes, count),
        parametrisation=kind,
        schedule=schedule,
        time=notes.choice("time", TIMES, usual_time(schedule)) if schedule else None,
        levels=_levels(notes),
        sigma_data=_sigma_data(notes, kind),
        image_size=notes.whole("image_size", 32, ARCHITECTURES[known].multiple),
        dtype=max((weight.dtype for weight in weights.values()), key=lambda dtype: dtype.itemsize),
    )


def _parametrisation(notes: Notes) -> str | None:
    """The kind of output; a raw network under EDM preconditioning is written as `F` and `edm`."""
    if not notes.described:
        return None
    if notes.text("parametrisation") == "F":
        return notes.choice("preconditioning", ("edm",))
    return notes.choice("parametrisation", PARAMETRISATIONS)


def _schedule(notes: Notes) -> str | None:
    if not notes.described:
        return None
    return "edm" if notes.text("schedule") == "ve" else notes.choice("schedule", SCHEDULES)


def _sigma_data(notes: Notes, kind: str | None) -> float | None:
    if kind == "edm":
        notes.text("sigma_data")
    return notes.number("sigma_data", KARRAS_SIGMA_DATA) if "gg.sigma_data" in notes.metadata else None


def _levels(notes: Notes) -> Levels:
    usual = Levels()
    try:
        return Levels(
            timesteps=notes.whole("timesteps", usual.timesteps),
            beta_start=notes.number("beta_start", usual.beta_start),
            beta_end=notes.number("beta_end", usual.beta_end),
            sigma_min=notes.number("sigma_min", usual.sigma_min),
            sigma_max=notes.number("sigma_max", usual.sigma_max),
        )
    except ValueError as wrong:
        raise ValueError(f"{notes.file}: {str(wrong).removeprefix(notes.file + ': ')}") from None


def _labels(notes: Notes, count: int) -> tuple[str, ...]:
    """The names of the classes; their numbers where the file has no names."""
    labels = notes.json("labels", None if notes.described else json.dumps([str(index) for index in range(count)]))
    if len(labels) != count:
        raise ValueError(f"{notes.file}: gg.labels has {len(labels)} names but the weights have {count} classes.")
    often = Counter(labels)
    for label in labels:
        if label.strip() != label or label in ("", "*") or set(label) & set(";\r\n") or often[label] > 1:
            raise ValueError(
                f"{notes.file}: the label {label!r} cannot be typed. Labels are unique, without ';' or line breaks."
            )
    return tuple(labels)


def _check_description(notes: Notes, known: str, sizes: dict[str, Any], count: int) -> None:
    """Refuse a description that contradicts the weights, or a picture the loader could not show."""
    config = notes.json("config", "{}")
    found = json.loads(json.dumps(sizes))
    for key, value in config.items():
        if found.get(key, value) != value:
            said = f"{shortened(key, 60)} = {told(value)}"
            raise ValueError(f"{notes.file}: gg.config says {said} but the weights have {found[key]}.")
    for key, need in (("null_index", count), ("channels", ARCHITECTURES[known].channels), ("range", "-1,1")):
        said = notes.text(key, str(need))
        if said.replace(" ", "") != str(need):
            raise ValueError(f"{notes.file}: gg.{key} is {said!r} but this file needs {need}.")
