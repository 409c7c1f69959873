"""Train a noise-aware classifier for any MODEL, in its own space and at its own noise levels."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import comfy.model_management
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io
from torch import Tensor

from ..classifiers.training import Course, Lesson, Student, beginner, continue_training, describe_training, learn
from ..figures.loss import draw_loss
from ..files.writing import check_place, write_atomically
from ..guidance.labels import entries_of
from ..guidance.vectors import gradient_mode
from ..host.adapter import PIXELS, is_flow
from ..host.checks import CheckedNode, insist
from ..host.saving import bad_prefix, numbered_path, preview, show_or_say
from ..host.widgets import HIDDEN
from ..host.wires import ClassifierWire
from .load_classifier import FOLDER

MOST_STEPS, MOST_BATCH, MOST_WIDTH = 1_000_000, 4096, 512
WIDTH_STEP = 8  # group norms have eight groups
HALF_RANGE = 0.5  # how far pictures may leave 0 .. 1
LARGEST_SEED = 0xFFFFFFFFFFFFFFFF

SUBJECT: list[io.Input] = [
    io.Model.Input("model", tooltip="Sets space, scale and noise levels; its weights are not used."),
    io.String.Input(
        "labels",
        multiline=True,
        default="cat; dog",
        tooltip="Names, one for each picture in turn, separated by ; or line breaks; repeated to fill the "
        "batch. The labels of Load Denoiser fit a batch made with Class Label *.",
    ),
]
COURSE: list[io.Input] = [
    io.Int.Input(
        "steps",
        default=500,
        min=1,
        max=MOST_STEPS,
        tooltip="Number of training batches. Too few: the loss is still falling at the end.",
    ),
    io.Int.Input("batch_size", default=32, min=2, max=MOST_BATCH, tooltip="Samples per step; more is steadier."),
    io.Float.Input(
        "learning_rate",
        default=1e-3,
        min=1e-7,
        max=1.0,
        step=1e-4,
        round=1e-7,
        tooltip="AdamW, warmed up, then a cosine to 0. 1e-3 from scratch, 1e-4 with start_from.",
    ),
    io.Int.Input(
        "width",
        default=32,
        min=WIDTH_STEP,
        max=MOST_WIDTH,
        step=WIDTH_STEP,
        tooltip="Channels of the small network; divisible by 8. Ignored with start_from: that network keeps its own.",
    ),
    io.Boolean.Input(
        "sigma_conditioning",
        default=True,
        tooltip="Whether the small network is told the noise level. Off: it must infer it. Ignored with start_from: a "
        "network that this node made keeps its setting, picture networks are never told.",
    ),
    io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=LARGEST_SEED,
        tooltip="Seed of weights, draws and noise: the same seed trains the same network on a CPU.",
    ),
    io.String.Input("filename_prefix", default="noisy", tooltip="Start of the file name in models/classifiers."),
]
MATERIAL: list[io.Input] = [
    io.Latent.Input("latent", optional=True, tooltip="Clean latents to learn from, for any MODEL."),
    io.Image.Input("image", optional=True, tooltip="Pictures to learn from, for a pixel MODEL."),
    ClassifierWire.Input(
        "start_from",
        optional=True,
        tooltip="A classifier to train further, as a copy: one that this node wrote, or pocket-clean-1 or a "
        "torchvision network of clean pictures, taught to read noisy ones. Other labels get a new last layer.",
    ),
]


def width_misfit(width: int) -> str | None:
    """A sentence if a width cannot be shared out among the groups."""
    return f"width is {width} but must be divisible by {WIDTH_STEP}. Give 32 or 64." if width % WIDTH_STEP else None


def targets_of(text: str, count: int) -> tuple[Tensor, tuple[str, ...]]:
    """Label numbers [count] and names: the entries in turn, repeated to fill the batch; names as they first appear."""
    entries = entries_of(text)
    names = tuple(dict.fromkeys(entries))
    if "" in names or len(names) < 2:
        raise ValueError(
            f"labels names {len([name for name in names if name])} different labels; two or more are needed, one "
            "entry for each picture in turn. Separate them with ; or line breaks."
        )
    if len(entries) > count:
        raise ValueError(
            f"labels has {len(entries)} entries for {count} pictures. Give one for each picture, or a list to repeat."
        )
    return torch.tensor([names.index(entries[i % len(entries)]) for i in range(count)]), names


def beyond_pixels(image: Tensor) -> str | None:
    """A sentence if pictures are of another range than the host's; a little beyond, as after resizing, is none."""
    low, high = (float(end) for end in image[image.isfinite()].aminmax()) if image.isfinite().any() else (0.0, 1.0)
    if low >= -HALF_RANGE and high <= 1 + HALF_RANGE:
        return None
    return f"The pictures hold values from {low:.3g} to {high:.3g}, and an IMAGE has 0 to 1. Scale them to that."


