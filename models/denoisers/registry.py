"""The formats of denoiser files that this pack knows, and which of them a file is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ...files.notes import CLASSIFIER, DENOISER, VERSION, Notes, settings_of
from ...files.safetensors import strip_prefix
from ...guidance.printing import quote
from .adm import ADM
from .dit import DIT, SIT
from .edm import EDM
from .edm2 import EDM2
from .edm_baselines import IDDPM, VE, VP
from .jit import JIT
from .pocket import POCKET
from .pocket_flow import POCKET_FLOW
from .spec import Format, Shapes

KNOWN = (  # the first that recognises a file has it
    POCKET,
    ADM,
    EDM,
    VP,
    VE,
    IDDPM,
    EDM2,
    DIT,
    SIT,
    JIT,
    POCKET_FLOW,
)
FORMATS = {known.name: known for known in KNOWN}
OTHER_FORMATS = {
    CLASSIFIER: "a classifier: use Load Classifier",
    "guidance-geometry/trace": "a guidance trace: use Load Guidance Trace",
}
PART_OF_FOLDER = "the weights of a diffusers folder: put the whole folder, with its config.json, into models/denoisers"
FOREIGN_KEYS = (
    ("model.diffusion_model.", "a checkpoint: use Load Checkpoint"),
    ("lora_", "a LoRA: use Load LoRA"),
    ("double_blocks.", "a diffusion model: use Load Diffusion Model"),
    ("transformer_blocks.0.norm1.emb.class_embedder.", PART_OF_FOLDER),
    ("transformer_blocks.", "a diffusion model: use Load Diffusion Model"),
    ("input_blocks.", "a diffusion model: use Load Diffusion Model"),
    ("down_blocks.0.attentions.0.transformer_blocks.", "a diffusion model: use Load Diffusion Model"),
    ("down_blocks.1.attentions.0.transformer_blocks.", "a diffusion model: use Load Diffusion Model"),
    ("down_blocks.", PART_OF_FOLDER),
    ("first_stage_model.", "a VAE: use Load VAE"),
    ("decoder.conv_in.", "a VAE: use Load VAE"),
    ("text_model.", "a text encoder: use Load CLIP"),
)


def format_of(notes: Notes, shapes: Shapes) -> Format:
    """The format that a file's metadata name, or the first that recognises its weights.

    shapes: by the file's own names, a trainer's prefix included. Raises ValueError for a file of another kind, with the
    loader that reads it, and for one that nobody recognises.
    """
    name = notes.metadata.get("gg.format", DENOISER)
    if name != DENOISER:
        what = OTHER_FORMATS.get(name, f"of the format {quote(name)}, not {DENOISER!r}")
        raise ValueError(f"{notes.file} is {what}.")
    if notes.has_description:
        if (version := notes.text("version")) != VERSION:
            raise ValueError(
                f"{notes.file} has format version {version!r}; this pack reads version {VERSION}. Update it."
            )
        return FORMATS[notes.choice("architecture", FORMATS)]
    form = next((each for each in FORMATS.values() if each.recognises(strip_prefix(shapes), notes.metadata)), None)
    if form is None:
        raise ValueError(f"{notes.file} is {foreign(shapes, settings_of(notes.metadata))}")
    return form.on_flow if form.on_flow and notes.named(form.on_flow.name) else form


def foreign(names: Collection[str], settings: Mapping[str, Any]) -> str:
    """What a file is that no format recognises, in words.  settings: of a pickled network"""
    kind = next((what for start, what in FOREIGN_KEYS if any(name.startswith(start) for name in names)), None)
    if kind:
        return f"{kind}. Load Denoiser reads {', '.join(FORMATS)}."
    titles = ", ".join(form.title for form in FORMATS.values())
    named = quote(settings["class"]) if "class" in settings else ""
    origin = f", pickled as {named} (class or settings are unknown here)" if named else ""
    first, more = ", ".join(quote(name) for name in sorted(names)[:3]), len(names) - 3
    return (
        f"not a denoiser that this pack knows: it knows {titles}, and folders of the diffusers library. Found: "
        f"{first or 'no weights'}{f' and {more:,} more' if more > 0 else ''}{origin}. Choose a file of such a network, "
        "or write its gg.architecture when you save it."
    )
