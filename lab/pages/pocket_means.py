"""The mean picture of Pocket's training data, over all and label by label: what a perfect prediction starts from.

    python lab pocket_means --cache .cache/train

Draws the training pictures again (or takes them from the cache), checks that they are the card's, and stores the means.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...dev.places import ROOT
from ...files.safetensors import read_safetensors, write_safetensors
from ..train.demo_data import Images, images_from

CARD = ROOT / "assets" / "denoisers" / "pocket-1.json"
MEANS = Path(__file__).with_suffix(".safetensors")


@dataclass(frozen=True)
class Means:
    """Mean pictures in [-1, 1]: of all training pictures [3, 32, 32], and of every label [10, 3, 32, 32]."""

    every: Tensor
    label: Tensor

    def means_with_errors(self, wrong: float) -> Tensor:  # -> [10, 3, 32, 32]
        """What a label means to a network whose labels were replaced by a random one with probability `wrong`.

        E[x0 | label] = (1 - wrong) mean of the label + wrong mean of all
        """
        return (1 - wrong) * self.label + wrong * self.every


def means_of(images: Images) -> Means:
    """Mean the training pictures of equally frequent labels."""
    x0 = torch.from_numpy(images.training).double().permute(0, 3, 1, 2) / 127.5 - 1
    labels = torch.from_numpy(images.training_labels)
    label = torch.stack([x0[labels == k].mean(0) for k in range(int(labels.max()) + 1)])
    return Means(x0.mean(0), label)


def card() -> dict:
    """Pocket's card."""
    return json.loads(CARD.read_text(encoding="utf-8"))


def write_means(path: Path, images: Images) -> None:
    """Store the means in half precision, with the checksum of the pictures they are of."""
    means = means_of(images)
    tensors = {name: tensor.half().contiguous() for name, tensor in vars(means).items()}
    write_safetensors(path, tensors, {"gg.data_sha256": images.sha256})


def read_means(path: Path = MEANS) -> Means:
    """Read the means; ValueError if they are of other pictures than the card's."""
    tensors, metadata = read_safetensors(path, finite=True)
    wanted, found = card()["data"]["sha256"], metadata.get("gg.data_sha256")
    if found != wanted:
        raise ValueError(f"{path.name} is of pictures {found}, the card says {wanted}. Run lab pocket_means.")
    return Means(tensors["every"].float(), tensors["label"].float())


def main() -> None:
    """Make the file anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "train")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    write_means(MEANS, images_from(args.cache, processes=args.processes))
    read_means()
    print(f"{MEANS}: {MEANS.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
