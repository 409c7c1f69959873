"""What networks see in a picture beside its label: whether a text fits, a class at every place, depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from ..knobs import Paper, knob, refuse_unlisted, socket
from ..labels import entries_of
from ..printing import safe_text
from ..vectors import flat, promote, put_beside
from .pictures import check_proportions, grey, in_turn, resize
from .protocol import CLEAN, At, Classifier, Network, NetworkEnergy, ask_without_gradient, spread_knob

TEXT_KINDS = ("probability", "cosine")
DISTANCES = ("L1", "L2")
NEAR_FLAT = 1e-6  # deviation of a depth at which there is nothing to divide by


class Matcher(Network, Protocol):
    """Images and texts as unit vectors in one space."""

    @property
    def scale(self) -> float:
        """Of the cosine in a logit."""
        ...

    @property
    def bias(self) -> float | None:
        """None for a softmax over texts, a number for sigmoids."""
        ...

    def image_features(self, x0: Tensor) -> Tensor:
        """Of images [B, 3, H, W] -> [B, D]"""
        ...

    def text_features(self, texts: list[str]) -> Tensor:
        """Of texts -> [T, D]"""
        ...


class DepthNetwork(Network, Protocol):
    """Depth at every place."""

    @property
    def inverse(self) -> bool:
        """Larger is nearer."""
        ...

    def depth(self, x0: Tensor) -> Tensor:
        """Of images [B, 3, H, W] -> [B, h, w]"""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class TextEnergy(NetworkEnergy):
    """How well a text fits, with k the scale of the towers' logits and b their bias.

        probability, softmax    k cos(x, y) - logsumexp of k cos(x, .) over y and the alternatives n
        probability, sigmoids   log sigmoid(k cos(x, y) + b) + sum_n log sigmoid(-k cos(x, n) - b)
        cosine                  k cos(x, y), which is not calibrated and never satisfied

    texts: y, one for every image in turn. against: n, the same for all images. Both may be one text with their entries.
    Raises ValueError for an empty text, and for a softmax over one text, which is 1 for every picture.
    Source: Radford et al. 2021, arXiv 2103.00020; sigmoids: Zhai et al. 2023, arXiv 2303.15343.
    """

    node_id = "GGTextEnergy"
    name = "Text Energy (CLIP, SigLIP)"
    search_words = ("clip guidance", "text classifier")
    description = (
        "How well a text fits, according to a CLIP or SigLIP network. The denoising model need not know any text."
    )
    papers = (
        Paper(
            "Radford et al. 2021", "2103.00020", "Learning Transferable Visual Models From Natural Language Supervision"
        ),
        Paper("Zhai et al. 2023", "2303.15343", "Sigmoid Loss for Language Image Pre-Training"),
    )
    network: Matcher = socket(
        "GG_CLASSIFIER", "A CLIP or SigLIP folder, from Load Classifier.", name="classifier", answers="text"
    )
    texts: tuple[str, ...] = knob(
        ("a robot",),
        "What the picture should show. One per image: separate with ; or line breaks. Repeated to fill the batch.",
        name="text",
        shown="a robot",
        multiline=True,
    )
    against: tuple[str, ...] = knob(
        (),
        "What else it could show: the text is compared with these. Separate with ; or line breaks. CLIP needs at "
        "least one for a probability.",
        name="negative",
        shown="a picture",
        multiline=True,
    )
    kind: str = knob(
        "probability",
        "probability: how much better the text fits than the negative ones (CLIP), or how well by itself (SigLIP). "
        "cosine: how well it fits, without an end, so it never stops pushing.",
        choices=TEXT_KINDS,
    )
    features: Tensor = field(init=False)

    def __post_init__(self):
        refuse_unlisted(self)
        for name, given in (("texts", self.texts), ("against", self.against)):
            if isinstance(given, str):
                object.__setattr__(self, name, tuple(entries_of(given)) if given.strip() else ())
        if not self.texts or not all(text.strip() for text in (*self.texts, *self.against)):
            raise ValueError("A text is empty. Write what the picture should show, in a few words.")
        if self.kind == "probability" and self.network.bias is None and not self.against:
            raise ValueError(
                f"{safe_text(self.network)} compares texts with each other, and there is only one. "
                "Add a negative text such as 'a picture', or choose cosine."
            )
        features = ask_without_gradient(lambda: self.network.text_features([*self.texts, *self.against]))
        object.__setattr__(self, "features", features)

    @property
    def text(self) -> str:
        """The texts."""
        shown = "; ".join(self.texts[:4]) + (f"; ... {len(self.texts)} in turn" if len(self.texts) > 4 else "")
        rather = f" rather than {'; '.join(self.against)}" if self.against and self.kind == "probability" else ""
        return f"{shown}{rather}"

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """log p(text | x) at temperature 1; the logits divided by the temperature otherwise.  x: [B, 3, H, W]"""
        seen = promote(self.network.image_features(x))
        logits = self.network.scale * seen @ put_beside(self.features, seen).T
        rows = torch.arange(len(x), device=logits.device)
        own = logits[rows, rows % len(self.texts)] / at.temperature
        if self.kind == "cosine":
            return own
        others = logits[:, len(self.texts) :] / at.temperature
        if self.network.bias is None:
            return own - torch.cat([own[:, None], others], dim=1).logsumexp(dim=1)
        bias = self.network.bias / at.temperature
        return nn.functional.logsigmoid(own + bias) + nn.functional.logsigmoid(-others - bias).sum(dim=1)


@dataclass(frozen=True, eq=False, repr=False)
class SegmentationEnergy(NetworkEnergy):
    """How probable a network finds a map of classes.

        sum_p w_p log softmax(f)_y(p)     f resized to the map before the softmax, sum_p w_p = 1

    wanted: y [n, H, W] int64, below 0 where a place does not count. balanced: w gives every class of a map the same
    share, so that small things count as much as large ones; else every place.
    Raises ValueError for a class the network has not, a map nothing of which counts, or one of other proportions.
    """

    node_id = "GGSegmentationEnergy"
    name = "Segmentation Energy"
    search_words = ("layout", "regions", "color map")
    description = (
        "The probability that a segmentation network gives to a map of classes: what should be where. Draw it as a "
        "mask, as grey levels or in colours."
    )
    network: Classifier = socket(
        "GG_CLASSIFIER",
        "A segmentation network (segformer, deeplabv3, lraspp), from Load Classifier.",
        name="classifier",
        answers="segmentation",
    )
    wanted: Tensor  # pyright: ignore[reportGeneralTypeIssues]  a socket is no default
    balanced: bool = knob(
        False,
        "pixels: every pixel counts the same. classes: every class does, so that small things count too.",
        choices={"pixels": False, "classes": True},
        name="average",
    )
    shares: Tensor = field(init=False)

    def __post_init__(self):
        refuse_unlisted(self)
        count, most = len(self.network.labels), int(self.wanted.max())
        if most >= count:
            raise ValueError(
                f"The map asks for class {most} but the network has {count}, 0 to {count - 1}. "
                "If this value marks pixels to ignore, set ignore_index to it."
            )
        if (self.wanted < 0).flatten(1).all(dim=1).any():
            raise ValueError("A map is empty: no pixel has one of the classes. Check its colours and classes.")
        shares = ask_without_gradient(lambda: torch.stack([shares_of(each, self.balanced) for each in self.wanted]))
        object.__setattr__(self, "shares", shares)

    @property
    def text(self) -> str:
        """The classes by name."""
        names = [self.network.labels[index] for index in self.wanted[self.wanted >= 0].unique().tolist()]
        return f"a map of {', '.join(names[:4])}" + (f" and {len(names) - 4} more" if len(names) > 4 else "")

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """The mean of log p over the places that count.  x: [B, 3, H, W]"""
        check_proportions("segmentation map", self.wanted, x)
        logits = promote(self.network.logits(x, at.sigma, at.alpha)) / at.temperature
        log_p = resize(logits, self.wanted.shape[-2:]).log_softmax(dim=1)
        wanted = in_turn(self.wanted.to(x.device, non_blocking=x.is_cuda), len(x)).expand(len(x), -1, -1).clamp(min=0)
        return flat(log_p.gather(1, wanted[:, None])[:, 0] * in_turn(put_beside(self.shares, log_p), len(x))).sum(dim=1)


@dataclass(frozen=True, eq=False, repr=False)
class DepthEnergy(NetworkEnergy):
    """How near a network finds the depth of a picture to a wanted one, whatever the scale and offset of both.

        L1   -mean |N(d) - N(d*)| / spread            N(d) = (d - mean d) / std d
        L2   -mean (N(d) - N(d*))^2 / (2 spread^2)    = -(1 - correlation) / spread^2

    reference: d* [n, H, W], resized to the network's depth. near: larger is nearer in it; where the network counts the
    other way, -d* is compared. N carries its gradient, offset and scale included: a median in place of the mean would
    forgive outliers, but its gradient is that of a single place, which is noise.
    Raises ValueError for a flat reference, or one of other proportions than the picture.
    Source: Ranftl et al. 2020, arXiv 1907.01341, section 5 (scale- and shift-invariant losses).
    """

    node_id = "GGDepthEnergy"
    name = "Depth Energy"
    search_words = ("depth map", "structure")
    description = (
        "How well the depth estimated by a network matches a wanted depth map, whatever the scale and offset of both."
    )
    papers = (Paper("Ranftl et al. 2020", "1907.01341", "Towards Robust Monocular Depth Estimation"),)
    network: DepthNetwork = socket(
        "GG_CLASSIFIER",
        "A depth network (Depth Anything, DPT), from Load Classifier.",
        name="classifier",
        answers="depth",
    )
    reference: Tensor = socket(
        "IMAGE", "The wanted depth as a grey picture, one per image in turn.", name="image", read=grey
    )
    near: bool = knob(
        True,
        "white is near: as depth preprocessors draw it. white is far: as distances are drawn.",
        choices={"white is near": True, "white is far": False},
        name="shows",
    )
    distance: str = knob(
        "L1", "L1: tolerates a few outliers. L2: pulls hardest at the largest errors.", choices=DISTANCES
    )
    spread: float = spread_knob()

    def __post_init__(self):
        refuse_unlisted(self)
        lowest, highest = flat(self.reference).aminmax(dim=1)
        if (lowest == highest).any():
            raise ValueError("The wanted depth is flat, so it has no near and far. Connect a depth map.")

    @property
    def text(self) -> str:
        """What is compared."""
        return "the reference's depth"

    def log_prob(self, x: Tensor, at: At = CLEAN) -> Tensor:
        """Minus the distance of the normalised depths.  x: [B, 3, H, W]"""
        check_proportions("depth map", self.reference, x)
        depth = promote(self.network.depth(x))
        sign = 1 if self.near == self.network.inverse else -1
        wanted = resize(sign * put_beside(self.reference, depth)[:, None], depth.shape[-2:])[:, 0]
        apart = normalise_depth(depth) - in_turn(normalise_depth(wanted), len(x))
        if self.distance == "L1":
            return -flat(apart).abs().mean(dim=1) / self.spread
        return -flat(apart).square().mean(dim=1) / (2 * self.spread**2)


def normalise_depth(depth: Tensor) -> Tensor:  # [B, h, w] -> [B, h, w]
    """Depth without its scale and offset: (d - mean) / std, per item."""
    centred = depth - depth.mean(dim=(1, 2), keepdim=True)
    return centred / (centred.square().mean(dim=(1, 2), keepdim=True) + NEAR_FLAT**2).sqrt()


def shares_of(places: Tensor, balanced: bool) -> Tensor:  # [H, W] int64 -> [H, W], summing to 1
    """What each place of a map counts: as much as any other, or its part of an equal share for its class."""
    kept = places >= 0
    counts = torch.bincount(places[kept])
    size = counts[places.clamp(min=0)] * (counts > 0).sum() if balanced else kept.sum().expand_as(places)
    return torch.where(kept, 1 / size.clamp(min=1), 0.0)
