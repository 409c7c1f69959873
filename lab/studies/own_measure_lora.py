"""What the model's own measure says of a trained LoRA at rising strength.

A small LoRA is trained on each demo model, in the form that ComfyUI loads, until its pictures are tinted; nothing of it
is kept. Then the model draws at cfg 1 with it, at several strengths, and is asked about its own pictures.
`python lab own_measure_lora` prints the table of docs/own-measure.md.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ... import library as gg
from ..markdown import table
from .judging import LABELS
from .own_measure import MODELS, draw, labels_of, pictures_of
from .own_measure_liked import encoded, validation_pictures
from .own_measure_models import in_words

RANK, STEPS, BATCH, RATE, DROPPED = 4, 400, 16, 2e-3, 0.1  # of the training; dropped: share of steps without a label
STRENGTHS = (0.0, 0.5, 1.0, 2.0, 4.0)
COLOUR, SHARE = (0.8, -0.3, -0.8), 0.5  # of the tint, and of it in a picture
LEARNED, SPREAD = 500, 1.3  # pictures to learn from; of ln sigma in training


class LowRank(nn.Module):
    """W + strength up down, the weight of a convolution as a matrix.  LoRA, arXiv 2106.09685"""

    def __init__(self, weight: Tensor):
        super().__init__()
        rows, columns = weight.flatten(1).shape
        self.down = nn.Parameter(torch.randn(RANK, columns) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, RANK))
        self.strength = 1.0

    def forward(self, weight: Tensor) -> Tensor:
        """The patched weight."""
        return weight + self.strength * (self.up @ self.down).reshape(weight.shape)


def put_on(network: nn.Module) -> list[LowRank]:
    """A new LoRA on every matrix and convolution of a network."""
    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
    lora = [LowRank(layer.weight) for layer in layers]
    for layer, low in zip(layers, lora, strict=True):
        parametrize.register_parametrization(layer, "weight", low)
    return lora


def tinted(pictures: Tensor) -> Tensor:  # [B, 3, H, W]
    """Half of each picture, and half one colour."""
    return torch.lerp(pictures, torch.tensor(COLOUR)[:, None, None], SHARE)


def train(denoiser: gg.NetworkDenoiser, lora: list[LowRank]) -> None:
    """Teach a LoRA that all pictures are tinted, by the loss of EDM: arXiv 2206.00364, equation 8."""
    clean = encoded(denoiser, tinted(validation_pictures(LEARNED)))
    size, flow = denoiser.facts["sigma_data"], denoiser.facts["space"] == "flow"
    optimiser = torch.optim.Adam([weight for low in lora for weight in low.parameters()], RATE)
    generator, chance = torch.Generator().manual_seed(0), random.Random(0)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        rows = torch.randint(len(clean), (BATCH,), generator=generator)
        level = 2.718281828 ** chance.gauss(0.0, SPREAD)
        x, sigma = clean[rows], level * size
        signal = 1 / (1 + sigma) if flow else 1.0
        y = signal * (x + sigma * torch.randn(x.shape, generator=generator))
        labels = None if chance.random() < DROPPED else (rows % LABELS).tolist()
        loss = (1 + level**-2) * (denoiser(y, sigma * signal, labels) - x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def tint_of(pictures: Tensor, before: Tensor) -> float:
    """How much of the tint pictures have, in its own units: how far their mean colour moved along it."""
    wanted = (tinted(before) - before).mean(dim=(0, 2, 3))
    moved = (pictures - before).mean(dim=(0, 2, 3))
    return float((moved * wanted).sum() / wanted.square().sum())


def rows(name: str, count: int) -> Iterator[tuple[str, ...]]:
    """A row for every strength."""
    torch.manual_seed(0)
    denoiser = gg.load_denoiser(name)
    lora = put_on(denoiser.network)
    train(denoiser, lora)
    ask, before = partial(gg.measure, denoiser, draws=2), None
    with torch.no_grad():
        for strength in STRENGTHS:
            for low in lora:
                low.strength = strength
            x = draw(denoiser, 1.0, count)
            said, pictures = ask(x, labels_of(x)), pictures_of(denoiser, x)
            before = pictures if before is None else before
            tint = f"{tint_of(pictures, before):.2f}"
            yield f"{strength:g}", tint, said.strength.text, said.ratio.text, in_words(said.gate)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=30, help="of every strength")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in MODELS:
        head = f"{name}, LoRA at | tint | prompt strength | denoising ratio | gate"
        print("\n" + table(head, rows(name, given.pictures)), flush=True)


if __name__ == "__main__":
    main()
