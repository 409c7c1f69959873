"""What a GG_CLASSIFIER wire carries besides the exact classifier: networks that know how to be asked.

Clean classifiers read images x0 in [-1, 1], unclamped. A noise-aware one reads the sampler's own sample
x = alpha x0 + sigma eps, and changes coordinates itself, so that its gradient is the one with respect to x.
Weights are frozen and never inference tensors; everything is computed in float32 on the device of the sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...guidance.printing import Printed
from ...guidance.vectors import gradient_mode, numbers
from .preprocessing import Preprocessing


@dataclass(frozen=True, eq=False)
class WiredNetwork(Printed):
    """A frozen network with the names of what it tells apart (none where it measures).

    name: for messages. labels: in the order of the logits.
    """

    name: str
    network: nn.Module
    labels: tuple[str, ...]
    output = "labels"
    noise_aware = False
    judge = False

    def __post_init__(self):
        if len(self.labels) == 1:
            raise ValueError(
                f"{self.name} has one output: among one label the probability is 1 whatever the picture, and nothing "
                "guides. If it is the logit of a yes or no, save it as two, with a first row of zeros."
            )
        make_guiding(self.network)

    def at(self, device: torch.device) -> nn.Module:
        """The network on that device; it moves there once and stays."""
        first = next(self.network.parameters(), None)
        return self.network if first is None or first.device == device else self.network.to(device)

    def __repr__(self) -> str:
        told_apart = f", {len(self.labels)} labels" if self.labels else ""
        return f"{type(self).__name__}({self.name}{told_apart})"


@dataclass(frozen=True, eq=False, repr=False)
class ImageNetwork(WiredNetwork):
    """A network of clean images, behind what makes them ready for it."""

    preprocessing: Preprocessing

    def answer(self, x0: Tensor) -> Tensor:  # [B, 3, H, W] in about -1 .. 1 -> what the network gives
        """Ask the network."""
        return self.at(x0.device)(self.preprocessing(x0))

    def maps(self, x0: Tensor) -> tuple[Tensor, ...]:  # [B, 3, H, W] -> [B, C, h, w] each
        """What its convolutions see: the last map of every size, in the order they come.

        Raises ValueError for a network whose convolutions have fewer than two sizes.
        """
        layers = maps_of(self.network, lambda: self.answer(x0))
        if len(layers) < 2:
            raise ValueError(
                f"{self!r} has no convolutions of several sizes, which a style is read from. Choose one that has: "
                "resnet, convnext, efficientnet, or pocket-clean-1."
            )
        return layers


@dataclass(frozen=True, eq=False, repr=False)
class CleanClassifier(ImageNetwork):
    """Logits of images: one per label, or one per label and place for a segmentation (`output` says which).

    judge: it measures finished pictures and must not guide, as a guide that is its own judge always wins.
    independent: several labels may be true of one picture, or none, so each has a probability of its own.
    """

    output: str = "labels"
    judge: bool = False
    independent: bool = False

    def logits(self, x0: Tensor, sigma: Tensor | float = 0.0, alpha: Tensor | float = 1.0) -> Tensor:
        """Logits of clean images, whatever sigma and alpha are.  x0 [B, 3, H, W] -> [B, K] or [B, K, h, w]"""
        return self.answer(x0)


@dataclass(frozen=True, eq=False, repr=False)
class NoisyClassifier(WiredNetwork):
    """Logits of noisy samples.

    enter: (x, sigma [B], alpha [B]) -> the arguments of the network, in its own coordinates.
    shape: channels and sides of a sample; a side is None where any is read.
    """

    enter: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]
    shape: tuple[int | None, ...] = (3, None, None)
    noise_aware = True

    @property
    def sizes(self) -> str:
        """The shape in words."""
        return " x ".join("any" if side is None else str(side) for side in self.shape)

    def logits(self, x: Tensor, sigma: Tensor | float, alpha: Tensor | float = 1.0) -> Tensor:
        """Logits at a noisy sample x = alpha x0 + sigma eps.  x [B, C, H, W], sigma, alpha [B] or scalar -> [B, K]"""
        if x.ndim != 4 or any(want not in (None, have) for have, want in zip(x.shape[1:], self.shape, strict=True)):
            raise ValueError(
                f"{self.name} reads samples of {self.sizes} but got {' x '.join(map(str, x.shape[1:]))}. "
                "A noise-aware classifier cannot be resized: sample at its size, or use a clean one."
            )
        wide = x.float()
        return self.at(x.device)(*self.enter(wide, *(numbers(v, wide).expand(len(x)) for v in (sigma, alpha))))


@dataclass(frozen=True, eq=False, repr=False)
class DepthEstimator(ImageNetwork):
    """Depth of images.  inverse: larger is nearer (relative models); else larger is farther (metric ones)."""

    inverse: bool = True
    output = "depth"

    def depth(self, x0: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, h, w]
        """Depth at the network's own resolution, in its own units."""
        return self.answer(x0)


