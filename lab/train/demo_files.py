"""What the demo's weight files and card say: names, metadata, checksums, and the table made from the card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ...dev.places import ROOT
from ...files.safetensors import read_safetensors, write_safetensors
from ...files.writing import write_atomically
from ...models.classifiers.files import load_classifier
from ...models.classifiers.networks import PocketJudge
from ...models.denoisers.pocket import PocketSizes, PocketUNet
from ...models.networks.weights import weights_of
from .. import markdown
from .demo_classifiers import NOISY_LOWEST, ClassifierRecipe
from .demo_evaluation import Statistics
from .demo_training import SIGMA_MAX, SIGMA_MIN, channels_last

JUDGE = ROOT / "assets" / "classifiers" / "pocket-judge-1.safetensors"

DENOISER = "pocket-1"
LICENCE = "CC0-1.0"
CLASSIFIER_INPUT = "RGB 32x32 in [-1, 1], unclamped; noise-aware: that image + sigma * eps, and sigma itself"


def with_prefix(facts: dict[str, Any]) -> dict[str, str]:
    """Metadata values are text: strings as they are, everything else as JSON."""
    return {f"gg.{key}": v if isinstance(v, str) else json.dumps(v) for key, v in facts.items()}


def half(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights in half precision, refusing what it cannot hold."""
    stored = {name: tensor.detach().half().contiguous() for name, tensor in weights.items()}
    for name, tensor in stored.items():
        if not tensor.isfinite().all():
            raise ValueError(f"tensor '{name}' does not fit into half precision. Train again with a lower rate.")
    return stored


def write_model(path: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write a model in half precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(path, half(weights), with_prefix(facts))


def write_denoiser(path: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write a denoiser with everything a loader needs to know."""
    write_model(path, weights, facts)


def denoiser_facts(
    name: str, *, config: dict[str, Any], labels: list[str], data: dict[str, Any], training: dict[str, Any]
) -> dict[str, Any]:
    """What the files of both demo denoisers say."""
    return {
        "format": "guidance-geometry/denoiser",
        "version": "1",
        "name": name,
        "licence": LICENCE,
        "config": config,
        "range": "-1,1",
        "labels": labels,
        "null_index": str(len(labels)),
        "data": data,
        "training": training,
    }


def pocket_facts(sigma_data: float) -> dict[str, str]:
    """What only Pocket's file says."""
    return {
        "architecture": "pocket-unet-1",
        "parametrisation": "F",
        "preconditioning": "edm",
        "schedule": "ve",
        "sigma_min": f"{SIGMA_MIN:g}",
        "sigma_max": f"{SIGMA_MAX:g}",
        "sigma_data": f"{sigma_data:.6f}",
        "image_size": "32",
        "channels": "3",
    }


FLOW_FACTS = {
    "architecture": "pocket-flow-1",
    "parametrisation": "flow",
    "schedule": "flow",
    "time": "log_sigma",
    "sigma_data": "1.000000",
    "image_size": "8",
    "channels": "4",
}


def write_classifier(
    path: Path,
    network: nn.Module,
    recipe: ClassifierRecipe,
    *,
    config: dict[str, Any],
    labels: list[str],
    data: dict[str, Any],
    accuracy: dict[str, float],
) -> None:
    """Write one classifier with everything a loader needs to know."""
    aware = recipe.role == "noise-aware"
    facts = {
        "format": "guidance-geometry/classifier",
        "version": "1",
        "name": recipe.name,
        "licence": LICENCE,
        "architecture": recipe.architecture,
        "config": config,
        "role": recipe.role,
        "input": CLASSIFIER_INPUT,
        "image_size": "32",
        "channels": "3",
        "range": "-1,1",
        "sigma_input": "sigma" if aware else "none",
        "sigma_min": f"{NOISY_LOWEST:g}" if aware else "0",
        "sigma_max": f"{SIGMA_MAX:g}" if aware else "0.3",
        "feature_layer": "features" if recipe.role == "judge" else "none",
        "label_noise": "0",
        "labels": labels,
        "data": data,
        "accuracy": accuracy,
        "training": {"steps": recipe.steps, "batch": 64, "seed": recipe.seed, "torch": torch.__version__},
    }
    write_model(path, weights_of(network), facts)


def read_denoiser(path: Path) -> tuple[PocketUNet, dict[str, str]]:
    """Read the denoiser as every user gets it: half-precision weights in a float32 network."""
    weights, metadata = read_safetensors(path, finite=True)
    labels = len(json.loads(metadata["gg.labels"]))
    network = PocketUNet(PocketSizes(**json.loads(metadata["gg.config"]), labels=labels))
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return channels_last(network).eval().requires_grad_(False), metadata


def read_judge(path: Path = JUDGE) -> PocketJudge:
    """The network that says what a picture shows."""
    judge, _ = load_classifier(path)
    assert isinstance(judge, PocketJudge)
    return judge


def multiply_adds(network: nn.Module, shape: tuple[int, ...] = (3, 32, 32)) -> int:
    """Multiply-adds of one image and one evaluation.  shape: of its sample"""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *shape), torch.zeros(1), torch.zeros(1, dtype=torch.long))
    return counter.get_total_flops() // 2


