"""Make the latent demo model, which is not in the pack yet: a small VAE, and a denoiser of its latents (flow).

    python lab train_flow                                        everything (an hour or so on two cores)
    python lab train_flow --stage table                          print the card's table
    python lab train_flow --steps 20 --images 200 --out /tmp/x   a quick look at every part

Stages run in this order: vae, denoiser, export, evaluate. The pictures and the judge are those of train_demo. A
stage finds what earlier ones left in the cache folder; an interrupted training goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...files.safetensors import read_safetensors
from ...models.denoisers.latents import POCKET_LATENTS
from ...models.denoisers.pocket_flow import FlowSizes, PocketFlow, PocketVAE
from ...models.denoisers.reading import read_denoiser
from . import demo_evaluation, demo_files, demo_vae
from .demo_flow import FlowBench, FlowProtocol, FlowRecipe, FlowTraining, per_channel, validation_loss
from .demo_training import Share, channels_last
from .workshop import PROGRESS, Workshop, options_of, parse_options, run_stages
from .workshop import make_denoiser as make_any_denoiser

STAGES = ("vae", "denoiser", "export", "evaluate")
CONFIG: dict[str, Any] = {"channels": 4, "ch": [64, 96], "emb": 64, "blocks": [2, 1, 2]}
NAME = "pocket-flow-1"
LABEL_NOISE_NOTE = (
    "While the denoiser learned, 30 % of its labels were replaced by random ones, on purpose, as for pocket-1. So "
    "guidance has something to repair."
)


class FlowWorkshop(Workshop):
    """Pocket Flow's."""

    name = NAME
    label_noise = LABEL_NOISE_NOTE
    intended_use = "Showing what guidance does in latents and with flow matching, and testing rules there, on a CPU."
    checkpoint, often = "flow.checkpoint", 250

    def __init__(self, options: argparse.Namespace):
        super().__init__(options)
        self.recipe = FlowRecipe(steps=options.steps)
        self.vae_recipe = demo_vae.VAERecipe(steps=min(options.steps, demo_vae.VAERecipe.steps))

    @cached_property
    def vae(self) -> PocketVAE:
        """The averaged VAE of the last checkpoint, in half precision as its file has it."""
        state = torch.load(self.options.cache / "vae.checkpoint", weights_only=True)["average"]
        vae = PocketVAE().requires_grad_(False)
        vae.load_state_dict({name: weight.half().float() for name, weight in state.items()})
        return vae

    @cached_property
    def latents(self) -> Tensor:  # [N, C, 8, 8]
        """The training pictures' mean latents."""
        return demo_vae.latents_of(self.vae, self.images)

    @cached_property
    def space(self) -> dict[str, Any]:
        """How latents become samples of unit deviation, and colours for previews."""
        shift, scale = demo_vae.scaling_of(self.latents)
        sample = (self.latents - per_channel(shift)) * per_channel(scale)
        factors, bias = demo_vae.colours_of(sample, self.images)
        return {"shift": shift, "scale": scale, "colours": factors, "middle": bias}

    def samples_of(self, latents: Tensor) -> Tensor:
        """Latents scaled to unit deviation."""
        return (latents - per_channel(self.space["shift"])) * per_channel(self.space["scale"])

    def begin(self, share: Share) -> FlowTraining:
        """A run at step zero."""
        return FlowTraining(self.samples_of(self.latents), self.labels, 1.0, self.recipe, CONFIG, share)

    def validation(self) -> tuple[Tensor, Tensor]:
        """Held-out pictures as samples, and their labels."""
        pictures, labels = super().validation()
        return self.samples_of(demo_vae.latents_of(self.vae, pictures)), labels


def make_vae(shop: FlowWorkshop) -> None:
    """Train the VAE, or go on with it."""
    training = demo_vae.VAETraining(shop.images, shop.vae_recipe)
    demo_vae.train_vae(training, shop.held_out[:PROGRESS], shop.options.cache / "vae.checkpoint")


def make_denoiser(shop: FlowWorkshop) -> None:
    """Train the denoiser on the VAE's latents."""
    print("latents", shop.space, flush=True)
    make_any_denoiser(shop)


