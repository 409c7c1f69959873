"""Classifiers from files, and the exact one of a mixture, for energies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..files.included import included_weights
from ..guidance.mixture import GaussianMixture
from ..models.classifiers.exact import MixtureClassifier
from ..models.classifiers.reading import open_classifier


def load_classifier(path: str | Path = "pocket-noisy-1") -> Any:
    """A classifier file or folder as ComfyUI's Load Classifier reads it; which kind it is, its content says.

    Included are pocket-noisy-1 (reads noisy samples), pocket-clean-1 (clean ones) and pocket-judge-1 (only measures).
    Raises FileNotFoundError, or ValueError for a file that is no classifier.
    """
    return open_classifier(included_weights("classifiers", str(path)) or Path(path))


def exact_classifier(mixture: GaussianMixture, flow: bool = False) -> MixtureClassifier:
    """The classifier of a mixture that is right at every noise level; its labels are 0, 1, ...

    flow: of x = (1 - sigma) x0 + sigma eps instead of x0 + sigma eps.
    """
    return MixtureClassifier(mixture, tuple(map(str, range(mixture.classes))), "flow" if flow else "ve")
