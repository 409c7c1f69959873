"""Make the demo model again: its pictures, the denoiser, three classifiers, the measurements and the card.

    python lab train_demo                                        everything (an hour or more on two cores)
    python lab train_demo --stage table                          print the card's table
    python lab train_demo --steps 20 --images 200 --out /tmp/x   a quick look at every part

    python lab train_demo --stage denoiser export --start assets/denoisers/pocket-1.safetensors \\
        --wrong 0 --steps 1500 --out DIR                                  fine-tune it on labels that are all right

Stages run in this order: data, classifiers, denoiser, export, fixtures, evaluate, grids. A stage finds what earlier
ones left in the cache folder. The run is counted in steps; an interrupted training goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...classifiers.files import load_classifier
from ...dev.places import ROOT
from . import demo_classifiers, demo_data, demo_evaluation, demo_files
from .demo_training import Recipe, Share, Training, recipe_facts, to_images, train, validation_loss

STAGES = ("data", "classifiers", "denoiser", "export", "fixtures", "evaluate", "grids")
CONFIG: dict[str, Any] = {"ch": [48, 96, 160], "emb": 128, "head": 16, "blocks": [1, 2, 2, 1, 1, 1]}
STORED = 100  # validation images kept for the tests: ten rows of the ten labels in order
PROGRESS = 500  # validation images behind the printed losses
FINE_TUNING = ((0.0, 0.3), (1.0, 0.0))  # corners of the learning rate where the weights are not random
GRID_GAMMAS = (0.0, 1.0, 2.0, 4.0, 8.0)
LABEL_NOISE_NOTE = (
    "While the denoiser learned, 30 % of its labels were replaced by random ones, on purpose (so 27 % were wrong). "
    "Captions on the web are like that. Without guidance (gamma = 1) the model reproduces the sloppy labels and draws "
    "about one wrong object in four; guidance exaggerates what the label adds and so repairs them. With clean labels a "
    "model this small obeys at once, and guidance would only do harm."
)
INTENDED_USE = "Showing what guidance does, teaching it, and testing guidance rules, on a CPU, in seconds."
NOT_FOR = "Making pictures of quality, or judging a guidance rule for large models by its figures here alone."


class Workshop:
    """Where everything is, and the pictures as tensors."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        training, validation = options.images // 10, max(10, options.images // 100)
        self.drawn = demo_data.images_from(
            options.cache, training=training, validation=validation, processes=options.processes
        )
        self.sigma_data = round(self.drawn.sigma_data, 6)
        self.images, self.labels = to_images(self.drawn.training), torch.from_numpy(self.drawn.training_labels)
        self.held_out = to_images(self.drawn.validation)
        self.held_out_labels = torch.from_numpy(self.drawn.validation_labels)
        falls = Recipe.falls if options.start is None else FINE_TUNING
        self.recipe = Recipe(steps=options.steps, wrong=options.wrong, falls=falls)
        self.denoiser_path = options.out / "denoisers" / f"{demo_files.DENOISER}.safetensors"
        self.card_path = self.denoiser_path.with_suffix(".json")

    def classifier_path(self, name: str) -> Path:
        """Where a classifier's file lies."""
        return self.options.out / "classifiers" / f"{name}.safetensors"

    def started(self, share: Share) -> Training:
        """A run at step zero."""
        training = Training(self.images, self.labels, self.sigma_data, self.recipe, CONFIG, share)
        if self.options.start is not None:
            training.begin_from(demo_files.read_denoiser(self.options.start)[0].state_dict())
        return training


def train_part(rank: int, shop: Workshop) -> None:
    """Run the training, or one process's share of it."""
    processes = shop.options.processes
    torch.set_num_threads(1)
    if processes > 1:
        meeting = shop.options.cache.resolve() / f"meeting.{os.getppid()}"
        torch.distributed.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=processes)
    validation = shop.held_out[:PROGRESS], shop.held_out_labels[:PROGRESS]
    training = shop.started(Share(rank, processes))
    losses = train(training, validation, shop.options.cache / "denoiser.checkpoint", every=min(1000, shop.recipe.steps))
    if rank == 0 and losses:
        print(f"loss of the first steps {np.mean(losses[:5]):.4f}, of the last {np.mean(losses[-5:]):.4f}")


def make_denoiser(shop: Workshop) -> None:
    """Train the denoiser, in as many processes as asked for."""
    if shop.options.processes == 1:
        train_part(0, shop)
    else:
        torch.multiprocessing.start_processes(
            train_part, args=(shop,), nprocs=shop.options.processes, start_method="fork"
        )


