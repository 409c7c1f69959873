"""A denoiser file or an exact mixture as the host's own MODEL: its samplers, previews, masks and memory all apply."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.supported_models_base
import torch
from torch import Tensor, nn

from ...guidance.labels import NO_LABEL, UNTRAINED, label_numbers
from ...guidance.mixture import ANY, GaussianMixture
from ...guidance.vectors import wide
from ...models import denoisers
from ...models.denoisers.latents import PIXELS, SD_LATENTS, LatentSpace, name_of, space_named
from ...models.denoisers.schedules import network_time
from ...models.denoisers.spec import ChosenSpec, label_vectors
from ..limits import WEIGHT_DTYPES
from .noise_levels import Sampling, denoiser_levels, exact_levels

NO_EMBEDDING = (
    "has no embedding of its labels, and a rule of the guidance chain changes that (CADS). Remove the rule, or load a "
    "network with labels."
)
OTHER_LATENT = "Use Empty Canvas, or VAE Encode with the model's VAE."


@dataclass(frozen=True)
class ModelCard:
    """What other nodes may know of a class-conditional MODEL.

    name: of the file, or of the mixture.
    labels: of its classes, by index; empty for an unconditional model.
    null_index: the label that means "no label"; None for a model that was never trained without one.
    sha256: of the file; empty for a mixture.
    sigma_data: root mean square of clean samples, as the file says or of the mixture; None if unknown.
    shape: of one native sample, [C, ...].
    multiple: what the sides must be divisible by; 0: only the native size exists.
    space: "ve" or "flow".
    latents: what the samples are: pixels, or the latents of some VAE.
    """

    name: str
    labels: tuple[str, ...]
    null_index: int | None
    sha256: str
    sigma_data: float | None
    shape: tuple[int, ...]
    multiple: int
    space: str
    latents: LatentSpace = PIXELS

    def sides(self, width: int, height: int) -> tuple[int, ...]:
        """Sides in cells, checked.  width, height: in pixels, of the last side and the one before it; 0: native"""
        cell = self.latents.downscale
        if width % cell or height % cell:
            raise ValueError(
                f"{width}x{height} pixels do not fit {self.name}: one latent cell is {cell}x{cell} pixels. "
                f"Choose multiples of {cell}."
            )
        *outer_sides, last = self.shape[1:]  # frames and rows, where there are any; then columns
        width, height = width // cell, height // cell
        if outer_sides:
            outer_sides[-1] = height or outer_sides[-1]
        sides = (*outer_sides, width or last)
        self.check_sides(sides)
        return sides

    def check_sides(self, sides: tuple[int, ...]) -> None:
        """Refuse a picture size the network cannot work on.  sides: all but batch and channels"""
        got, native = "x".join(map(str, sides)), "x".join(map(str, self.shape[1:]))
        if self.multiple == 0 and sides != self.shape[1:]:
            raise ValueError(f"The latent is {got} but {self.name} works at {native} only. Use Empty Canvas.")
        if self.multiple and any(side < 1 or side % self.multiple for side in sides):
            raise ValueError(
                f"The latent is {got} but {self.name} needs sides divisible by {self.multiple}. "
                f"Use Empty Canvas ({native}), or resize the picture."
            )


def card_of(model: Any) -> ModelCard | None:
    """The card of a MODEL made here, through any number of clones and patches; None for every other MODEL."""
    return getattr(getattr(model, "model", None), "card", None)


class PixelFormat(comfy.latent_formats.LatentFormat):
    """Latents that are the samples themselves, in -1 .. 1; previews show the first three channels."""

    spacial_downscale_ratio = 1

    def __init__(self, shape: tuple[int, ...]):
        channels = shape[0]
        self.latent_channels = channels
        self.latent_dimensions = len(shape) - 1
        grey = [[1.0, 1.0, 1.0]]
        colours = [[float(row == column) for column in range(3)] for row in range(channels)]
        if self.latent_dimensions >= 2:
            self.latent_rgb_factors = grey if channels == 1 else colours


class ScaledFormat(comfy.latent_formats.LatentFormat):
    """Latents scaled as a network was trained:  sample = (latent - shift) * scale."""

    def __init__(self, space: LatentSpace):
        self.space = space

    def process_in(self, latent: Tensor) -> Tensor:
        self._check_channels(latent)
        return (latent - _per_channel(self.space.shift, latent)) * _per_channel(self.space.scale, latent)

    def process_out(self, latent: Tensor) -> Tensor:
        self._check_channels(latent)
        return latent / _per_channel(self.space.scale, latent) + _per_channel(self.space.shift, latent)

    def _check_channels(self, latent: Tensor) -> None:
        """Refuse a latent of another space, which comes here before its model sees it."""
        channels = len(self.space.scale)
        if latent.ndim > 2 and latent.shape[1] != channels:
            raise ValueError(
                f"The latent has {latent.shape[1]} channels but {self.space.title} has {channels}. {OTHER_LATENT}"
            )


def _per_channel(numbers: tuple[float, ...], like: Tensor) -> Tensor:  # -> [C, 1, 1]
    """Made anew: a tensor that the loader made under inference mode could not be on the way of a gradient."""
    return like.new_tensor(numbers)[:, None, None]


class OwnFormat(ScaledFormat):
    """Latents of a VAE that comes with a denoiser, with its own colours for previews."""

    def __init__(self, space: LatentSpace):
        super().__init__(space)
        self.latent_channels, self.spacial_downscale_ratio = len(space.scale), space.downscale
        *self.latent_rgb_factors, self.latent_rgb_factors_bias = map(list, space.colours)


class VAEFormat(ScaledFormat, comfy.latent_formats.SD15):
    """Latents of Stable Diffusion 1's VAE under another scale."""

    def __init__(self, space: LatentSpace):
        comfy.latent_formats.SD15.__init__(self)
        super().__init__(space)
        colours = torch.tensor(self.latent_rgb_factors) * self.scale_factor  # of the VAE's own latents
        bias = torch.tensor(self.latent_rgb_factors_bias or [0.0, 0.0, 0.0])
        shift, scale = torch.tensor(space.shift), torch.tensor(space.scale)
        middle = space.to_picture(bias + shift @ colours)  # of a sample of zeros
        self.latent_rgb_factors = (colours * 2 / (1 - space.darkest) / scale[:, None]).tolist()
        self.latent_rgb_factors_bias = middle.tolist()


