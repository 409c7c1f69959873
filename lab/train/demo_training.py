"""How the demo denoiser learns: loss balanced over noise levels, Muon for matrices, AdamW for the rest, power EMA."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp import autocast

from ...models.denoisers.pocket import PocketSizes, PocketUNet
from ...models.denoisers.pocket_flow import PocketFlow

SIGMA_MIN, SIGMA_MAX = 0.002, 80.0
VALIDATION_SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)
BINS = 24
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic that drives singular values towards 1 (Jordan et al. 2024)
BY_ADAMW = ("stem", "head.look", "head.mix", "head.blocks", "head.colour", "embedding.first", "embedding.classes")


Pockets = PocketUNet | PocketFlow
Network = Callable[[Tensor, Tensor, Tensor], Tensor]  # noisy sample, level, labels -> output
Module = TypeVar("Module", bound=nn.Module)


def channels_last(network: Module) -> Module:
    """Lay the kernels out as convolutions on a CPU like them best."""
    return nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)


@dataclass(frozen=True)
class Course:
    """What decides the weights of either demo denoiser; the run is counted in steps, never in minutes."""

    steps: int = 9000
    batch: int = 48
    wrong: float = 0.3  # rho: share of labels replaced by a uniform one
    null: float = 0.15  # share of labels dropped
    warm_up: int = 50
    falls: tuple[tuple[float, float], ...] = ((5 / 9, 1.0), (1.0, 0.0))  # corners: share of the run, learning rate
    muon_rate: float = 0.02
    muon_decay: float = 0.01
    muon_momentum: float = 0.95
    adamw_rate: float = 2e-3
    ema_power: int = 17  # beta = (1 - 1/step)^17
    seed_weights: int = 0
    seed_data: int = 1


@dataclass(frozen=True)
class Recipe(Course):
    """Noise levels that Pocket sees: log-normal and log-uniform."""

    sigma_mean: float = -0.6  # of ln(sigma), for `sigma_normal` of the batch; the rest is log-uniform
    sigma_mean_late: float = -0.9  # in the last part, where edges and flat areas are finished
    late: float = 2 / 3  # share of the run after which that part begins
    sigma_std: float = 1.3
    sigma_normal: float = 0.88


def to_images(pixels: np.ndarray) -> Tensor:  # uint8 [N, H, W, 3] -> [N, 3, H, W] in [-1, 1]
    """Turn 8-bit pictures into what the network sees."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def edm_coefficients(sigma: Tensor, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:  # sigma [B] -> three [B]
    """Weigh the noisy image against the network:  D(x) = c_skip * x + c_out * F(c_in * x, ln(sigma) / 4).

        c_skip = s^2 / (sigma^2 + s^2)    c_out = sigma * s / sqrt(sigma^2 + s^2)    c_in = 1 / sqrt(sigma^2 + s^2)

    sigma: noise level, > 0, any dtype (the result keeps it). sigma_data: s, standard deviation of the clean images.
    Source: Karras et al. 2022, arXiv 2206.00364, table 1.
    """
    total = sigma**2 + sigma_data**2
    c_skip = sigma_data**2 / total
    c_out = sigma * sigma_data / total.sqrt()
    c_in = 1 / total.sqrt()
    return c_skip, c_out, c_in


def evaluate(network: Network, x: Tensor, sigma: Tensor, y: Tensor, sigma_data: float) -> Tensor:  # -> x0 [B, ...]
    """The denoiser D(x, sigma, y), in the dtype of `x`."""
    c_skip, c_out, c_in = (c[:, None, None, None] for c in edm_coefficients(sigma, sigma_data))
    raw = network((c_in * x).contiguous(memory_format=torch.channels_last), sigma.log() / 4, y)
    return c_skip * x + c_out * raw.to(x.dtype)


def weighted_loss(denoised: Tensor, x0: Tensor, sigma: Tensor, sigma_data: float) -> Tensor:  # -> [B]
    """lambda * mean|D - x0|^2 with lambda = (sigma^2 + s^2) / (sigma * s)^2: 1 for a network that knows nothing."""
    scale = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    return scale * (denoised - x0).square().flatten(1).mean(1)