def clean_samples(model, latent: dict | None, image: Tensor | None) -> Tensor:  # -> [N, C, H, W]
    """What is learned from, in the MODEL's own scale.  Raises ValueError unless exactly one is given and fits."""
    space = model.model.latent_format
    channels = space.latent_channels
    if latent is not None and image is None:
        samples = model.model.process_latent_in(latent["samples"].clone()).float().cpu()
    elif image is None or latent is not None:
        raise ValueError("Connect either latent or image to learn from.")
    elif channels == PIXELS and getattr(space, "spacial_downscale_ratio", 8) == 1:
        insist(beyond_pixels(image))
        samples = image.clone()[..., :PIXELS].movedim(-1, 1).float().cpu() * 2 - 1
    else:
        raise ValueError("This MODEL works on latents. Encode the pictures with VAE Encode and connect latent.")
    if samples.ndim != 4 or samples.shape[1] != channels:
        raise ValueError(f"The samples are {tuple(samples.shape)} but the MODEL has {channels} channels and two sides.")
    return samples.contiguous()


def lesson_of(model, latent: dict | None, image: Tensor | None, labels: str) -> Lesson:
    """Samples, labels and the MODEL's own noise levels."""
    x0 = clean_samples(model, latent, image)
    sampling = model.get_model_object("model_sampling")
    sigmas = sampling.sigmas.detach().clone().float().cpu()
    return Lesson(x0, *targets_of(labels, len(x0)), sigmas[sigmas > 0], is_flow(model))


def train_student(student: Student, lesson: Lesson, course: Course) -> list[float]:
    """Learn with a progress bar; the host's Cancel ends it."""
    progress, losses = comfy.utils.ProgressBar(course.steps), []
    for loss in learn(student, lesson, course):
        comfy.model_management.throw_exception_if_processing_interrupted()
        progress.update(1)
        losses.append(loss)
    return losses


def target_file(prefix: str) -> Path:
    """The next free <prefix>_00001_.safetensors in models/classifiers."""
    root = folder_paths.get_folder_paths(FOLDER)[0]
    return numbered_path(prefix, root, ".safetensors")


class GGTrainNoisyClassifier(CheckedNode):
    """A noise-aware classifier of one's own."""

    checks: ClassVar = {"filename_prefix": bad_prefix}

    name = "Train Noisy Classifier"
    category = "guidance geometry/classifier"
    description = (
        "Trains a small classifier that reads this MODEL's noisy samples, from labelled pictures or "
        "latents. Saved in models/classifiers; Load Classifier reads it."
    )
    is_output_node = True
    inputs = (*SUBJECT, *COURSE, *MATERIAL)
    outputs = (
        ClassifierWire.Output(display_name="classifier", tooltip="The trained classifier, ready to guide."),
        io.Image.Output(display_name="loss_curve", tooltip="Loss of every step, compared with guessing."),
        io.String.Output(
            display_name="about", tooltip="The file, and the accuracy by noise level on pictures that were held out."
        ),
    )
    hidden_inputs = HIDDEN

    @classmethod
    def execute(
        cls,
        model,
        labels,
        steps,
        batch_size,
        learning_rate,
        width,
        sigma_conditioning,
        seed,
        filename_prefix,
        latent=None,
        image=None,
        start_from=None,
    ) -> io.NodeOutput:
        insist(width_misfit(width))
        path = target_file(filename_prefix)
        with gradient_mode():
            device = comfy.model_management.get_torch_device()
            course = Course(steps, batch_size, learning_rate, seed & (2**63 - 1), device)
            lesson, held = lesson_of(model, latent, image, labels).split(course.seed)
            if start_from is None:
                student = beginner(lesson, width, sigma_conditioning, course.seed)
            else:
                student = continue_training(start_from, lesson, course.seed)
            check_place(path, size_of(student))
            losses = train_student(student, lesson, course)
            classifier = student.classifier(path.stem, lesson)
            kept = show_or_say(_write, path, student, lesson).get("text") or [f"{path.name} in models/{FOLDER}"]
            about = f"{kept[0]}\n{describe_training(classifier, lesson, held)}"
        curve = torch.from_numpy(draw_loss(losses, len(lesson.labels)).png()).float()[None, ..., :3] / 255
        return io.NodeOutput(classifier, curve, about, ui=show_or_say(preview, curve, cls, texts=[about]))


def size_of(student: Student) -> int:
    """Bytes of the file that a student becomes, without its header."""
    return sum(tensor.numel() * tensor.element_size() for tensor in student.network.state_dict().values())


def _write(path: Path, student: Student, lesson: Lesson) -> dict:
    """Write the classifier's file; there is nothing to show of it."""
    write_atomically(path, student.file(path.stem, lesson))
    return {}