def latent_format(space: LatentSpace, shape: tuple[int, ...]) -> comfy.latent_formats.LatentFormat:
    """The host's description of a space: its own where it has one.  shape: of one sample, [C, ...]"""
    if space == PIXELS:
        return PixelFormat(shape)
    return comfy.latent_formats.SD15() if space == SD_LATENTS else _format_of(space)


def _format_of(space: LatentSpace) -> ScaledFormat:
    return OwnFormat(space) if space.colours else VAEFormat(space)


def format_name(form: comfy.latent_formats.LatentFormat) -> str:
    """What a trace calls a latent format, so that `format_named` finds it again."""
    return name_of(form.space) if isinstance(form, ScaledFormat) else type(form).__name__


def format_named(name: str) -> comfy.latent_formats.LatentFormat | None:
    """The latent format of a name from a trace; None for one that nobody knows here."""
    if space := space_named(name):
        return _format_of(space)
    kind = getattr(comfy.latent_formats, name, None)
    return kind() if isinstance(kind, type) and issubclass(kind, comfy.latent_formats.LatentFormat) else None


class AbsentLabel(comfy.conds.CONDRegular):
    """Asks a model for a prediction that it was never trained for, which is an error only where it is evaluated."""

    def __init__(self, name: str):
        super().__init__(torch.tensor([NO_LABEL]))
        self.name = name

    def process_cond(self, batch_size: int, **_: Any):
        raise ValueError(
            f"{UNTRAINED.format(self.name)}: by a cfg other than 1, an empty label, or a sampler or node that always "
            "uses the negative. Give a label, set cfg to 1 with another sampler, add Autoguidance with a weaker "
            "model (weak_share 1), or guide it with a classifier."
        )