class Muon:
    """Momentum, made orthogonal by five Newton-Schulz steps; matrices of equal shape go through together."""

    def __init__(self, weights: list[nn.Parameter], recipe: Any):  # with muon_momentum and muon_decay
        self.groups: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
        for weight in weights:
            self.groups[weight.shape[0], weight[0].numel()].append(weight)
        self.momenta = {shape: torch.zeros(len(group), *shape) for shape, group in self.groups.items()}
        self.recipe = recipe

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move every matrix by rate * sqrt(max(1, rows / columns)) along the orthogonalised Nesterov momentum."""
        for (rows, columns), group in self.groups.items():
            gradient = torch.stack([one.reshape(rows, columns) for one in gradients_of(group)])
            momentum = self.momenta[rows, columns].lerp_(gradient, 1 - self.recipe.muon_momentum)
            update = orthogonalise(gradient.lerp_(momentum, self.recipe.muon_momentum))
            for weight, direction in zip(group, update, strict=True):
                weight.mul_(1 - rate * self.recipe.muon_decay)
                weight.sub_(direction.reshape(weight.shape), alpha=rate * max(1.0, rows / columns) ** 0.5)


def gradients_of(weights: Iterable[nn.Parameter]) -> list[Tensor]:
    """Those of a backward pass."""
    return [weight.grad for weight in weights if weight.grad is not None]


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:  # [n, rows, columns] -> same, float32
    """Replace every singular value by about 1 (Newton-Schulz in bfloat16)."""
    a, b, c = NEWTON_SCHULZ
    m = matrices.bfloat16()
    tall = m.shape[1] > m.shape[2]
    m = m.mT if tall else m
    m = m / (m.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = m @ m.mT
        m = a * m + (b * square + c * square @ square) @ m
    return (m.mT if tall else m).float()


@dataclass(frozen=True)
class Share:
    """Which part of every batch this process works on; all parts together are the same step as in one process."""

    rank: int = 0
    processes: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process keeps the average, prints and stores."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """This process's items of a batch."""
        return slice(self.rank * count // self.processes, (self.rank + 1) * count // self.processes)

    def collect(self, values: Tensor, count: int) -> Tensor:  # this part's -> the whole batch's [count]
        """Gather one number an item from all processes."""
        if self.processes == 1:
            return values
        everyone = torch.zeros(count)
        everyone[self.part(count)] = values
        torch.distributed.all_reduce(everyone)
        return everyone

    def sum_gradients(self, network: nn.Module) -> None:
        """Add up the gradients of all processes, in place."""
        if self.processes == 1:
            return
        gradients = gradients_of(network.parameters())
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(flat)
        for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(total.view(gradient.shape))


class Training:
    """State of one run: network, average, optimisers, noise-level balance, random generator, step."""

    by_adamw: tuple[str, ...] = BY_ADAMW

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        sigma_data: float,
        recipe: Any,  # a Course with the noise levels that draw_sigma draws
        config: dict[str, Any],
        share: Share = Share(),
    ):
        torch.manual_seed(recipe.seed_weights)
        self.share = share
        self.images, self.labels, self.sigma_data, self.recipe = images, labels, sigma_data, recipe
        self.config = config
        self.network = self.build_network()
        self.average = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        named = list(self.network.named_parameters())
        by_muon = [p for name, p in named if p.ndim > 1 and not name.startswith(self.by_adamw)]
        taken = {id(p) for p in by_muon}
        self.muon = Muon(by_muon, recipe)
        rest = [p for _, p in named if id(p) not in taken]
        self.adamw = torch.optim.AdamW(rest, lr=recipe.adamw_rate, betas=(0.9, 0.99), weight_decay=0, foreach=True)
        self.balance = torch.ones(BINS)
        self.generator = torch.Generator().manual_seed(recipe.seed_data)
        self.order = torch.empty(0, dtype=torch.long)
        self.step, self.seconds = 0, 0.0

    def build_network(self) -> Pockets:
        """The network before training."""
        return channels_last(PocketUNet(PocketSizes(**self.config)))

    def rate(self) -> float:
        """Learning rate as a share of its peak: warm-up, then along the recipe's corners, flat before the first."""
        r = self.recipe
        corners = np.array(r.falls)
        return min((self.step + 1) / r.warm_up, float(np.interp(self.step / r.steps, corners[:, 0], corners[:, 1])))

    def draw_sigma(self) -> Tensor:  # [batch]
        """Noise levels: mostly log-normal, some log-uniform so that both ends are seen."""
        r, g = self.recipe, self.generator
        mean = r.sigma_mean if self.step < round(r.steps * r.late) else r.sigma_mean_late
        normal = mean + r.sigma_std * torch.randn(r.batch, generator=g)
        low, high = math.log(SIGMA_MIN), math.log(SIGMA_MAX)
        uniform = low + (high - low) * torch.rand(r.batch, generator=g)
        chosen = torch.where(torch.rand(r.batch, generator=g) < r.sigma_normal, normal, uniform)
        return chosen.clamp(low, high).exp()

    def draw_batch(self) -> tuple[Tensor, Tensor]:  # [batch, 3, 32, 32], [batch]
        """The next images in a shuffled order, with labels made sloppy and sometimes dropped."""
        r, g = self.recipe, self.generator
        if len(self.order) < r.batch:
            self.order = torch.cat([self.order, torch.randperm(len(self.images), generator=g)])
        chosen, self.order = self.order[: r.batch], self.order[r.batch :]
        null_index = self.network.null_index
        random_label = torch.randint(null_index, (r.batch,), generator=g)
        y = torch.where(torch.rand(r.batch, generator=g) < r.wrong, random_label, self.labels[chosen])
        y = y.masked_fill(torch.rand(r.batch, generator=g) < r.null, null_index)
        return self.images[chosen], y

    def position(self, sigma: Tensor) -> Tensor:  # [batch] -> 0 .. 1
        """Where a noise level stands between the lowest and the highest."""
        return (sigma / SIGMA_MIN).log() / math.log(SIGMA_MAX / SIGMA_MIN)

    def loss(self, network: nn.Module, x0: Tensor, eps: Tensor, sigma: Tensor, y: Tensor) -> Tensor:  # -> [B]
        """Each item's loss before weighting."""
        x = x0 + sigma[:, None, None, None] * eps
        return weighted_loss(evaluate(network, x, sigma, y, self.sigma_data).float(), x0, sigma, self.sigma_data)

    def rebalance(self, loss: Tensor, sigma: Tensor) -> Tensor:  # [batch], [batch] -> weights [batch]
        """w(sigma) = 1 / running mean of the loss in the sample's bin."""
        bins = (self.position(sigma) * BINS).long().clamp(0, BINS - 1)
        rate = 0.2 if self.step < 200 else 0.02
        for place, value in zip(bins.tolist(), loss.tolist(), strict=True):
            self.balance[place] += rate * (value - self.balance[place])
        return 1 / self.balance[bins].clamp(min=1e-3)

    def advance(self) -> float:
        """One step; returns the mean loss before weighting."""
        x0, y = self.draw_batch()
        sigma = self.draw_sigma()
        eps = torch.randn(x0.shape, generator=self.generator)
        mine = self.share.part(len(x0))
        with autocast("cpu", torch.bfloat16):
            loss = self.loss(self.network, x0[mine], eps[mine], sigma[mine], y[mine])
        losses = self.share.collect(loss.detach(), len(x0))
        weight = self.rebalance(losses, sigma)[mine]
        ((loss * weight).sum() / len(x0)).backward()
        self.share.sum_gradients(self.network)
        self.descend()
        return losses.mean().item()

    def descend(self) -> None:
        """Let both optimisers use the gradients, and the average follow."""
        rate = self.rate()
        self.muon.step(rate * self.recipe.muon_rate)
        self.adamw.param_groups[0]["lr"] = rate * self.recipe.adamw_rate
        self.adamw.step()
        self.network.zero_grad(set_to_none=True)
        self.step += 1
        if self.share.leads:
            self.update_average()

    @torch.no_grad()
    def update_average(self) -> None:
        """Power average: its memory is a fixed share of the run, so there is no half-life to tune."""
        beta = (1 - 1 / self.step) ** self.recipe.ema_power
        for mean, weight in zip(self.average.values(), self.network.parameters(), strict=True):
            mean.lerp_(weight.detach(), 1 - beta)

    def averaged_network(self) -> Pockets:
        """A network that carries the averaged weights."""
        network = self.build_network()
        network.load_state_dict(self.average)
        return network.eval().requires_grad_(False)

    def begin_from(self, weights: dict[str, Tensor]) -> None:
        """Fine-tune: begin from these weights instead of random ones."""
        self.network.load_state_dict(weights)
        self.average = {name: p.detach().clone() for name, p in self.network.named_parameters()}

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly where the run stopped."""
        return {
            "network": self.network.state_dict(),
            "average": self.average,
            "muon": list(self.muon.momenta.values()),
            "adamw": self.adamw.state_dict(),
            "balance": self.balance,
            "generator": self.generator.get_state(),
            "order": self.order,
            "step": self.step,
            "seconds": self.seconds,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Take over a stored state."""
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.muon.momenta = dict(zip(self.muon.momenta, state["muon"], strict=True))
        self.adamw.load_state_dict(state["adamw"])
        self.balance, self.order = state["balance"], state["order"]
        self.generator.set_state(state["generator"])
        self.step, self.seconds = state["step"], state["seconds"]

    def validation(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """Loss of the averaged weights by noise level."""
        return validation_loss(self.averaged_network(), images, labels, self.sigma_data)


@torch.no_grad()
def validation_loss(network: nn.Module, images: Tensor, labels: Tensor, sigma_data: float) -> dict[str, float]:
    """Lambda-weighted loss of true labels at nine noise levels, with noise that is the same in every call."""
    losses = {}
    for place, sigma in enumerate(VALIDATION_SIGMAS):
        noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1000 + place))
        level = torch.full((len(images),), sigma)
        parts = [
            weighted_loss(evaluate(network, x0 + sigma * eps, s, y, sigma_data), x0, s, sigma_data)
            for x0, eps, s, y in zip(*(v.split(50) for v in (images, noise, level, labels)), strict=True)
        ]
        losses[f"{sigma:g}"] = torch.cat(parts).mean().item()
    return losses


