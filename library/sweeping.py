"""Many runs of one denoiser in this process, as a table; with a folder, also as the page of a sweep."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, product
from numbers import Real
from typing import Any, NamedTuple

import torch

from ..guidance.chain import Chain
from ..guidance.contract import chain_from
from ..guidance.rule_file import RuleFile
from ..guidance.rules.kinds import Rule
from ..measure.levels import DRAWS
from ..measure.measurement import Measurement
from ..sweeps.axes import LARGEST_SWEEP, RULE, SAME, check_count, word_of
from ..sweeps.measures import OWN, WHOLE, Judge, measure, measure_of, own_measures, score
from ..sweeps.plan import check_measures
from ..sweeps.rules import RuleNode, knob_of, refuse_unmatched, set_knob
from ..trace.trace import END, MEASURED
from .measuring import measure as measure_samples
from .recording import Denoiser, Recording, record
from .sampling import sampler_of
from .traces import Trace, require

AXES = {"gamma": (4.0,), RULE: (None,), "sampler": ("euler",), "seed": (0,)}  # with what holds where none is given
CONDITIONS = ("label", "prompt")  # axes of what a denoiser is given as its condition
OTHERS = ("scheduler", "steps", *CONDITIONS)
ORDER = ("cfg", RULE, "sampler", *OTHERS, "seed")  # of the words in a row
PLAIN = ("cfg", "none")  # rules that are none


class PlannedRun(NamedTuple):
    """A run that has not begun.

    place: what its row says of it. at: the values, by their words. measure: what the denoiser says of finished samples.
    """

    place: dict[str, Any]
    at: dict[str, Any]
    run: Recording
    measure: Callable[[torch.Tensor], Measurement]


def sweep(
    denoiser: Denoiser,
    shape: Sequence[int],
    sigmas: Sequence[float] | Callable[[int], Sequence[float]],
    cond: Any,
    *,
    measures: Mapping[str, Judge | str] | Sequence[str] = (),
    axes: Mapping[str, Any],
    folder: Any = None,
    progress: bool = True,
    **facts: Any,
) -> list[dict[str, Any]]:
    """One row a run, of every combination on the axes: its place on them, metrics, evaluations, seconds, measures.

    shape: [B, ...] of the samples. axes: values of gamma (or cfg), rule, sampler and seed, of label or prompt, which
    take the place of cond, of scheduler, which takes that of sigmas, of steps, where sigmas is a function of them, as
    karras is, and of a knob of a rule, such as "AdaptiveProjected.eta". Values may have names, {name: rule}; a rule may
    also be FILE:RULE, a rule in a file. A seed is the noise of the start and of the steps. Metrics are medians over the
    steps, averaged over the samples; M19 and M19a are the median sample's, their steps weighed by what they push
    (`trace.guidance_effect.EffectiveScale`).
    measures: {name: function of the last x [B, ...] -> [B], or an energy: its log-probability}; the mean is taken. Or
    names of measures of a run, as `guidance-geometry sweep` has them; prompt_strength and denoising_ratio, which the
    denoiser says of its samples, cost about 100 evaluations a sample. facts: as for `record`. progress: show a bar.
    folder: a path or an address, where every run is kept as soon as it ends, and which is asked first: what is there is
    not run again, unless its axes, rules, noise levels, condition or facts are others. A page, a report, a sheet and
    tables are written there, as `guidance-geometry sweep` does. What the denoiser or a measure computes is not known
    there: take another folder where that changed. Its pictures are the first samples, of latents
    `denoiser.decode` of them.
    Raises ValueError, before any run, for an axis that is unknown or empty and for a value that no run could have.
    """
    if fixed := sorted(facts.keys() & {"cfg", *AXES}):
        raise ValueError(f"{fixed[0]} is an axis. Give it as axes={{{fixed[0]!r}: [{facts[fixed[0]]!r}]}}.")
    pairs, judges = pairs_by_axis(axes), judges_of(measures)
    check_count(math.prod(map(len, pairs.values())), 0, confirmed=True)
    refuse_unmatched(pairs, (chain_from(rule) for _, rule in pairs[RULE]), names_of)
    runs = [plan_run(dict(zip(pairs, cell, strict=True)), denoiser, sigmas, cond, facts)
            for cell in product(*pairs.values())]  # fmt: skip
    if folder is None:
        return [row_of(planned, shape, judges) for planned in bar(runs, progress)]
    require("scipy", "studies")  # of the report
    from ..sweeps.addresses import place_at
    from ..sweeps.results import alone
    from .sweep_folder import SweepFolder

    call = {"denoiser": denoiser, "shape": shape, "facts": {**getattr(denoiser, "facts", {}), **facts}}
    with alone(place_at(str(folder))):
        stored = SweepFolder(folder, call, pairs, runs, judges, (sigmas, cond))
        try:
            return [
                stored.row(planned) or stored.write(planned, row_of(planned, shape, judges))
                for planned in bar(runs, progress)
            ]
        finally:
            stored.show()


def bar(runs: Sequence[PlannedRun], progress: bool) -> Iterable[PlannedRun]:
    """The runs, with a bar of how many are done where tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return runs
    return tqdm(runs, unit="run", disable=not progress)


