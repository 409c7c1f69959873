"""Load a classifier: the network that tells guidance what a picture shows."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import folder_paths
import psutil
from comfy_api.latest import io

from ..host.editor.checks import CheckedNode, insist
from ..host.editor.wires import ClassifierWire
from ..host.models.model_folders import (
    CLASSIFIERS,
    CONFIG,
    is_inside,
    listed_models,
    path_of_model,
    register_folder,
    state_of_files,
)
from ..host.models.published import CONVERT, source_of_file
from ..models import classifiers

DEFAULT = "pocket-noisy-1"

register_folder(CLASSIFIERS)


def available() -> list[str]:
    """Names the loader offers."""
    return listed_models(CLASSIFIERS)


def missing(name: str) -> str | None:
    """A sentence with what is wrong with a name that is not listed, and what is available."""
    if name in available():
        return None
    if not isinstance(name, str) or not is_inside(name):
        return f"Classifier {name!r} is not a name inside models/{CLASSIFIERS}. Choose one from the list."
    if not name.endswith((".safetensors", "/")) and "." in name:
        return (
            f"Classifier {name!r} is not a .safetensors file: other formats can run code when they are loaded. "
            f"Convert a .pt of weights with `{CONVERT}`."
        )
    return (
        f"Classifier {name!r} was not found. {source_of_file(name)}Available: {', '.join(available()) or 'none'}. Put "
        f".safetensors files, or folders with a {CONFIG}, into {folder_paths.get_folder_paths(CLASSIFIERS)[0]}."
    )


def too_large(path: Path) -> str | None:
    """A sentence if the weights do not fit into free memory in float32."""
    files = path.glob("*.safetensors") if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files) // 2**20
    free = int(psutil.virtual_memory().available) // 2**20
    if 2 * size <= free:
        return None
    return (
        f"{path.name} has {size:,} MB and may need twice that, but {free:,} MB of memory are free. "
        "Close other programs, or choose a smaller classifier."
    )


def about(classifier: classifiers.wired.WiredNetwork) -> str:
    """What was loaded, and what it wants to see, in a few lines."""
    role = "judge: measures, never guides" if classifier.judge else "noise-aware" if classifier.noise_aware else "clean"
    if isinstance(classifier, classifiers.wired.NoisyClassifier):
        seen = f"samples {classifier.sizes} at any noise level"
    else:
        seen = str(getattr(classifier, "preprocessing", ""))
    return f"{classifier.name}: {classifier.output}, {len(classifier.labels)} labels, {role}\nsees {seen}"


class GGLoadClassifier(CheckedNode):
    """A classifier file or folder as GG_CLASSIFIER."""

    checks: ClassVar = {"classifier_name": missing}

    name = "Load Classifier"
    search_words = ("classifier guidance", "CLIP", "SigLIP", "DINO", "ResNet", "judge")
    category = "guidance geometry/classifier"
    description = (
        "Loads a network that says what a picture shows: labels, a segmentation, depth, or how well a text fits. It "
        "can guide a model that never learned these. Reads safetensors only, and runs nothing in them."
    )
    outputs = (
        ClassifierWire.Output(
            display_name="classifier", tooltip="The network, with its labels and the input it expects."
        ),
        io.String.Output(
            display_name="labels", tooltip="The labels, one per line; empty if it measures something else."
        ),
        io.String.Output(display_name="about", tooltip="What was recognised: kind, role, size, mean and deviation."),
    )

    @classmethod
    def inputs(cls):
        return (
            io.Combo.Input(
                "classifier_name",
                options=available() or [DEFAULT],
                default=DEFAULT,
                tooltip="The pack's own: pocket-noisy-1 reads noisy pictures, pocket-clean-1 clean ones, "
                "pocket-judge-1 only rates. Then those in models/classifiers: .safetensors files, and folders with a "
                "config.json, shown with a slash.",
            ),
        )

    @classmethod
    def fingerprint_inputs(cls, classifier_name: str | None = None) -> str | None:
        if classifier_name is None or missing(classifier_name):
            return None
        return state_of_files(path_of_model(CLASSIFIERS, classifier_name))

    @classmethod
    def execute(cls, classifier_name: str) -> io.NodeOutput:
        path = path_of_model(CLASSIFIERS, classifier_name)
        insist(too_large(path))
        classifier = classifiers.reading.open_classifier(path, listed_path)
        text = about(classifier)
        return io.NodeOutput(classifier, "\n".join(classifier.labels), text, ui={"text": [text]})


def listed_path(name: str) -> Path:
    """Where the feature network of a probe lies, under its name with or without the slash."""
    name = name if name in available() else f"{name}/"
    insist(missing(name))
    return path_of_model(CLASSIFIERS, name)
