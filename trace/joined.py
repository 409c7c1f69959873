"""Runs that continue each other as one: some nodes sample in pieces, with other work between them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor

from . import CAPTURES
from .trace import END, MEASURED, Trace

PIECES = "this node samples in pieces, told here as one run; a note that counts steps may count those of one piece"
KINDS = ("space", "vectors", "chain", "cfg")  # of the header: what two pieces share
LAST = (MEASURED,)  # of the header: of what the last piece made
COUNTS = ("passes", "inside")  # of the header: counts by name


def join(first: Trace, then: Trace) -> Trace | None:
    """A run and one that continues it as one; None where they do not tell the same of the same samples.

    What compares a step with those before it stays unknown where a piece begins.
    """
    pairs = list(zip(first.every_part, then.every_part, strict=False))
    if first.part_names != then.part_names or not all(_is_alike(*pair) for pair in pairs):
        return None
    whole, *others = (_joined(*pair) for pair in pairs)
    return replace(whole, parts=dict(zip(first.parts, others, strict=True)))


def _is_alike(first: Trace, then: Trace) -> bool:
    shapes, others = ({name: column.shape[1:] for name, column in piece.steps.items()} for piece in (first, then))
    same_size = not then.latent_shape or first.latent_shape == then.latent_shape  # one that was stopped has none
    same_kind = all(first.header.get(name) == then.header.get(name) for name in KINDS)
    return not then.n or (shapes == others and same_size and same_kind)


def _joined(first: Trace, then: Trace) -> Trace:
    columns = [piece.steps for piece in (first, then) if piece.n]
    steps = {name: torch.cat([steps[name] for steps in columns]) for name in first.steps}  # reading may add notes
    header, more, n = dict(first.header), then.header, first.n + then.n
    header["sigmas"] = [*header["sigmas"][:-1], *more["sigmas"]]
    header["evaluations"] += more["evaluations"]
    header |= {name: more[name] for name in LAST if name in more}
    for name in COUNTS:
        if header.get(name) or more.get(name):
            header[name] = dict(Counter(header.get(name)) + Counter(more.get(name)))
    for name, added in (("notes", [PIECES]), ("faults", [])):
        header[name] = [*dict.fromkeys([*header.get(name, ()), *more.get(name, ()), *added])]
    captured = [*first.captured_steps, *(first.n + i for i in then.captured_steps)]
    tensors = {name: _stacked(first, then, name) for name in {**first.tensors, **then.tensors} if name != END}
    steps_with_room, every = _steps_with_room(header["capture"], captured, tensors, n)
    tensors = {name: tensor[[captured.index(i) for i in steps_with_room]] for name, tensor in tensors.items()}
    count = len(steps_with_room)
    note = f"{count} of {n} steps captured: every {every} and the last" if tensors and count < n else ""
    header["capture"] = {**header["capture"], "steps": steps_with_room, "note": note}
    end = {END: then.tensors[END]} if END in then.tensors else {}
    return Trace(header, steps, [*first.stage, *then.stage], tensors | end)


def _stacked(first: Trace, then: Trace, name: str) -> Tensor:  # -> [k, B, ...]
    """A tensor of the captured steps of both; nan where one of them lacks it."""
    both = [piece.tensors for piece in (first, then) if piece.captured_steps]
    return torch.cat([tensors.get(name, torch.full_like(tensors["x"], math.nan)) for tensors in both])


def _steps_with_room(capture: dict, captured: list[int], tensors: dict[str, Tensor], n: int) -> tuple[list[int], int]:
    """The captured steps that there is room for: every so many, and the last.  -> steps, every how many"""
    size = sum(tensor[0].nbytes for tensor in tensors.values()) or 1
    most = max(min(CAPTURES[capture["mode"]], (capture["budget_mb"] << 20) // size), 2)
    every = 1
    while math.ceil(n / every) >= most:
        every *= 2
    return [i for i in captured if i % every == 0 or i == n - 1], every
