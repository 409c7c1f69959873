"""How a gradient through the denoiser is taken with the memory there is: what a step needs, and what to do about it.

Before the first backward the step is rehearsed on a few samples, and a plan made that fits. What no rehearsal tells is
learnt from the step that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from ..guidance.gradients.term import STAND_IN
from .autograd import IN_PLACE, NO_FORMULA, ran_out_of_memory
from .graph_memory import Tally

# The host reckons what a forward has in use at once; a graph keeps what every layer made, at most a few dozen times as
# much. Where even that is free, a rehearsal would only cost time.
GENEROUS = 40
# Share of the free memory that a graph may take: tensors do not fill the blocks that an allocator hands out, and
# kernels need room inside themselves, which no tally sees.
SPARE = 0.8

TWICE = "blocks are computed twice instead of kept, which takes longer"
WITHOUT_BACKPROP = f"from here on {STAND_IN}"
COPIES = "this model adds in place: layers that save their inputs get copies"
PYTORCH_ATTENTION = "part of this model has no backward pass: PyTorch computes its attention instead"


@dataclass(frozen=True)
class MemoryPlan:
    """What is done to have a gradient through the denoiser.

    twice: blocks are computed twice instead of kept. copies: layers save copies, for models that change what came in.
    pytorch_attention: instead of one without a backward. backprop: else the gradient is taken at x0 without it.
    estimated: this is known to fit.
    """

    twice: bool = False
    copies: bool = False
    pytorch_attention: bool = False
    backprop: bool = True
    estimated: bool = False

    @property
    def settled(self) -> bool:
        """Whether there is nothing to estimate any more."""
        return self.estimated or not self.backprop

    def fitted(self, needed: int, free: float) -> tuple[MemoryPlan, str]:
        """The plan after an estimate, and what changed in words.  needed, free: bytes."""
        if needed < SPARE * free:
            return replace(self, estimated=True), ""
        return self.less(f"a step needs {needed / 2**30:.1f} GB and {free / 2**30:.1f} GB are free")

    def after(self, error: BaseException) -> tuple[MemoryPlan, str] | None:
        """The plan after a step that failed, and what changed in words; None if nothing is known against the error."""
        if IN_PLACE in str(error) and not self.copies:
            return replace(self, copies=True), COPIES
        if NO_FORMULA in str(error) and not self.pytorch_attention:
            return replace(self, pytorch_attention=True), PYTORCH_ATTENTION
        return self.less("memory ran out") if ran_out_of_memory(error) else None

    def less(self, reason: str) -> tuple[MemoryPlan, str]:
        """The next plan that takes less memory, and what changed in words."""
        if not self.twice:
            return replace(self, twice=True), f"{reason}: {TWICE}"
        return replace(self, backprop=False), f"{reason}: {WITHOUT_BACKPROP}"


def surely_fits(model, shape: list[int], others: Sequence[nn.Module], free: float) -> bool:
    """Whether a graph is small beside the free memory by the host's own estimate of a forward.

    model: the host's, whose estimate knows it. shape: of the batch. others: networks of the energies, for which it
    stands if they are no larger.
    """
    sizes = [sum(weight.numel() for weight in network.parameters()) for network in (model, *others)]
    return max(sizes) == sizes[0] and GENEROUS * model.memory_required(shape) < free


def of_batch(count: int, rehearsed: Callable[[int], int]) -> int:
    """Bytes that a batch needs.  rehearsed(n): what n samples did.

        one + (count - 1) (two - one)

    Two rehearsals, since a part does not grow with the batch: weights that are cast for the step, above all. One sample
    alone would count that part for every sample.
    """
    one = rehearsed(1)
    return one if count == 1 else one + (count - 1) * (rehearsed(2) - one)


def bytes_taken(step: Callable[[], object], controls: list) -> int:
    """Most bytes that a step takes beyond what is in use.  controls: the host's ControlNets that it goes through."""
    try:
        with Tally() as tally:
            step()
    finally:
        for control in controls:
            control.cond_hint = None  # it keeps its picture as cut for the latest batch, and the run's is another
    return tally.most
