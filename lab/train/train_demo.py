"""Make the demo model again: its pictures, the denoiser, three classifiers, the measurements and the card.

    python lab train_demo                                        everything (an hour or more on two cores)
    python lab train_demo --stage table                          print the card's table
    python lab train_demo --steps 20 --images 200 --out /tmp/x   a quick look at every part

    python lab train_demo --stage denoiser export --start assets/denoisers/pocket-1.safetensors \\
        --wrong 0 --steps 1500 --out DIR                                  fine-tune it on labels that are all right

Stages run in this order: data, classifiers, denoiser, export, fixtures, evaluate. A stage finds what earlier ones left
in the cache folder. The run is counted in steps; an interrupted training goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...dev.places import ROOT
from ...models.classifiers.files import load_classifier
from ...models.classifiers.networks import PocketJudge
from ...models.denoisers.pocket import PocketUNet
from . import demo_classifiers, demo_data, demo_evaluation, demo_files
from .demo_training import Recipe, Share, Training, validation_loss
from .workshop import PROGRESS, Workshop, make_denoiser, options_of, parse_options, run_stages

STAGES = ("data", "classifiers", "denoiser", "export", "fixtures", "evaluate")
CONFIG: dict[str, Any] = {"ch": [48, 96, 160], "emb": 128, "head": 16, "blocks": [1, 2, 2, 1, 1, 1]}
STORED = 100  # validation images kept for the tests: ten rows of the ten labels in order
FINE_TUNING = ((0.0, 0.3), (1.0, 0.0))  # corners of the learning rate where the weights are not random
LABEL_NOISE_NOTE = (
    "While the denoiser learned, 30 % of its labels were replaced by random ones, on purpose (so 27 % were wrong). "
    "Captions on the web are like that. Without guidance (gamma = 1) the model reproduces the sloppy labels and draws "
    "about one wrong object in four; guidance exaggerates what the label adds and so repairs them. With clean labels a "
    "model this small obeys at once, and guidance would only do harm."
)


class PocketWorkshop(Workshop):
    """Pocket's."""

    name = demo_files.DENOISER
    label_noise = LABEL_NOISE_NOTE
    intended_use = "Showing what guidance does, teaching it, and testing guidance rules, on a CPU, in seconds."
    checkpoint, often = "denoiser.checkpoint", 1000

    def __init__(self, options: argparse.Namespace):
        super().__init__(options)
        self.sigma_data = round(self.drawings.sigma_data, 6)
        falls = Recipe.falls if options.start is None else FINE_TUNING
        self.recipe = Recipe(steps=options.steps, wrong=options.wrong, falls=falls)

    def classifier_path(self, name: str) -> Path:
        """Where a classifier's file lies."""
        return self.options.out / "classifiers" / f"{name}.safetensors"

    def begin(self, share: Share) -> Training:
        """A run at step zero."""
        training = Training(self.images, self.labels, self.sigma_data, self.recipe, CONFIG, share)
        if self.options.start is not None:
            training.begin_from(demo_files.read_denoiser(self.options.start)[0].state_dict())
        return training


def make_classifiers(shop: PocketWorkshop) -> None:
    """Train the three classifiers, none longer than --steps, and write their files."""
    data = demo_data.provenance(shop.drawings)
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


def export(shop: PocketWorkshop) -> None:
    """Write the averaged weights of the last checkpoint."""
    state = torch.load(shop.checkpoint_path, weights_only=True)
    start = {} if shop.options.start is None else {"start": demo_files.file_facts(shop.options.start)}
    facts = shop.file_facts(CONFIG, shop.training_facts(state, **start)) | demo_files.pocket_facts(shop.sigma_data)
    demo_files.write_denoiser(shop.path, state["average"], facts)


def fixtures(shop: PocketWorkshop) -> None:
    """Write the pictures and statistics that the tests need."""
    judge = demo_files.read_judge(shop.classifier_path("pocket-judge-1"))
    features, labels = judge_features(shop, judge), shop.held_out_labels
    real = demo_evaluation.statistics_of(features, labels)
    demo_files.write_fixtures(shop.options.fixtures, shop.drawings.validation[:STORED])
    demo_files.write_statistics(shop.options.out / "statistics" / "pocket-judge-1.safetensors", real)


@torch.no_grad()
def judge_features(shop: PocketWorkshop, judge: PocketJudge) -> torch.Tensor:
    """Judge features of all validation images."""
    return torch.cat([judge.features(part) for part in shop.held_out.split(250)])


def real_statistics(shop: PocketWorkshop, judge: PocketJudge) -> demo_evaluation.Statistics:
    """Of the judge's features of all validation images."""
    return demo_evaluation.statistics_of(judge_features(shop, judge), shop.held_out_labels)


def evaluate(shop: PocketWorkshop) -> None:
    """Measure the files as users get them, and write the card."""
    network, metadata = demo_files.read_denoiser(shop.path)
    facts = {
        "parameters": demo_files.parameters(network),
        "multiply_adds": demo_files.multiply_adds(network),
        "data": json.loads(metadata["gg.data"]) | {"sigma_data": shop.sigma_data},
        "training": json.loads(metadata["gg.training"]) | losses_of(shop, network),
        "classifiers": [classifier_facts(shop.classifier_path(r.name)) for r in demo_classifiers.RECIPES],
        "evaluation": evaluation_of(shop, bench_of(shop, network)),
    }
    shop.write_card(facts)


def losses_of(shop: PocketWorkshop, network: torch.nn.Module) -> dict[str, dict[str, float]]:
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


def bench_of(shop: PocketWorkshop, network: PocketUNet) -> demo_evaluation.Bench:
    """The denoiser, the judge and the real images' statistics, ready to measure."""
    judge = demo_files.read_judge(shop.classifier_path("pocket-judge-1"))
    protocol = demo_evaluation.Protocol(samples=shop.options.samples)
    return demo_evaluation.Bench(network, judge, real_statistics(shop, judge), shop.sigma_data, protocol)


def evaluation_of(shop: PocketWorkshop, bench: demo_evaluation.Bench) -> dict[str, Any]:
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


def parsed_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = options_of("Make the embedded demo model again.", STAGES, Recipe.steps)
    parser.add_argument("--wrong", type=float, default=Recipe.wrong, help="share of labels replaced by a random one")
    parser.add_argument("--start", type=Path, help="a denoiser's file to fine-tune, instead of random weights")
    parser.add_argument("--fixtures", type=Path, help="folder for what the tests need")
    options = parse_options(parser, arguments, ("steps", "images", "wrong", "start"))
    own = options.out == ROOT / "assets"
    options.fixtures = options.fixtures or (ROOT / "tests" / "fixtures" if own else options.out / "fixtures")
    return options


def main() -> None:
    """Run the stages that were asked for."""
    stages = {
        "classifiers": make_classifiers,
        "denoiser": make_denoiser,
        "export": export,
        "fixtures": fixtures,
        "evaluate": evaluate,
    }
    run_stages(parsed_options(), PocketWorkshop, stages)


if __name__ == "__main__":
    main()
