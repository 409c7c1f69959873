"""The nodes a graph starts with: load a denoiser, choose labels, make an empty canvas."""

from __future__ import annotations

import math
from typing import ClassVar

import comfy.model_management
import folder_paths
import torch
from comfy_api.latest import io

from .. import host
from ..guidance.labels import label_indices
from ..host.editor.checks import CheckedNode
from ..host.editor.widgets import choice_input
from ..host.limits import WEIGHT_DTYPES
from ..host.models.model_folders import listed_models, path_of_model, register_folder, state_of_files
from ..host.models.published import source_of_file
from ..models import denoisers
from ..models.denoisers import SCHEDULES

CATEGORY = "guidance geometry/start"
FOLDER = "denoisers"
DEFAULT = "pocket-1"
KINDS = ("auto", "epsilon", "x0", "v", "flow", "edm", "score")
LEVELS = ("auto", *SCHEDULES)
DTYPES = ("default", *WEIGHT_DTYPES)
LARGEST_SIDE, LARGEST_BATCH = 16384, 4096
MOST_NUMBERS = 2**30  # of a canvas, 4 GB in float32

register_folder(FOLDER)


def available() -> list[str]:
    """Names the loader offers."""
    return listed_models(FOLDER)


def missing(name: str) -> str | None:
    """Sentences with what is available, if no denoiser of this name is listed, and where a published one is."""
    if name in available():
        return None
    return (
        f"Denoiser {name!r} was not found. {source_of_file(name)}Available: {', '.join(available()) or 'none'}. Put "
        ".safetensors files, or folders that the diffusers library saved, into "
        f"{folder_paths.get_folder_paths(FOLDER)[0]} and press R."
    )


class GGLoadDenoiser(CheckedNode):
    """A denoiser file or folder as MODEL, VAE and labels."""

    checks: ClassVar = {"denoiser_name": missing}

    name = "Load Denoiser (class-conditional)"
    search_words = ("checkpoint", "ADM", "EDM", "DiT", "SiT", "JiT", "pocket")
    category = CATEGORY
    description = (
        "Loads a model that knows labels instead of text, with the VAE for its pictures. pocket-1 and pocket-flow-1 "
        "(latents) come with the pack. Put published networks (ADM, EDM, EDM2, DiT, SiT, JiT, diffusers folders) and "
        "your own into the folder models/denoisers, as .safetensors."
    )
    outputs = (
        io.Model.Output(tooltip="The model, for any KSampler, guider or guidance node."),
        io.Vae.Output(tooltip="Turns samples into images and back: pixel for pixel, or by the VAE wired in."),
        io.String.Output(
            display_name="labels",
            tooltip="The labels, one per line; connected to Class Label, they give one image of each.",
        ),
    )

    @classmethod
    def inputs(cls):
        return (
            io.Combo.Input(
                "denoiser_name",
                options=available() or [DEFAULT],
                default=DEFAULT,
                tooltip="The pack's own models, then folders (shown with a slash) and .safetensors files in "
                "models/denoisers.",
            ),
            choice_input(
                "parametrisation",
                KINDS,
                "What the network was trained to give. auto reads it from the file; another choice overrides the file.",
            ),
            choice_input(
                "schedule",
                LEVELS,
                "The noise that the network learned from. auto reads it from the file.",
            ),
            choice_input(
                "weight_dtype",
                DTYPES,
                "How the weights are kept. default: ComfyUI chooses, as for its own models.",
            ),
            io.Vae.Input(
                "vae",
                optional=True,
                tooltip="For models of latents (DiT, SiT, EDM2 at 512): the VAE from Load VAE. Take it from the "
                "output VAE, which fits it to the model. Not needed where the model's file holds a VAE.",
            ),
        )

    @classmethod
    def fingerprint_inputs(cls, denoiser_name: str | None = None, **_) -> str | None:
        if denoiser_name is None or missing(denoiser_name):
            return None
        return state_of_files(path_of_model(FOLDER, denoiser_name))

    @classmethod
    def execute(
        cls, denoiser_name: str, parametrisation: str, schedule: str, weight_dtype: str, vae: io.Vae.Type | None = None
    ) -> io.NodeOutput:
        path = path_of_model(FOLDER, denoiser_name)
        file = denoisers.reading.read_denoiser(path)
        spec = denoisers.spec.choose_spec(file.spec, parametrisation, schedule)
        model = host.models.native_model.denoiser_of_file(path, spec, file.weights, weight_dtype)
        if vae is None and spec.vae:
            vae = host.models.pixel_vae.vae_from_file(spec.vae(), file.vae, spec.latents)
        return io.NodeOutput(model, host.models.pixel_vae.vae_of(spec.name, spec.latents, vae), "\n".join(spec.labels))


