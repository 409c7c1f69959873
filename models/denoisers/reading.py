"""What a denoiser file is: read from its metadata, or from its weights' names and shapes, and checked before use."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...files.claims import check_claims
from ...files.notes import REMEDY, Notes
from ...files.safetensors import read_header, read_safetensors, strip_prefix
from ...guidance.predictions import PARAMETRISATIONS
from ...guidance.printing import Printed, quote, shorten
from ..networks.imagenet import LABELS
from ..networks.weights import check_weights
from .folders import read_folder
from .registry import FORMATS, format_of
from .schedules import SCHEDULES, TIMES, Levels, usual_time
from .spec import KARRAS_SIGMA_DATA, DenoiserSpec, Format, Published, Shapes

VAE = "vae."  # how the names of a VAE's weights begin, in a file that holds it
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
UNFIT = "so its weights do not fit. Fetch it again, correct its gg.config if it has one, or choose another."


@dataclass(frozen=True, eq=False)
class DenoiserFile(Printed):
    """A checked denoiser: its spec and its weights by the network's own names; of its VAE too, if the file has it."""

    spec: DenoiserSpec
    weights: Mapping[str, Tensor]
    vae: Mapping[str, Tensor] = field(default_factory=dict)

    def __repr__(self) -> str:
        count = sum(weight.numel() for weight in self.weights.values())
        return f"DenoiserFile({self.spec.name}, {self.spec.format.name}, {count:,} weights)"


def read_denoiser(path: str | Path) -> DenoiserFile:
    """Read and check a denoiser file, or a folder of the diffusers library.

    Raises FileNotFoundError or OSError for a file that cannot be read, ValueError for one that is truncated, no
    safetensors, of another kind, of an unknown architecture or version, or whose weights do not fit.
    """
    path = Path(path)
    if path.is_dir():
        contents = read_folder(path)
        file = _check(Notes(f"{path.name}/", {}), contents.format, contents.tensors)
        return replace(file, spec=replace(file.spec, name=path.name, sha256=sha256_of(*contents.files)))
    entries, metadata = read_header(path)
    format_of(Notes(path.name, metadata), {name: entry.shape for name, entry in entries.items()})
    tensors, metadata = read_safetensors(path)
    file = denoiser_of(path.name, tensors, metadata)
    return replace(file, spec=replace(file.spec, sha256=sha256_of(path)))


def denoiser_of(file: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None) -> DenoiserFile:
    """Decide what a file's contents are, or say why they are no denoiser.  file: its name, for messages"""
    notes = Notes(file, metadata or {})
    return _check(notes, format_of(notes, _shapes(tensors)), strip_prefix(tensors))


def _check(notes: Notes, form: Format, tensors: Mapping[str, Tensor]) -> DenoiserFile:
    shapes = _shapes(tensors)
    _refuse_empty(notes.file, shapes)
    sizes, labels = _sizes(notes, form, shapes), _labels(notes.file, form, shapes)
    with _fitting(notes.file, form):
        planned = _plan_weights(form, sizes, labels)
        claimed = form.state_dict({name: tensor.to("meta") for name, tensor in tensors.items()})
    check_weights(notes.file, planned, claimed)  # before any weight is made, which takes as much memory as they claim
    weights = form.state_dict(tensors)
    _check_values(notes.file, weights)
    dtype = max((weight.dtype for weight in weights.values()), key=lambda dtype: dtype.itemsize)
    inside = {name for name in weights if name.startswith(VAE)} if form.published(sizes).vae else set()
    vae = {name.removeprefix(VAE): weights[name] for name in inside}
    network_weights = {name: weight for name, weight in weights.items() if name not in inside}
    return DenoiserFile(_spec(notes, form, sizes, labels, dtype), network_weights, vae)


def _plan_weights(form: Format, sizes: dict[str, Any], labels: int) -> dict[str, Tensor]:
    """Every weight that the file must hold: the network's, and its VAE's."""
    weights = form.network(sizes, labels, device="meta").state_dict()
    vae = form.published(sizes).vae
    inside = vae(device="meta").state_dict() if vae else {}
    return weights | {VAE + name: weight for name, weight in inside.items()}


