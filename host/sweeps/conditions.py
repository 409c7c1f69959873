"""What the runs of a sweep are asked for where an axis says so: labels, prompts, distilled guidance; and their judge.

All of it is made before any run, each once, so that what cannot be asked for is refused before any work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from ...guidance.energies.label import LabelEnergy
from ...guidance.energies.perception import TextEnergy
from ...guidance.labels import label_indices
from ..models.native_model import card_of, conditioning

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

    positive: Any
    energy: Any


def prepare_conditions(model, positive, energy, clip, every: Iterable[Asked]) -> dict[Asked, Wanted]:
    """The CONDITIONING and the judge of everything that is asked for.

    Raises ValueError for what the model, the CLIP or the judge does not know, and for a judge that asks for another
    label than that of the pictures.
    """
    conditions: dict[Asked, Wanted] = {}
    every = list(dict.fromkeys(every))
    prompts = [condition.prompt for condition in every]
    encoded: dict[str | None, Any] = {
        prompt: beside(positive, encode(clip, prompt)) for prompt in dict.fromkeys(prompts) if prompt is not None
    }
    for condition in every:
        mine = encoded.get(condition.prompt, positive)
        mine = mine if condition.label is None else beside(positive, label_conditioning(model, condition.label))
        judge = (
            aim_judge(energy, model, positive, mine)
            if condition.prompt is None
            else follow_prompt(energy, condition.prompt, prompts)
        )
        conditions[condition] = Wanted(
            mine if condition.guidance is None else with_distilled_guidance(mine, positive, condition.guidance), judge
        )
    labels = (labels_of(model, conditions[condition].positive) for condition in every if condition.label is not None)
    refuse_half_deaf(energy, [name for names in labels for name in names if name])
    return conditions


def beside(usual, own) -> list:
    """A CONDITIONING with what else the usual one says: its ControlNet, its mask, its distilled guidance.

    Raises ValueError where several are usual: it is not known which of them has the words.
    """
    if len(usual) > 1:
        raise ValueError(SEVERAL.format(len(usual)))
    more = dict(usual[0][1]) if usual else {}
    return [[tensor, {**more, **options}] for tensor, options in own]


def label_conditioning(model, label: str) -> list:
    """The CONDITIONING of a label, as Class Label reads it."""
    card = card_of(model)
    if card is None:
        raise ValueError(NO_LABELS)
    return conditioning(label_indices(label, card.labels, card.null_index))


def encode(clip, prompt: str) -> list:
    """The CONDITIONING of a text, as CLIP Text Encode makes it."""
    if clip is None:
        raise ValueError(NO_CLIP)
    return clip.encode_from_tokens_scheduled(clip.tokenize(prompt))


def with_distilled_guidance(positive, usual, guidance: float) -> list:
    """The CONDITIONING with another distilled guidance.  usual: what is connected, which must have one"""
    if not any(DISTILLED in options for _, options in usual):
        raise ValueError(NOT_DISTILLED)
    return [[tensor, {**options, DISTILLED: float(guidance)}] for tensor, options in positive]


def labels_of(model, positive) -> list[str]:
    """The labels that a CONDITIONING asks for by name; none for models without classes."""
    card = card_of(model)
    given = next((options["class_label"] for _, options in positive if "class_label" in options), None)
    if card is None or given is None:
        return []
    names: Mapping[int, str] = dict(enumerate(card.labels))
    return [names.get(index, "") for index in torch.as_tensor(given).flatten().tolist()]


def aim_judge(energy, model, usual, positive):
    """The judge of pictures of these labels: one that asks for what `usual` asks for follows, any other stays.

    Raises ValueError where it lacks the label that it would follow, or asks for another one than it could.
    """
    labels = labels_of(model, positive)
    if not isinstance(energy, LabelEnergy) or energy.kind != "label" or not all(labels) or not labels:
        return energy
    judge_names = energy.classifier.labels
    if same_labels(judge_labels(energy), [[label] for label in labels_of(model, usual)]):
        wanted = tuple((index,) for index in label_indices("\n".join(labels), judge_names, None, "judge"))
        return replace(energy, wanted=wanted)
    judged = judge_labels(energy)
    for i in range(max(len(judged), len(labels))):  # both repeat to fill the batch
        names, label = judged[i % len(judged)], labels[i % len(labels)]
        if label.casefold() in map(str.casefold, judge_names) and label.casefold() not in map(str.casefold, names):
            raise ValueError(OTHER_LABEL.format(asked=" or ".join(names), label=label))
    return energy


def refuse_half_deaf(energy, labels: list[str]) -> None:
    """Raise ValueError for a judge that knows some labels of an axis and not others: which it scores, nobody sees.

    One that knows none of them judges something else, such as how bright a picture is.
    """
    if not isinstance(energy, LabelEnergy) or energy.kind != "label":
        return
    names = set(map(str.casefold, energy.classifier.labels))
    common, unknown = ([one for one in dict.fromkeys(labels) if (one.casefold() in names) == there] for there in (1, 0))
    if common and unknown:
        judged = list_labels(judge_labels(energy))
        raise ValueError(KNOWS_SOME.format(asked=judged, known=", ".join(common), unknown=", ".join(unknown)))


def steady(energy, wanted: Mapping[Asked, Wanted]) -> str:
    """A sentence where an axis asks for one thing after the other and the judge for one alone; "" where it follows."""
    varied = any(condition.label is not None or condition.prompt is not None for condition in wanted)
    if not varied or any(one.energy is not energy for one in wanted.values()):
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


def same_labels(first: list[list[str]], second: list[list[str]]) -> bool:
    """Whether two lists of labels are the same; capitals do not matter."""
    return [[name.casefold() for name in names] for names in first] == [
        [name.casefold() for name in names] for names in second
    ]


def follow_prompt(energy, prompt: str, prompts: Iterable[str | None]):
    """The judge of a prompt: one that asks for one of the prompts follows, any other stays."""
    if isinstance(energy, TextEnergy) and len(energy.texts) == 1 and energy.texts[0] in prompts:
        return replace(energy, texts=(prompt,))
    return energy
