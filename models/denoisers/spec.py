"""What a denoiser is: the format of its file, what the file says, and what is left for the user to choose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...files.claims import Field
from ...guidance.predictions import PARAMETRISATIONS
from .latents import PIXELS, LatentSpace
from .schedules import SCHEDULES, Levels, usual_time

Shapes = Mapping[str, tuple[int, ...]]
MOST_HEADS = 10_000
KARRAS_SIGMA_DATA = 0.5  # the paper's value, for files that do not say theirs


@dataclass(frozen=True)
class Published:
    """What its authors said of a network; what the metadata of its file say goes before it.

    channels: of a native sample.
    image_size: side of a native sample, in its own cells.
    multiple: what the sides must be divisible by; 0: only the native size.
    parametrisation: what the network predicts; None leaves it to the user.
    schedule: of the noise levels; None leaves it to the user.
    time: what the network is told of the noise level; None: the schedule's usual.
    levels: numbers of the schedule.
    sigma_data: root mean square of clean samples; None if unknown.
    labels: names of the classes; none where they have numbers alone.
    latents: what the samples are.
    doubt: a sentence for the user where parametrisation or schedule are left open.
    vae: the VAE of the latents, called with device by name, where the same file holds its weights, under names that
        begin with `vae.`.
    """

    channels: int
    image_size: int
    multiple: int
    parametrisation: str | None = None
    schedule: str | None = None
    time: str | None = None
    levels: Levels = field(default_factory=Levels)
    sigma_data: float | None = None
    labels: tuple[str, ...] = ()
    latents: LatentSpace = PIXELS
    doubt: str = ""
    vae: Callable[..., nn.Module] | None = None


@dataclass(frozen=True)
class Format:
    """A format of denoiser files: how one is known, and how its network is built.

    name: in gg.architecture.
    title: for people.
    recognises: whether a file that does not name its format is of this one, by its weights' shapes and its metadata.
    sizes: read off the shapes; raises KeyError for a missing weight and ValueError for sizes that cannot be.
    labels: number of classes, "no label" left out; raises ValueError.
    published: what the authors said of a network of these sizes.
    network: called with sizes, labels, and operations, device, dtype by name; forward(x, t, y) takes labels
        0 .. labels, the last of which means "no label".
    memory: (sizes, batch, cells of one sample) -> bytes of activations in float32.
    state_dict: the file's weights -> those of the network's state_dict.
    null_label: whether networks with labels were trained without one too; else y is below `labels`.
    settings: sizes that no shape tells, and what gg.config may say of each; that goes before `sizes`.
    on_flow: the format of the same weights where they were trained on flow, if the file's name or the user says so.
    """

    name: str
    title: str
    recognises: Callable[[Shapes, Mapping[str, str]], bool]
    sizes: Callable[[Shapes], dict[str, Any]]
    labels: Callable[[Shapes], int]
    published: Callable[[Mapping[str, Any]], Published]
    network: Callable[..., nn.Module]
    memory: Callable[[Mapping[str, Any], int, int], int]
    state_dict: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict
    null_label: bool = True
    settings: Mapping[str, Field] = field(default_factory=dict)
    on_flow: Format | None = None


def labels_of_table(shapes: Shapes, name: str) -> int:
    """Classes of a network whose table has a row for each of them and one for no label.

    Raises ValueError for a table without two rows.
    """
    rows = next(iter(shapes.get(name, ())), 0)
    if rows < 2:
        raise ValueError(f"{name} has {rows} rows but needs one per label and one for no label.")
    return rows - 1


def label_vectors(network: nn.Module, labels: Tensor) -> Tensor | None:  # [B] -> [B, emb]
    """What a network is told of labels: their embeddings, which it also takes in the place of the labels.

    None for a network that has none, such as an exact mixture.
    """
    layers = network.modules() if isinstance(network, nn.Module) else ()
    layer: Any = next((layer for layer in layers if hasattr(layer, "label_vectors")), None)
    return None if layer is None else layer.label_vectors(labels)


def axes(shapes: Shapes, name: str, count: int) -> tuple[int, ...]:
    """The sizes of a weight that has so many axes.  Raises KeyError where it is missing, else ValueError."""
    if len(shapes[name]) != count:
        raise ValueError(f"has a weight {name!r} of shape {shapes[name]} where {count} sizes are needed")
    return shapes[name]


@dataclass(frozen=True)
class DenoiserSpec:
    """What a denoiser's file says of it: everything but the weights.

    name: of the file.
    format: that it is in.
    sizes: of the network.
    labels: names of the classes, by index.
    parametrisation, schedule: None where the file does not say.
    time: what the network is told of the noise level; None: the schedule's usual.
    levels: numbers of the schedule.
    sigma_data: root mean square of clean samples; None if unknown.
    image_size: native side in cells.
    dtype: widest type among the weights.
    sha256: of the whole file.
    """

    name: str
    format: Format
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
    def null_index(self) -> int | None:
        """The label that means "no label"; None for a network that was never trained without one."""
        return len(self.labels) if self.format.null_label or not self.labels else None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a native sample: channels and two sides."""
        return (self.format.published(self.sizes).channels, self.image_size, self.image_size)

    @property
    def latents(self) -> LatentSpace:
        """What its samples are."""
        return self.format.published(self.sizes).latents

    @property
    def vae(self) -> Callable[..., nn.Module] | None:
        """The VAE that its file holds."""
        return self.format.published(self.sizes).vae

    @property
    def multiple(self) -> int:
        """What the sides must be divisible by; 0: only the native size."""
        return self.format.published(self.sizes).multiple


@dataclass(frozen=True)
class ChosenSpec(DenoiserSpec):
    """A spec that leaves nothing open: what `chosen` makes, and what a MODEL is built from."""

    parametrisation: str
    schedule: str
    time: str


def choose_spec(spec: DenoiserSpec, parametrisation: str = "auto", schedule: str = "auto") -> ChosenSpec:
    """Let explicit choices override what the file says, and fill what follows from them.

    Raises ValueError where neither says it, naming the choices.
    """
    kind = _decide(spec, "parametrisation", parametrisation, PARAMETRISATIONS)
    levels = _decide(spec, "schedule", schedule, SCHEDULES)
    form = spec.format.on_flow if levels == "flow" and spec.format.on_flow else spec.format
    time = _time(spec, levels) if form is spec.format else usual_time(levels)
    if time == "index" and levels == "edm":
        raise ValueError(f"{spec.name} is told table indices but the schedule edm has no table. Choose another.")
    sigma_data = KARRAS_SIGMA_DATA if spec.sigma_data is None and "edm" in (kind, levels) else spec.sigma_data
    changes = {"format": form, "parametrisation": kind, "schedule": levels, "time": time, "sigma_data": sigma_data}
    return ChosenSpec(**vars(spec) | changes)


def _time(spec: DenoiserSpec, levels: str) -> str:
    """What the network is told of the noise level: as the file says for its schedule, else what is usual.

    A table's index also stands for the levels of another table.
    """
    holds = spec.schedule in (None, levels) or (spec.time == "index" and levels != "edm")
    return spec.time if spec.time and holds else usual_time(levels)


def _decide(spec: DenoiserSpec, what: str, choice: str, options: Collection[str]) -> str:
    value = getattr(spec, what) if choice == "auto" else choice
    if value is None:
        problem = f"{spec.name} does not say its {what}. Choose it on the node: {', '.join(options)}."
        raise ValueError(f"{problem} {spec.format.published(spec.sizes).doubt}".strip())
    if value not in options:
        raise ValueError(f"{what} is {value!r} but must be auto or one of {', '.join(options)}.")
    return value
