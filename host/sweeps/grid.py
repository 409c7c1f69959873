"""All runs of a sweep, sampled, measured, and put on one sheet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from comfy.sd import VAE
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ...guidance.energies.protocol import Energy
from ...sweeps.axes import Value, duration, value_at
from ...sweeps.curves import add_diversity
from ...sweeps.measures import own_measures
from ...sweeps.sheet import sheet
from ...trace.trace import MEASURED
from ..editor.checks import CheckedNode
from ..editor.rule_nodes import say
from ..editor.saving import preview, provenance, show_or_say
from .conditions import describe_steady_judge
from .results import LEAST_SIDE, UNKNOWN, WORDS, ask_model, best_cfg, plane_words, row_of, table
from .runs import Outcome, Settings, Subject, every_run, obstacle, sample_alone

Wanted = Sequence[tuple[dict[str, Value], Settings]]  # every place on the axes, and the settings there
TRACE_PLACE = 4  # of the outputs
TITLE = "Guidance sweep"
EXACT = "Exact: every picture is KSampler's, bit for bit; {} of {} runs were made together with others."
SHARED = "Shared: {} of {} runs were made together with others; their pictures differ from single runs by rounding."


def sample_grid(
    node: type[CheckedNode],
    subject: Subject,
    wanted: Wanted,
    mode: str,
    best_by: str,
    vae: VAE | None,
    energy: Energy | None,
    draws: int,
) -> io.NodeOutput:
    """The samples, the sheet, the table, the best scale and a trace.

    energy: a judge, or None. draws: how often the model is asked about every picture.
    """
    facts, conditions = provenance(node), subject.conditions
    began, runs, outcomes = time.monotonic(), {}, {}
    for i, run in every_run(subject, [settings for _, settings in wanted], mode, facts):
        place, settings = wanted[i]
        row, picture = row_of(i, place, subject, run, vae, conditions[settings.condition].energy)
        if draws:
            measured = ask_model(subject, settings, run, draws)
            row["measures"] |= own_measures(measured)
            run = run._replace(trace=replace(run.trace, header={**run.trace.header, MEASURED: measured.sums()}))
        outcomes[i] = row, picture
        runs[i], left = run, (time.monotonic() - began) * (len(wanted) / len(outcomes) - 1)
        say(node, f"{len(outcomes)} of {len(wanted)} runs, about {duration(left)} left")
    rows, runs = [outcomes[i][0] for i in range(len(wanted))], [runs[i] for i in range(len(wanted))]
    rows = add_diversity(rows, lambda i: outcomes[int(i)][1]) if draws else rows
    best = best_cfg(rows, best_by)
    chosen = next((i for i, row in enumerate(rows) if value_at(row["place"], "cfg") == best), 0)
    trace = runs[chosen].trace
    if _is_connected(node, TRACE_PLACE):
        trace = sample_alone(subject, wanted[chosen][1], facts, "pictures").trace
    note = " ".join(filter(None, (_note(subject, wanted, runs, mode), describe_steady_judge(energy, conditions))))
    page = sheet([*rows[0]["place"]], rows, lambda i: outcomes[int(i)][1], TITLE, note, WORDS, LEAST_SIDE)
    grid = torch.from_numpy(np.asarray(page).copy()).float().div_(255)[None]
    traces = {row["id"]: run.trace for row, run in zip(rows, runs, strict=True)}
    pictures = {row["id"]: picture for row, picture in outcomes.values()}
    words = "\n\n".join(filter(None, (table(rows), plane_words(rows, traces, pictures))))
    latent = {**runs[0].samples, "samples": torch.cat([run.samples["samples"] for run in runs])}
    for name in ("noise_mask", "batch_index"):
        latent.pop(name, None)  # of one run
    scale = ExecutionBlocker(UNKNOWN) if best is None else best
    return io.NodeOutput(latent, grid, words, scale, trace, ui=show_or_say(preview, grid, node, texts=[words]))


def _is_connected(node: type[CheckedNode], place: int) -> bool:
    """Whether anything reads an output; yes where that cannot be told."""
    prompt, node_id = getattr(node.hidden, "prompt", None), getattr(node.hidden, "unique_id", None)
    if not prompt or node_id is None:
        return True
    return any([str(node_id), place] == value for other in prompt.values() for value in other["inputs"].values())


def _note(subject: Subject, wanted: Wanted, runs: Sequence[Outcome], mode: str) -> str:
    """How the runs were made, for the foot of the sheet."""
    together = sum(run.in_batch for run in runs)
    if mode == "exact":
        return EXACT.format(together, len(runs))
    reasons = dict.fromkeys(filter(None, (obstacle(subject, settings) for _, settings in wanted)))
    return " ".join([SHARED.format(together, len(runs)), *(f"Alone: {reason}." for reason in reasons)])
