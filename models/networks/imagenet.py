"""Names of the classes that ImageNet's networks tell apart or draw.

The thousand of the 2012 challenge, in the order of their WordNet numbers, which every published network keeps. Where
two classes share their first word, a second one tells them apart.
"""

from __future__ import annotations

from pathlib import Path

NAMES = Path(__file__).parents[2] / "assets" / "imagenet.txt"
LABELS = tuple(NAMES.read_text(encoding="utf-8").splitlines())