class GGClassLabel(CheckedNode):
    """Labels as CONDITIONING."""

    name = "Class Label (positive + null)"
    search_words = ("ImageNet class", "negative", "null label")
    category = CATEGORY
    description = (
        "Turns names of labels into positive conditioning. The negative is the null label, which stands for anything "
        "at all."
    )
    inputs = (
        io.Model.Input("model", tooltip="From Load Denoiser or Exact Mixture Model; it provides the labels."),
        io.String.Input(
            "label",
            default="0",
            multiline=True,
            tooltip="Name or number. Several, one for each picture of the batch: separate with ; or line breaks. * "
            "= every label in turn. Empty = null label.",
        ),
    )
    outputs = (
        io.Conditioning.Output(display_name="positive", tooltip="The labels; repeated to fill the batch."),
        io.Conditioning.Output(display_name="negative", tooltip="The null label: anything at all."),
    )

    @classmethod
    def execute(cls, model: io.Model.Type, label: str) -> io.NodeOutput:
        card = host.models.native_model.card_of(model)
        if card is None:
            raise ValueError("This MODEL has no class labels. For a text model use CLIP Text Encode.")
        wanted = label_indices(label, card.labels, card.null_index)
        return io.NodeOutput(
            host.models.native_model.conditioning(wanted), host.models.native_model.null_conditioning(card)
        )


class GGEmptyCanvas(CheckedNode):
    """An empty LATENT of the model's own size."""

    name = "Empty Canvas (native size)"
    search_words = ("empty latent", "size")
    category = CATEGORY
    description = (
        "An empty latent in the model's own pixels. The host's Empty Latent Image is eight times "
        "smaller than its numbers say, which is right for latent models only."
    )
    inputs = (
        io.Model.Input("model", tooltip="From Load Denoiser or Exact Mixture Model; it provides the size."),
        io.Int.Input(
            "width", default=0, min=0, max=LARGEST_SIDE, tooltip="Pixels. 0 = the size the model was trained on."
        ),
        io.Int.Input(
            "height", default=0, min=0, max=LARGEST_SIDE, tooltip="Pixels. 0 = the size the model was trained on."
        ),
        io.Int.Input("batch_size", default=4, min=1, max=LARGEST_BATCH, tooltip="Number of images."),
    )
    outputs = (io.Latent.Output(tooltip="Zeros: noise is added by the sampler."),)

    @classmethod
    def execute(cls, model: io.Model.Type, width: int, height: int, batch_size: int) -> io.NodeOutput:
        card = host.models.native_model.card_of(model)
        if card is None:
            raise ValueError("This MODEL names no native size. Use the Empty Latent node made for it.")
        sides = card.sides(width, height)
        count = math.prod((batch_size, card.shape[0], *sides))
        if count > MOST_NUMBERS:
            raise ValueError(
                f"{batch_size} images of {'x'.join(map(str, sides))} hold {count:,} numbers; at most {MOST_NUMBERS:,} "
                "are made. Choose fewer or smaller images."
            )
        samples = torch.zeros((batch_size, card.shape[0], *sides), device=comfy.model_management.intermediate_device())
        return io.NodeOutput({"samples": samples, "downscale_ratio_spacial": card.latents.downscale})
