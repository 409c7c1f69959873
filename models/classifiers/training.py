"""Training a noise-aware classifier: it sees samples with the noise a MODEL was trained on, and learns their labels."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...files.notes import CLASSIFIER, VERSION
from ...files.safetensors import safetensors_bytes
from ...guidance.energies.protocol import Network
from ..networks.weights import weights_of
from .adm import AdmClassifier
from .contract import PREPARED
from .exact import MixtureClassifier
from .networks import PocketClean, PocketNoisy, SmallNoisy
from .preprocessing import Preprocessing
from .torchvision_files import family_of
from .wired import CleanClassifier, NoisyClassifier, Shown, Unit, WiredNetwork, preserving

WARM_UP, DECAY = 20, 0.02
LEVELS_TOLD = 5  # noise levels whose accuracy is reported
HELD_OUT = 5  # of so many samples of a label, one is held out
CHANCE = 0.05  # probability below which an accuracy is no chance
FEW = f"None is held out, as no label has {HELD_OUT}: so this shows what was memorised, and nothing of other pictures"
NOTHING = (
    "{learned}: at the lowest noise {share:.0%} of each label are named right, and guessing would name {chance:.0%}. "
    "Take more steps or pictures, or check that the labels are in the order of the pictures"
)
WORST = 10  # labels that are named
UNKNOWN = f"of {{count}} labels ({{names}}) nothing is known: none of them has {HELD_OUT} pictures, so none is held out"
ONE_LABEL = (
    "All held-out pictures have one label, which tells nothing of telling labels apart: give more of the others."
)


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
        levels = self.sigmas / (1 - self.sigmas).clamp(min=1e-3) if self.flow else self.sigmas
        return float(levels[levels > 0].min()), float(levels.max())

    def split(self, seed: int) -> tuple[Lesson, Lesson]:
        """What is learned from, and what is held out: one of five samples of each label, drawn by a seed."""
        order = torch.randperm(len(self.x0), generator=torch.Generator().manual_seed(seed))
        place = nn.functional.one_hot(self.targets[order]).cumsum(dim=0)  # of each among those of its label, from 1
        last = place.gather(1, self.targets[order][:, None])[:, 0] % HELD_OUT == 0
        rows = (order[~last].sort().values, order[last].sort().values)
        learned, held = (replace(self, x0=self.x0[part], targets=self.targets[part]) for part in rows)
        return learned, held

    def check(self) -> None:
        """Raise ValueError for samples from which nothing can be learned."""
        bad = (~self.x0.isfinite()).flatten(1).any(dim=1).nonzero()[:, 0]
        if len(bad):
            raise ValueError(
                f"{len(bad)} of {len(self.x0)} samples hold numbers that are not finite, the first is number "
                f"{int(bad[0]) + 1}. Leave them out, or make them again: half precision may overflow."
            )
        if bool((self.x0 == self.x0[:1]).all()):
            raise ValueError(
                f"All {len(self.x0)} samples are the same, so nothing tells their labels apart. Give others."
            )

    def draw_batch(self, count: int, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
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
    """A network that learns.  enter: as for NoisyClassifier. metadata: metadata of the file that it becomes."""

    network: nn.Module
    enter: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]
    metadata: Mapping[str, str]

    def file(self, name: str, lesson: Lesson) -> list[bytes]:
        """The trained classifier as a safetensors file that Load Classifier reads."""
        low, high = lesson.ratios
        levels = {"gg.sigma_min": f"{low:g}", "gg.sigma_max": f"{high:g}", "gg.space": "flow" if lesson.flow else "ve"}
        names = {"gg.name": name, "gg.labels": json.dumps(list(lesson.labels))}
        return [safetensors_bytes(weights_of(inner_network(self.network)), {**self.metadata, **levels, **names})]

    def classifier(self, name: str, lesson: Lesson) -> NoisyClassifier:
        """The trained network for a GG_CLASSIFIER wire."""
        channels = lesson.x0.shape[1]
        return NoisyClassifier(name, self.network, lesson.labels, self.enter, (channels, None, None))


def beginner(lesson: Lesson, width: int, reads_level: bool, seed: int) -> Student:
    """A small network that knows nothing yet."""
    with seed_draws(seed):
        network = SmallNoisy(len(lesson.labels), lesson.x0.shape[1], width, reads_level, lesson.sigma_data)
    return student_of(network, lesson)


def student_of(network: SmallNoisy | Shown, lesson: Lesson) -> Student:
    """How a network reads noisy samples, and what its file says besides labels and noise levels.

    sigma_data of the small one stays what its first samples had: it belongs to the function that was learned. The
    levels that it is told are those of the lesson, whatever it was told before. VE or flow is the same to both.
    """
    if isinstance(network, SmallNoisy):
        return Student(network, Unit(network.config["sigma_data"], *lesson.ratios), own_words(network))
    inner = network.network
    metadata = own_words(inner) if isinstance(inner, PocketClean) else seen_words(network.preprocessing)
    return Student(network, preserving, metadata)


def own_words(network: SmallNoisy | PocketClean) -> dict[str, str]:
    """Metadata of a file in this pack's format."""
    config = network.config | {"labels": network.out.out_features}
    return {
        "gg.format": CLASSIFIER,
        "gg.version": VERSION,
        "gg.licence": "as its training pictures",
        "gg.architecture": network.architecture,
        "gg.config": json.dumps(config),
        "gg.role": "noise-aware",
        "gg.sigma_input": "log_sigma" if config.get("told") else "none",
    }


