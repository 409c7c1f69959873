"""A classifier trained on what a node is given: pictures or latents, their labels, and the noise levels of a MODEL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
import folder_paths
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...files.writing import check_place, write_atomically
from ...guidance.labels import entries_of
from ...models.classifiers.training import Course, Lesson, Student, describe_training, learn
from ...models.classifiers.wired import NoisyClassifier
from ..editor.checks import insist
from ..editor.saving import numbered_path, show_or_say
from ..limits import WIDTH_STEP
from ..models.adapter import PIXELS, is_flow
from ..models.model_folders import CLASSIFIERS

HALF_RANGE = 0.5  # how far pictures may leave 0 .. 1


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


def clean_samples(model: ModelPatcher, latent: dict | None, image: Tensor | None) -> Tensor:  # -> [N, C, H, W]
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


def lesson_of(model: ModelPatcher, latent: dict | None, image: Tensor | None, labels: str) -> Lesson:
    """Samples, labels and the MODEL's own noise levels."""
    x0 = clean_samples(model, latent, image)
    sampling: Any = model.get_model_object("model_sampling")
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
    root = folder_paths.get_folder_paths(CLASSIFIERS)[0]
    return numbered_path(prefix, root, ".safetensors")


def train_and_keep(
    path: Path, student: Student, course: Course, lesson: Lesson, held: Lesson
) -> tuple[NoisyClassifier, list[float], str]:
    """The trained classifier, whose file is written; the loss of every step; what to say of both."""
    check_place(path, size_of(student))
    losses = train_student(student, lesson, course)
    classifier = student.classifier(path.stem, lesson)
    kept = show_or_say(_write, path, student, lesson).get("text") or [f"{path.name} in models/{CLASSIFIERS}"]
    return classifier, losses, f"{kept[0]}\n{describe_training(classifier, lesson, held)}"


def size_of(student: Student) -> int:
    """Bytes of the file that a student becomes, without its header."""
    return sum(tensor.numel() * tensor.element_size() for tensor in student.network.state_dict().values())


def _write(path: Path, student: Student, lesson: Lesson) -> dict:
    """Write the classifier's file; there is nothing to show of it."""
    write_atomically(path, student.file(path.stem, lesson))
    return {}
