"""What the runs of a sweep are asked for where an axis says so: labels, prompts, distilled guidance; and their judge.

All of it is made before any run, each once, so that what cannot be asked for is refused before any work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from comfy.model_patcher import ModelPatcher
from comfy.sd import CLIP
from torch import Tensor

from ...guidance.energies.label import LabelEnergy
from ...guidance.energies.perception import TextEnergy
from ...guidance.energies.protocol import Energy
from ...guidance.labels import label_indices
from ..models.native_model import card_of, conditioning

Conditioning = Sequence[tuple[Tensor | None, Mapping[str, Any]] | list]  # the host's [tensor, options] pairs
DISTILLED = "guidance"  # an option of a CONDITIONING
NO_LABELS = "The axis label needs a MODEL with class labels, from Load Denoiser. Vary prompt, and connect clip."
NO_CLIP = "The axis prompt needs the CLIP of the model. Connect it to clip."
SEVERAL = (
    "An axis of labels or prompts takes the place of positive, and positive holds {} conditionings. Connect one, "
    "without Conditioning (Combine) before it."
)
NOT_DISTILLED = (
    "The axis guidance is the distilled guidance of models such as Flux, and positive has none. Put FluxGuidance "
    "before positive, or vary cfg."
)
OTHER_LABEL = (
    "The judge asks for {asked}, and the pictures are of {label}, which it knows. Ask it for {label}, or leave out the "
    "energy."
)
KNOWS_SOME = (
    "The judge asks for {asked} in every picture. Of the labels of the axis it knows {known}, and not {unknown}. "
    "Connect a judge that knows all of them and asks for what positive asks for, or leave out the energy."
)
STEADY = "The judge asks for {} in every picture."


@dataclass(frozen=True)
class Asked:
    """What an axis asks for; None where no axis does.  guidance: the distilled one"""

    label: str | None = None
    prompt: str | None = None
    guidance: float | None = None


NOTHING = Asked()


class Wanted(NamedTuple):
    """What a run is asked for.  energy: its judge, or None"""

    positive: Conditioning
    energy: Energy | None


def prepare_conditions(
    model: ModelPatcher, positive: Conditioning, energy: Energy | None, clip: CLIP | None, every: Iterable[Asked]
) -> dict[Asked, Wanted]:
    """The CONDITIONING and the judge of everything that is asked for.

    Raises ValueError for what the model, the CLIP or the judge does not know, and for a judge that asks for another
    label than that of the pictures.
    """
    conditions: dict[Asked, Wanted] = {}
    every = list(dict.fromkeys(every))
    prompts = [condition.prompt for condition in every]
    encoded: dict[str | None, Conditioning] = {
        prompt: extend_conditioning(positive, encode(clip, prompt))
        for prompt in dict.fromkeys(prompts)
        if prompt is not None
    }
    for condition in every:
        wanted = encoded.get(condition.prompt, positive)
        if condition.label is not None:
            wanted = extend_conditioning(positive, label_conditioning(model, condition.label))
        judge = (
            aim_judge(energy, model, positive, wanted)
            if condition.prompt is None
            else follow_prompt(energy, condition.prompt, prompts)
        )
        if condition.guidance is not None:
            wanted = set_distilled_guidance(wanted, positive, condition.guidance)
        conditions[condition] = Wanted(wanted, judge)
    labels = (labels_of(model, conditions[condition].positive) for condition in every if condition.label is not None)
    refuse_partial_judge(energy, [name for names in labels for name in names if name])
    return conditions


def extend_conditioning(usual: Conditioning, wanted: Conditioning) -> Conditioning:
    """The wanted CONDITIONING with what else the usual one says: its ControlNet, its mask, its distilled guidance.

    Raises ValueError where several are usual: it is not known which of them has the words.
    """
    if len(usual) > 1:
        raise ValueError(SEVERAL.format(len(usual)))
    more = dict(usual[0][1]) if usual else {}
    return [[tensor, {**more, **options}] for tensor, options in wanted]


def label_conditioning(model: ModelPatcher, label: str) -> Conditioning:
    """The CONDITIONING of a label, as Class Label reads it."""
    card = card_of(model)
    if card is None:
        raise ValueError(NO_LABELS)
    return conditioning(label_indices(label, card.labels, card.null_index))


def encode(clip: CLIP | None, prompt: str) -> Conditioning:
    """The CONDITIONING of a text, as CLIP Text Encode makes it."""
    if clip is None:
        raise ValueError(NO_CLIP)
    return clip.encode_from_tokens_scheduled(clip.tokenize(prompt))


def set_distilled_guidance(positive: Conditioning, usual: Conditioning, guidance: float) -> Conditioning:
    """The CONDITIONING with another distilled guidance.  usual: what is connected, which must have one"""
    if not any(DISTILLED in options for _, options in usual):
        raise ValueError(NOT_DISTILLED)
    return [[tensor, {**options, DISTILLED: float(guidance)}] for tensor, options in positive]


def labels_of(model: ModelPatcher, positive: Conditioning) -> list[str]:
    """The labels that a CONDITIONING asks for by name; none for models without classes."""
    card = card_of(model)
    given = next((options["class_label"] for _, options in positive if "class_label" in options), None)
    if card is None or given is None:
        return []
    names: Mapping[int, str] = dict(enumerate(card.labels))
    return [names.get(index, "") for index in torch.as_tensor(given).flatten().tolist()]


def aim_judge(energy: Energy | None, model: ModelPatcher, usual: Conditioning, positive: Conditioning) -> Energy | None:
    """The judge of pictures of these labels: one that asks for what `usual` asks for follows, any other stays.

    Raises ValueError where it lacks the label that it would follow, or asks for another one than it could.
    """
    labels = labels_of(model, positive)
    if not isinstance(energy, LabelEnergy) or energy.kind != "label" or not all(labels) or not labels:
        return energy
    judge_names, judged = energy.classifier.labels, judge_labels(energy)
    asked = [[name.casefold() for name in names] for names in judged]
    if asked == [[label.casefold()] for label in labels_of(model, usual)]:
        wanted = tuple((index,) for index in label_indices("\n".join(labels), judge_names, None, "judge"))
        return replace(energy, wanted=wanted)
    for i in range(max(len(judged), len(labels))):  # both repeat to fill the batch
        names, label = judged[i % len(judged)], labels[i % len(labels)]
        if label.casefold() in map(str.casefold, judge_names) and label.casefold() not in map(str.casefold, names):
            raise ValueError(OTHER_LABEL.format(asked=" or ".join(names), label=label))
    return energy


def refuse_partial_judge(energy: Energy | None, labels: list[str]) -> None:
    """Raise ValueError for a judge that knows some labels of an axis alone: its scores do not say which.

    One that knows none of them judges something else, such as how bright a picture is.
    """
    if not isinstance(energy, LabelEnergy) or energy.kind != "label":
        return
    names = set(map(str.casefold, energy.classifier.labels))
    common = [label for label in dict.fromkeys(labels) if label.casefold() in names]
    unknown = [label for label in dict.fromkeys(labels) if label.casefold() not in names]
    if common and unknown:
        judged = list_labels(judge_labels(energy))
        raise ValueError(KNOWS_SOME.format(asked=judged, known=", ".join(common), unknown=", ".join(unknown)))


def describe_steady_judge(energy: Energy | None, wanted: Mapping[Asked, Wanted]) -> str:
    """A sentence where an axis asks for one thing after the other and the judge for one alone; "" where it follows."""
    varied = any(condition.label is not None or condition.prompt is not None for condition in wanted)
    if not varied or any(each.energy is not energy for each in wanted.values()):
        return ""
    if isinstance(energy, LabelEnergy) and energy.kind == "label":
        return STEADY.format(list_labels(judge_labels(energy)))
    return STEADY.format(", ".join(energy.texts)) if isinstance(energy, TextEnergy) else ""


def list_labels(groups: list[list[str]]) -> str:
    """What a judge asks for, in words."""
    return ", ".join(dict.fromkeys(" or ".join(names) for names in groups))


def judge_labels(energy: LabelEnergy) -> list[list[str]]:
    """The labels that a judge asks for by name, of every picture."""
    return [[energy.classifier.labels[index] for index in indices] for indices in energy.wanted]


def follow_prompt(energy: Energy | None, prompt: str, prompts: Iterable[str | None]) -> Energy | None:
    """The judge of a prompt: one that asks for one of the prompts follows, any other stays."""
    if isinstance(energy, TextEnergy) and len(energy.texts) == 1 and energy.texts[0] in prompts:
        return replace(energy, texts=(prompt,))
    return energy
