"""What is said of measured pictures, in words and for scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .estimates import Estimate, strength_of_each
from .gate import Gate
from .measurement import Measurement

NO_QUALITY = "This is no measure of quality: smooth or plain pictures can have the best numbers."
REFUSED = "The measure does not apply to this model: {}. There are only the pictures to go by."
UNSURE = "So few pictures cannot tell whether the measure applies to this model. So far {}. Measure more pictures."
WHY = {
    "trace": "at some noise level it expects no error at all, as models do that were distilled or made for few steps",
    "strange": "it finds its own unguided pictures {:.2f} times as strange as it should: a damaged or misread file, a "
    "LoRA that is too strong, or a size that it was not trained for",
    "smooth": "its own unguided pictures are smoother than it expects ({:.2f} of the error), as those of a model made "
    "for few steps, or read with another noise schedule",
    "strength": "its own unguided pictures show the prompt {:.2f} times as strongly as they should: guidance may be "
    "part of the model",
}


@dataclass(frozen=True, repr=False)
class PictureReport:
    """Pictures measured, and the same seeds at cfg 1, if they are there.

    order: numbers of the pictures, the one that shows the prompt most first.
    """

    measurement: Measurement
    plain: Measurement | None = None

    @property
    def gate(self) -> Gate | None:
        """Whether the measure applies to the model; None where nothing at cfg 1 was measured."""
        return self.plain.gate if self.plain else None

    @property
    def order(self) -> list[int]:
        """Numbers of the pictures by prompt strength, the strongest first."""
        return strength_of_each(self.measurement.levels).argsort(descending=True).tolist()

    @property
    def times(self) -> Estimate | None:
        """How many times as strange the pictures are as those at cfg 1."""
        return self.measurement.times_as_strange_as(self.plain) if self.plain else None

    def text(self) -> str:
        """The report: whether the measure applies, the two numbers, what they do not say."""
        if self.gate and not self.gate.applies:
            why = WHY[self.gate.why].format(self.gate.at.value if self.gate.at else 0)
            return (REFUSED if self.gate.sure else UNSURE).format(why)
        lines = [
            f"Prompt strength {self.measurement.strength.text}. 0: as without the prompt; 1: as the model draws it by "
            "itself.",
            f"Denoising ratio {self.measurement.ratio.text}. 1: as strange to the model as its own pictures.",
        ]
        if self.times:
            lines.append(f"The model finds them {self.times.text} times as strange as the same seeds at cfg 1.")
        else:
            lines.append("Whether the measure applies to this model was not tried: connect the same seeds at cfg 1.")
        if self.measurement.count > 1:
            first = ", ".join(str(number + 1) for number in self.order)
            lines.append(f"Pictures by prompt strength, the strongest first: {first}.")
        return "\n".join([*lines, NO_QUALITY])

    def as_json(self) -> dict[str, Any]:
        """The numbers for scripts and agents."""
        numbers = {"v": 1, **self.measurement.as_json(), "order": self.order, "applies": None, "why": None}
        if self.plain and self.gate:
            numbers |= {
                "applies": self.gate.applies,
                "why": self.gate.why or None,
                "sure": self.gate.sure,
                "plain": self.plain.as_json(),
            }
            numbers["times_as_strange"] = [*self.times] if self.times else None
        return numbers
