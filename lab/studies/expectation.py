"""A prediction is an average: one section of docs/the-geometry-of-guidance.md, its table and figure.

How far the demo model's predictions are from the mean of its training pictures, without a label and with one, over runs
of Euler steps. `python lab expectation` takes a minute of one core; `--means FOLDER` first makes the means again of the
training pictures that `train_demo` keeps in a folder.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import torch
from matplotlib import pyplot
from torch import Tensor

from ... import library as gg
from ...files.safetensors import read_safetensors, write_safetensors
from ..markdown import table
from ..train.demo_data import LABELS, images_from
from .runs import FIGURES, SAMPLE, SIGMAS, keep, pixels
from .straight_line import rms

MEANS = Path(__file__).with_name("pocket_means.safetensors")
WRONG, SEED = 0.3, 5  # the share of labels that were replaced by random ones in training
SHOWN = (0, 2, 4, 5, 6, 8, 10, 13)  # steps


def write_means(folder: Path) -> None:
    """Of all training pictures [3, 32, 32] and of every label [10, 3, 32, 32], in -1 .. 1."""
    images = images_from(folder)
    x0 = torch.from_numpy(images.training).double().permute(0, 3, 1, 2) / 127.5 - 1
    label = torch.stack([x0[torch.from_numpy(images.training_labels) == k].mean(0) for k in range(len(LABELS))])
    tensors = {"every": x0.mean(0).half(), "label": label.half()}
    write_safetensors(MEANS, tensors, {"gg.data_sha256": images.sha256})


def euler(denoiser: gg.NetworkDenoiser, x: Tensor, labels: list[int] | None) -> tuple[list[Tensor], list[Tensor]]:
    """The states of a run without guidance, the end last, and its predictions."""
    states, predictions = [x], []
    for sigma, then in pairwise(SIGMAS):
        predictions.append(denoiser(states[-1], sigma, labels))
        states.append(states[-1] + (1 - then / sigma) * (predictions[-1] - states[-1]))
    return states, predictions


def draw(rows: dict[str, list[tuple[Tensor | None, str]]], path: Path) -> None:
    """Pictures of one sample in rows, a number under each; the first column is a mean."""
    heads = ["mean", *(f"\u03c3 {SIGMAS[k]:.3g}" for k in SHOWN)]
    figure, grid = pyplot.subplots(len(rows), len(heads), figsize=(9.6, 4.2), layout="constrained")
    for place, head in zip(grid[0], heads, strict=True):
        place.set_title(head)
    for places, (name, shown) in zip(grid, rows.items(), strict=True):
        places[0].set_ylabel(name)
        for place, (picture, words) in zip(places, shown, strict=True):
            place.set(xticks=[], yticks=[], xlabel=words)
            place.spines[:].set_visible(False)
            if picture is not None:
                place.imshow(pixels(picture))
    keep(figure, path)


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--means", type=Path, metavar="FOLDER", help="make the means again, of these pictures")
    parser.add_argument("--out", type=Path, default=FIGURES, help="folder of the figure")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.means:
        write_means(given.means)
    means = {name: tensor.float() for name, tensor in read_safetensors(MEANS)[0].items()}
    pocket, labels = gg.load_denoiser("pocket-1"), [k % 10 for k in range(given.samples)]
    noise = torch.randn(given.samples, *pocket.shape, generator=torch.Generator().manual_seed(SEED))
    (states, free), (_, asked) = (euler(pocket, SIGMAS[0] * noise, one) for one in (None, labels))
    told = ((1 - WRONG) * means["label"] + WRONG * means["every"])[labels]  # what a label means to the model
    far, far_label, to_end = (
        [float(rms(one - goal).mean()) for one in seen]
        for seen, goal in ((free, means["every"]), (asked, told), (free, states[-1]))
    )
    head = (
        "\u03c3 | x\u03020 to the mean of all | x\u03020\\|y to the mean of its label | x\u03020 to the end of its run"
    )
    print(table(head, ([f"{SIGMAS[k]:.3g}", *(f"{one[k]:.3f}" for one in (far, far_label, to_end))] for k in SHOWN)))
    print(f"\nx\u03020 ends {far[-1]:.2f} away from the mean of all.")
    scaled = [states[k][SAMPLE] / (1 + SIGMAS[k] ** 2) ** 0.5 for k in SHOWN]
    rows = {
        "noisy sample": [(None, ""), *((one, "") for one in scaled)],
        "without a label": [(means["every"], ""), *((free[k][SAMPLE], f"{far[k]:.2f}") for k in SHOWN)],
        f"for {LABELS[SAMPLE]}": [(told[SAMPLE], ""), *((asked[k][SAMPLE], f"{far_label[k]:.2f}") for k in SHOWN)],
    }
    draw(rows, given.out / "story-expectation.webp")


if __name__ == "__main__":
    main()
