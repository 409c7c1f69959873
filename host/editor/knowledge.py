"""What is known of the model of a run: what it said of its own pictures, the user's picks, the size of its data.

In the host's user folder: guidance_geometry/measured/ holds curves, picks/ picks, and sizes/ how large clean data are
in the model's space, a file for each model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import comfy.latent_formats
from comfy.sd import VAE
from torch import Tensor

from ...files.places import CURVES, FOLDER, PICKS, SIZES, file_of_model
from ...guidance.printing import shorten, words_of
from ...trace.trace import Trace, model_key
from ...verdict.case import Judged
from ...verdict.halved import Shown
from ...verdict.known import Known, included_curves
from ...verdict.measured import ModelCurves, read_curves, weights_key
from ...verdict.picks import Picks, read_picks
from ...verdict.report import Report, report_of
from ...verdict.run_knobs import knobs_of
from ...verdict.sentences import Sentence, say
from ...verdict.size import Size, read_size, write_size
from ..models.model_folders import fingerprint
from ..models.native_model import PixelFormat, format_named
from .jobs import who_queued
from .users import folder_of

UNKNOWN = "Nothing tells the model of this run from others, so \u03c3_d cannot be kept. Disconnect the pictures."
MOST_RELATED = 50  # files that are looked through for the same weights
LONGEST = 300  # characters of what is wrong with a file
Found = TypeVar("Found", Picks, Size, ModelCurves)
NO_VAE = "Pictures are connected, and no VAE: \u03c3_d is measured through it. Connect the model's VAE."
OTHER_VAE = "The VAE makes latents of {theirs} channels, the trace holds {own}. Connect the model's own VAE."
FLAT = "The size of these pictures came out as {value}. Connect pictures as the model makes them."


def knowledge_of(trace: Trace, user: str | None = None) -> Known:
    """What is known of the model of this run.  user: whose picks; None: of whoever queued the running job."""
    model, trouble = trace.header.get("model") or {}, []
    key = model_key(model)

    def curves_of(key: str | None) -> ModelCurves | None:
        return _read(place_of(CURVES, key, user), read_curves, "why.curves.damaged", trouble) if key else None

    def picks_of(key: str | None) -> Picks | None:
        return _read(place_of(PICKS, key, user), read_picks, "why.picks.damaged", trouble) if key else None

    picks = picks_of(key)
    size = _read(place_of(SIZES, key, user), read_size, "why.size.damaged", trouble) if key else None
    included = included_curves(model, lambda path: _read(path, read_curves, "why.curves.damaged", trouble))
    known = tuple(curve for curve in (curves_of(key), included) if curve and curve.key == key)
    loras = [knob.model for knob in knobs_of(trace, None) if knob.model]
    known_of_loras = tuple(filter(None, map(curves_of, loras)))
    picks_of_loras = tuple(filter(None, map(picks_of, loras)))
    return Known(
        picks if picks and picks.key == key else None,
        (*known, *known_of_loras),
        tuple(trouble),
        size if size and size.key == key else size_by_construction(trace),
        picks_of_loras,
        () if known else _related(model, key, user),
    )


def _related(model: Mapping[str, Any], key: str | None, user: str | None) -> tuple[ModelCurves, ...]:
    """What was measured of the same weights with something else put on them, the latest first.  model: of a header"""
    weights, place = weights_key(model), place_of(CURVES, key or "", user)
    if weights is None or place is None:
        return ()
    newest = sorted(place.parent.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    related = [_read(path, read_curves, "", []) for path in newest[:MOST_RELATED]]
    related.append(included_curves({**model, "patches": ""}, lambda path: _read(path, read_curves, "", [])))
    return tuple(curve for curve in related if curve and curve.key != key and weights in (curve.weights, curve.key))


def place_of(kind: str, key: str, user: str | None = None) -> Path | None:
    """The file for a model, by its `model_key`; None for a user without a folder.  kind: CURVES, PICKS or SIZES."""
    root = folder_of(who_queued() if user is None else user)
    return root / FOLDER / kind / file_of_model(key) if root else None


def keep_size(trace: Trace, vae: VAE | None, pictures: Tensor) -> None:
    """Measure how large clean data are, and keep it for the model of a run.

    Raises ValueError as `measure_size`, and where nothing tells the model from others; NotWritten.
    """
    size = measure_size(trace, vae, pictures)
    path = place_of(SIZES, size.key) if size.key else None
    if path is None:
        raise ValueError(UNKNOWN)
    if not path.is_file() or _read(path, read_size, "why.size.damaged", []) != size:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_size(size, path)  # only what is new: a changed file makes every report anew


def state_of_files() -> str:
    """A mark that changes when a curve or a pick does: a report is of no use beyond that."""
    root = folder_of(who_queued())
    files = sorted((root / FOLDER).rglob("*.json")) if root else []
    return " ".join(map(fingerprint, files))


def make_report(
    trace: Trace,
    half: Trace | None = None,
    judge: Judged | None = None,
    user: str | None = None,
    shown: Shown | None = None,
) -> Report:
    """The report on a run with what is known of its model.  user: as in `knowledge_of`; shown: as in `report_of`"""
    return report_of(trace, knowledge_of(trace, user), half, judge, shown=shown)


def _read(path: Path | None, read: Callable[[Path], Found], fault: str, trouble: list[Sentence]) -> Found | None:
    """What a file holds; what is wrong with it is added to `trouble`."""
    try:
        return read(path) if path and path.is_file() else None
    except (ValueError, OSError) as error:
        trouble.append(say(fault, fault=shorten(words_of(error), LONGEST)))
        return None


def size_by_construction(trace: Trace) -> Size | None:
    """1 where the latent format scales latents to about that; None for pixels, and for a format that scales nothing."""
    name = _format(trace)
    form = None if name == PixelFormat.__name__ else format_named(name)
    plain = comfy.latent_formats.LatentFormat
    if form is None or (form.scale_factor == 1.0 and type(form).process_in is plain.process_in):
        return None
    return Size(1.0, format=name)


def measure_size(trace: Trace, vae: VAE | None, pictures: Tensor) -> Size:  # pictures: [B, H, W, C]
    """Root mean square of pictures in the space of a run's model.  Raises ValueError that says what is missing."""
    if vae is None:
        raise ValueError(NO_VAE)
    form = format_named(_format(trace))
    latents: Any = vae.encode(pictures[..., :3])  # [B, C, ...]
    channels = trace.latent_shape[0]
    if latents.shape[1] != channels:
        raise ValueError(OTHER_VAE.format(theirs=latents.shape[1], own=channels))
    inside = form.process_in(latents) if form else latents
    value = float(inside.cpu().double().square().mean().sqrt())
    if not 1e-9 < value < 1e9:
        raise ValueError(FLAT.format(value=value))
    return Size(value, len(pictures), key=model_key(trace.header.get("model") or {}) or "")


def _format(trace: Trace) -> str:
    return str((trace.header.get("latent") or {}).get("format"))
