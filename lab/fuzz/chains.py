"""Random chains of one to six rules under any of the pack's samplers, with odd steps, levels, latents and scales."""

from __future__ import annotations

from random import Random
from typing import Any

from . import values
from .catalogue import Catalogue
from .graphs import Builder, Graph, Wire

SIGMAS = (
    "BasicScheduler",
    "SplitSigmas",
    "FlipSigmas",
    "SetFirstSigma",
    "PolyexponentialScheduler",
    "SplitSigmasDenoise",
)
LONGEST = 6


def rules_of(catalogue: Catalogue) -> list[str]:
    """The nodes that put something on a guidance wire."""
    return [kind.name for kind in catalogue.values() if kind.ours and kind.outputs == ("GG_GUIDANCE",)]


def chain_graph(rng: Random, catalogue: Catalogue) -> tuple[list[str], Graph]:
    """The rules by name, and a run that they guide."""
    builder = Builder(catalogue)
    names = [rng.choice(rules_of(catalogue)) for _ in range(rng.randint(1, LONGEST))]
    wire: Wire | None = None
    for name in names:
        wire = [with_knobs(rng, builder, name, wire), 0]
    run = rng.choice((with_our_sampler, with_our_sampler, with_patched_model, with_our_guider))
    builder.finish(run(rng, builder, wire))
    return names, builder.graph


def with_knobs(rng: Random, builder: Builder, kind: str, before: Wire | None) -> str:
    """A rule with random settings that its widgets allow, after another one or first."""
    slots = builder.catalogue[kind].inputs
    settings = {slot.name: values.plain(rng, slot) for slot in slots.values() if slot.is_widget}
    wires = {"guidance": before} if before else {}
    optional = [slot.name for slot in slots.values() if not (slot.required or slot.is_widget) and rng.random() < 0.3]
    return builder.add(kind, wires, optional if before else (), **settings)


def with_our_sampler(rng: Random, builder: Builder, guidance: Wire | None) -> str:
    """Our own sampler."""
    wires = {"guidance": guidance, "latent_image": latent(rng, builder)}
    return builder.add("GGGuidedSampler", wires, **sampling(rng, builder, "GGGuidedSampler"))


def with_patched_model(rng: Random, builder: Builder, guidance: Wire | None) -> str:
    """The host's sampler with a patched model; its latent is printed."""
    model = [builder.add("GGGuidancePatch", {"guidance": guidance}), 0]
    wires = {"model": model, "latent_image": latent(rng, builder)}
    return builder.add("KSampler", wires, **sampling(rng, builder, "KSampler"))


def with_our_guider(rng: Random, builder: Builder, guidance: Wire | None) -> str:
    """Our guider, with noise levels of any kind."""
    guider = builder.add("GGGuider", {"guidance": guidance}, cfg=rng.choice((0.0, 1.0, 4.0, 100.0)))
    sampler = builder.add(rng.choice(("KSamplerSelect", "GGSamplerDDPM", "GGSamplerDDIM")))
    slots = builder.catalogue[builder.graph[sampler]["class_type"]].inputs
    builder.graph[sampler]["inputs"] |= {slot.name: values.plain(rng, slot) for slot in slots.values()}
    levels = builder.add(rng.choice(SIGMAS))
    for slot in builder.catalogue[builder.graph[levels]["class_type"]].inputs.values():
        if slot.is_widget:
            builder.graph[levels]["inputs"][slot.name] = values.plain(rng, slot)
    wires = {"guider": [guider, 0], "sampler": [sampler, 0], "sigmas": [levels, 0]}
    return builder.add("GGInspectedSampler", wires | {"latent_image": latent(rng, builder)})


def sampling(rng: Random, builder: Builder, kind: str) -> dict[str, Any]:
    """Any sampler and scheduler, few steps, usual and unusual scales."""
    slots = builder.catalogue[kind].inputs
    return {
        "sampler_name": rng.choice(slots["sampler_name"].facts["options"]),
        "scheduler": rng.choice(slots["scheduler"].facts["options"]),
        "steps": rng.choice((1, 1, 2, 3, 4)),
        "cfg": rng.choice((0.0, 0.5, 1.0, 1.0, 4.0, 7.5, 100.0)),
        "denoise": rng.choice((1.0, 1.0, 1.0, 0.5, 0.01, 0.0)),
        "seed": rng.randrange(1 << 20),
    }


def latent(rng: Random, builder: Builder) -> Wire:
    """A canvas of some size, or a latent that is odd."""
    names = [name for name in builder.catalogue["LoadLatent"].inputs["latent"].facts["options"] if name[:3] == "odd"]
    if names and rng.random() < 0.15:
        return [builder.add("LoadLatent", latent=rng.choice(names)), 0]
    sides: dict[str, Any] = {
        "width": rng.choice((0, 8, 32, 40, 64)),
        "height": rng.choice((0, 8, 32, 56)),
        "batch_size": rng.choice((1, 2, 3)),
    }
    return [builder.add("GGEmptyCanvas", **sides), 0]
