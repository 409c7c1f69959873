"""How the second demo model's VAE learns: absolute errors of pixels and of edges, and a faint pull to unit latents."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import autocast

from ...models.denoisers.pocket_flow import PocketVAE
from .demo_training import Muon, channels_last

BY_ADAMW = ("encoder.1.", "encoder.6.", "decoder.0.", "decoder.8.")  # where numbers of another kind go in or come out
STORED = ("network", "average", "adamw")


@dataclass(frozen=True)
class VAERecipe:
    """Everything that decides the VAE's weights."""

    steps: int = 2000
    batch: int = 48
    adamw_rate: float = 2e-3
    muon_rate: float = 0.02
    muon_decay: float = 0.01
    muon_momentum: float = 0.95
    warm_up: int = 50
    flat: float = 0.4  # share of the run before the rates fall to zero
    edges: float = 1.0  # weight of the finite differences' error
    divergence: float = 1e-3  # weight of the KL divergence per latent number
    average: float = 0.995  # share of the average kept at each step
    seed: int = 44


def differences(picture: Tensor) -> tuple[Tensor, Tensor]:  # [B, C, H, W] -> right and down
    """What changes from each pixel to its neighbours."""
    return picture.diff(dim=3), picture.diff(dim=2)


def reconstruction_error(made: Tensor, picture: Tensor, edges: float) -> Tensor:  # -> scalar
    """mean |error| + edges * mean |error of the finite differences|."""
    error = made - picture
    return error.abs().mean() + edges * sum(part.abs().mean() for part in differences(error)) / 2


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:  # -> scalar
    """KL(N(mean, variance) | N(0, 1)), in nats per latent number."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


class VAETraining:
    """State of one run."""

    def __init__(self, images: Tensor, recipe: VAERecipe):
        torch.manual_seed(recipe.seed)
        self.images, self.recipe, self.step, self.seconds = images, recipe, 0, 0.0
        self.network = channels_last(PocketVAE())
        self.average = PocketVAE().requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        by_muon = [p for name, p in self.network.named_parameters() if p.ndim > 1 and not name.startswith(BY_ADAMW)]
        taken = {id(p) for p in by_muon}
        rest = [p for p in self.network.parameters() if id(p) not in taken]
        self.muon = Muon(by_muon, recipe)
        self.adamw = torch.optim.AdamW(rest, lr=recipe.adamw_rate, betas=(0.9, 0.99), weight_decay=0)
        self.generator = torch.Generator().manual_seed(recipe.seed)

    def rate(self) -> float:
        """Learning rate as a share of its peak: warm-up, flat, then straight to zero."""
        r = self.recipe
        return min((self.step + 1) / r.warm_up, 1.0, (1 - self.step / r.steps) / (1 - r.flat))

    def advance(self) -> float:
        """One step; returns the loss."""
        r, g = self.recipe, self.generator
        picture = self.images[torch.randint(len(self.images), (r.batch,), generator=g)]
        with autocast("cpu", torch.bfloat16):
            mean, log_variance = (part.float() for part in self.network.posterior(picture))
            log_variance = log_variance.clamp(-20, 10)
            latent = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=g)
            made = self.network.decode(latent)
        pull = r.divergence * divergence(mean, log_variance)
        loss = reconstruction_error(made.float(), picture, r.edges) + pull
        loss.backward()
        self.muon.step(self.rate() * r.muon_rate)
        self.adamw.param_groups[0]["lr"] = self.rate() * r.adamw_rate
        self.adamw.step()
        self.network.zero_grad(set_to_none=True)
        self.step += 1
        self.follow()
        return loss.item()

    @torch.no_grad()
    def follow(self) -> None:
        """Let the average go a little way towards the weights."""
        kept = min(self.recipe.average, self.step / (self.step + 10))
        for mean, weight in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(weight.detach(), 1 - kept)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on."""
        stored = {name: getattr(self, name).state_dict() for name in STORED}
        stored["muon"] = list(self.muon.momenta.values())
        return stored | {"generator": self.generator.get_state(), "step": self.step, "seconds": self.seconds}

    def resume(self, state: dict[str, Any]) -> None:
        """Take over a stored state."""
        for name in STORED:
            getattr(self, name).load_state_dict(state[name])
        self.muon.momenta = dict(zip(self.muon.momenta, state["muon"], strict=True))
        self.generator.set_state(state["generator"])
        self.step, self.seconds = state["step"], state["seconds"]


def train_vae(training: VAETraining, held_out: Tensor, checkpoint: Path, every: int = 100) -> None:
    """Run to the recipe's last step; every `every` steps store the state and print the error on held-out pictures."""
    if checkpoint.exists():
        training.resume(torch.load(checkpoint, weights_only=True))
    begun, history = time.monotonic() - training.seconds, []
    while training.step < training.recipe.steps:
        history.append(training.advance())
        training.seconds = time.monotonic() - begun
        if training.step % every and training.step < training.recipe.steps:
            continue
        partial = checkpoint.with_suffix(".partial")
        torch.save(training.state(), partial)
        partial.replace(checkpoint)
        mean, off = sum(history[-every:]) / len(history[-every:]), error_of(training.average, held_out)
        print(f"vae step {training.step} seconds {training.seconds:.0f} loss {mean:.4f} held out {off}", flush=True)


@torch.no_grad()
def error_of(vae: PocketVAE, pictures: Tensor) -> dict[str, float]:
    """Mean absolute and root mean square error of what comes back."""
    made = torch.cat([vae.decode(vae.encode(part)) for part in pictures.split(250)]).clamp(-1, 1)
    error = made - pictures
    return {"mean": round(error.abs().mean().item(), 4), "rms": round(error.square().mean().sqrt().item(), 4)}


@torch.no_grad()
def latents_of(vae: PocketVAE, pictures: Tensor) -> Tensor:  # [N, 3, H, W] -> [N, C, H/4, W/4]
    """The mean latents of pictures."""
    return torch.cat([vae.encode(part) for part in pictures.split(250)])


def scaling_of(latents: Tensor) -> tuple[list[float], list[float]]:  # [N, C, H, W] -> shift, scale
    """What brings each channel to mean 0 and deviation 1:  sample = (latent - shift) * scale."""
    deviation, mean = torch.std_mean(latents.double(), dim=(0, 2, 3))
    return [round(v, 5) for v in mean.tolist()], [round(v, 5) for v in (1 / deviation).tolist()]


def colours_of(samples: Tensor, pictures: Tensor) -> tuple[list[list[float]], list[float]]:
    """Least squares from a cell of a sample to the mean colour of its pixels: factors [C][3] and bias [3]."""
    cells = samples.double().movedim(1, -1).flatten(0, 2)
    side = pictures.shape[2] // samples.shape[2]
    colours = nn.functional.avg_pool2d(pictures.double(), side).movedim(1, -1).flatten(0, 2)
    rows = torch.linalg.lstsq(torch.cat([cells, torch.ones(len(cells), 1, dtype=cells.dtype)], dim=1), colours).solution
    rounded = [[round(v, 5) for v in row] for row in rows.tolist()]
    return rounded[:-1], rounded[-1]