def _shapes(tensors: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _refuse_empty(file: str, shapes: Shapes) -> None:
    """Refuse a weight without numbers: it takes no place in a file, and its other sizes may be anything."""
    name = next((name for name, shape in shapes.items() if 0 in shape), None)
    if name is not None:
        raise ValueError(f"{file}: the weight {name!r} has shape {shapes[name]}, so no number. Fetch it again.")


@contextmanager
def _fitting(file: str, form: Format) -> Iterator[None]:
    """Say of a failure to read sizes, or to build with them, that the weights do not fit."""
    try:
        yield
    except KeyError as missing:
        raise ValueError(
            f"{file} has no weight {missing}, so its format is not {form.name}. "
            f"Load Denoiser reads {', '.join(FORMATS)}."
        ) from None
    except ValueError as wrong:
        raise ValueError(f"{file} {wrong}, {UNFIT}") from None
    except (ArithmeticError, IndexError, RuntimeError):
        raise ValueError(f"{file} has weights of shapes that no network can have, {UNFIT}") from None


def sha256_of(*paths: Path) -> str:
    """Hash of whole files, one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def _sizes(notes: Notes, form: Format, shapes: Shapes) -> dict[str, Any]:
    file, config = notes.file, notes.json("config", "{}")
    fields = {f"gg.config.{key}": field for key, field in form.settings.items()}
    check_claims(file, {"gg": {"config": config}}, fields, REMEDY)
    with _fitting(file, form):
        return form.sizes(shapes) | {key: config[key] for key in form.settings if key in config}


def _labels(file: str, form: Format, shapes: Shapes) -> int:
    try:
        return form.labels(shapes)
    except ValueError as wrong:
        raise ValueError(f"{file}: {wrong}") from None


def _check_values(file: str, weights: Mapping[str, Tensor]) -> None:
    """Refuse a type that no network here has, and numbers that are none."""
    for key in sorted(weights):
        if weights[key].dtype not in DTYPES:
            raise ValueError(f"{file}: the weight {key!r} is {weights[key].dtype}. Save it in float16 or float32.")
        if not torch.isfinite(weights[key]).all():
            raise ValueError(f"{file}: the weight {key!r} holds inf or nan. Use an earlier save.")


def _spec(notes: Notes, form: Format, sizes: dict[str, Any], labels: int, dtype: torch.dtype) -> DenoiserSpec:
    published = form.published(sizes)
    if form.on_flow and not notes.has_description and not notes.named(form.name):
        published = replace(published, parametrisation=None, schedule=None)
    kind, schedule = _parametrisation(notes, published), _schedule(notes, published)
    null = labels if form.null_label or not labels else None
    _check_description(notes, sizes, {"null_index": null, "channels": published.channels, "range": "-1,1"})
    usual = published.time or usual_time(schedule or "edm")
    return DenoiserSpec(
        name=notes.text("name", Path(notes.file).stem),
        format=form,
        sizes=sizes,
        labels=_names(notes, labels, published.labels),
        parametrisation=kind,
        schedule=schedule,
        time=notes.choice("time", TIMES, usual) if schedule else published.time,
        levels=_levels(notes, published.levels),
        sigma_data=_sigma_data(notes, kind, published),
        image_size=notes.whole("image_size", published.image_size, published.multiple or 1),
        dtype=dtype,
    )


def _parametrisation(notes: Notes, published: Published) -> str | None:
    """The kind of output; a raw network under EDM preconditioning is written as `F` and `edm`."""
    if not notes.has_description:
        return published.parametrisation
    if notes.text("parametrisation") == "F":
        return notes.choice("preconditioning", ("edm",))
    return notes.choice("parametrisation", PARAMETRISATIONS)


def _schedule(notes: Notes, published: Published) -> str | None:
    if not notes.has_description:
        return published.schedule
    return "edm" if notes.text("schedule") == "ve" else notes.choice("schedule", SCHEDULES)


def _sigma_data(notes: Notes, kind: str | None, published: Published) -> float | None:
    if not notes.has_description or (kind != "edm" and "gg.sigma_data" not in notes.metadata):
        return published.sigma_data
    notes.text("sigma_data")
    return notes.number("sigma_data", KARRAS_SIGMA_DATA)


def _levels(notes: Notes, usual: Levels) -> Levels:
    try:
        return Levels(
            timesteps=notes.whole("timesteps", usual.timesteps),
            beta_start=notes.number("beta_start", usual.beta_start),
            beta_end=notes.number("beta_end", usual.beta_end),
            beta_power=notes.number("beta_power", usual.beta_power),
            sigma_min=notes.number("sigma_min", usual.sigma_min),
            sigma_max=notes.number("sigma_max", usual.sigma_max),
        )
    except ValueError as wrong:
        raise ValueError(f"{notes.file}: {str(wrong).removeprefix(notes.file + ': ')}") from None


def _names(notes: Notes, count: int, published: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the classes: ImageNet's for a thousand, numbers for others that nobody names."""
    usual = published or (LABELS if count == len(LABELS) else [str(index) for index in range(count)])
    labels = notes.json("labels", None if notes.has_description else json.dumps(usual))
    if len(labels) != count:
        named = "gg.labels has" if notes.has_description else "it comes with"
        raise ValueError(f"{notes.file}: {named} {len(labels)} names but the weights have {count} classes.")
    often = Counter(labels)
    for label in labels:
        if label.strip() != label or label in ("", "*") or set(label) & set(";\r\n") or often[label] > 1:
            raise ValueError(
                f"{notes.file}: the label {label!r} cannot be typed. Labels are unique, without ';' or line breaks."
            )
    return tuple(labels)


def _check_description(notes: Notes, sizes: dict[str, Any], needs: Mapping[str, Any]) -> None:
    """Refuse a description that contradicts the weights, or a picture the loader could not show."""
    config = notes.json("config", "{}")
    read = json.loads(json.dumps(sizes))
    for key, value in config.items():
        if read.get(key, value) != value:
            claim = f"{shorten(key, 60)} = {quote(value)}"
            raise ValueError(f"{notes.file}: gg.config says {claim} but the weights have {read[key]}.")
    for key, need in needs.items():
        claim = notes.text(key, str(need))
        if claim.replace(" ", "") != str(need):
            raise ValueError(f"{notes.file}: gg.{key} is {claim!r} but this file needs {need}.")