class LabelledNetwork(nn.Module):
    """What the host calls for one forward pass: evaluate(x, t, y), inside the host's DIFFUSION_MODEL wrappers."""

    def __init__(self, evaluate: Callable[[Tensor, Tensor, Tensor], Tensor], dtype: torch.dtype):
        super().__init__()
        self.evaluate = evaluate
        self.dtype = dtype

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        context: Any = None,
        y: Tensor | None = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **_,
    ):  # -> [B, ...]
        """Evaluate a batch.  x [B, ...] scaled, t [B], y labels [B] or embeddings; the rest is for text."""
        options = transformer_options or {}
        wrappers = comfy.patcher_extension.get_all_wrappers(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, options)
        executor = comfy.patcher_extension.WrapperExecutor.new_class_executor(self._evaluate, self, wrappers)
        return executor.execute(x, t, context, y, control, options)

    def _evaluate(
        self, x: Tensor, t: Tensor, context: Any, y: Tensor, control: Any, transformer_options: dict[str, Any]
    ):
        return self.evaluate(x, t, y)


class LabelledConfig(comfy.supported_models_base.BASE):
    """The host's description of a model: sizes, latent format, types."""

    unet_extra_config: dict = {}  # noqa: RUF012  the host's attribute
    memory_usage_factor = 0.02
    supported_inference_dtypes = [torch.float32, torch.float16, torch.bfloat16]  # noqa: RUF012

    def __init__(self, card: ModelCard, dtype: torch.dtype, manual_cast: torch.dtype | None):
        super().__init__({})
        self.latent_format = latent_format(card.latents, card.shape)
        self.set_inference_dtype(dtype, manual_cast)


class LabelledModel(comfy.model_base.BaseModel):
    """A MODEL conditioned on class labels, which travel as `class_label` in the CONDITIONING.

    bytes_needed: (batch, numbers per channel) -> bytes of one forward in float32.
    embed_level: (sampling object, the host's timestep) -> what the network is told of the noise level.
    """

    def __init__(
        self,
        config: LabelledConfig,
        network: Callable[..., LabelledNetwork],
        sampling: Sampling,
        card: ModelCard,
        *,
        device: torch.device,
        bytes_needed: Callable[[int, int], int],
        embed_level: Callable[[Sampling, Tensor], Tensor],
    ):
        kinds = comfy.model_base.ModelType
        kind = kinds.FLOW if card.space == "flow" else kinds.EPS
        super().__init__(config, kind, device, network)  # pyright: ignore[reportArgumentType]  the host only calls it
        self.model_sampling = sampling
        self.card = card
        self.bytes_needed = bytes_needed
        self.embed_level = embed_level
        self.requires_grad_(False)

    def extra_conds(self, **given: Any) -> dict[str, comfy.conds.CONDRegular]:
        """Check the latent and the labels of one CONDITIONING entry; both fail here with a sentence."""
        noise = given.get("noise")
        if given.get("control") is not None:
            raise ValueError(
                f"{self.card.name} takes class labels, and a ControlNet steers models of text. Remove Apply ControlNet."
            )
        if len(given.get("latent_shapes") or ()) > 1:
            raise ValueError(
                f"The latent holds several tensors at once (video with sound), and {self.card.name} works on one. "
                "Use Empty Canvas."
            )
        if noise is not None:
            self._check_latent(tuple(noise.shape))
        labels = self._labels(given)
        if self.card.null_index is None and (labels == NO_LABEL).any():
            return {"y": AbsentLabel(self.card.name)}
        return {"y": comfy.conds.CONDRegular(labels.to(given.get("device", "cpu")))}

    def label_vectors(self, labels: Tensor) -> Tensor:  # [B] -> [B, emb]
        """Embeddings of labels, which the network also takes in their place."""
        network: Any = self.diffusion_model
        vectors = label_vectors(network.evaluate, labels) if self.card.labels else None
        if vectors is None:
            raise ValueError(f"{self.card.name} {NO_EMBEDDING}")
        return vectors

    def memory_required(self, input_shape: list[int], cond_shapes: dict | None = None) -> int:
        compute = self.manual_cast_dtype or self.get_dtype()
        return self.bytes_needed(input_shape[0], math.prod(input_shape[2:])) * compute.itemsize // 4

    def process_timestep(self, timestep: Tensor, **_: Any) -> Tensor:
        return self.embed_level(self.model_sampling, timestep)

    def _check_latent(self, shape: tuple[int, ...]) -> None:
        channels, native = self.card.shape[0], len(self.card.shape)
        if len(shape) != native + 1:
            raise ValueError(
                f"The latent has {len(shape)} axes but {self.card.name} works on {native + 1}. Use Empty Canvas."
            )
        if shape[1] != channels:
            raise ValueError(
                f"The latent has {shape[1]} channels but {self.card.name} works on {channels} "
                f"({self.card.latents.title}). {OTHER_LATENT}"
            )
        self.card.check_sides(shape[2:])

    def _labels(self, given: dict[str, Any]) -> Tensor:  # -> [n] int64
        text, labels, null = given.get("cross_attn"), given.get("class_label"), self.card.null_index
        side = f"the {given.get('prompt_type', 'positive')} input"
        if labels is None and text is not None:
            raise ValueError(f"{self.card.name} takes class labels but {side} has text. Use Class Label.")
        if text is not None and not torch.equal(text.cpu(), _text_of(torch.as_tensor(labels))):
            raise ValueError(
                f"A node has zeroed or mixed the class labels of {side}. Wire Class Label to the sampler; an empty "
                "label asks for none."
            )
        try:
            return torch.tensor(label_numbers(labels, self.card.labels, null), dtype=torch.int64)
        except ValueError as error:
            raise ValueError(f"{error} Was Class Label wired to another model than {self.card.name}?") from error


