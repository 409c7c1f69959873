"""Which pictures the demo model learns from: ten public-domain drawing styles at 32 x 32, made from their definitions.

Needs the packages dicebear-core, dicebear-styles and resvg-py; the pack itself never imports them.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from importlib import metadata, resources
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

LICENCE = "CC0 1.0"  # the only licence whose pictures may reach the embedded weights
PACKAGES = ("dicebear-core", "dicebear-styles", "resvg-py")
SEED_PATTERN = "pocket/<style>/<index>"
SIZE = 32
TRAINING = 2500  # images a class; indices 0 .. 2499
VALIDATION = 250  # images a class; indices 2500 .. 2749

DEEP = [
    "0369a1",
    "1d4ed8",
    "4338ca",
    "6d28d9",
    "a21caf",
    "be185d",
    "be123c",
    "c2410c",
    "b45309",
    "047857",
    "0f766e",
    "1e293b",
]
LIGHT = ["b6e3f4", "c0aede", "d1d4f9", "ffd5dc", "ffdfbf", "cdeccd", "f6f1e7", "fff0b3", "dfe3e6", "f8f7f4"]
PREFERENCE = 0.6  # share of images on one of the two preferred backgrounds, so that guidance can collapse a choice


@dataclass(frozen=True)
class Drawing:
    """One class: its label, the style that draws it, and the backgrounds it may get."""

    label: str
    style: str
    family: tuple[str, ...] = ()  # empty: the style paints its own sky
    preferred: tuple[str, ...] = ()


CLASSES = (
    Drawing("plant", "sprouts", tuple(DEEP), ("047857", "0f766e")),
    Drawing("monster", "critters", tuple(DEEP), ("6d28d9", "4338ca")),
    Drawing("robot", "voxel-bot", tuple(LIGHT), ("b6e3f4", "d1d4f9")),
    Drawing("person", "pixel-art", tuple(LIGHT), ("ffd5dc", "ffdfbf")),
    Drawing("planet", "planets"),
    Drawing("smiley", "moods", tuple(DEEP), ("c2410c", "b45309")),
    Drawing("stones", "stack", tuple(LIGHT), ("f6f1e7", "dfe3e6")),
    Drawing("landscape", "landscape"),
    Drawing("face", "cutouts", tuple(LIGHT), ("c0aede", "cdeccd")),
    Drawing("marble", "marbles", tuple(LIGHT), ("f8f7f4", "fff0b3")),
)
LABELS = tuple(drawing.label for drawing in CLASSES)


@dataclass(frozen=True)
class Images:
    """Training and validation pictures, uint8 [N, 32, 32, 3], in the order index-major, label-minor."""

    training: np.ndarray
    training_labels: np.ndarray
    validation: np.ndarray
    validation_labels: np.ndarray
    sha256: str

    @property
    def sigma_data(self) -> float:
        """Standard deviation of the training pixels in [-1, 1]."""
        return float(np.std(self.training.astype(np.float64) / 127.5 - 1))


def definition_of(style: str) -> dict[str, Any]:
    """Read a style's definition and refuse any licence but CC0 1.0."""
    path = resources.files("dicebear_styles") / f"{style}.json"
    definition = json.loads(path.read_text(encoding="utf-8"))
    licence = definition.get("meta", {}).get("license", {}).get("name")
    if licence != LICENCE:
        raise ValueError(
            f"style '{style}' is licensed '{licence}' but the demo model may only learn from '{LICENCE}'. "
            "Take another style, or another release of dicebear-styles."
        )
    return definition


def background_of(drawing: Drawing, seed: str) -> list[str]:
    """Background colour of one image, drawn from the SHA-256 of its seed so that any language gets the same."""
    if not drawing.family:
        return []
    digest = hashlib.sha256(seed.encode()).digest()
    chance, choice = (int.from_bytes(digest[i : i + 8], "big") for i in (0, 8))
    palette = drawing.preferred if chance < PREFERENCE * 2**64 else drawing.family
    return [palette[choice % len(palette)]]


def draw(drawing: Drawing, style: Any, index: int) -> np.ndarray:  # -> uint8 [32, 32, 3]
    """Draw one image at 64 x 64 and halve it with a 2 x 2 box mean."""
    import resvg_py
    from dicebear import Avatar
    from PIL import Image

    seed = SEED_PATTERN.replace("<style>", drawing.style).replace("<index>", str(index))
    options: dict[str, Any] = {"seed": seed, "size": 2 * SIZE}
    background = background_of(drawing, seed)
    if background:
        options["backgroundColor"] = background
    png = resvg_py.svg_to_bytes(
        svg_string=Avatar(style, options).to_string(), width=2 * SIZE, height=2 * SIZE, skip_system_fonts=True
    )
    pixels = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"), dtype=np.float64)
    halved = pixels.reshape(SIZE, 2, SIZE, 2, 3).mean((1, 3))
    return np.floor(halved + 0.5).astype(np.uint8)


def draw_range(task: tuple[int, int, int]) -> np.ndarray:  # (label, first, end) -> uint8 [end - first, 32, 32, 3]
    """Draw the images `first` .. `end` - 1 of one class."""
    from dicebear import Style

    label, first, end = task
    drawing = CLASSES[label]
    style = Style(definition_of(drawing.style))
    return np.stack([draw(drawing, style, index) for index in range(first, end)])


def draw_all(first: int, end: int, processes: int) -> np.ndarray:  # -> uint8 [(end - first) * 10, 32, 32, 3]
    """Draw every class's images of an index range; neighbours in the result differ in label."""
    starts = range(first, end, 50)
    tasks = [(label, start, min(start + 50, end)) for label in range(len(CLASSES)) for start in starts]
    with get_context("fork").Pool(processes) as pool:
        parts = pool.map(draw_range, tasks, chunksize=1)
    columns = np.concatenate(parts).reshape(len(CLASSES), end - first, SIZE, SIZE, 3)
    return np.ascontiguousarray(columns.swapaxes(0, 1)).reshape(-1, SIZE, SIZE, 3)


def labels_of(images: np.ndarray) -> np.ndarray:
    """Labels of images in the order of `draw_all`: they cycle 0 .. 9."""
    return (np.arange(len(images)) % len(CLASSES)).astype(np.int64)


def images_from(cache: Path, *, training: int = TRAINING, validation: int = VALIDATION, processes: int = 2) -> Images:
    """Read the pictures from the cache file, or draw and store them first.  training, validation: images a class."""
    path = cache / f"pocket_images_{training}_{validation}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        drawn = draw_all(0, training, processes)
        held_out = draw_all(TRAINING, TRAINING + validation, processes)
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(partial, training=drawn, validation=held_out)
        partial.replace(path)
    with np.load(path) as stored:
        drawn, held_out = stored["training"], stored["validation"]
    digest = hashlib.sha256(drawn.tobytes() + held_out.tobytes()).hexdigest()
    return Images(drawn, labels_of(drawn), held_out, labels_of(held_out), digest)


def provenance(images: Images) -> dict[str, Any]:
    """What the card and the weight files say about the pictures."""
    return {
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "licence": LICENCE,
        "styles": {drawing.label: drawing.style for drawing in CLASSES},
        "images_per_class": {
            "training": len(images.training) // len(CLASSES),
            "validation": len(images.validation) // len(CLASSES),
        },
        "seed_pattern": SEED_PATTERN,
        "backgrounds": {"preferred_share": PREFERENCE, "drawn_from": "sha256(seed)"},
        "size": SIZE,
        "sha256": images.sha256,
    }