def export(shop: FlowWorkshop) -> None:
    """Write the averaged weights of denoiser and VAE into one file.

    Raises ValueError where the latent space that the pack states is not that of this VAE.
    """
    check_space(shop.space)
    state = torch.load(shop.checkpoint_path, weights_only=True)
    weights = state["average"] | {f"vae.{name}": weight for name, weight in shop.vae.state_dict().items()}
    facts = shop.file_facts(CONFIG, shop.training_facts(state, vae=asdict(shop.vae_recipe)))
    demo_files.write_denoiser(shop.path, weights, facts | demo_files.FLOW_FACTS)


def check_space(space: dict[str, Any]) -> None:
    """Refuse a VAE that needs other numbers than `POCKET_LATENTS` has."""
    stated = (*POCKET_LATENTS.shift, *POCKET_LATENTS.scale, *chain.from_iterable(POCKET_LATENTS.colours))
    found = (*space["shift"], *space["scale"], *chain.from_iterable([*space["colours"], space["middle"]]))
    if any(abs(one - other) > 1e-3 * max(1, abs(other)) for one, other in zip(stated, found, strict=True)):
        raise ValueError(f"POCKET_LATENTS in models/denoisers/latents.py is of another VAE. Write there: {space}.")


def read_flow(path: Path) -> tuple[PocketFlow, PocketVAE]:
    """Read denoiser and VAE as every user gets them: half-precision weights in float32 networks."""
    file = read_denoiser(path)
    network, vae = PocketFlow(FlowSizes(**file.spec.sizes, labels=len(file.spec.labels))), PocketVAE()
    for module, weights in ((network, file.weights), (vae, file.vae)):
        module.load_state_dict({name: weight.float() for name, weight in weights.items()})
        channels_last(module).eval().requires_grad_(False)
    return network, vae


def bench_of(shop: FlowWorkshop) -> FlowBench:
    """The written files and the judge, ready to measure."""
    judge = demo_files.read_judge()
    features = torch.cat([judge.features(part) for part in shop.held_out.split(250)])
    real = demo_evaluation.statistics_of(features, shop.held_out_labels)
    return FlowBench(*read_flow(shop.path), judge, real, FlowProtocol(samples=shop.options.samples))


def evaluate(shop: FlowWorkshop) -> None:
    """Measure the file as users get it, and write the card."""
    bench, file = bench_of(shop), read_denoiser(shop.path)
    _, metadata = read_safetensors(shop.path)
    network, vae = read_flow(shop.path)
    loss = validation_loss(network, *shop.validation())
    facts = {
        "parameters": demo_files.parameters(network),
        "multiply_adds": demo_files.multiply_adds(network, file.spec.shape),
        "vae": vae_facts(shop, bench, vae),
        "data": json.loads(metadata["gg.data"]),
        "training": json.loads(metadata["gg.training"]) | {"validation_loss": loss},
        "evaluation": {
            "protocol": demo_evaluation.protocol_facts(bench.protocol, sigma_max=1.0, sigma_min=0.0) | {"threads": 1},
            "real": demo_evaluation.real_row(bench, shop.images),
            "guidance": demo_evaluation.guidance_table(bench, shop.options.processes),
        },
    }
    shop.write_card(facts)


def vae_facts(shop: FlowWorkshop, bench: FlowBench, vae: PocketVAE) -> dict[str, Any]:
    """Size, errors on held-out pictures, and what the judge sees of pictures that went through it."""
    with torch.no_grad():
        back = torch.cat([vae.decode(vae.encode(part)) for part in shop.held_out.split(250)])
    measured = bench.measure(back)
    return {
        "parameters": demo_files.parameters(vae),
        "error": demo_vae.error_of(vae, shop.held_out),
        "latent": {"downscale": POCKET_LATENTS.downscale, "shift": POCKET_LATENTS.shift, "scale": POCKET_LATENTS.scale},
        "held_out": {key: measured[key] for key in ("accuracy", "frechet", "classwise", "grain")},
    }


def main() -> None:
    """Run the stages that were asked for."""
    options = parse_options(
        options_of("Make the latent demo model.", STAGES, FlowRecipe.steps), None, ("steps", "images")
    )
    stages = {"vae": make_vae, "denoiser": make_denoiser, "export": export, "evaluate": evaluate}
    run_stages(options, FlowWorkshop, stages)


if __name__ == "__main__":
    main()