def native_denoiser(
    spec: ChosenSpec, weights: Mapping[str, Tensor], weight_dtype: str = "default"
) -> comfy.model_patcher.ModelPatcher:
    """A denoiser as a MODEL.

    weights: by the network's own names. weight_dtype: default lets the host pick, as for its own models; fp32, fp16 or
    bf16 stores the weights so and computes in it where the device can.
    """
    space = "flow" if spec.schedule == "flow" else "ve"
    facts = (spec.null_index, spec.sha256, spec.sigma_data, spec.shape, spec.multiple)
    card = ModelCard(spec.name, spec.labels, *facts, space, spec.latents)
    load, offload = comfy.model_management.get_torch_device(), comfy.model_management.unet_offload_device()
    dtype, cast = _dtypes(spec.dtype, weights, weight_dtype, load)
    model = LabelledModel(
        LabelledConfig(card, dtype, cast),
        _network_of(spec, weights),
        denoiser_levels(spec),
        card,
        device=offload,
        bytes_needed=lambda batch, pixels: spec.format.memory(spec.sizes, batch, pixels),
        embed_level=lambda sampling, timestep: _network_time(spec, sampling, timestep),
    )
    return comfy.model_patcher.ModelPatcher(model, load_device=load, offload_device=offload)


def denoiser_of_file(path: Path, spec: ChosenSpec, weights: Mapping[str, Tensor], weight_dtype: str):
    """A denoiser as a MODEL, whose file is read once more where a host wants it on a further device."""
    model = native_denoiser(spec, weights, weight_dtype)
    return renewable(
        model, lambda: denoiser_of_file(path, spec, denoisers.reading.read_denoiser(path).weights, weight_dtype)
    )


def renewable(model: comfy.model_patcher.ModelPatcher, make: Callable[[], comfy.model_patcher.ModelPatcher]):
    """The MODEL, of which newer hosts can have another with weights of its own, as of those that they load."""
    vars(model)["cached_patcher_init"] = (lambda **_: make(), ())
    return model


