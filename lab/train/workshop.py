"""What making either demo model has in common: its pictures and places, the training in processes, the command line."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.multiprocessing.spawn import start_processes

from ...dev.places import ROOT
from . import demo_data, demo_files
from .demo_training import Course, Share, Training, recipe_facts, to_images, train

PROGRESS = 500  # validation images behind the printed losses


class Workshop:
    """Where everything is, and the pictures as tensors.

    name: of the denoiser. label_noise, intended_use, not_for: for its card. recipe: of its training. often: steps
    between two checkpoints of it.
    """

    name: str
    label_noise: str
    intended_use: str
    not_for = "Making pictures of quality, or judging a guidance rule for large models by its figures here alone."
    checkpoint: str
    often: int
    recipe: Course

    def __init__(self, options: argparse.Namespace):
        self.options = options
        training, validation = options.images // 10, max(10, options.images // 100)
        self.drawings = demo_data.images_from(
            options.cache, training=training, validation=validation, processes=options.processes
        )
        self.images, self.labels = to_images(self.drawings.training), torch.from_numpy(self.drawings.training_labels)
        self.held_out = to_images(self.drawings.validation)
        self.held_out_labels = torch.from_numpy(self.drawings.validation_labels)
        self.path = options.out / "denoisers" / f"{self.name}.safetensors"
        self.card_path = self.path.with_suffix(".json")
        self.checkpoint_path = options.cache / self.checkpoint

    def begin(self, share: Share) -> Training:
        """A run at step zero."""
        raise NotImplementedError

    def validation(self) -> tuple[Tensor, Tensor]:
        """What the printed losses are of."""
        return self.held_out[:PROGRESS], self.held_out_labels[:PROGRESS]

    def training_facts(self, state: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """How the weights of a checkpoint came about, for their file."""
        done = {"steps_done": state["step"], "seconds": round(state["seconds"])}
        processes = {"processes": self.options.processes, "date": date.today().isoformat()}
        return recipe_facts(self.recipe) | done | processes | more

    def file_facts(self, config: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
        """What the file says of the denoiser."""
        about = {"config": dict(config), "labels": list(demo_data.LABELS), "training": dict(training)}
        return demo_files.denoiser_facts(self.name, data=demo_data.provenance(self.drawings), **about)

    def write_card(self, facts: Mapping[str, Any]) -> None:
        """Write the card; defects found by eye stay as the old card has them."""
        known = json.loads(self.card_path.read_text()).get("known_defects", []) if self.card_path.exists() else []
        head = {"name": self.name, "version": "1", "licence": demo_files.LICENCE, **demo_files.file_facts(self.path)}
        words = {"label_noise_note": self.label_noise, "intended_use": self.intended_use, "not_for": self.not_for}
        demo_files.write_json(self.card_path, {**head, **facts, "known_defects": known, **words})


def train_part(rank: int, shop: Workshop) -> None:
    """Run the denoiser's training, or one process's share of it."""
    processes = shop.options.processes
    torch.set_num_threads(1)
    if processes > 1:
        meeting = shop.options.cache.resolve() / f"meeting.{os.getppid()}"
        torch.distributed.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=processes)
    every = min(shop.often, shop.recipe.steps)
    losses = train(shop.begin(Share(rank, processes)), shop.validation(), shop.checkpoint_path, every=every)
    if rank == 0 and losses:
        print(f"loss of the first steps {np.mean(losses[:5]):.4f}, of the last {np.mean(losses[-5:]):.4f}")


def make_denoiser(shop: Workshop) -> None:
    """Train the denoiser, in as many processes as asked for."""
    if shop.options.processes == 1:
        train_part(0, shop)
    else:
        start_processes(train_part, args=(shop,), nprocs=shop.options.processes, start_method="fork")


def options_of(what: str, stages: tuple[str, ...], steps: int) -> argparse.ArgumentParser:
    """The command line of either program.  steps: of a whole training"""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--stage", nargs="+", choices=("all", *stages, "table"), default=["all"])
    parser.add_argument("--steps", type=int, default=steps, help="training steps of the denoiser")
    parser.add_argument("--images", type=int, default=10 * demo_data.TRAINING, help="training images in all")
    parser.add_argument("--samples", type=int, help="samples a gamma for the card; 2,000, or 20 in a short run")
    parser.add_argument("--out", type=Path, default=ROOT / "assets", help="folder for the weights and the card")
    parser.add_argument("--cache", type=Path, help="folder for pictures and checkpoints")
    parser.add_argument("--processes", type=int, default=2, help="processes that share the work; same result")
    return parser


def parse_options(parser: argparse.ArgumentParser, arguments: list[str] | None, protected: tuple[str, ...]) -> Any:
    """Read the command line; a short run keeps its files out of the pack's folders.

    protected: options whose defaults alone may make the pack's own weights.
    """
    options = parser.parse_args(arguments)
    own = options.out == ROOT / "assets"
    if own and any(getattr(options, name) != parser.get_default(name) for name in protected):
        *others, last = (f"--{name}" for name in protected)
        parser.error(
            f"a run with other {', '.join(others)} or {last} would overwrite the pack's weights: give --out FOLDER."
        )
    options.cache = options.cache or (ROOT / ".cache" / "train" if own else options.out / "cache")
    options.samples = options.samples or (2000 if options.steps >= 1000 else 20)
    return options


def run_stages(options: argparse.Namespace, kind: type[Workshop], stages: Mapping[str, Callable[[Any], None]]) -> None:
    """Run the stages that were asked for, or print the card's measurements as a Markdown table."""
    if "table" in options.stage:
        card = options.out / "denoisers" / f"{kind.name}.json"
        print(demo_files.table_of(json.loads(card.read_text())))
        return
    torch.set_num_threads(1)  # before the first tensor: the training's processes are forked
    shop = kind(options)
    for name, stage in stages.items():
        if {name, "all"} & set(options.stage):
            stage(shop)
