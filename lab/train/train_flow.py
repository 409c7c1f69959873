"""Make the latent demo model, which is not in the pack yet: a small VAE, and a denoiser of its latents (flow).

    python lab train_flow                                        everything (an hour or so on two cores)
    python lab train_flow --stage table                          print the card's table
    python lab train_flow --steps 20 --images 200 --out /tmp/x   a quick look at every part

Stages run in this order: vae, denoiser, export, evaluate, grids. The pictures and the judge are those of train_demo. A
stage finds what earlier ones left in the cache folder; an interrupted training goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from datetime import date
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...classifiers.files import load_classifier
from ...denoisers.latents import POCKET_LATENTS
from ...denoisers.pocket_flow import FlowSizes, PocketFlow, PocketVAE
from ...denoisers.reading import read_denoiser
from ...dev.places import ROOT
from ...files.safetensors import read_safetensors
from . import demo_data, demo_evaluation, demo_files, demo_vae
from .demo_flow import FlowBench, FlowProtocol, FlowRecipe, FlowTraining, per_channel, validation_loss
from .demo_training import Share, recipe_facts, to_images, train

STAGES = ("vae", "denoiser", "export", "evaluate", "grids")
CONFIG: dict[str, Any] = {"channels": 4, "ch": [64, 96], "emb": 64, "blocks": [2, 1, 2]}
NAME = "pocket-flow-1"
PROGRESS = 500  # validation images behind the printed losses
CHECKPOINTS = 250  # steps between two of them
GRID_GAMMAS = (1.0, 2.0, 4.0, 8.0)
LABEL_NOISE_NOTE = (
    "While the denoiser learned, 30 % of its labels were replaced by random ones, on purpose, as for pocket-1. So "
    "guidance has something to repair."
)
INTENDED_USE = "Showing what guidance does in latents and with flow matching, and testing rules there, on a CPU."
NOT_FOR = "Making pictures of quality, or judging a guidance rule for large models by its figures here alone."


class Workshop:
    """Where everything is, and the pictures as tensors."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        training, validation = options.images // 10, max(10, options.images // 100)
        self.drawn = demo_data.images_from(
            options.cache, training=training, validation=validation, processes=options.processes
        )
        self.images, self.labels = to_images(self.drawn.training), torch.from_numpy(self.drawn.training_labels)
        self.held_out = to_images(self.drawn.validation)
        self.held_out_labels = torch.from_numpy(self.drawn.validation_labels)
        self.recipe = FlowRecipe(steps=options.steps)
        self.path = options.out / "denoisers" / f"{NAME}.safetensors"
        self.card_path = self.path.with_suffix(".json")
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


def make_vae(shop: Workshop) -> None:
    """Train the VAE, or go on with it."""
    training = demo_vae.VAETraining(shop.images, shop.vae_recipe)
    demo_vae.train_vae(training, shop.held_out[:PROGRESS], shop.options.cache / "vae.checkpoint")


def train_part(rank: int, shop: Workshop) -> None:
    """Run the denoiser's training, or one process's share of it."""
    processes = shop.options.processes
    torch.set_num_threads(1)
    if processes > 1:
        meeting = shop.options.cache.resolve() / f"meeting.{os.getppid()}"
        torch.distributed.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=processes)
    held_out = shop.samples_of(demo_vae.latents_of(shop.vae, shop.held_out[:PROGRESS]))
    share, samples = Share(rank, processes), shop.samples_of(shop.latents)
    training = FlowTraining(samples, shop.labels, 1.0, shop.recipe, CONFIG, share)
    validation = held_out, shop.held_out_labels[:PROGRESS]
    train(training, validation, shop.options.cache / "flow.checkpoint", every=min(CHECKPOINTS, shop.recipe.steps))


def make_denoiser(shop: Workshop) -> None:
    """Train the denoiser, in as many processes as asked for."""
    print("latents", shop.space, flush=True)
    if shop.options.processes == 1:
        train_part(0, shop)
    else:
        torch.multiprocessing.start_processes(
            train_part, args=(shop,), nprocs=shop.options.processes, start_method="fork"
        )


def export(shop: Workshop) -> None:
    """Write the averaged weights of denoiser and VAE into one file.

    Raises ValueError where the latent space that the pack states is not that of this VAE.
    """
    check_space(shop.space)
    state = torch.load(shop.options.cache / "flow.checkpoint", weights_only=True)
    weights = state["average"] | {f"vae.{name}": weight for name, weight in shop.vae.state_dict().items()}
    training = recipe_facts(shop.recipe) | {
        "steps_done": state["step"],
        "seconds": round(state["seconds"]),
        "processes": shop.options.processes,
        "date": date.today().isoformat(),
        "vae": asdict(shop.vae_recipe),
    }
    data = demo_data.provenance(shop.drawn)
    facts = demo_files.denoiser_facts(NAME, config=CONFIG, labels=list(demo_data.LABELS), data=data, training=training)
    demo_files.write_denoiser(shop.path, weights, facts | demo_files.FLOW_FACTS)


def check_space(space: dict[str, Any]) -> None:
    """Refuse a VAE that needs other numbers than `POCKET_LATENTS` has."""
    stated = (*POCKET_LATENTS.shift, *POCKET_LATENTS.scale, *chain.from_iterable(POCKET_LATENTS.colours))
    found = (*space["shift"], *space["scale"], *chain.from_iterable([*space["colours"], space["middle"]]))
    if any(abs(one - other) > 1e-3 * max(1, abs(other)) for one, other in zip(stated, found, strict=True)):
        raise ValueError(f"POCKET_LATENTS in denoisers/latents.py is of another VAE. Write there: {space}.")


