"""Training a noise-aware classifier: it sees samples with the noise a MODEL was trained on, and learns their labels."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..guidance.files import safetensors_bytes
from .files import FORMAT, VERSION
from .networks import SmallNoisy, weights_of
from .torchvision_files import family_of
from .wired import CleanClassifier, NoisyClassifier, Shown, Unit, WiredNetwork, preserving

WARM_UP, DECAY = 20, 0.02
LEVELS_TOLD = 5  # noise levels whose accuracy is reported


@dataclass(frozen=True)
class Lesson:
    """What is learned from.  x0: [N, C, H, W] in the sampler's scale. targets: [N] int. labels: their names.

    sigmas: the noise levels of the MODEL's own training, each as likely. flow: x = (1 - sigma) x0 + sigma eps.
    """

    x0: Tensor
    targets: Tensor
    labels: tuple[str, ...]
    sigmas: Tensor
    flow: bool = False

    @property
    def sigma_data(self) -> float:
        """Root mean square of the clean samples."""
        return float(self.x0.double().square().mean().sqrt())

    @property
    def ratios(self) -> tuple[float, float]:
        """Smallest and largest sigma / alpha."""
        found = self.sigmas / (1 - self.sigmas).clamp(min=1e-3) if self.flow else self.sigmas
        return float(found[found > 0].min()), float(found.max())

    def drawn(self, count: int, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noisy samples [count, ...], their sigma and alpha [count], and their targets."""
        chosen = torch.randint(len(self.x0), (count,), generator=draws)
        sigma = self.sigmas[torch.randint(len(self.sigmas), (count,), generator=draws)]
        return (*self.noisy(chosen, sigma, draws), self.targets[chosen])

    def noisy(self, chosen: Tensor, sigma: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """x = alpha x0 + sigma eps of the chosen samples, with sigma and alpha."""
        alpha = 1 - sigma if self.flow else torch.ones_like(sigma)
        eps = torch.randn((len(chosen), *self.x0.shape[1:]), generator=draws)
        wide = (-1, 1, 1, 1)
        return alpha.view(wide) * self.x0[chosen] + sigma.view(wide) * eps, sigma, alpha


@dataclass(frozen=True)
class Course:
    """How it is learned: AdamW with a warm-up and a cosine to zero."""

    steps: int = 500
    batch: int = 32
    rate: float = 1e-3
    seed: int = 0
    device: str | torch.device = "cpu"


@dataclass(frozen=True, eq=False)
class Student:
    """A network that learns.  enter: as for NoisyClassifier. said: metadata of the file that it becomes."""

    network: nn.Module
    enter: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]
    said: Mapping[str, str]

    @property
    def stored(self) -> nn.Module:
        """The network whose tensors are the file."""
        return self.network.network if isinstance(self.network, Shown) else self.network

    def file(self, lesson: Lesson) -> list[bytes]:
        """The trained classifier as a safetensors file that Load Classifier reads."""
        low, high = lesson.ratios
        levels = {"gg.sigma_min": f"{low:g}", "gg.sigma_max": f"{high:g}", "gg.space": "flow" if lesson.flow else "ve"}
        labels = {"gg.labels": json.dumps(list(lesson.labels))}
        return [safetensors_bytes(weights_of(self.stored), {**self.said, **levels, **labels})]

    def classifier(self, name: str, lesson: Lesson) -> NoisyClassifier:
        """The trained network for a GG_CLASSIFIER wire."""
        channels = lesson.x0.shape[1]
        return NoisyClassifier(name, self.network, lesson.labels, self.enter, (channels, None, None))


def beginner(lesson: Lesson, name: str, width: int, told: bool, seed: int) -> Student:
    """A small network that knows nothing yet."""
    with seeded(seed):
        network = SmallNoisy(len(lesson.labels), lesson.x0.shape[1], width, told, lesson.sigma_data)
    said = {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "licence": "as its training pictures",
        "architecture": network.architecture,
        "config": json.dumps(network.config),
        "role": "noise-aware",
        "sigma_input": "log_sigma" if told else "none",
    }
    return Student(network, Unit(lesson.sigma_data, *lesson.ratios), {f"gg.{key}": text for key, text in said.items()})


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """First weights from a seed, with everybody else's random numbers left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def advanced(start: WiredNetwork, lesson: Lesson, seed: int) -> Student:
    """A network of torchvision that knows clean images, to learn noisy ones; a new head where the labels differ.

    Raises ValueError for any other network, or for samples that are no RGB images.
    """
    network = start.network.network if isinstance(start.network, Shown) else start.network
    family = family_of(network.state_dict())
    if not isinstance(start, CleanClassifier) or family is None or family.output != "labels":
        raise ValueError(
            f"{start.name} cannot be trained further: start_from takes a torchvision network for whole images. "
            "Choose one, or leave start_from empty to train a small network from nothing."
        )
    if lesson.x0.shape[1] != 3:
        raise ValueError(f"{start.name} reads RGB images but the samples have {lesson.x0.shape[1]} channels.")
    network = copy.deepcopy(network).requires_grad_(True)
    if start.labels != lesson.labels:
        owner, _, head = family.head.removesuffix(".weight").rpartition(".")
        old = network.get_submodule(family.head.removesuffix(".weight"))
        assert isinstance(old, nn.Linear)
        with seeded(seed):
            setattr(network.get_submodule(owner), head, type(old)(old.in_features, len(lesson.labels)))
    seen = start.preprocessing
    values = {"size": list(seen.size or (224, 224)), "mean": seen.mean, "std": seen.std, "noisy": True}
    said = {f"gg.{key}": json.dumps(value) for key, value in values.items()} | {
        "gg.mode": seen.mode,
        "gg.fit": seen.fit,
    }
    return Student(Shown(seen, network), preserving, said)


def learn(student: Student, lesson: Lesson, course: Course) -> Iterator[float]:
    """Train, and yield the loss of every step: mean -log p(label | x, sigma).

    The same seed gives the same network. Raises ValueError where the loss is no number any more.
    """
    draws = torch.Generator().manual_seed(course.seed)
    network = student.network.to(course.device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=course.rate, weight_decay=DECAY)
    for step in range(course.steps):
        x, sigma, alpha, targets = (part.to(course.device) for part in lesson.drawn(course.batch, draws))
        falling = 0.5 * (1 + math.cos(math.pi * step / course.steps))
        optimiser.param_groups[0]["lr"] = course.rate * min(1.0, (step + 1) / WARM_UP) * falling
        loss = nn.functional.cross_entropy(network(*student.enter(x, sigma, alpha)), targets)
        if not loss.isfinite():
            raise ValueError(f"The loss is {loss.item()} at step {step + 1}. Lower learning_rate ({course.rate:g}).")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        yield float(loss.detach())


@torch.no_grad()
def accuracies(classifier: NoisyClassifier, lesson: Lesson, seed: int = 1, most: int = 256) -> dict[float, float]:
    """{sigma: share of right labels} over the MODEL's noise levels, on the samples it learned from, with new noise."""
    draws, found = torch.Generator().manual_seed(seed), {}
    chosen = torch.randperm(len(lesson.x0), generator=draws)[:most]
    for place in torch.linspace(0, len(lesson.sigmas) - 1, LEVELS_TOLD).long():
        x, sigma, alpha = lesson.noisy(chosen, lesson.sigmas[place].expand(len(chosen)), draws)
        device = next(classifier.network.parameters()).device
        right = classifier.logits(x.to(device), sigma, alpha).argmax(1).cpu() == lesson.targets[chosen]
        found[float(lesson.sigmas[place])] = float(right.double().mean())
    return found
