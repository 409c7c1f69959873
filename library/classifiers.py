"""Classifiers from files, and the exact one of a mixture, for energies."""

from __future__ import annotations

from pathlib import Path

from ..classifiers.exact import MixtureClassifier
from ..classifiers.reading import open_classifier
from ..classifiers.wired import WiredNetwork
from ..guidance.mixture import GaussianMixture

ASSETS = Path(__file__).parents[1] / "assets" / "classifiers"


def load_classifier(path: str | Path = "pocket-noisy-1") -> WiredNetwork:
    """A classifier file or folder as ComfyUI's Load Classifier reads it.

    Included are pocket-noisy-1 (reads noisy samples), pocket-clean-1 (clean ones) and pocket-judge-1 (only measures).
    Raises FileNotFoundError, or ValueError for a file that is no classifier.
    """
    included = ASSETS / f"{path}.safetensors"
    place = included if included.is_file() else Path(path)
    return open_classifier(place, lambda name: place.parent / name)


def exact_classifier(mixture: GaussianMixture, flow: bool = False) -> MixtureClassifier:
    """The classifier of a mixture that is right at every noise level; its labels are 0, 1, ...

    flow: of x = (1 - sigma) x0 + sigma eps instead of x0 + sigma eps.
    """
    return MixtureClassifier(mixture, tuple(map(str, range(mixture.classes))), "flow" if flow else "ve")