def write_checkpoint(training: Training, path: Path) -> None:
    """Store the run's state; the file is complete or absent."""
    partial = path.with_suffix(".partial")
    torch.save(training.state(), partial)
    partial.replace(path)


def report_progress(training: Training, losses: list[float], validation: tuple[Tensor, Tensor]) -> None:
    """Print one line: step, time, training loss, and validation loss of the averaged weights."""
    measured = training.validation(*validation)
    shown = " ".join(f"{sigma}:{loss:.4f}" for sigma, loss in measured.items())
    mean = sum(losses) / max(1, len(losses))
    print(f"step {training.step} seconds {training.seconds:.0f} loss {mean:.4f} validation {shown}", flush=True)


def train(training: Training, validation: tuple[Tensor, Tensor], checkpoint: Path, every: int = 1000) -> list[float]:
    """Run to the recipe's last step; every `every` steps store the state and print the losses.  -> loss of each step"""
    history: list[float] = []
    if checkpoint.exists():
        training.resume(torch.load(checkpoint, weights_only=True))
    begun = time.monotonic() - training.seconds
    while training.step < training.recipe.steps:
        history.append(training.advance())
        training.seconds = time.monotonic() - begun
        if not training.share.leads:
            continue
        if training.step % 100 == 0 and training.step % every:
            mean = sum(history[-100:]) / len(history[-100:])
            print(f"step {training.step} seconds {training.seconds:.0f} loss {mean:.4f}", flush=True)
        if training.step % every == 0 or training.step == training.recipe.steps:
            write_checkpoint(training, checkpoint)
            report_progress(training, history[-every:], validation)
    return history


def recipe_facts(recipe: Course) -> dict[str, Any]:
    """The recipe as the card and the weight file state it."""
    return {**asdict(recipe), "optimiser": "Muon (matrices) + AdamW (rest)", "torch": torch.__version__}
