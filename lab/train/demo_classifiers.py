"""How the demo's classifiers learn: clean and noise-aware ones that may guide, and a judge that only judges.

All three learn from true labels; only the denoiser is shown wrong ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.amp import autocast

from ...models.classifiers.networks import build
from .demo_training import SIGMA_MAX, channels_last

BATCH = 64
RATE, DECAY, WARM_UP = 2e-3, 0.02, 50
NOISY_SIGMAS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)
NOISY_LOWEST = 0.01


@dataclass(frozen=True)
class ClassifierRecipe:
    """One classifier: what it is for, how long and from which seed it learns."""

    name: str
    architecture: str
    role: str
    steps: int
    seed: int
    label_smoothing: float = 0.0


RECIPES = (
    ClassifierRecipe("pocket-clean-1", "pocket-clean-1", "clean", 300, 11),
    ClassifierRecipe("pocket-judge-1", "pocket-judge-1", "judge", 400, 22, label_smoothing=0.02),
    ClassifierRecipe("pocket-noisy-1", "pocket-noisy-1", "noise-aware", 1400, 33),
)

Augment = Callable[[Tensor, torch.Generator], tuple[Tensor, ...]]  # images -> the network's inputs


def uniform(batch: int, low: float, high: float, g: torch.Generator) -> Tensor:  # -> [batch]
    """Numbers drawn evenly between low and high."""
    return low + (high - low) * torch.rand(batch, generator=g)


def shift(x0: Tensor, g: torch.Generator, reach: int = 2) -> Tensor:  # [B, C, H, W] -> same
    """Move each image by up to `reach` pixels; the edge repeats."""
    batch, channels, height, width = x0.shape
    padded = nn.functional.pad(x0, (reach,) * 4, mode="replicate")
    down, right = (torch.randint(0, 2 * reach + 1, (batch,), generator=g) for _ in range(2))
    rows = (down[:, None] + torch.arange(height))[:, None, :, None]
    columns = (right[:, None] + torch.arange(width))[:, None, None, :]
    item, channel = torch.arange(batch)[:, None, None, None], torch.arange(channels)[None, :, None, None]
    return padded[item, channel, rows, columns]


def add_noise(x0: Tensor, sigma: Tensor, g: torch.Generator) -> Tensor:  # [B, ...], [B] -> [B, ...]
    """Return x0 + sigma * eps."""
    return x0 + sigma[:, None, None, None] * torch.randn(x0.shape, generator=g)


def augment_clean(x0: Tensor, g: torch.Generator) -> tuple[Tensor, ...]:
    """Shifts, and noise up to 0.3: a guide sees predictions, which are never quite clean."""
    return (add_noise(shift(x0, g), uniform(len(x0), 0, 0.3, g), g),)


def augment_judge(x0: Tensor, g: torch.Generator) -> tuple[Tensor, ...]:
    """Shifts, brightness and contrast by 10 %, a blur in 30 %, noise up to 0.1 in half."""
    batch = len(x0)
    x = shift(x0, g)
    contrast, brightness = uniform(batch, 0.9, 1.1, g), uniform(batch, -0.1, 0.1, g)
    x = x * contrast[:, None, None, None] + brightness[:, None, None, None]
    blurred = nn.functional.avg_pool2d(nn.functional.pad(x, (1,) * 4, mode="replicate"), 3, stride=1)
    chosen = torch.rand(batch, generator=g) < 0.3
    x = torch.where(chosen[:, None, None, None], blurred, x)
    noisy = torch.rand(batch, generator=g) < 0.5
    return (add_noise(x, uniform(batch, 0, 0.1, g) * noisy, g),)


def augment_noisy(x0: Tensor, g: torch.Generator) -> tuple[Tensor, ...]:
    """Noise of every level: half log-uniform, half around the levels where classes are decided."""
    batch = len(x0)
    even = uniform(batch, math.log(NOISY_LOWEST), math.log(SIGMA_MAX), g)
    near = 0.2 + 1.2 * torch.randn(batch, generator=g)
    logs = torch.where(torch.rand(batch, generator=g) < 0.5, even, near)
    sigma = logs.clamp(math.log(NOISY_LOWEST), math.log(SIGMA_MAX)).exp()
    return add_noise(x0, sigma, g), sigma


AUGMENTATIONS: dict[str, Augment] = {
    "clean": augment_clean,
    "judge": augment_judge,
    "noise-aware": augment_noisy,
}


def config_of(recipe: ClassifierRecipe, labels: int, sigma_data: float) -> dict[str, float]:
    """Arguments that rebuild the network."""
    return {"labels": labels} | ({"sigma_data": sigma_data} if recipe.role == "noise-aware" else {})


def train_classifier(recipe: ClassifierRecipe, config: dict[str, float], images: Tensor, labels: Tensor) -> nn.Module:
    """Train one classifier: AdamW, warm-up, cosine, bfloat16.  images [N, 3, 32, 32] in [-1, 1], labels [N]"""
    torch.manual_seed(recipe.seed)
    g = torch.Generator().manual_seed(recipe.seed)
    network = channels_last(build(recipe.architecture, config)).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    for step in range(recipe.steps):
        warm, progress = min(1.0, (step + 1) / WARM_UP), step / recipe.steps
        optimiser.param_groups[0]["lr"] = RATE * warm * 0.5 * (1 + math.cos(math.pi * progress))
        chosen = torch.randint(len(images), (BATCH,), generator=g)
        inputs = AUGMENTATIONS[recipe.role](images[chosen], g)
        with autocast("cpu", torch.bfloat16):
            logits = network(*inputs)
        loss = nn.functional.cross_entropy(logits.float(), labels[chosen], label_smoothing=recipe.label_smoothing)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return network.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(network: nn.Module, labels: Tensor, *inputs: Tensor) -> float:
    """Share of arg-max labels that are right."""
    parts = zip(*(tensor.split(250) for tensor in inputs), strict=True)
    found = torch.cat([network(*part).argmax(1) for part in parts])
    return (found == labels).double().mean().item()


def accuracies(recipe: ClassifierRecipe, network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Validation accuracy: on clean images, or by noise level (fixed noise)."""
    if recipe.role != "noise-aware":
        return {"clean": round(accuracy(network, labels, images), 4)}
    found = {}
    for sigma in NOISY_SIGMAS:
        level = torch.full((len(images),), sigma)
        noisy = add_noise(images, level, torch.Generator().manual_seed(2000))
        found[f"{sigma:g}"] = round(accuracy(network, labels, noisy, level), 4)
    return found