def native_mixture(
    mixture: GaussianMixture, kind: str, labels: tuple[str, ...], name: str
) -> comfy.model_patcher.ModelPatcher:
    """An exact Gaussian mixture as a MODEL whose D(x, sigma | y) is the closed form.  kind: ve or flow"""
    shape = tuple(mixture.means.shape[1:])
    card = ModelCard(name, labels, len(labels), "", mixture.rms, shape, 0, kind)
    load, offload = comfy.model_management.get_torch_device(), comfy.model_management.unet_offload_device()
    model = LabelledModel(
        LabelledConfig(card, torch.float32, None),
        lambda **_: LabelledNetwork(_Posterior(mixture, kind), torch.float32),
        exact_levels(kind),
        card,
        device=offload,
        bytes_needed=lambda batch, numbers: 32 * batch * shape[0] * numbers,
        embed_level=lambda sampling, timestep: timestep,
    )
    patcher = comfy.model_patcher.ModelPatcher(model, load_device=load, offload_device=offload)
    return renewable(patcher, lambda: native_mixture(mixture, kind, labels, name))


@dataclass(frozen=True, eq=False)
class _Posterior:
    """The mixture's D(x, sigma | y) as a network; it holds no parameters, so nothing is moved or cast."""

    mixture: GaussianMixture
    kind: str

    def __call__(self, x: Tensor, sigma: Tensor, y: Tensor) -> Tensor:  # x [B, ...], sigma [B], y [B] -> [B, ...]
        label = torch.where(y == self.mixture.classes, ANY, y)
        sigma = wide(sigma)
        return self.mixture.denoised(x, sigma, 1 - sigma if self.kind == "flow" else 1.0, label)


def _network_of(spec: ChosenSpec, weights: Mapping[str, Tensor]) -> Callable[..., LabelledNetwork]:
    """The host's constructor call: it adds dtype, device and the operations that cast."""

    def build(dtype: torch.dtype, device: torch.device, operations: Any) -> LabelledNetwork:
        place = {"operations": operations, "device": device, "dtype": dtype}
        network = spec.format.network(spec.sizes, len(spec.labels), **place)
        network.load_state_dict(dict(weights))
        return LabelledNetwork(network, dtype)

    return build


def _network_time(spec: ChosenSpec, sampling: Sampling, timestep: Tensor) -> Tensor:
    """From the host's timestep to the file's own: index, sigma or ln(sigma) / 4."""
    if spec.time == "index":
        return timestep.round() if spec.schedule != "flow" else timestep
    if spec.schedule == "edm" and spec.time == "log_sigma":
        return timestep
    sigma = timestep / getattr(sampling, "multiplier", 1.0) if spec.schedule == "flow" else sampling.sigma(timestep)
    return network_time(spec.time, spec.schedule, sigma)


def _dtypes(
    stored: torch.dtype, weights: Mapping[str, Tensor], wanted: str, device: torch.device
) -> tuple[torch.dtype, torch.dtype | None]:
    """Weights' type, and the type to compute in where the device cannot use the first: the host's own rules."""
    supported = LabelledConfig.supported_inference_dtypes
    dtype = WEIGHT_DTYPES.get(wanted)
    if dtype is None:
        count = sum(weight.numel() for weight in weights.values())
        dtype = comfy.model_management.unet_dtype(model_params=count, supported_dtypes=supported, weight_dtype=stored)
    return dtype, comfy.model_management.unet_manual_cast(dtype, device, supported)


def null_conditioning(card: ModelCard) -> list:
    """The CONDITIONING that asks for a prediction without a label."""
    return conditioning([NO_LABEL if card.null_index is None else card.null_index])


def conditioning(labels: list[int]) -> list:
    """A CONDITIONING with one label per image."""
    numbers = torch.tensor(labels, dtype=torch.int64)
    return [[_text_of(numbers), {"class_label": numbers}]]


def _text_of(labels: Tensor) -> Tensor:  # [n] int64 -> [1, n, 1]
    """What stands for the text of a condition: nodes copy, zero and mix that, and leave the labels as they are."""
    return (labels.cpu() + 1).to(torch.float32)[None, :, None]
