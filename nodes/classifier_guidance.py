"""Classifier guidance as links of a guidance chain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..guidance.energies.protocol import Energy
from ..guidance.gradients.term import MEASURED, USUAL, GradientOptions, GradientTerm, WatchTerm
from ..host.editor.checks import CheckedNode, empty_window
from ..host.editor.energy_inputs import CATEGORY, ENERGY
from ..host.editor.jobs import names_here
from ..host.editor.knob_inputs import StatedNode, input_for
from ..host.editor.rule_nodes import CHAIN, UPSTREAM, chain_with, say
from ..host.editor.wires import OptionsWire

if TYPE_CHECKING:
    from ..guidance.chain import Guidance

SET_BY_HAND = ("weight", "evaluation", "normalise", "limit", "start", "end", "every")  # in the order of the inputs
PRESETS = {"scale": None, "weak": 0.5, "measured": 1.0, "strong": 2.0}  # times what is measured
VAE = io.Vae.Input(
    "vae",
    optional=True,
    tooltip="For models of latents: the classifier sees decoded pictures. Without it: preview colours.",
)
PRESET = io.Combo.Input(
    "preset",
    options=list(PRESETS),
    default="scale",
    optional=True,
    tooltip="scale: the widget above. measured: what served best on pocket-1 for the evaluation in use, 2, 4 or "
    "200. weak: half of that. strong: twice. The node says which scale is in force.",
)


class GGClassifierGradient(CheckedNode):
    """A gradient term."""

    name = "Classifier Guidance"
    search_words = ("gradient", "universal guidance", "DPS", "steer")
    category = CATEGORY
    description = (
        "Lets a classifier, a text or a reference picture steer a model that never learned it. Works with any "
        "sampler, and together with cfg."
    )
    inputs = (
        ENERGY,
        *(input_for(GradientTerm, field) for field in SET_BY_HAND),
        UPSTREAM,
        VAE,
        OptionsWire.Input("options", optional=True, tooltip="From Gradient Options: rarely changed settings."),
        PRESET,
    )
    outputs = (CHAIN,)
    hidden_inputs = (io.Hidden.unique_id,)

    @classmethod
    def validate_inputs(
        cls, start_percent: float | None, end_percent: float | None, normalise: str = "none", preset: str = "scale"
    ) -> str | None:
        if normalise == "rms_ratio" and preset != "scale":
            return "rms_ratio sets the length of every push, so presets are ignored. Set preset to scale."
        return empty_window("start_percent", start_percent, end_percent)

    @classmethod
    def execute(
        cls,
        energy: Energy,
        scale: float,
        evaluation: str,
        normalise: str,
        limit: float,
        start_percent: float,
        end_percent: float,
        every_k: int,
        guidance: Guidance | None = None,
        vae: io.Vae.Type | None = None,
        options: GradientOptions | None = None,
        preset: str = "scale",
    ) -> io.NodeOutput:
        place = (start_percent, end_percent, vae)
        settings, (title, node) = (scale, evaluation, normalise, limit, every_k, options or USUAL), names_here()
        term = GradientTerm(energy, *place, *settings, title=title, node=node)
        measured = MEASURED[term.effective_evaluation]
        if PRESETS[preset] is not None:
            term = replace(term, weight=PRESETS[preset] * measured, measured=True)
        say(cls, "Scale 0: nothing is added." if term.neutral else f"{term.text}. Measured on pocket-1: {measured:g}.")
        return io.NodeOutput(chain_with(guidance, term))


class GGGradientOptions(StatedNode):
    """Rarely changed settings, on a wire."""

    owner = GradientOptions
    category = CATEGORY
    outputs = (OptionsWire.Output(display_name="options", tooltip="For Classifier Guidance."),)


class GGWatchEnergy(CheckedNode):
    """An energy that only measures."""

    name = "Watch an Energy (no gradient)"
    search_words = ("judge", "measure", "probability")
    category = CATEGORY
    description = (
        "Lets a second classifier watch the run and changes nothing. It shows whether the first was right or only "
        "fooled."
    )
    inputs = (ENERGY, UPSTREAM, VAE)
    outputs = (CHAIN,)

    @classmethod
    def execute(cls, energy: Energy, guidance: Guidance | None = None, vae: io.Vae.Type | None = None) -> io.NodeOutput:
        title, node = names_here()
        return io.NodeOutput(chain_with(guidance, WatchTerm(energy, decoder=vae, title=title, node=node)))
