"""Train a noise-aware classifier for any MODEL, in its own space and at its own noise levels."""

from __future__ import annotations

from typing import Any, ClassVar

import comfy.model_management
import torch
from comfy_api.latest import io

from .. import figures, host
from ..guidance.energies.protocol import Classifier
from ..guidance.vectors import gradient_mode
from ..host.editor.checks import CheckedNode, insist
from ..host.editor.widgets import HIDDEN, bad_prefix
from ..host.editor.wires import ClassifierWire
from ..host.limits import WIDTH_STEP
from ..models import classifiers

MOST_STEPS, MOST_BATCH, MOST_WIDTH = 1_000_000, 4096, 512
LARGEST_SEED = 0xFFFFFFFFFFFFFFFF

SUBJECT: list[io.Input] = [
    io.Model.Input(
        "model", tooltip="The model whose pictures the classifier will read; the model itself does not change."
    ),
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
        tooltip="How fast it learns. 1e-3 from scratch, 1e-4 with start_from. Too high: the curve jumps.",
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
        tooltip="Whether the small network is told how noisy the picture is. Off: it must find out. Ignored with "
        "start_from: a network that this node made keeps its setting, others are never told.",
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


class GGTrainNoisyClassifier(CheckedNode):
    """A noise-aware classifier of one's own."""

    checks: ClassVar = {"filename_prefix": bad_prefix}

    name = "Train Noisy Classifier"
    search_words = ("classifier guidance", "training")
    category = "guidance geometry/classifier"
    description = (
        "Trains a small classifier that reads this model's noisy pictures, from labelled pictures or latents. Saved "
        "in models/classifiers; Load Classifier reads it."
    )
    is_output_node = True
    inputs = (*SUBJECT, *COURSE, *MATERIAL)
    outputs = (
        ClassifierWire.Output(display_name="classifier", tooltip="The trained classifier, ready to guide."),
        io.Image.Output(display_name="loss_curve", tooltip="Loss of every step, compared with guessing."),
        io.String.Output(
            display_name="about",
            tooltip="The file, and how often it is right at five strengths of noise, on "
            "pictures that it did not learn from.",
        ),
    )
    hidden_inputs = HIDDEN

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        labels: str,
        steps: int,
        batch_size: int,
        learning_rate: float,
        width: int,
        sigma_conditioning: bool,
        seed: int,
        filename_prefix: str,
        latent: dict[str, Any] | None = None,
        image: io.Image.Type | None = None,
        start_from: Classifier | None = None,
    ) -> io.NodeOutput:
        training = host.sampling.classifier_training
        insist(training.width_misfit(width))
        path = training.target_file(filename_prefix)
        with gradient_mode():
            device = comfy.model_management.get_torch_device()
            course = classifiers.training.Course(steps, batch_size, learning_rate, seed & (2**63 - 1), device)
            lesson, held = training.lesson_of(model, latent, image, labels).split(course.seed)
            if start_from is None:
                student = classifiers.training.beginner(lesson, width, sigma_conditioning, course.seed)
            else:
                student = classifiers.training.continue_training(start_from, lesson, course.seed)
            classifier, losses, about = training.train_and_keep(path, student, course, lesson, held)
        curve = torch.from_numpy(figures.loss.draw_loss(losses, len(lesson.labels)).png()).float()[None, ..., :3] / 255
        return io.NodeOutput(
            classifier,
            curve,
            about,
            ui=host.editor.saving.show_or_say(host.editor.saving.preview, curve, cls, texts=[about]),
        )
