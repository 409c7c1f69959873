"""A sweep: one model at many settings, as one node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import comfy.samplers
from comfy_api.latest import io

from .. import host, sweeps
from ..host.editor.checks import CheckedNode
from ..host.editor.rule_nodes import chain_with
from ..host.editor.widgets import HIDDEN, VAE_IN
from ..host.editor.wires import EnergyWire
from ..host.limits import BEST_BY, MODES
from .sampling import CATEGORY, GUIDANCE, LATENT, MAX_SEED, MEASURE, MODEL, NEGATIVE, POSITIVE, TRACE

if TYPE_CHECKING:
    from ..guidance.chain import Guidance
    from ..guidance.energies.protocol import Energy

AXES = "cfg: 1, 2, 4, 8\nseed: 0..3"
SECONDS = 1.0  # of a run, where nothing is known of it
PARTS = (
    "The latent holds several parts, such as video and sound, which a sweep cannot put into one batch. Sample alone."
)
NO_SAMPLES = "The latent holds no samples, so nothing can be swept. Give one with a batch of 1 or more."
MODE_TIP = (
    "exact: each picture is KSampler's, bit for bit. Pictures are made together only if that gives the same bits. "
    "shared: they are made together, which is faster; they differ from KSampler's by rounding."
)
BEST_TIP = (
    "How the best cfg is found. judge: by what is connected to energy. saturation: the largest cfg that does not "
    "burn, an upper end. auto: by the judge if there is one."
)


class GGSweep(CheckedNode):
    """Every combination of some settings, measured."""

    name = "Guidance Sweep (grid)"
    search_words = ("xy plot", "grid", "best cfg", "which cfg", "guidance scale", "compare settings")
    category = CATEGORY
    description = (
        "Samples every combination of settings, such as cfg and seed, measures each picture, and shows them on one "
        "labelled sheet."
    )
    is_output_node = True
    outputs = (
        io.Latent.Output(display_name="latent", tooltip="All samples, in the order of the table."),
        io.Image.Output(display_name="grid", tooltip="The first picture of every run, labelled."),
        io.String.Output(display_name="table", tooltip="Every run with what was measured."),
        io.Float.Output(
            display_name="best_cfg", tooltip="The best cfg. Where there is none, nodes wired to it do not run."
        ),
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
                tooltip="One line for each setting that varies, with its values: cfg: 1, 2, 4. Or seed: 0..3. "
                "Settings are cfg, seed, steps, sampler, scheduler, label, prompt, guidance (distilled) and rule. A "
                "setting of a connected node is APG.eta or Classifier Guidance.scale.",
            ),
            GUIDANCE,
            VAE_IN,
            EnergyWire.Input("energy", optional=True, tooltip="A judge: how well each picture fits."),
            io.Combo.Input("best_by", options=list(BEST_BY), default=BEST_BY[0], optional=True, tooltip=BEST_TIP),
            io.Combo.Input("mode", options=list(MODES), default=MODES[0], optional=True, tooltip=MODE_TIP),
            io.Clip.Input("clip", optional=True, tooltip="Encodes the prompts of an axis named prompt."),
            MEASURE,
        )

    @classmethod
    def validate_inputs(cls, axes: str | None) -> str | None:
        if axes is None:
            return None
        try:  # as far as it can be known before the wires are there
            sweeps.axes.check_count(sweeps.axes.count(sweeps.axes.axes_of(axes)), SECONDS, how="use several nodes")
        except ValueError as error:
            return str(error)
        return None

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        latent_image: dict[str, Any],
        seed: int,
        steps: int,
        sampler_name: str,
        scheduler: str,
        axes: str,
        guidance: Guidance | None = None,
        vae: io.Vae.Type | None = None,
        energy: Energy | None = None,
        best_by: str = "auto",
        mode: str = "exact",
        clip: io.Clip.Type | None = None,
        measure: int = 0,
    ) -> io.NodeOutput:
        if host.models.adapter.is_nested(latent_image["samples"]):
            raise ValueError(PARTS)
        if not len(latent_image["samples"]):
            raise ValueError(NO_SAMPLES)
        if best_by == "judge" and energy is None:
            raise ValueError("best_by is judge, and no energy is connected. Connect one, or set best_by to auto.")
        usual = host.sweeps.runs.Settings(1.0, seed, steps, sampler_name, scheduler, chain_with(guidance))
        wanted = host.sweeps.axes.runs_of(sweeps.axes.axes_of(axes), usual, cls)
        conditions = host.sweeps.conditions.prepare_conditions(
            model, positive, energy, clip, (settings.condition for _, settings in wanted)
        )
        subject = host.sweeps.runs.Subject(model, positive, negative, latent_image, conditions)
        return host.sweeps.grid.sample_grid(cls, subject, wanted, mode, best_by, vae, energy, measure)
