"""Many runs of one denoiser, as a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from ..guidance.energies.protocol import Energy
from ..trace.effective import EffectiveScale
from .recording import Denoiser, Recording, record
from .sampling import sampler_of

AXES: dict[str, Sequence[Any]] = {"gamma": (4.0,), "rule": (None,), "sampler": ("euler",), "seed": (0,)}
Measure = Callable[[Tensor], Tensor] | Energy  # of the last x [B, ...] -> [B]


def sweep(
    denoiser: Denoiser,
    shape: Sequence[int],
    sigmas: Sequence[float],
    cond: Any,
    *,
    measures: Mapping[str, Measure] | None = None,
    axes: Mapping[str, Any],
    **facts: Any,
) -> list[dict[str, Any]]:
    """One row a run, of every combination on the axes: its place on them, metrics, evaluations, seconds, measures.

    shape: [B, ...] of the samples. axes: values of gamma, rule, sampler and seed; rules may have names, {name: rule}.
    A seed is the noise of the start and of the steps. Metrics are medians over the steps, averaged over the samples;
    M19 and M19a are the median sample's, their steps weighed by what they push (`trace.effective.EffectiveScale`).
    measures: {name: function of the last x [B, ...] -> [B], or an energy that judges it}; the mean is taken. facts: as
    for `record`.
    Raises ValueError, before any run, for an axis that is unknown or empty and for a value that no run could have.
    """
    if fixed := sorted(facts.keys() & AXES.keys()):
        raise ValueError(f"{fixed[0]} is an axis. Give it as axes={{{fixed[0]!r}: [{facts[fixed[0]]!r}]}}.")
    names = checked(axes)
    places = [dict(zip(names, cell, strict=True)) for cell in product(*names.values())]
    runs = [  # all of them first, so that what is wrong with any is told before the work begins
        record(denoiser, sigmas, cond, gamma=at["gamma"][1], rule=at["rule"][1], capture="numbers", **facts)
        for at in places
    ]
    rows = []
    for at, run in zip(places, runs, strict=True):
        began, seed = time.perf_counter(), at["seed"][1]
        noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
        run.sample(run.run.sigmas[0] * noise, at["sampler"][1], seed)
        place = {name: word for name, (word, _) in at.items()}
        rows.append({**place, **told(run, measures or {}), "seconds": time.perf_counter() - began})
    return rows


def checked(axes: Mapping[str, Any]) -> dict[str, list[tuple[Any, Any]]]:
    """Every axis in order, as pairs of what a row says and the value."""
    if unknown := axes.keys() - AXES.keys():
        raise ValueError(f"Unknown axis {', '.join(sorted(unknown))}. There are {', '.join(AXES)}.")
    full = {**AXES, **axes}
    for name, values in full.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise ValueError(f"The axis {name} is {values!r}, but needs a list of values: {{{name!r}: [{values!r}]}}.")
    pairs = {name: list(full[name].items() if isinstance(full[name], Mapping) else named(full[name])) for name in AXES}
    if empty := [name for name, values in pairs.items() if not values]:
        raise ValueError(f"The axis {empty[0]} is empty. Give it a value, or leave it out.")
    for _, sampler in pairs["sampler"]:
        sampler_of(sampler)
    return pairs


def named(values: Sequence[Any]) -> list[tuple[Any, Any]]:
    """The values with their own names: numbers and words are theirs, a function has one, a rule has its text."""
    plain = (int, float, str)
    return [(v if isinstance(v, plain) else getattr(v, "text", getattr(v, "__name__", "CFG")), v) for v in values]


def told(run: Recording, measures: Mapping[str, Measure]) -> dict[str, float]:
    """What a row says of a finished run."""
    effective = EffectiveScale.of(run.trace)
    metrics = {name: run.trace.middle_of(name) for name in run.trace.metrics}
    metrics |= {"M19": effective.scale, "M19a": effective.across}
    found = {name: float(score(measure, run.end).cpu().double().mean()) for name, measure in measures.items()}
    return {"evaluations": run.trace.header["evaluations"], **found, **metrics}


def score(measure: Measure, x: Tensor) -> Tensor:  # [B, ...] -> [B]
    """What a measure says of samples; an energy, the probability of what it wants."""
    if callable(measure):
        return measure(x)
    with torch.no_grad():
        return measure.log_prob(x).exp()
