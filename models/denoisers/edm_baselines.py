"""The preconditionings that EDM was compared with: the baseline-* files, networks of EDM's architectures.

They answer F of  D(x) = x + c_out F(c_in x, c_noise):

    VP     c_out = -sigma   c_in = 1 / sqrt(sigma^2 + 1)   c_noise = 999 t, 0 <= t <= 1,
           t = (sqrt(b^2 + 2 d ln(1 + sigma^2)) - b) / d,  b = 0.1, d = 19.9
    VE     c_out = sigma    c_in = 1                       c_noise = ln(sigma / 2)
    iDDPM  c_out = -sigma   c_in = 1 / sqrt(sigma^2 + 1)   c_noise = index of the nearest level of the cosine schedule

So F of VP and iDDPM is the noise, and F of VE is minus the noise. No weight tells them from EDM's own networks: the
class in EDM's pickles does, which the converter keeps.
Source: Karras et al. 2022, arXiv 2206.00364, table 1 and appendix C, and the published configurations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from torch import Tensor, nn

from .edm import COLOURS, EDM, EdmUNet, preconditioning
from .schedules import COSINE_OFFSET, Levels
from .spec import KARRAS_SIGMA_DATA, Format, Published, Shapes

T = TypeVar("T")
LAST, BETA_MIN, BETA_RANGE = 999, 0.1, 19.9
VE_LEVELS = Levels(sigma_min=0.02, sigma_max=100.0)
LEVELS = "u"  # the noise levels of an iDDPM


class VpUNet(EdmUNet):
    """A network that was trained in the continuous time of a variance-preserving process."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:  # x [B, 3, H, W], t [B], y [B] -> [B, 3, H, W]
        """Evaluate F.  x: c_in * noisy picture. t: sigma. y: labels."""
        rising = (BETA_MIN**2 + 2 * BETA_RANGE * (t**2).log1p()).sqrt()
        return super().forward(x, LAST * ((rising - BETA_MIN) / BETA_RANGE).clamp(max=1), y)


class VeUNet(EdmUNet):
    """A network that sees the noisy picture as it is."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:  # x [B, 3, H, W], t [B], y [B] -> [B, 3, H, W]
        """Evaluate -F, the noise.  x: noisy picture / sqrt(sigma^2 + sigma_data^2). t: sigma. y: labels."""
        size = (t**2 + KARRAS_SIGMA_DATA**2).sqrt()[:, None, None, None].to(x)
        return -super().forward(x * size, (t / 2).log(), y)


class IddpmUNet(EdmUNet):
    """A network that learned a variance too, which is left out."""

    def __init__(self, sizes: Mapping[str, Any], labels: int, operations: Any = nn, **place: Any):
        super().__init__({**sizes, "outputs": 2 * COLOURS}, labels, operations, **place)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:  # x [B, 3, H, W], t [B], y [B] -> [B, 3, H, W]
        """Evaluate F.  x: c_in * noisy picture. t: index. y: labels."""
        return super().forward(x, t, y)[:, :COLOURS]


def baseline(name: str, network: type[EdmUNet], facts: dict[str, Any], **constants: float) -> Format:
    """One of them.  facts: of `Published`. constants: of the network's settings, where it says them"""

    def recognises(shapes: Shapes, metadata: Mapping[str, str]) -> bool:
        return EDM.recognises(shapes, {}) and preconditioning(metadata, **constants) == f"{name}Precond"

    def publication(sizes: Mapping[str, Any]) -> Published:
        return replace(EDM.published(sizes), **{"parametrisation": "epsilon", "sigma_data": None} | facts)

    names = {"name": f"edm-baseline-{name.lower()}", "title": f"EDM baseline {name}"}
    return replace(EDM, **names, recognises=recognises, published=publication, network=network)


def within(form: Format) -> Format:
    """A format in files that hold noise levels beside the network, and so a prefix before its weights."""
    return replace(
        form,
        recognises=lambda shapes, metadata: LEVELS in shapes and form.recognises(inner(shapes), metadata),
        sizes=lambda shapes: form.sizes(inner(shapes)),
        labels=lambda shapes: form.labels(inner(shapes)),
        state_dict=lambda weights: form.state_dict(inner(weights)),
    )


def inner(weights: Mapping[str, T]) -> dict[str, T]:
    """The weights of the network, by its own names."""
    return {name.removeprefix("model."): weight for name, weight in weights.items() if name != LEVELS}


VP = baseline(
    "VP", VpUNet, {"schedule": "vp_linear", "time": "sigma"}, beta_d=BETA_RANGE, beta_min=BETA_MIN, M=LAST + 1
)
VE = baseline("VE", VeUNet, {"time": "sigma", "levels": VE_LEVELS, "sigma_data": KARRAS_SIGMA_DATA})
IDDPM = within(
    baseline("iDDPM", IddpmUNet, {"schedule": "vp_cosine", "time": "index"}, C_1=0.001, C_2=COSINE_OFFSET, M=LAST + 1)
)
