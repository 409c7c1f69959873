"""What a converted file is, where it comes from and under which licence: the same as metadata and for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from ...guidance.printing import class_of
from ..classifiers.contract import contract_of
from ..classifiers.reading import classifier_of
from ..denoisers.reading import denoiser_of
from .tables import line

NOT_STATED = "not stated"


def describe_recognition(target: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """What our loaders make of these weights, or what they looked for.

    target: the file they are written to, with this metadata.
    """
    try:
        return describe_denoiser(target, tensors, metadata)
    except ValueError as error:
        no_denoiser = error
    try:
        return describe_classifier(target, tensors, metadata)
    except ValueError as no_classifier:
        return f"unknown. As a denoiser: {no_denoiser} As a classifier: {no_classifier}"


def describe_denoiser(target: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """What Load Denoiser makes of them.  Raises ValueError where it refuses them"""
    spec = denoiser_of(target.name, tensors, metadata).spec
    return f"denoiser {spec.format.title}, {len(spec.labels):,} labels, {spec.image_size} pixels. Use Load Denoiser."


def describe_classifier(target: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """What Load Classifier makes of them.  Raises ValueError where it refuses them"""
    guide = classifier_of(tensors, contract_of(target, metadata), no_folder)
    return f"classifier {class_of(guide.network)}, {len(guide.labels):,} {guide.output}. Use Load Classifier."


def no_folder(name: str) -> Path:
    """A probe reads the features of a folder, which is not looked for here."""
    raise ValueError(f"it is a probe on {name}, which is not read here.")


def card_of(facts: Mapping[str, str]) -> str:
    """The card: a heading and a line for each fact."""
    lines = [f"{name}: {value}" for name, value in facts.items()]
    return "\n".join(["Converted by Guidance Geometry; nothing in the source was executed.", "", *lines, ""])


def metadata_of_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """The facts for the header of the file, under keys that start with gg."""
    return {f"gg.{name.replace(' ', '_')}": value for name, value in facts.items()}


def asked_licence(given: str | None, ask: Callable[[str], str] | None) -> str:
    """The licence of the weights: as given, else as answered, else not stated.  ask: None where nobody can answer"""
    if given is None and ask is not None:
        with suppress(EOFError):
            given = ask("Licence of these weights, as their authors state it (Enter: not stated): ")
    return line(given or "") or NOT_STATED
