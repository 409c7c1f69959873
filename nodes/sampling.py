"""Sampling with a guidance chain and under observation: the nodes of `guidance geometry/sampling`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import comfy.samplers
import torch
from comfy_api.latest import io

from .. import host
from ..host.editor.checks import CheckedNode, insist
from ..host.editor.widgets import HIDDEN
from ..host.editor.wires import Guidance as GuidanceWire
from ..host.editor.wires import NoiseSource, TraceWire
from ..host.limits import MOST_DRAWS
from ..trace import CAPTURES

if TYPE_CHECKING:
    from ..guidance.chain import Guidance

CATEGORY = "guidance geometry/sampling"
MAX_SEED = 0xFFFFFFFFFFFFFFFF
MOST_LEVELS = 1_000_000  # of a schedule: 10,000 steps at denoise 0.01
KL_OPTIMAL_ONCE = (
    "The scheduler kl_optimal divides by steps - 1 and cannot make 1 step. Take 2 steps or another scheduler."
)

MODEL = io.Model.Input("model", tooltip="The model: any MODEL of ComfyUI, or one from Load Denoiser.")
POSITIVE = io.Conditioning.Input("positive", tooltip="What the picture should show.")
NEGATIVE = io.Conditioning.Input("negative", tooltip="What guidance pushes away from; often an empty prompt.")
LATENT = io.Latent.Input("latent_image", tooltip="The latent to denoise; an empty one for a new picture.")
CFG = io.Float.Input(
    "cfg",
    default=4.0,
    min=0.0,
    max=100.0,
    step=0.1,
    round=0.01,
    tooltip="How hard guidance pushes towards the prompt. 0 ignores the prompt, 1 takes it as it is (at half the "
    "work), 2 to 5 is usual, higher burns.",
)
GUIDANCE = GuidanceWire.Input(
    "guidance", optional=True, tooltip="Rules and schedules, wired one after the other. Unconnected: plain CFG."
)
CAPTURE = io.Combo.Input(
    "capture",
    options=list(CAPTURES),
    default="pictures",
    optional=True,
    tooltip="What is kept besides numbers. numbers: nothing. pictures: the pictures of up to 24 steps. tensors: "
    "everything, of every step, for research.",
)
CAPTURE_MB = io.Int.Input(
    "capture_mb",
    default=256,
    min=16,
    max=65536,
    optional=True,
    tooltip="Memory for what is kept, in MB. If a run needs more, fewer steps are kept, evenly.",
)
MEASURE = io.Int.Input(
    "measure",
    default=0,
    min=0,
    max=MOST_DRAWS,
    optional=True,
    tooltip="After the run, ask the model how strongly the pictures show the prompt and how strange they are to it. "
    "How often each picture is asked about: 4 takes about as long as 100 evaluations of the model. 0: not asked.",
)
OUT = io.Latent.Output(display_name="latent", tooltip="The sample.")
DENOISED = io.Latent.Output(
    display_name="denoised",
    tooltip="What guidance aimed at in the last step: a clean picture, even if the run stops early.",
)
TRACE = TraceWire.Output(display_name="trace", tooltip="The record of the run: what guidance did at every step.")


class GGGuidedSampler(CheckedNode):
    """KSampler with a guidance chain and a trace."""

    name = "KSampler + Guidance Trace"
    search_words = ("cfg", "guidance scale", "negative", "record", "sampler with rules")
    category = CATEGORY
    description = (
        "Samples exactly like KSampler (same seed, same pixels) and records what guidance did at every step. "
        "Recording costs no extra run of the model. Takes guidance rules."
    )
    outputs = (OUT, DENOISED, TRACE)
    hidden_inputs = HIDDEN

    @classmethod
    def inputs(cls):
        return (
            MODEL,
            io.Int.Input(
                "seed", default=0, min=0, max=MAX_SEED, control_after_generate=True, tooltip="Seed of the noise."
            ),
            io.Int.Input("steps", default=20, min=1, max=10000, tooltip="Number of steps; 20 to 30 is usual."),
            CFG,
            io.Combo.Input(
                "sampler_name",
                options=list(comfy.samplers.KSampler.SAMPLERS),
                tooltip="The sampler, as on KSampler.",
            ),
            io.Combo.Input(
                "scheduler",
                options=list(comfy.samplers.KSampler.SCHEDULERS),
                tooltip="How the noise falls from step to step, as on KSampler.",
            ),
            POSITIVE,
            NEGATIVE,
            LATENT,
            io.Float.Input(
                "denoise",
                default=1.0,
                min=0.0,
                max=1.0,
                step=0.01,
                tooltip="1 starts from pure noise; lower values add less noise and keep more of the latent.",
            ),
            GUIDANCE,
            io.Sampler.Input(
                "sampler", optional=True, tooltip="A SAMPLER to use instead of sampler_name, such as DDPM or DDIM."
            ),
            CAPTURE,
            CAPTURE_MB,
            MEASURE,
        )

    @classmethod
    def validate_inputs(cls, steps: int | None, scheduler: str | None) -> str | None:
        return KL_OPTIMAL_ONCE if scheduler == "kl_optimal" and steps == 1 else None

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        latent_image: dict[str, Any],
        denoise: float = 1.0,
        guidance: Guidance | None = None,
        sampler: comfy.samplers.Sampler | None = None,
        capture: str = "pictures",
        capture_mb: int = 256,
        measure: int = 0,
    ) -> io.NodeOutput:
        insist(too_fine(steps, denoise))
        named = "euler" if sampler else sampler_name
        latent, noise, schedule = host.recording.sampler_nodes.start_of(
            model, latent_image, seed, steps, named, scheduler, denoise
        )
        guider = host.sampling.guided_run.chain_guider(model, positive, negative, cfg, guidance)
        facts = {"scheduler": scheduler, "steps": steps, "denoise": denoise, **host.editor.saving.provenance(cls)}
        recording = host.recording.watch.Recording(capture, capture_mb, facts, measure=measure)
        sampler = sampler or comfy.samplers.sampler_object(sampler_name)
        return _outputs(
            host.recording.sampler_nodes.sample_recorded(
                guider, noise, latent, sampler, schedule, seed, recording, host.models.adapter.intermediate_dtype()
            )
        )


def _outputs(outputs: tuple) -> io.NodeOutput:
    """Sample, denoised and trace, with what ended the record on the node."""
    return io.NodeOutput(*outputs, **host.recording.run_facts.on_the_node(outputs[2]))


class GGGuider(CheckedNode):
    """The host's CFGGuider with a guidance chain."""

    name = "CFG Guider + Guidance Chain"
    search_words = ("cfg", "guidance scale", "negative", "CFGGuider")
    category = CATEGORY
    description = "CFGGuider with guidance rules, for SamplerCustomAdvanced."
    inputs = (MODEL, POSITIVE, NEGATIVE, CFG, GUIDANCE)
    outputs = (io.Guider.Output(tooltip="For SamplerCustomAdvanced or SamplerCustomAdvanced + Trace."),)

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        cfg: float,
        guidance: Guidance | None = None,
    ) -> io.NodeOutput:
        return io.NodeOutput(host.sampling.guided_run.chain_guider(model, positive, negative, cfg, guidance))


