"""A sweep: one model at many settings, as one node."""

from __future__ import annotations

import time
from collections.abc import Sequence

import comfy.samplers
import numpy as np
import torch
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..guidance.chain import PLAIN, chain_of
from ..host.adapter import is_nested
from ..host.checks import CheckedNode
from ..host.rule_nodes import say
from ..host.saving import preview, provenance, show_or_say
from ..host.sweep_axes import runs_of
from ..host.sweep_conditions import prepare_conditions, steady
from ..host.sweep_results import BEST_BY, LEAST_SIDE, UNKNOWN, WORDS, best_cfg, row_of, table
from ..host.sweeping import MODES, Outcome, Settings, Subject, every_run, obstacle, sample_alone
from ..host.widgets import HIDDEN, VAE_IN
from ..host.wires import EnergyWire
from ..sweeps.axes import axes_of, check_count, count, duration, value_at
from ..sweeps.sheet import sheet
from .sampling import CATEGORY, GUIDANCE, LATENT, MAX_SEED, MODEL, NEGATIVE, POSITIVE, TRACE

TRACE_PLACE = 4  # of the outputs
AXES = "cfg: 1, 2, 4, 8\nseed: 0..3"
SECONDS = 1.0  # of a run, where nothing is known of it
TITLE = "Guidance sweep"
EXACT = "Exact: every run is the same as its own KSampler, bit for bit; {} of {} runs were evaluated in batches."
SHARED = "Shared: {} of {} runs were evaluated in batches; their pictures differ from single runs by rounding."
PARTS = (
    "The latent holds several parts, such as video and sound, which a sweep cannot put into one batch. Sample alone."
)
NO_SAMPLES = "The latent holds no samples, so nothing can be swept. Give one with a batch of 1 or more."
MODE_TIP = (
    "exact: each run is the same as its own KSampler, bit for bit. Runs share a batch only where the device gives the "
    "same bits there. shared: several runs in one batch on any device; pictures differ from single runs by rounding."
)
BEST_TIP = (
    "What makes a cfg the best one. judge: the energy's mean log-probability. saturation: the largest cfg that does "
    "not burn, an upper end. auto: the judge if an energy is connected."
)