def pairs_by_axis(axes: Mapping[str, Any]) -> dict[str, list[tuple[Any, Any]]]:
    """Every axis in order, as pairs of what a row says and the value."""
    words = [word_of(name) for name in axes]
    if unknown := sorted(name for name in axes if "." not in name and word_of(name) not in ORDER):
        names = (*AXES, *OTHERS, "knobs such as AdaptiveProjected.eta")
        raise ValueError(f"Unknown axis {', '.join(unknown)}. There are {', '.join(names)}.")
    if twice := [name for name in axes if words.count(word_of(name)) > 1]:
        raise ValueError(SAME.format(" and ".join(twice)))
    if {*CONDITIONS} <= {*words}:
        raise ValueError("The axes have a label and a prompt, and a denoiser takes one condition. Leave out the other.")
    full = {**{name: values for name, values in AXES.items() if word_of(name) not in words}, **axes}
    return {name: pairs_of(name, full[name]) for name in sorted(full, key=place_in_row)}


def place_in_row(name: str) -> tuple[int, bool]:
    """Where a row has an axis; knobs of rules are behind the rule."""
    return ORDER.index(RULE if "." in name else word_of(name)), "." in name


def pairs_of(name: str, values: Any) -> list[tuple[Any, Any]]:
    """The values of an axis, each with what a row says.  Raises ValueError where there is none, or one is no value."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"The axis {name} is {values!r}, but needs a list of values: {{{name!r}: [{values!r}]}}.")
    pairs = list(islice(values.items() if isinstance(values, Mapping) else name_values(values), LARGEST_SWEEP + 1))
    if len(pairs) > LARGEST_SWEEP:
        raise ValueError(f"The axis {name} has more than {LARGEST_SWEEP:,} values. Give it fewer.")
    if not pairs:
        raise ValueError(f"The axis {name} is empty. Give it a value, or leave it out.")
    for _, value in pairs:
        if word_of(name) == "sampler":
            sampler_of(value)
    return [(word, rule_of(value)) for word, value in pairs] if name == RULE else pairs


def name_values(values: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """The values with their own names: numbers and words are theirs, a function has one, a rule has its text."""
    return ((v if isinstance(v, Real | str) else getattr(v, "text", getattr(v, "__name__", "CFG")), v) for v in values)


def rule_of(value: Any) -> Any:
    """A rule of any form; of a text, the one in a file, or none for cfg.  Raises ValueError for other words."""
    if not isinstance(value, str):
        return value
    if place := RuleFile.of(value):
        return place.rule()
    if value.lower() in PLAIN:
        return None
    raise ValueError(f"The rule {value!r} is no rule. Give the rule itself, or FILE:RULE, such as my_rule.py:halfway.")


def judges_of(measures: Mapping[str, Judge | str] | Sequence[str]) -> Mapping[str, Judge | str]:
    """What measures a run, by its name in the row.  Raises ValueError for a name that no measure has."""
    judges = measures if isinstance(measures, Mapping) else {name: name for name in measures}
    check_measures(judge for judge in judges.values() if isinstance(judge, str))
    return judges


def plan_run(
    at: Mapping[str, tuple[Any, Any]],
    denoiser: Denoiser,
    sigmas: Any,
    cond: Any,
    facts: Mapping,
    draws: int = DRAWS,
) -> PlannedRun:
    """A run, ready to begin.  at: its place on every axis. sigmas, cond: where no axis has them. draws: of a measure"""
    values = {word_of(name): value for name, (_, value) in at.items() if "." not in name}
    for name, (_, value) in at.items():
        if "." in name:
            values[RULE] = set_knob_at(chain_from(values[RULE]), name, value)
    levels = levels_of(values.get("scheduler", sigmas), values.get("steps"))
    condition = next((values[word] for word in CONDITIONS if word in values), cond)
    run = record(denoiser, levels, condition, gamma=values["cfg"], rule=values[RULE], capture="numbers", **facts)
    known = {name: facts[name] for name in ("space", "sigma_data", "uncond") if name in facts}
    ask_model = partial(measure_samples, denoiser, cond=condition, draws=draws, **known)
    return PlannedRun({name: word for name, (word, _) in at.items()}, values | {"condition": condition}, run, ask_model)


def set_knob_at(chain: Chain, name: str, value: Any) -> Chain:
    """The chain with another value of a knob `Rule.knob`, where it has that rule."""
    place = knob_of(chain, name, names_of)
    if place is None:
        return chain
    before = getattr(place[0], place[1])
    if isinstance(before, str) != isinstance(value, str):
        raise ValueError(f"{name} is {value!r}, which cannot take the place of {before!r}. Give a value of that kind.")
    return set_knob(chain, *place, value)


def names_of(rule: Rule) -> list[str]:
    """What an axis may call a rule: its class, and the name and the id of its node."""
    node = RuleNode(rule.node_id, rule.name, {})
    return [name for name in (type(rule).__name__, *node.names, getattr(rule, "title", "")) if name]


def levels_of(schedule: Any, steps: Any) -> Any:
    """The noise levels of a run.  schedule: a list of them, or a function of the number of steps"""
    if callable(schedule) and steps is not None:
        return schedule(steps)
    if not callable(schedule) and steps is None:
        return schedule
    raise ValueError(
        "sigmas is a function, so the number of steps is needed. Add an axis: {'steps': [20]}." if steps is None else
        "The axis steps needs sigmas as a function of the number of steps, such as karras, and they are a list."
    )  # fmt: skip


def row_of(planned: PlannedRun, shape: Sequence[int], judges: Mapping[str, Judge | str]) -> dict[str, Any]:
    """Run it, and say what it did."""
    began, seed, run = time.perf_counter(), planned.at["seed"], planned.run
    noise = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    trace = run.sample(run.run.sigmas[0] * noise, planned.at["sampler"], seed)
    from_model = {}
    if not OWN.keys().isdisjoint(judge for judge in judges.values() if isinstance(judge, str)):
        measured = planned.measure(run.end)
        from_model, trace = own_measures(measured), keep_measured(run, measured)
    scores = {
        name: (from_model[judge] if judge in from_model else measure_of(judge).of(trace))
        if isinstance(judge, str)
        else score(judge, run.end)
        for name, judge in judges.items()
    }
    measures = {"evaluations": trace.header["evaluations"], **scores, **measure(trace, [*trace.metrics, *WHOLE])}
    return {**planned.place, **measures, "seconds": time.perf_counter() - began}


def keep_measured(run: Recording, measured: Measurement) -> Trace:
    """The trace with what the denoiser said of its samples, and the samples, from which variety is known."""
    trace = run.trace
    tensors = {**trace.tensors, END: run.end.half().cpu()}
    run.trace = replace(trace, header={**trace.header, MEASURED: measured.sums()}, tensors=tensors)
    return run.trace