class GGInspectedSampler(CheckedNode):
    """SamplerCustomAdvanced that records a trace, for a guider of any pack."""

    name = "SamplerCustomAdvanced + Trace"
    search_words = ("cfg", "record", "any guider")
    category = CATEGORY
    description = "Samples exactly like SamplerCustomAdvanced, with a guider from any pack, and records the run."
    inputs = (
        io.Noise.Input("noise", tooltip="The starting noise, as for SamplerCustomAdvanced."),
        io.Guider.Input("guider", tooltip="Any GUIDER: the host's, ours, another pack's."),
        io.Sampler.Input(
            "sampler", tooltip="Any SAMPLER. With ComfyUI's own, the noise that it adds is recorded by itself."
        ),
        io.Sigmas.Input("sigmas", tooltip="From a scheduler node, as for SamplerCustomAdvanced."),
        LATENT,
        CAPTURE,
        CAPTURE_MB,
        MEASURE,
    )
    outputs = (OUT, DENOISED, TRACE)
    hidden_inputs = HIDDEN

    @classmethod
    def execute(
        cls,
        noise: NoiseSource,
        guider: io.Guider.Type,
        sampler: comfy.samplers.Sampler,
        sigmas: io.Sigmas.Type,
        latent_image: dict[str, Any],
        capture: str = "pictures",
        capture_mb: int = 256,
        measure: int = 0,
    ) -> io.NodeOutput:
        insist(finite_schedule(sigmas))
        latent = host.recording.sampler_nodes.latent_of(guider.model_patcher, latent_image)
        recording = host.recording.watch.Recording(
            capture, capture_mb, host.editor.saving.provenance(cls), measure=measure
        )
        start = noise.generate_noise(latent)
        return _outputs(
            host.recording.sampler_nodes.sample_recorded(guider, start, latent, sampler, sigmas, noise.seed, recording)
        )


def too_fine(steps: int, denoise: float) -> str | None:
    """A complaint about a schedule too long to be made: the host makes steps / denoise levels and takes the last."""
    if denoise == 0 or steps / denoise <= MOST_LEVELS:
        return None
    return (
        f"{steps} steps at denoise {denoise:g} are the last of a schedule of {steps / denoise:,.0f} noise levels; at "
        f"most {MOST_LEVELS:,} are made. Raise denoise, or take fewer steps."
    )


def finite_schedule(sigmas: io.Sigmas.Type) -> str | None:
    """A complaint about a schedule that holds nan or inf."""
    if torch.isfinite(sigmas).all():
        return None
    return f"The sigmas hold {sigmas[~torch.isfinite(sigmas)][0]}. Use another scheduler, or more than one step."