class GGSweep(CheckedNode):
    """Every combination of some settings, measured."""

    name = "Guidance Sweep (grid)"
    category = CATEGORY
    description = (
        "Samples every combination of settings, such as cfg and seed, measures each, and shows them "
        "on one labelled sheet."
    )
    is_output_node = True
    outputs = (
        io.Latent.Output(display_name="latent", tooltip="All samples, in the order of the table."),
        io.Image.Output(display_name="grid", tooltip="The first picture of every run, labelled."),
        io.String.Output(display_name="table", tooltip="Every run with what was measured."),
        io.Float.Output(display_name="best_cfg", tooltip="The best cfg; nothing runs on it where none is."),
        TRACE,
    )
    hidden_inputs = HIDDEN

    @classmethod
    def inputs(cls):
        return (
            MODEL,
            POSITIVE,
            NEGATIVE,
            LATENT,
            io.Int.Input("seed", default=0, min=0, max=MAX_SEED, tooltip="Seed where no axis gives one."),
            io.Int.Input("steps", default=20, min=1, max=10000, tooltip="Steps where no axis gives them."),
            io.Combo.Input(
                "sampler_name",
                options=list(comfy.samplers.KSampler.SAMPLERS),
                tooltip="Sampler where no axis gives one.",
            ),
            io.Combo.Input(
                "scheduler",
                options=list(comfy.samplers.KSampler.SCHEDULERS),
                tooltip="Scheduler where no axis gives one.",
            ),
            io.String.Input(
                "axes",
                default=AXES,
                multiline=True,
                tooltip="A line for each: cfg, seed, steps, sampler, scheduler, label, prompt, guidance "
                "(distilled), rule (names, + between rules of a chain), or a knob of a connected rule or "
                "gradient such as APG.eta or Classifier Guidance.scale. Values with commas, or 0..3.",
            ),
            GUIDANCE,
            VAE_IN,
            EnergyWire.Input("energy", optional=True, tooltip="A judge: how well each picture fits."),
            io.Combo.Input("best_by", options=list(BEST_BY), default=BEST_BY[0], optional=True, tooltip=BEST_TIP),
            io.Combo.Input("mode", options=list(MODES), default=MODES[0], optional=True, tooltip=MODE_TIP),
            io.Clip.Input("clip", optional=True, tooltip="Encodes the prompts of an axis named prompt."),
        )

    @classmethod
    def validate_inputs(cls, axes):
        return None if axes is None else _complaint(axes)

    @classmethod
    def execute(
        cls,
        model,
        positive,
        negative,
        latent_image,
        seed,
        steps,
        sampler_name,
        scheduler,
        axes,
        guidance=PLAIN,
        vae=None,
        energy=None,
        best_by="auto",
        mode="exact",
        clip=None,
    ) -> io.NodeOutput:
        if is_nested(latent_image["samples"]):
            raise ValueError(PARTS)
        if not len(latent_image["samples"]):
            raise ValueError(NO_SAMPLES)
        if best_by == "judge" and energy is None:
            raise ValueError("best_by is judge, and no energy is connected. Connect one, or set best_by to auto.")
        usual = Settings(1.0, seed, steps, sampler_name, scheduler, chain_of(guidance))
        wanted = runs_of(axes_of(axes), usual, cls)
        conditions = prepare_conditions(model, positive, energy, clip, (settings.condition for _, settings in wanted))
        subject, facts = Subject(model, positive, negative, latent_image, conditions), provenance(cls)
        began, runs, outcomes = time.monotonic(), {}, {}
        for i, run in every_run(subject, [settings for _, settings in wanted], mode, facts):
            outcomes[i] = row_of(i, wanted[i][0], subject, run, vae, conditions[wanted[i][1].condition].energy)
            runs[i], left = run, (time.monotonic() - began) * (len(wanted) / len(outcomes) - 1)
            say(cls, f"{len(outcomes)} of {len(wanted)} runs, about {duration(left)} left")
        rows, runs = [outcomes[i][0] for i in range(len(wanted))], [runs[i] for i in range(len(wanted))]
        best = best_cfg(rows, best_by)
        chosen = next((i for i, row in enumerate(rows) if value_at(row["place"], "cfg") == best), 0)
        trace = runs[chosen].trace
        if _is_connected(cls, TRACE_PLACE):
            trace = sample_alone(subject, wanted[chosen][1], facts, "pictures").trace
        note = " ".join(filter(None, (_note(subject, wanted, runs, mode), steady(energy, conditions))))
        page = sheet([*rows[0]["place"]], rows, lambda i: outcomes[int(i)][1], TITLE, note, WORDS, LEAST_SIDE)
        grid, words = torch.from_numpy(np.asarray(page).copy()).float().div_(255)[None], table(rows)
        latent = {**runs[0].samples, "samples": torch.cat([run.samples["samples"] for run in runs])}
        for of_one_run in ("noise_mask", "batch_index"):
            latent.pop(of_one_run, None)
        scale = ExecutionBlocker(UNKNOWN) if best is None else best
        return io.NodeOutput(latent, grid, words, scale, trace, ui=show_or_say(preview, grid, cls, texts=[words]))


def _is_connected(cls, place: int) -> bool:
    """Whether anything reads an output; yes where that cannot be told."""
    prompt, own = getattr(cls.hidden, "prompt", None), getattr(cls.hidden, "unique_id", None)
    if not prompt or own is None:
        return True
    return any([str(own), place] == value for node in prompt.values() for value in node["inputs"].values())


def _note(subject: Subject, wanted, runs: Sequence[Outcome], mode: str) -> str:
    """How the runs were made, for the foot of the sheet."""
    together = sum(run.in_batch for run in runs)
    if mode == "exact":
        return EXACT.format(together, len(runs))
    reasons = dict.fromkeys(filter(None, (obstacle(subject, settings) for _, settings in wanted)))
    return " ".join([SHARED.format(together, len(runs)), *(f"Alone: {reason}." for reason in reasons)])


def _complaint(axes: str) -> str | None:
    """What is wrong with the text of the axes, as far as it can be known before the wires are there."""
    try:
        check_count(count(axes_of(axes)), SECONDS, how="use several nodes")
    except ValueError as error:
        return str(error)
    return None
