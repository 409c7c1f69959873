"""Classifier guidance as links of a guidance chain."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ..guidance.chain import PLAIN, chain_of
from ..guidance.gradients.estimators import EVALUATIONS, NORMALISATIONS
from ..guidance.gradients.term import MEASURED, USUAL, GradientOptions, GradientTerm, WatchTerm
from ..host.checks import CheckedNode, empty_window
from ..host.energy_inputs import CATEGORY, ENERGY
from ..host.jobs import names_here
from ..host.rule_nodes import CHAIN, UPSTREAM, say
from ..host.widgets import choice_input
from ..host.wires import OptionsWire

AUTO = ("auto", *EVALUATIONS)
LARGEST_SCALE, LARGEST_SEED = 1e6, 0xFFFFFFFF
MEMORY = ("auto", "compute twice")
PRESETS = {"scale": None, "weak": 0.5, "measured": 1.0, "strong": 2.0}  # times what is measured
VAE = io.Vae.Input(
    "vae", optional=True, tooltip="For latent models: the energy sees decoded pictures. Without it: preview colours."
)


TEMPERATURE = io.Float.Input(
    "temperature",
    default=1.0,
    min=0.01,
    max=1000.0,
    step=0.1,
    tooltip="Divides the classifier's logits. Above 1 a confident classifier keeps pushing.",
)
RADIUS = io.Float.Input(
    "radius",
    default=1.0,
    min=0.0,
    max=10.0,
    step=0.05,
    optional=True,
    tooltip="Size of the cloud of draws. 1: the spread of the pictures that are still possible (LGD). TFG calls it "
    "gamma-bar and takes 0.001 to 0.1. 0: at the prediction.",
)
SHRINK = io.Int.Input(
    "shrink",
    default=1,
    min=1,
    max=8,
    optional=True,
    tooltip="With a vae: the energy sees a picture this many times smaller; memory for decoding falls with the "
    "square. 1: full size.",
)
SCALE = io.Float.Input(
    "scale",
    default=2.0,
    min=-LARGEST_SCALE,
    max=LARGEST_SCALE,
    step=0.1,
    tooltip="Gamma, the factor of the gradient. Measured on pocket-1: 2 for noisy x_t, 4 for x0 + "
    "backprop, 200 for x0; preset sets them. 0 is off; below 0 moves away. noisy x_t at 1 is Bayes.",
)
PRESET = io.Combo.Input(
    "preset",
    options=list(PRESETS),
    default="scale",
    optional=True,
    tooltip="scale: the widget above. measured: the best on pocket-1 for the evaluation in use, 2, 4 or 200. weak: "
    "half of that. strong: twice. The node says which gamma is in force.",
)


def _share(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)


def _count(name: str, low: int, high: int, tooltip: str) -> io.Int.Input:
    return io.Int.Input(name, default=low, min=low, max=high, tooltip=tooltip)


class GGClassifierGradient(CheckedNode):
    """A gradient term."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="GGClassifierGradient",
            display_name="Classifier Guidance",
            category=CATEGORY,
            description="Adds the gradient of log p(y|x) to every prediction: an energy steers a model that never "
            "learned this condition. Works with any sampler, and on top of CFG.",
            inputs=[
                ENERGY,
                SCALE,
                choice_input(
                    "evaluation",
                    AUTO,
                    "Where the energy is evaluated. noisy x_t: needs a noise-aware classifier. x0 + backprop: the "
                    "clean prediction, gradient through the model, twice the time. x0: without that. auto: the first "
                    "that works.",
                ),
                choice_input(
                    "normalise",
                    NORMALISATIONS,
                    "none: the gradient itself. rms_ratio: always scale x limit of the length of c - u (needs a "
                    "negative other than the positive, at cfg 1 too). clip: at most limit of the data's size.",
                ),
                io.Float.Input(
                    "limit", default=0.2, min=0.0, max=1e4, step=0.05, tooltip="Only for rms_ratio and clip."
                ),
                _share("start_percent", 0.0, "Share of the run's steps before the first push; 0 is from the start."),
                _share("end_percent", 1.0, "Share of the steps after which nothing is pushed; 1 is to the end."),
                io.Int.Input(
                    "every_k",
                    default=1,
                    min=1,
                    max=1000,
                    tooltip="A new gradient every k-th step, the latest one in between: saves time, costs accuracy.",
                ),
                UPSTREAM,
                VAE,
                OptionsWire.Input("options", optional=True, tooltip="From Gradient Options: rarely changed settings."),
                PRESET,
            ],
            outputs=[CHAIN],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, start_percent, end_percent, normalise="none", preset="scale"):
        if normalise == "rms_ratio" and preset != "scale":
            return "rms_ratio sets the length of every push, so presets are ignored. Set preset to scale."
        return empty_window("start_percent", start_percent, end_percent)

    @classmethod
    def execute(
        cls,
        energy,
        scale,
        evaluation,
        normalise,
        limit,
        start_percent,
        end_percent,
        every_k,
        guidance=None,
        vae=None,
        options=None,
        preset="scale",
    ) -> io.NodeOutput:
        place = (start_percent, end_percent, vae)
        asked, (title, node) = (scale, evaluation, normalise, limit, every_k, options or USUAL), names_here()
        term = GradientTerm(energy, *place, *asked, title=title, node=node)
        measured = MEASURED[term.effective_evaluation]
        if PRESETS[preset] is not None:
            term = replace(term, weight=PRESETS[preset] * measured, measured=True)
        say(cls, "Scale 0: nothing is added." if term.neutral else f"{term.text}. Measured on pocket-1: {measured:g}.")
        return io.NodeOutput(chain_of(guidance or PLAIN).then(term))


