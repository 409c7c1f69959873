"""What the condition adds, as pictures: uncond, cond, guided, and their difference on grey with one stated gain."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import filterfalse

import torch
from torch import Tensor

from ..guidance.printing import nth, shorten
from ..trace.faults import NothingToShow
from ..trace.file import even_positions
from ..trace.trace import Trace
from .pictures import Pictures, draw_on_grey
from .scene import insist_on_steps
from .words import percent

AUTO_STEPS = 8
MOST_SAID = 200  # characters of a list in a message
RANGE = re.compile(r"(\d{1,9})(?:\s*-\s*(\d{1,9}))?", re.ASCII)
NO_PICTURES = "This trace holds no pictures. Set capture to pictures and run again."
ONE_PREDICTION = (
    "There is no difference to show: at cfg 1 the model runs with the prompt alone. Set cfg above 1 and run again."
)
DISTILLED = (
    " This model is distilled: its own guidance of {:g} needs no run without the prompt; only a cfg above 1 adds one."
)
HIDDEN = (
    "There is no difference to show: the guider mixes positive and negative itself, so they are not known one by one. "
    "Use CFG Guider, or CFG Guider + Guidance Chain."
)


@dataclass(frozen=True)
class DifferenceImages:
    """Batches of pictures [k B, H, W, 3], step by step, all samples of a step together.

    uncond, cond, guided: pictures of the predictions, in 0..1.
    change: what the condition changes in them, signed.
    difference: 0.5 + gain * change, clamped to 0..1.
    steps: that are shown, [k].
    gain: one for all.
    clipped_share: share of the values of `difference` that were clamped.
    how: how pictures were made, "decoded" or by linear colours.
    """

    uncond: Tensor
    cond: Tensor
    guided: Tensor
    change: Tensor
    difference: Tensor
    steps: list[int]
    gain: float
    clipped_share: float
    how: str

    @property
    def note(self) -> str:
        """One line that says how the difference was drawn."""
        change = "decode(c) - decode(u)" if self.how == "decoded" else "F delta"
        steps = ", ".join(str(nth(step)) for step in self.steps)
        return (
            f"difference = grey 0.5 + {self.gain:g} x ({change}), one gain for all; "
            f"{percent(self.clipped_share)} of the values clipped; steps {steps}"
        )


def difference_images(trace: Trace, pictures: Pictures, steps: str = "auto", gain: float = 0.0) -> DifferenceImages:
    """Pictures of what the condition adds.

    steps: as `chosen_steps`. gain: factor of the difference, 0 chooses the largest power of two that clips at most 1 %.
    Raises NothingToShow where the trace has not kept both predictions.
    """
    insist_on_both(trace)
    if not math.isfinite(gain) or gain < 0:
        raise ValueError(f"gain is {gain}; a number from 0 on is needed. 0 chooses it.")
    chosen = chosen_steps(steps, trace)
    rows = [predictions_at(trace, step) for step in chosen]
    change = torch.cat([pictures.difference(u, c) for u, c, _ in rows])
    grey = draw_on_grey(change, gain)
    uncond, cond, guided = (torch.cat([pictures.image(row[k]) for row in rows]) for k in range(3))
    return DifferenceImages(
        uncond, cond, guided, change, grey.pictures, chosen, grey.gain, grey.clipped_share, pictures.how
    )


def insist_on_both(trace: Trace) -> None:
    """Raise NothingToShow, with what to do, where a trace has not kept both predictions of any step."""
    insist_on_steps(trace)
    if not trace.captured_steps or not {"uncond", "cond", "guided"} & set(trace.tensors):
        raise NothingToShow(NO_PICTURES)
    if "cond" not in trace.tensors:
        raise NothingToShow(HIDDEN)
    if "uncond" not in trace.tensors:
        scale = trace.header.get("distilled_guidance")
        raise NothingToShow(ONE_PREDICTION + (DISTILLED.format(scale) if isinstance(scale, int | float) else ""))


def predictions_at(trace: Trace, step: int) -> tuple[Tensor, Tensor, Tensor]:  # 3 x [B, *latent]
    """u, c and what the sampler was given, at a step that was captured."""
    uncond, cond = (trace.require_tensor(name, step).float() for name in ("uncond", "cond"))
    guided = trace.captured_tensor("guided", step)
    plain = uncond + float(trace.steps["gamma"][step]) * (cond - uncond)
    return uncond, cond, plain if guided is None else guided.float()


def evenly(steps: list[int], most: int) -> list[int]:
    """At most so many of the steps, the first and the last among them."""
    return [steps[i] for i in even_positions(len(steps), most)]


def chosen_steps(text: str, trace: Trace) -> list[int]:
    """Captured steps named by a text: "auto" (up to 8, evenly), "all", or numbers and ranges such as "0, 5, 8-12".

    Automatic choices leave out steps without an unconditional prediction.
    """
    captured = trace.captured_steps
    words = text.strip().lower()
    if words in ("", "auto", "all"):
        whole_steps = [step for step in captured if trace.stage[step] == "step"] or captured
        return whole_steps if words == "all" else evenly(whole_steps, AUTO_STEPS)
    ranges = [_range(part) for part in dict.fromkeys(words.replace(";", ",").split(",")) if part.strip()]
    beyond = next((str(each[-1]) for each in ranges if each[-1] > max(captured)), "")
    chosen = [] if beyond else _each_once(ranges, max(captured))
    wanted = beyond or ", ".join(map(str, filterfalse(set(captured).__contains__, chosen)))
    if wanted or not chosen:
        raise ValueError(
            f"steps asks for {shorten(wanted or repr(text), MOST_SAID)}, counted from 0; the trace kept "
            f"{shorten(', '.join(map(str, captured)), MOST_SAID)}. Choose among these."
        )
    return chosen


def _each_once(ranges: list[range], last: int) -> list[int]:
    """Steps up to the last in the order in which ranges name them; a step that is taken is looked at no more."""
    left, chosen = list(range(last + 1)), []
    for each in ranges:
        taken = slice(bisect_left(left, each.start), bisect_left(left, each.stop))
        chosen += left[taken]
        del left[taken]
    return chosen


def _range(part: str) -> range:
    match = RANGE.fullmatch(part.strip())
    if match is None:
        text = shorten(part.strip(), MOST_SAID)
        raise ValueError(f"steps has {text!r}; numbers and ranges are needed. Write for example 0, 5, 8-12.")
    first, last = (int(end or match[1]) for end in match.groups())
    if last < first:
        raise ValueError(f"steps has {first}-{last}, which runs backwards. Write {last}-{first}.")
    return range(first, last + 1)
