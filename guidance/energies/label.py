"""What a classifier finds of a label, as an energy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from ..knobs import knob, refuse_unlisted, socket
from ..labels import MOST, entries_of, label_indices
from ..printing import count_of
from ..vectors import constants, promote
from .protocol import CLEAN, At, Classifier, Network, PictureEnergy

LABEL_KINDS = ("label", "not label", "joint logit", "multi-label")
NOBODY = -1  # an empty label is no label here


@dataclass(frozen=True, eq=False, repr=False)
class LabelEnergy(PictureEnergy):
    """A classifier's log-probability of a label.

        label        logsumexp of the wanted logits - logsumexp of all      any of the wanted labels
        not label    logsumexp of the others - logsumexp of all             log(1 - p), bounded, unlike -log p
        joint logit  logsumexp of the wanted logits                         log p(x, y) + const; never saturates
        multi-label  sum log sigmoid(f) of the wanted + sum log sigmoid(-f) of the others

    wanted: for every image in turn the indices of its labels, repeated to fill the batch, or the text that
    `wanted_labels` reads. kind: of LABEL_KINDS.
    Raises ValueError for a label the classifier has not, or for an image that nothing is left for.
    """

    node_id = "GGLabelEnergy"
    name = "Label Energy"
    search_words = ("class", "classifier logits")
    description = "The probability that a classifier gives to a label. The denoising model need not know the label."
    classifier: Classifier = socket("GG_CLASSIFIER", "From Load Classifier or Exact Mixture Model.", answers="labels")
    wanted: tuple[tuple[int, ...], ...] = knob(
        ((0,),),
        "Name or index. One per image: separate with ; or line breaks. cat | dog is either. * is every label in turn. "
        "Repeated to fill the batch.",
        name="label",
        shown="0",
        multiline=True,
    )
    kind: str = knob(
        "label",
        "label: log p. not label: log(1 - p). joint logit: the logit itself, which never stops pushing. multi-label: "
        "each named one present, all others absent.",
        choices=LABEL_KINDS,
    )

    def __post_init__(self):
        refuse_unlisted(self)
        count = len(self.classifier.labels)
        if isinstance(self.wanted, str):
            object.__setattr__(self, "wanted", wanted_labels(self.wanted, tuple(self.classifier.labels)))
        if not self.wanted or not all(self.wanted):
            raise ValueError("No label was given for an image. Give every image at least one.")
        if getattr(self.classifier, "independent", False) and self.kind in ("label", "not label"):
            raise ValueError(
                f"kind is {self.kind}, which compares labels, but those of this classifier do not exclude each other. "
                "Set kind to multi-label."
            )
        wrong = [i for labels in self.wanted for i in labels if not 0 <= i < count]
        if wrong:
            raise ValueError(
                f"Label {wrong[0]} is outside 0 .. {count - 1}: the classifier has {count_of(count, 'label')}."
            )
        if self.kind == "not label" and any(len(set(labels)) == count for labels in self.wanted):
            raise ValueError(f"All {count} labels are excluded, so no label is left. Exclude fewer.")

    @property
    def noise_aware(self) -> bool:
        """As its classifier."""
        return self.classifier.noise_aware

    @property
    def classifiers(self) -> tuple[Network, ...]:
        """The classifier whose label is wanted."""
        return (self.classifier,)

    @property
    def text(self) -> str:
        """The labels by name."""
        names = [" or ".join(self.classifier.labels[i] for i in labels) for labels in self.wanted]
        shown = "; ".join(names[:4]) + (f"; ... {len(names)} in turn" if len(names) > 4 else "")
        return shown if self.kind == "label" else f"{self.kind.removesuffix(' label')} {shown}"

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """log p(label | x) at temperature 1; the logits divided by the temperature otherwise."""
        logits = promote(self.classifier.logits(x, at.sigma, at.alpha)) / at.temperature
        chosen = self._select_labels(logits)
        if self.kind == "multi-label":
            return nn.functional.logsigmoid(torch.where(chosen, logits, -logits)).sum(dim=1)
        kept = ~chosen if self.kind == "not label" else chosen
        score = logits.masked_fill(~kept, -torch.inf).logsumexp(dim=1)
        return score if self.kind == "joint logit" else score - logits.logsumexp(dim=1)

    def _select_labels(self, logits: Tensor) -> Tensor:  # [B, K] -> [B, K] bool
        return _labels_in_turn(self.wanted, *logits.shape, logits.device)


@lru_cache(64)
def _labels_in_turn(wanted: tuple[tuple[int, ...], ...], batch: int, count: int, device: torch.device) -> Tensor:
    turns = [tuple(label in labels for label in range(count)) for labels in wanted]
    return constants(tuple(turns[i % len(turns)] for i in range(batch)), torch.bool, device)


def wanted_labels(text: str, labels: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Read "cat | dog; 3; *" as the labels of one image after another; | separates what an image may be.

    Raises ValueError for anything that is no label, with what there is.
    """
    groups: list[tuple[int, ...]] = []
    for entry in entries_of(text):
        if entry == "*":
            groups += [(index,) for index in range(len(labels))]
        else:
            each = (label_indices(part, labels, NOBODY, "classifier") for part in entry.split("|"))
            groups.append(tuple(dict.fromkeys(index for indices in each for index in indices)))
        if len(groups) > MOST:
            raise ValueError(f"label names more than {MOST:,} labels, one for each image. Name fewer.")
    if any(NOBODY in indices for indices in groups):
        raise ValueError(f"A label is empty. Write a name or an index; the classifier knows {', '.join(labels[:12])}.")
    return tuple(groups)