def parameters(network: nn.Module) -> int:
    """Number of trained numbers."""
    return sum(p.numel() for p in network.parameters())


def checksum(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def file_facts(path: Path) -> dict[str, Any]:
    """Name, checksum and size of a file, as the card states them."""
    content = path.read_bytes()
    return {"file": path.name, "sha256": checksum(content), "bytes": len(content)}


def write_json(path: Path, facts: dict[str, Any]) -> None:
    """Write a card, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, [(json.dumps(facts, indent=1, ensure_ascii=True) + "\n").encode()])


HEAD = "gamma | accuracy (95 % interval) | Frechet | class-wise Frechet | diversity | clipped, % | grain"


def cells_of(row: dict[str, Any]) -> list[str]:
    """One gamma's measurements."""
    distances = [f"{row['frechet']:.2f}", f"{row['classwise']:.2f}", f"{row['diversity']:.3f}"]
    shares = [f"{row['gamma']:g}", markdown.between(row["accuracy"], *row["ci95"])]
    return [*shares, *distances, f"{row['clipped']:.1f}", f"{row['grain']:.2f}"]


def table_of(card: dict[str, Any]) -> str:
    """The card's measurements as a Markdown table."""
    evaluation = card["evaluation"]
    real, samples = evaluation["real"], evaluation["protocol"]["samples"]
    floors = [f"{real['frechet_floor']:.2f}", f"{real['classwise_floor']:.2f}", f"{real['diversity']:.3f}"]
    last = ["real images", f"{real['accuracy']:.3f}", *floors, "0.0", f"{real['grain']:.2f}"]
    rows = [*map(cells_of, evaluation["guidance"]), last]
    return f"Measured on {samples:,} samples a row.\n\n{markdown.table(HEAD, rows)}"


def sheet_of(pixels: np.ndarray, columns: int = 10) -> np.ndarray:  # uint8 [N, H, W, 3] -> [rows * H, columns * W, 3]
    """Lay images out in rows of `columns`."""
    count, height, width, channels = pixels.shape
    rows = pixels.reshape(count // columns, columns, height, width, channels).swapaxes(1, 2)
    return rows.reshape(count // columns * height, columns * width, channels)


def images_of(sheet: np.ndarray, side: int = 32) -> np.ndarray:  # uint8 [rows * 32, columns * 32, 3] -> [N, 32, 32, 3]
    """Cut a sheet into its images again, row by row."""
    rows, columns = sheet.shape[0] // side, sheet.shape[1] // side
    return sheet.reshape(rows, side, columns, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)


def write_fixtures(folder: Path, pixels: np.ndarray) -> None:
    """Write validation images (ten rows of the ten labels in order)."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet_of(pixels)).save(folder / "pocket_validation.png")


def write_statistics(file: Path, real: Statistics) -> None:
    """Write what the judge sees of real pictures."""
    file.parent.mkdir(parents=True, exist_ok=True)
    note = {"gg.note": "features of pocket-judge-1 on all validation images; see Statistics in demo_evaluation.py"}
    write_safetensors(
        file, {name: tensor.float() for name, tensor in vars(real).items()}, note | {"gg.licence": LICENCE}
    )
