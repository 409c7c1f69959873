"""Workflows, rule nodes and traces for the tests of studies."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from guidance_geometry.sweeps.rules import Nodes, RuleNode
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import save

ROOT = Path(__file__).resolve().parents[2]
RULES = [
    RuleNode("GGAdaptiveProjected", "APG (Adaptive Projected Guidance)", {"eta": 0.0}),
    RuleNode("GGFrequencyBands", "Frequency Bands (FDG / FreSca)", {"low": 1.0}),
    RuleNode("GGZeroStar", "CFG-Zero* (scale + zero-init)", {}),
    RuleNode("GGAutoguidance", "Autoguidance (weak model)", {}, ("weak_model",)),
]
NODES = Nodes(RULES, ("GGLabelEnergy", "GGTextEnergy", "GGCombineEnergies"))


def workflow():
    return json.loads((ROOT / "sweeps" / "comfyui" / "first_look.json").read_text(encoding="utf-8"))


def trace_bytes(folder):
    save(exact_trace(), folder / "one.safetensors")
    return (folder / "one.safetensors").read_bytes()


def picture(shade, side=32):
    sink = io.BytesIO()
    noise = np.random.default_rng(shade).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(noise if side > 32 else np.full((side, side, 3), shade, np.uint8)).save(sink, "PNG")
    return sink.getvalue()


def rows_of(cells):
    """Rows whose strength is cfg plus a tenth of the seed."""
    strength = [cell.place["cfg"] + 0.1 * cell.place.get("seed", 0) for cell in cells]
    pairs = zip(cells, strength, strict=True)
    return [{"id": c.id, "place": dict(c.place), "measures": {"strength": s}, "seconds": 1.0} for c, s in pairs]