@dataclass(frozen=True, eq=False, repr=False)
class FeatureExtractor(ImageNetwork):
    """One vector an image, for probes and for likeness to a reference."""

    output = "features"

    def features(self, x0: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, D]
        """Features of images, not normalised."""
        return self.answer(x0)


@dataclass(frozen=True, eq=False, repr=False)
class ImageTextModel(ImageNetwork):
    """Images and texts in one space.

    encode_texts: texts -> [T, D], not normalised. scale, bias: logit = scale * cosine + bias; bias None is a softmax
    over texts (CLIP), a number a sigmoid for each (SigLIP).
    """

    encode_texts: Callable[[list[str]], Tensor]
    scale: float
    bias: float | None = None
    output = "text"

    def image_features(self, x0: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, D]
        """Unit vectors of images."""
        return nn.functional.normalize(self.answer(x0), dim=1)

    def features(self, x0: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, D]
        """Unit vectors of images, which serve as features too."""
        return self.image_features(x0)

    @torch.no_grad()
    def text_features(self, texts: list[str]) -> Tensor:  # -> [T, D]
        """Unit vectors of texts, without a gradient."""
        return nn.functional.normalize(self.encode_texts(texts), dim=1)


def maps_of(network: nn.Module, ask: Callable[[], Tensor]) -> tuple[Tensor, ...]:
    """What the last convolution of every size gives while a network is asked; single places are no maps."""
    largest: dict[torch.Size, Tensor] = {}

    def keep(_: nn.Module, __: tuple, output: Tensor) -> None:
        if min(output.shape[-2:]) > 1:
            largest[output.shape[-2:]] = output

    watched = [m.register_forward_hook(keep) for m in network.modules() if isinstance(m, nn.Conv2d)]
    try:
        ask()
    finally:
        for hook in watched:
            hook.remove()
    return tuple(largest.values())


def make_guiding(network: nn.Module) -> None:
    """Freeze a network, switch it to evaluation, and make its tensors ones that autograd can use (float32)."""
    network.eval().requires_grad_(False)
    with gradient_mode():
        for store, name, tensor in stored_tensors(network):
            store[name] = guiding_tensor(tensor)


def stored_tensors(network: nn.Module) -> list[tuple[dict, str, Tensor]]:
    """Where every parameter and buffer is kept: (dictionary, its key, the tensor)."""
    stores = [store for module in network.modules() for store in (module._parameters, module._buffers)]
    return [(store, name, tensor) for store in stores for name, tensor in store.items() if tensor is not None]


def guiding_tensor(tensor: Tensor) -> Tensor:
    """A copy that autograd can use, floats as float32; the tensor itself where it can be used already."""
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    if not tensor.is_inference() and tensor.dtype == dtype:
        return tensor
    copy = tensor.detach().to(dtype, copy=True)
    return nn.Parameter(copy, requires_grad=False) if isinstance(tensor, nn.Parameter) else copy


class Unit:
    """Samples of unit size, x / sqrt(alpha^2 sigma_data^2 + sigma^2), and ln(sigma / alpha) / 4 within low .. high.

    Finite at alpha = 0, where flow starts.
    """

    def __init__(self, sigma_data: float, low: float, high: float):
        self.sigma_data, self.low, self.high = sigma_data, low, high

    def __call__(self, x: Tensor, sigma: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, C, H, W], sigma, alpha [B] -> unit samples and levels [B]"""
        size = (alpha**2 * self.sigma_data**2 + sigma**2).sqrt()[:, None, None, None]
        return x / size, (sigma / alpha).clamp(self.low, self.high).log() / 4


def preserving(x: Tensor, sigma: Tensor, alpha: Tensor) -> tuple[Tensor]:
    """Samples in variance-preserving coordinates, x / sqrt(alpha^2 + sigma^2), and nothing said of the noise level."""
    return (x / (alpha**2 + sigma**2).sqrt()[:, None, None, None],)


class Shown(nn.Module):
    """A network of images behind its own preprocessing."""

    def __init__(self, preprocessing: Preprocessing, network: nn.Module):
        super().__init__()
        self.preprocessing, self.network = preprocessing, network

    def forward(self, x: Tensor) -> Tensor:  # [B, 3, H, W] in about -1 .. 1 -> [B, K]
        """Logits."""
        return self.network(self.preprocessing(x))


def exploding(x: Tensor, sigma: Tensor, alpha: Tensor, least: float = 0.0) -> tuple[Tensor, Tensor]:
    """VE coordinates: x / alpha = x0 + s eps and s = sigma / alpha, told as at least `least`."""
    return x / alpha[:, None, None, None], (sigma / alpha).clamp(min=least)