class GGGradientOptions(CheckedNode):
    """Settings of gradient terms that rarely change."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="GGGradientOptions",
            display_name="Gradient Options",
            category=CATEGORY,
            description="For Classifier Guidance: temperature, averaging over draws or views, steps on the clean "
            "prediction, memory. Both x0 evaluations are overconfident at high noise: ancestral samplers correct much "
            "of this, draws most of the rest.",
            inputs=[
                TEMPERATURE,
                _count(
                    "draws",
                    0,
                    64,
                    "Both x0 evaluations: average p over this many draws about the clean prediction (LGD). 0: at the "
                    "prediction. 4 to 16 come close to Bayes; each costs one classifier pass.",
                ),
                _count(
                    "backward_steps",
                    1,
                    100,
                    "x0 without backprop: gradient steps on the clean prediction in every sampler step (backward "
                    "universal guidance).",
                ),
                _count(
                    "views",
                    0,
                    64,
                    "Average log p over this many shifted and mirrored copies of the picture: what only fools the "
                    "network rarely survives. 0: the picture itself.",
                ),
                _count("seed", 0, LARGEST_SEED, "Seed of draws and views; the same for every image of a batch."),
                choice_input(
                    "memory",
                    MEMORY,
                    "For x0 + backprop. auto: keep everything if it fits, else compute blocks twice, else go without "
                    "backprop; the node says so. compute twice: from the start.",
                ),
                RADIUS,
                SHRINK,
            ],
            outputs=[OptionsWire.Output(display_name="options", tooltip="For Classifier Guidance.")],
        )

    @classmethod
    def execute(cls, temperature, draws, backward_steps, views, seed, memory, radius=1.0, shrink=1) -> io.NodeOutput:
        twice = memory == "compute twice"
        return io.NodeOutput(GradientOptions(temperature, draws, backward_steps, views, seed, twice, radius, shrink))


class GGWatchEnergy(CheckedNode):
    """An energy that only measures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="GGWatchEnergy",
            display_name="Watch an Energy (no gradient)",
            category=CATEGORY,
            description="Measures an energy at the clean prediction of every step and changes nothing. A second "
            "classifier, ideally the judge, shows whether the first was right or only fooled.",
            inputs=[ENERGY, UPSTREAM, VAE],
            outputs=[CHAIN],
        )

    @classmethod
    def execute(cls, energy, guidance=None, vae=None) -> io.NodeOutput:
        title, node = names_here()
        return io.NodeOutput(chain_of(guidance or PLAIN).then(WatchTerm(energy, decoder=vae, title=title, node=node)))
