"""A miss as a picture beside the page, with its words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ..pictures import write_pixels
from ..train.demo_data import LABELS
from .drawing import draw_grid
from .misses import Shown
from .worlds import Pocket, World

STEM = "verdict-"  # of the names of the page's pictures


def picture(shown: Shown, worlds: Mapping[str, World], folder: Path) -> str:
    """Draw a miss; its words and the link to it."""
    name, world = f"{STEM}{shown.name}.webp", worlds[shown.setting.world]
    assert isinstance(world, Pocket), "misses are of trained worlds"
    pictures = [list(world.pictures(torch.from_numpy(np.stack(row))).numpy()) for row in shown.ends]
    heads = [f"\u03b3 {gamma:g}" for gamma in shown.gammas]
    names = [[LABELS[label] for label in row] for row in shown.named]
    write_pixels(folder / name, draw_grid(pictures, heads, shown.frame, names).png())
    return f"{shown.words[0].upper()}{shown.words[1:]}.\n\n![{shown.words}](figures/{name})"