def read_flow(path: Path) -> tuple[PocketFlow, PocketVAE]:
    """Read denoiser and VAE as every user gets them: half-precision weights in float32 networks."""
    file = read_denoiser(path)
    network, vae = PocketFlow(FlowSizes(**file.spec.sizes, labels=len(file.spec.labels))), PocketVAE()
    for module, weights in ((network, file.weights), (vae, file.vae)):
        module.load_state_dict({name: weight.float() for name, weight in weights.items()})
        module.to(memory_format=torch.channels_last).eval().requires_grad_(False)
    return network, vae


def bench_of(shop: Workshop) -> FlowBench:
    """The written files and the judge, ready to measure."""
    judge, _ = load_classifier(ROOT / "assets" / "classifiers" / "pocket-judge-1.safetensors")
    features = torch.cat([judge.features(part) for part in shop.held_out.split(250)])
    real = demo_evaluation.statistics_of(features, shop.held_out_labels)
    return FlowBench(*read_flow(shop.path), judge, real, FlowProtocol(samples=shop.options.samples))


def evaluate(shop: Workshop) -> None:
    """Measure the file as users get it, and write the card; defects found by eye stay as the old card has them."""
    known = json.loads(shop.card_path.read_text()).get("known_defects", []) if shop.card_path.exists() else []
    bench, file = bench_of(shop), read_denoiser(shop.path)
    _, metadata = read_safetensors(shop.path)
    network, vae = read_flow(shop.path)
    card = {
        "name": NAME,
        "version": "1",
        "licence": demo_files.LICENCE,
        **demo_files.file_facts(shop.path),
        "parameters": demo_files.parameters(network),
        "multiply_adds": demo_files.multiply_adds(network, file.spec.shape),
        "vae": vae_facts(shop, bench, vae),
        "data": json.loads(metadata["gg.data"]),
        "training": json.loads(metadata["gg.training"]) | {"validation_loss": validation_of(shop, network)},
        "evaluation": {
            "protocol": demo_evaluation.protocol_facts(bench.protocol, sigma_max=1.0, sigma_min=0.0) | {"threads": 1},
            "real": demo_evaluation.real_row(bench, shop.images),
            "guidance": demo_evaluation.guidance_table(bench, shop.options.processes),
        },
        "known_defects": known,
        "label_noise_note": LABEL_NOISE_NOTE,
        "intended_use": INTENDED_USE,
        "not_for": NOT_FOR,
    }
    demo_files.write_json(shop.card_path, card)


def vae_facts(shop: Workshop, bench: FlowBench, vae: PocketVAE) -> dict[str, Any]:
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


def validation_of(shop: Workshop, network: PocketFlow) -> dict[str, float]:
    """Loss on held-out latents by noise level, in float32."""
    held_out = shop.samples_of(demo_vae.latents_of(shop.vae, shop.held_out[:PROGRESS]))
    return validation_loss(network, held_out, shop.held_out_labels[:PROGRESS])


def grids(shop: Workshop) -> None:
    """Write one sheet of samples a gamma (columns are labels, rows are seeds), and one of pictures through the VAE."""
    bench, count = bench_of(shop), min(100, shop.options.samples)
    with torch.no_grad():
        back = bench.vae.decode(bench.vae.encode(shop.held_out[:100]))
    demo_files.write_grid(shop.options.cache / "flow_vae.png", demo_evaluation.to_pixels(back))
    for gamma in GRID_GAMMAS:
        pixels = demo_evaluation.to_pixels(bench.guided_samples(gamma, count)[0])
        demo_files.write_grid(shop.options.cache / f"flow_gamma_{gamma:g}.png", pixels)


def print_table(options: argparse.Namespace) -> None:
    """Print the card's measurements as a markdown table."""
    print(demo_files.table_of(json.loads((options.out / "denoisers" / f"{NAME}.json").read_text())))


def parsed_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; a short run keeps its files out of the pack's folders."""
    parser = argparse.ArgumentParser(description="Make the latent demo model.")
    parser.add_argument("--stage", choices=("all", *STAGES, "table"), default="all")
    parser.add_argument("--steps", type=int, default=FlowRecipe.steps, help="training steps of the denoiser")
    parser.add_argument("--images", type=int, default=10 * demo_data.TRAINING, help="training images in all")
    parser.add_argument("--samples", type=int, help="samples a gamma for the card; 2,000, or 20 in a short run")
    parser.add_argument("--out", type=Path, default=ROOT / "assets", help="folder for the weights and the card")
    parser.add_argument("--cache", type=Path, help="folder for pictures, checkpoints and grids")
    parser.add_argument("--processes", type=int, default=2, help="processes that share the work; same result")
    options = parser.parse_args(arguments)
    own = options.out == ROOT / "assets"
    if own and (options.steps, options.images) != (FlowRecipe.steps, 10 * demo_data.TRAINING):
        parser.error("a run with other --steps or --images would overwrite the pack's weights: give --out FOLDER.")
    options.cache = options.cache or (ROOT / ".cache" / "train" if own else options.out / "cache")
    options.samples = options.samples or (2000 if options.steps >= 1000 else 20)
    return options


def main() -> None:
    """Run the stages that were asked for."""
    options = parsed_options()
    if options.stage == "table":
        print_table(options)
        return
    torch.set_num_threads(1)  # before the first tensor: the training's processes are forked
    shop = Workshop(options)
    parts = {"vae": make_vae, "denoiser": make_denoiser, "export": export, "evaluate": evaluate, "grids": grids}
    for name, part in parts.items():
        if options.stage in (name, "all"):
            part(shop)


if __name__ == "__main__":
    main()
