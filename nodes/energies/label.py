"""What a classifier finds of a label, as a wire."""

from __future__ import annotations

from comfy_api.latest import io

from ...denoisers.labels import MOST, entries_of, label_indices
from ...guidance.energies.label import LABEL_KINDS, LabelEnergy
from ...host.checks import insist
from ...host.energy_inputs import NOBODY, EnergyNode, answering
from ...host.widgets import choice_input
from ...host.wires import ClassifierWire


def wanted_labels(text: str, labels: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Read "cat | dog; 3; *" as the labels of one image after another; | separates what an image may be.

    Raises ValueError for anything that is no label, with the nearest name.
    """
    found: list[tuple[int, ...]] = []
    for entry in entries_of(text):
        if entry == "*":
            found += [(index,) for index in range(len(labels))]
        else:
            each = (label_indices(part, labels, NOBODY, "classifier") for part in entry.split("|"))
            found.append(tuple(dict.fromkeys(index for indices in each for index in indices)))
        if len(found) > MOST:
            raise ValueError(f"label names more than {MOST:,} labels, one for each image. Name fewer.")
    if any(NOBODY in indices for indices in found):
        raise ValueError(f"A label is empty. Write a name or an index; the classifier knows {', '.join(labels[:12])}.")
    return tuple(found)


class GGLabelEnergy(EnergyNode):
    """A label as energy."""

    name = "Label Energy"
    description = "The probability that a classifier gives to a label. The denoising model need not know the label."
    inputs = (
        ClassifierWire.Input("classifier", tooltip="From Load Classifier or Exact Mixture Model."),
        io.String.Input(
            "label",
            default="0",
            multiline=True,
            tooltip="Name or index. One per image: separate with ; or line breaks. cat | dog is either. * is "
            "every label in turn. Repeated to fill the batch.",
        ),
        choice_input(
            "kind",
            LABEL_KINDS,
            "label: log p. not label: log(1 - p). joint logit: the logit itself, which never stops pushing. "
            "multi-label: each named one present, all others absent.",
        ),
    )

    @classmethod
    def execute(cls, classifier, label, kind) -> io.NodeOutput:
        insist(answering(classifier, "labels"))
        return io.NodeOutput(LabelEnergy(classifier, wanted_labels(label, tuple(classifier.labels)), kind))