def make_classifiers(shop: Workshop) -> None:
    """Train the three classifiers, none longer than --steps, and write their files."""
    data = demo_data.provenance(shop.drawn)
    for whole in demo_classifiers.RECIPES:
        recipe = replace(whole, steps=min(whole.steps, shop.recipe.steps))
        config = demo_classifiers.config_of(recipe, len(demo_data.LABELS), shop.sigma_data)
        network = demo_classifiers.train_classifier(recipe, config, shop.images, shop.labels)
        found = demo_classifiers.accuracies(recipe, network, shop.held_out, shop.held_out_labels)
        print(recipe.name, found, flush=True)
        demo_files.write_classifier(
            shop.classifier_path(recipe.name),
            network,
            recipe,
            config=config,
            labels=list(demo_data.LABELS),
            data=data,
            accuracy=found,
        )


def export(shop: Workshop) -> None:
    """Write the averaged weights of the last checkpoint."""
    state = torch.load(shop.options.cache / "denoiser.checkpoint", weights_only=True)
    start = {} if shop.options.start is None else {"start": demo_files.file_facts(shop.options.start)}
    facts = (
        recipe_facts(shop.recipe)
        | start
        | {
            "steps_done": state["step"],
            "seconds": round(state["seconds"]),
            "processes": shop.options.processes,
            "date": date.today().isoformat(),
        }
    )
    told = demo_files.denoiser_facts(
        demo_files.DENOISER,
        config=CONFIG,
        labels=list(demo_data.LABELS),
        data=demo_data.provenance(shop.drawn),
        training=facts,
    )
    demo_files.write_denoiser(shop.denoiser_path, state["average"], told | demo_files.pocket_facts(shop.sigma_data))


