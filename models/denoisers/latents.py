"""What a denoiser's samples are: pixels, or the latents of a VAE that the host loads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from ...files.safetensors import positive


@dataclass(frozen=True)
class LatentSpace:
    """The map from a VAE's latents to a network's samples:  sample = (latent - shift) * scale, per channel.

    title: whose latents, in words; spaces of the same numbers are equal.
    downscale: pixels per latent cell, along each side.
    shift, scale: one number per channel, [C].
    darkest: value of black in the pictures that the VAE was given; white is 1.
    colours: RGB per channel of a sample and, last, of a sample of zeros, in -1 .. 1, for previews, [C + 1, 3]; none
        where the host has them.
    """

    title: str = field(compare=False)
    downscale: int
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    darkest: float = -1.0
    colours: tuple[tuple[float, float, float], ...] = field(default=(), compare=False)

    def to_picture(self, picture: Tensor) -> Tensor:
        """What the VAE decodes to, as a picture in -1 .. 1."""
        return picture if self.darkest == -1 else 2 * (picture - self.darkest) / (1 - self.darkest) - 1


PIXELS = LatentSpace("pixels", 1)
SD_LATENTS = LatentSpace("Stable Diffusion 1's VAE", 8, (0.0,) * 4, (0.18215,) * 4)
EDM2_LATENTS = LatentSpace(  # arXiv 2312.02696, its code's encoder: mean and deviation of latents of pictures in 0 .. 1
    "Stable Diffusion 1's VAE (ft-mse)",
    8,
    (5.81, 3.25, 0.12, -2.15),
    tuple(0.5 / deviation for deviation in (4.17, 4.62, 3.71, 3.28)),
    darkest=0.0,
)
POCKET_LATENTS = LatentSpace(  # measured on the training pictures by lab/train/train_flow.py
    "Pocket Flow's VAE",
    4,
    (0.0278, -0.04449, 0.33503, 0.13337),
    (0.89253, 0.81144, 0.54199, 0.92083),
    colours=(
        (0.06949, 0.13728, -0.17855),
        (0.21522, -0.15497, -0.16206),
        (0.42294, 0.41538, 0.24811),
        (0.16702, 0.0144, 0.19689),
        (0.25619, 0.2421, 0.25166),
    ),
)
SPACES = {space.title: space for space in (SD_LATENTS, EDM2_LATENTS, POCKET_LATENTS)}  # by what traces call them
SCALED = f"{SD_LATENTS.title} * "


def rescale_space(factor: float, title: str) -> LatentSpace:
    """Latents of Stable Diffusion 1's VAE, or of one in its place, under another factor."""
    return replace(SD_LATENTS, title=title, scale=(factor,) * len(SD_LATENTS.scale))


def name_of(space: LatentSpace) -> str:
    """What a trace calls a space, by its numbers, so that `space_named` finds it again."""
    title = next((name for name, known in SPACES.items() if known == space), None)
    name = f"{SCALED}{space.scale[0]!r}"
    return title or (name if space_named(name) == space else space.title)


def space_named(name: str) -> LatentSpace | None:
    """The space that a trace calls so; None for one that nobody knows here."""
    factor = positive(name.removeprefix(SCALED)) if name.startswith(SCALED) else None
    return SPACES.get(name) if factor is None else rescale_space(factor, name)
