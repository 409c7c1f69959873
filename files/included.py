"""The models that come with the pack.  Standard library only."""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).resolve().parents[1] / "assets"
ENDING = ".safetensors"


def included_models(kind: str) -> list[str]:
    """Names of the models of a kind that come with the pack.  kind: denoisers or classifiers"""
    return [path.stem for path in sorted((ASSETS / kind).glob(f"*{ENDING}"))]


def included_weights(kind: str, name: str) -> Path | None:
    """The file of an included model; None for another name."""
    return ASSETS / kind / f"{name}{ENDING}" if name in included_models(kind) else None