def fixtures(shop: Workshop) -> None:
    """Write the pictures and statistics that the tests need."""
    judge, _ = load_classifier(shop.classifier_path("pocket-judge-1"))
    features, labels = judged(shop, judge), shop.held_out_labels
    halves = torch.stack(
        [demo_evaluation.statistics_of(features[own], labels[own] // 2).within for own in halved(labels)]
    )
    real = demo_evaluation.statistics_of(features, labels)
    demo_files.write_fixtures(shop.options.fixtures, shop.drawn.validation[:STORED], real, halves)


def halved(labels: torch.Tensor) -> list[torch.Tensor]:
    """Which are of even labels, and which of odd ones."""
    return [labels % 2 == parity for parity in (0, 1)]


@torch.no_grad()
def judged(shop: Workshop, judge: torch.nn.Module) -> torch.Tensor:
    """Judge features of all validation images."""
    return torch.cat([judge.features(part) for part in shop.held_out.split(250)])


def real_statistics(shop: Workshop, judge: torch.nn.Module) -> demo_evaluation.Statistics:
    """Of the judge's features of all validation images."""
    return demo_evaluation.statistics_of(judged(shop, judge), shop.held_out_labels)


def evaluate(shop: Workshop) -> None:
    """Measure the files as users get them, and write the card; defects found by eye stay as the old card has them."""
    known = json.loads(shop.card_path.read_text()).get("known_defects", []) if shop.card_path.exists() else []
    network, metadata = demo_files.read_denoiser(shop.denoiser_path)
    card = {
        "name": demo_files.DENOISER,
        "version": "1",
        "licence": demo_files.LICENCE,
        **demo_files.file_facts(shop.denoiser_path),
        "parameters": demo_files.parameters(network),
        "multiply_adds": demo_files.multiply_adds(network),
        "data": json.loads(metadata["gg.data"]) | {"sigma_data": shop.sigma_data},
        "training": json.loads(metadata["gg.training"]) | losses_of(shop, network),
        "classifiers": [classifier_facts(shop.classifier_path(r.name)) for r in demo_classifiers.RECIPES],
        "evaluation": evaluation_of(shop, bench_of(shop, network)),
        "known_defects": known,
        "label_noise_note": LABEL_NOISE_NOTE,
        "intended_use": INTENDED_USE,
        "not_for": NOT_FOR,
    }
    demo_files.write_json(shop.card_path, card)


def losses_of(shop: Workshop, network: torch.nn.Module) -> dict[str, dict[str, float]]:
    """Validation loss in float32 on 500 images, and on the 100 that the tests keep."""
    counts = {"validation_loss": PROGRESS, "validation_loss_stored": STORED}
    return {
        key: validation_loss(network, shop.held_out[:count], shop.held_out_labels[:count], shop.sigma_data)
        for key, count in counts.items()
    }


def classifier_facts(path: Path) -> dict[str, Any]:
    """What the card says about a classifier's file."""
    network, metadata = load_classifier(path)
    return {
        "role": metadata["gg.role"],
        **demo_files.file_facts(path),
        "parameters": demo_files.parameters(network),
        "validation_accuracy": json.loads(metadata["gg.accuracy"]),
    }


def bench_of(shop: Workshop, network: torch.nn.Module) -> demo_evaluation.Bench:
    """The denoiser, the judge and the real images' statistics, ready to measure."""
    judge, _ = load_classifier(shop.classifier_path("pocket-judge-1"))
    protocol = demo_evaluation.Protocol(samples=shop.options.samples)
    return demo_evaluation.Bench(network, judge, real_statistics(shop, judge), shop.sigma_data, protocol)


def evaluation_of(shop: Workshop, bench: demo_evaluation.Bench) -> dict[str, Any]:
    """Everything measured on samples."""
    guides = [load_classifier(shop.classifier_path(name))[0] for name in ("pocket-noisy-1", "pocket-clean-1")]
    few = min(200, shop.options.samples)
    return {
        "protocol": demo_evaluation.protocol_facts(bench.protocol) | {"threads": 1},
        "real": demo_evaluation.real_row(bench, shop.images),
        "guidance": demo_evaluation.guidance_table(bench, shop.options.processes),
        "nearest_training_image": demo_evaluation.nearest_distance(bench.guided_samples(1.0, few)[0], shop.images),
        "classifier_guidance": demo_evaluation.classifier_table(bench, guides, few),
    }


def grids(shop: Workshop) -> None:
    """Write one sheet of samples a gamma (columns are labels, rows are seeds) and one of real images, to look at."""
    network, _ = demo_files.read_denoiser(shop.denoiser_path)
    bench, count = bench_of(shop, network), min(STORED, shop.options.samples)
    demo_files.write_grid(shop.options.cache / "grid_real.png", shop.drawn.validation[:STORED])
    for gamma in GRID_GAMMAS:
        pixels = demo_evaluation.to_pixels(bench.guided_samples(gamma, count)[0])
        demo_files.write_grid(shop.options.cache / f"grid_gamma_{gamma:g}.png", pixels)


def print_table(options: argparse.Namespace) -> None:
    """Print the card's measurements as a markdown table."""
    print(demo_files.table_of(json.loads((options.out / "denoisers" / f"{demo_files.DENOISER}.json").read_text())))


def parsed_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; a short run keeps its files out of the pack's folders."""
    parser = argparse.ArgumentParser(description="Make the embedded demo model again.")
    parser.add_argument("--stage", nargs="+", choices=("all", *STAGES, "table"), default=["all"])
    parser.add_argument("--steps", type=int, default=Recipe.steps, help="training steps of the denoiser")
    parser.add_argument("--wrong", type=float, default=Recipe.wrong, help="share of labels replaced by a random one")
    parser.add_argument("--start", type=Path, help="a denoiser's file to fine-tune, instead of random weights")
    parser.add_argument("--images", type=int, default=10 * demo_data.TRAINING, help="training images in all")
    parser.add_argument("--samples", type=int, help="samples a gamma for the card; 2,000, or 20 in a short run")
    parser.add_argument("--out", type=Path, default=ROOT / "assets", help="folder for the weights and the card")
    parser.add_argument("--cache", type=Path, help="folder for pictures, checkpoint and grids")
    parser.add_argument("--fixtures", type=Path, help="folder for what the tests need")
    parser.add_argument("--processes", type=int, default=2, help="processes that share the work; same result")
    options = parser.parse_args(arguments)
    own = options.out == ROOT / "assets"
    usual = (Recipe.steps, 10 * demo_data.TRAINING, Recipe.wrong, None)
    if own and (options.steps, options.images, options.wrong, options.start) != usual:
        parser.error(
            "a run with other --steps, --images, --wrong or --start would overwrite the pack's weights: "
            "give --out FOLDER."
        )
    options.cache = options.cache or (ROOT / ".cache" / "train" if own else options.out / "cache")
    options.fixtures = options.fixtures or (ROOT / "tests" / "fixtures" if own else options.out / "fixtures")
    options.samples = options.samples or (2000 if options.steps >= 1000 else 20)
    return options


def main() -> None:
    """Run the stages that were asked for."""
    options = parsed_options()
    if "table" in options.stage:
        print_table(options)
        return
    torch.set_num_threads(1)  # before the first tensor: the training's processes are forked
    shop = Workshop(options)
    parts = {
        "classifiers": make_classifiers,
        "denoiser": make_denoiser,
        "export": export,
        "fixtures": fixtures,
        "evaluate": evaluate,
        "grids": grids,
    }
    for name, part in parts.items():
        if {name, "all"} & set(options.stage):
            part(shop)


if __name__ == "__main__":
    main()