def seen_words(seen: Preprocessing) -> dict[str, str]:
    """Metadata beside a state_dict of torchvision."""
    stated = {key: getattr(seen, key) for key in PREPARED} | {"size": seen.size or (224, 224), "noisy": True}
    return {f"gg.{key}": json.dumps(value) for key, value in stated.items()}


@contextmanager
def seed_draws(seed: int) -> Iterator[None]:
    """First weights from a seed, with everybody else's random numbers left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def continue_training(start: Network, lesson: Lesson, seed: int) -> Student:
    """A copy of a classifier, to learn noisy samples; a new last layer where the labels differ.

    Raises ValueError with the reason for one that cannot go on, or for samples with other channels.
    """
    reason = why_not(start)
    if reason or not isinstance(start, WiredNetwork):
        raise ValueError(
            f"{getattr(start, 'name', start)} cannot be trained further: {reason}. start_from takes what this node "
            "wrote, pocket-clean-1, or a torchvision network for whole images. Choose one, or leave start_from empty."
        )
    network = Shown(start.preprocessing, start.network) if isinstance(start, CleanClassifier) else start.network
    assert isinstance(network, SmallNoisy | Shown)
    wanted, channels = network.config["channels"] if isinstance(network, SmallNoisy) else 3, lesson.x0.shape[1]
    if channels != wanted:
        raise ValueError(
            f"{start.name} reads samples of {wanted} channels but these have {channels}. "
            "Connect a MODEL and samples with as many, or leave start_from empty."
        )
    network = copy.deepcopy(network).requires_grad_(True)
    fit_last_layer(inner_network(network), start.labels, lesson.labels, seed)
    return student_of(network, lesson)


def why_not(start: Network) -> str | None:
    """The reason why a classifier cannot be trained further; None where it can."""
    if isinstance(start, MixtureClassifier):
        return "it is a formula and has no weights"
    if not isinstance(start, WiredNetwork):
        return "it is not a network that this pack has loaded"
    network = inner_network(start.network)
    if start.judge:
        return "it only measures; a guide trained from it would judge itself"
    if start.output != "labels":
        return f"it gives {start.output}, not one logit per label"
    if isinstance(network, AdmClassifier):
        return "it uses times of its own schedule, not this MODEL's noise levels"
    if isinstance(network, PocketNoisy):
        return "it reads x / alpha at 32 x 32, which not every MODEL has"
    return None if last_layer(network) else "it is made of more than the one file that this node writes"


def inner_network(network: nn.Module) -> nn.Module:
    """The network whose tensors are the file."""
    return network.network if isinstance(network, Shown) else network


def last_layer(network: nn.Module) -> str | None:
    """Name of the layer with one row a label; None in networks that no file of ours can hold."""
    if isinstance(network, SmallNoisy | PocketClean):
        return "out"
    family = family_of(network.state_dict())
    return family.head.removesuffix(".weight") if family else None


def fit_last_layer(network: nn.Module, labels: tuple[str, ...], wanted: tuple[str, ...], seed: int) -> None:
    """The rows of the last layer in the order of the wanted labels; new ones unless these are the known names."""
    name = last_layer(network) or ""
    owner, _, place = name.rpartition(".")
    old = network.get_submodule(name)
    assert isinstance(old, nn.Linear)
    if sorted(labels) == sorted(wanted):
        order = [labels.index(label) for label in wanted]
        with torch.no_grad():
            for rows in old.parameters():
                rows.copy_(rows[order])
    else:
        with seed_draws(seed):
            setattr(network.get_submodule(owner), place, type(old)(old.in_features, len(wanted)))


def learn(student: Student, lesson: Lesson, course: Course) -> Iterator[float]:
    """Train, and yield the loss of every step: mean -log p(label | x, sigma).

    The same seed gives the same network. Raises ValueError for samples that teach nothing, and where the loss is no
    number any more.
    """
    lesson.check()
    draws = torch.Generator().manual_seed(course.seed)
    network = student.network.to(course.device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=course.rate, weight_decay=DECAY)
    for step in range(course.steps):
        x, sigma, alpha, targets = (part.to(course.device) for part in lesson.draw_batch(course.batch, draws))
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
def accuracies(classifier: NoisyClassifier, lesson: Lesson, seed: int = 1, most: int = 256) -> dict[float, Tensor]:
    """{sigma: share of right labels [K]} over the MODEL's noise levels, on a lesson's samples, with new noise.

    nan for a label without samples; at most `most` are asked, of every label as large a part.
    """
    draws, shares = torch.Generator().manual_seed(seed), {}
    chosen = torch.randperm(len(lesson.x0), generator=draws)
    targets = lesson.targets[chosen]
    place = nn.functional.one_hot(targets, len(lesson.labels)).cumsum(dim=0).gather(1, targets[:, None])[:, 0]
    chosen = chosen[place.argsort(stable=True)[:most]]  # of rare labels all
    count = lesson.targets[chosen].bincount(minlength=len(lesson.labels)).double()
    for place in torch.linspace(0, len(lesson.sigmas) - 1, LEVELS_TOLD).long():
        x, sigma, alpha = lesson.noisy(chosen, lesson.sigmas[place].expand(len(chosen)), draws)
        device = next(classifier.network.parameters()).device
        right = classifier.logits(x.to(device), sigma, alpha).argmax(1).cpu() == lesson.targets[chosen]
        hits = lesson.targets[chosen][right].bincount(minlength=len(lesson.labels))
        shares[float(lesson.sigmas[place])] = hits / count
    return shares


def describe_training(classifier: NoisyClassifier, learned: Lesson, held: Lesson) -> str:
    """What became of a training: accuracies on what was held out and what was learned, and whether that is chance."""
    train, count = accuracies(classifier, learned), len(learned.x0)
    if not len(held.x0):
        words = f"accuracy on the {count} pictures it learned from, with new noise: {describe_shares(train)}"
        return "\n".join([words, f"{FEW}.", *no_better(train, learned)])
    test, several = accuracies(classifier, held), len(held.targets.unique()) > 1
    words = f"accuracy on {len(held.x0)} held-out pictures with new noise: {describe_shares(test)}"
    return "\n".join([
        *([words] if several else []),
        *describe_labels(test, held),
        f"on the {count} it learned from: {describe_shares(train)}",
        *no_better(test, held),
    ])  # fmt: skip


def describe_shares(levels: Mapping[float, Tensor]) -> str:
    """Accuracies in words: every label counts the same, however many samples it has."""
    shares = ", ".join(f"{float(share.nanmean()):.0%} at sigma {sigma:.3g}" for sigma, share in levels.items())
    return f"{shares} (the mean over labels)"


def describe_labels(levels: Mapping[float, Tensor], lesson: Lesson) -> list[str]:
    """Which labels are read worst at the least noise, and of which nothing is known."""
    shares = dict(zip(lesson.labels, levels[min(levels)].tolist(), strict=True))
    known = sorted((name for name, share in shares.items() if share == share), key=lambda name: shares[name])
    worst = ", ".join(f"{name} {shares[name]:.0%}" for name in known[:WORST])
    unknown = [name for name in shares if name not in known]
    lines = [f"{'worst' if len(known) > WORST else 'by label'} at the lowest noise: {worst}"] if len(known) > 1 else []
    return [*lines, *([UNKNOWN.format(names=", ".join(unknown[:WORST]), count=len(unknown))] if unknown else [])]


def no_better(levels: Mapping[float, Tensor], lesson: Lesson, most: int = 256) -> list[str]:
    """A sentence where the accuracy at the least noise is not above that of guessing labels, beyond chance."""
    from scipy.stats import binomtest  # only here: it takes longer to import than the whole pack

    counts = lesson.targets.bincount(minlength=len(lesson.labels))
    counts, share = counts[counts > 0].double(), float(levels[min(levels)].nanmean())
    if len(counts) == 1:
        return [ONE_LABEL]
    chance = 1 / len(counts)
    # As many samples of equally frequent labels would know the mean as well.
    count = max(1, min(most, round(len(counts) ** 2 / float((1 / counts).sum()))))
    if binomtest(round(share * count), count, chance, alternative="greater").pvalue < CHANCE:
        return []
    learned = "This may be chance" if share > chance else "It learned nothing that shows"
    return [f"{NOTHING.format(learned=learned, share=share, chance=chance)}."]
