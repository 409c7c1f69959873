"""Frequency bands of the difference, guided with scales of their own."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from ..knobs import Paper, knob
from ..predictions import Predictions
from ..vectors import constants, gradient_mode
from .kinds import Before, with_difference
from .schedule import parse_values

FDG = Paper(
    "Sadat et al. 2025",
    "2506.19713",
    "Guidance in the Frequency Domain Enables High-Fidelity Sampling at Low CFG Scales",
)
FRESCA = Paper("Huang et al. 2025", "2504.02154", "FreSca: Scaling in Frequency Space Enhances Diffusion Models")
MOST_BANDS = 10  # a side of a latent halves so often before nothing is left of it


@dataclass(frozen=True)
class Bands(Before):
    """Weigh the low and the high frequencies of the difference, along the last two axes (the last one of audio).

        FDG      D = c + (gamma - 1) sum_k w_k delta_k             delta_k: a band of a Laplacian pyramid
        FreSca   D = u + gamma (low delta_low + high delta_high)   delta_low: a box of the Fourier transform

    FDG's w are low, middle and high, from the coarsest band to the finest; its scales are 1 + (gamma - 1) w. FreSca
    also moves c, so gamma = 1, which has no difference to weigh, is c by definition and its neighbours are not.
    The cutoff is relative, so that a larger picture is split at the same place.
    Raises ValueError for more than MOST_BANDS bands.
    """

    node_id = "GGFrequencyBands"
    name = "Frequency Bands (FDG / FreSca)"
    search_words = ("low frequency", "high frequency", "details", "composition")
    description = (
        "Guides coarse structure and fine detail with separate weights. Any latent, split at a share of its resolution."
    )
    papers = (FDG, FRESCA)
    maturity = "stable"
    claims = frozenset({"same in every space", "per item"})
    method: str = knob(
        "FDG",
        f"How coarse and fine are split. FDG: by shrinking the picture, {FDG.number}. FreSca: by frequency, "
        f"{FRESCA.number}.",
        choices=("FDG", "FreSca"),
    )
    low: float = knob(
        0.5,
        "Weight of coarse structure and colour. 1 is plain CFG. Lower: more variety, less "
        "saturation; 0 loses the prompt. Higher: burnt.",
        limits=(-10.0, 10.0, 0.05),
        main=True,
    )
    high: float = knob(
        1.0,
        "Weight of fine detail. 1 is plain CFG. Higher: crisper; too high is grain. 0: soft.",
        limits=(-10.0, 10.0, 0.05),
    )
    cutoff: float = knob(
        0.5,
        "FreSca only: where the bands split, as a share of the highest frequency. 0: only the mean "
        "is low. 1: everything is.",
        limits=(0.0, 1.0, 0.01),
    )
    middle: tuple[float, ...] = knob(
        (),
        "FDG only: weights of further bands between low and high, coarse to fine, such as 0.6, "
        "0.8. Each halves the resolution at which low begins. Empty: two bands.",
        limits=(-10.0, 10.0),
        read=parse_values,
        shown="",
        later=True,
    )

    def __post_init__(self):
        super().__post_init__()
        if len(self.middle) + 2 > MOST_BANDS:
            raise ValueError(f"middle holds {len(self.middle)} weights; give at most {MOST_BANDS - 2}.")

    @property
    def neutral(self) -> bool:
        """All bands as they are."""
        return set(self.weights) == {1}

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of the bands, coarse to fine."""
        return (self.low, *(self.middle if self.method == "FDG" else ()), self.high)

    @property
    def text(self) -> str:
        """One phrase for the trace."""
        at = f", cutoff {self.cutoff:g}" if self.method == "FreSca" else ""
        between = "".join(f", {weight:g}" for weight in self.weights[1:-1])
        return f"{self.method} low {self.low:g}{between}, high {self.high:g}{at}"

    def step(self, state: None, p: Predictions, gamma: float) -> tuple[Predictions, None]:
        """Predictions whose difference has weighted bands: u moves (FDG), or c (FreSca)."""
        if gamma == 1:
            return p, state
        uncond, cond = p.pair
        delta = cond - uncond
        weighted = self._weigh_bands(delta)
        if self.method == "FDG":
            return with_difference(p, weighted), state
        return replace(p, cond=(uncond + weighted).to(p.cond.dtype)), state

    def _weigh_bands(self, delta: Tensor) -> Tensor:
        """Sum of the bands, each with its weight: what each has more than the coarsest, from the finest on."""
        weighted, rest = self.low * delta, delta
        for level, weight in enumerate(reversed(self.weights[1:]), start=1):
            lower = pyramid_low(delta, level) if self.method == "FDG" else box_low(delta, self.cutoff)
            weighted, rest = weighted + (weight - self.low) * (rest - lower), lower
        return weighted


def box_low(v: Tensor, cutoff: float) -> Tensor:  # [B, C, ...] -> [B, C, ...]
    """Frequencies up to a share of the highest one, on each of the last two axes: the real part of F^-1 [box F(v)]."""
    axes = _axes(v)
    spectrum = torch.fft.fftn(v.float() if v.dtype != torch.float64 else v, dim=axes)
    for axis in axes:
        share = 2 * torch.fft.fftfreq(v.shape[axis], dtype=torch.float64).abs()
        inside = constants(tuple((share <= cutoff).tolist()), torch.bool, v.device)
        spectrum = spectrum * inside.reshape(-1, *(1,) * (-1 - axis))
    return torch.fft.ifftn(spectrum, dim=axes).real.to(v.dtype)


def pyramid_low(v: Tensor, level: int = 1) -> Tensor:  # [B, C, ...] -> [B, C, ...]
    """What a Laplacian pyramid keeps below a level, in full size: blur and halve, as often double and blur, by axis.

    Blur: binomial, 5 taps, mirrored at the border. Halving and doubling are linear. All of it is linear, so that one
    matrix for each of the last two axes does it.  Source: Burt and Adelson 1983.
    """
    kept = [_low_pass(v.shape[axis], level, v.dtype, v.device) for axis in _axes(v)]
    low = v @ kept[-1]
    return low if len(kept) == 1 else kept[0].mT @ low


@functools.lru_cache(maxsize=2 * MOST_BANDS)
def _low_pass(side: int, level: int, dtype: torch.dtype, device: torch.device) -> Tensor:  # row j: what unit j becomes
    with gradient_mode(recording=False):
        v, sides = torch.eye(side, dtype=torch.float64)[:, None], [side]
        for _ in range(level):
            sides.append(max(sides[-1] // 2, 1))
            v = functional.interpolate(_blur(v), size=sides[-1], mode="linear")
        for larger in reversed(sides[:-1]):
            v = _blur(functional.interpolate(v, size=larger, mode="linear"))
        return v[:, 0].to(device, dtype)


def _blur(v: Tensor) -> Tensor:  # [R, 1, side] -> [R, 1, side]
    border = "reflect" if v.shape[2] > 2 else "replicate"  # two places cannot mirror two more
    weights = torch.tensor([1, 4, 6, 4, 1], dtype=v.dtype) / 16
    return functional.conv1d(functional.pad(v, (2, 2), mode=border), weights[None, None])


def _axes(v: Tensor) -> tuple[int, ...]:
    """The axes of a picture, counted from the end; a latent of one axis after the channels has one."""
    return (-1,) if v.ndim < 4 else (-2, -1)
