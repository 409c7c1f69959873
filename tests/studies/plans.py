"""Workflows, rule nodes and traces for the tests of studies."""

import json
from pathlib import Path

from guidance_geometry.studies.rules import RuleNode
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import save

ROOT = Path(__file__).resolve().parents[2]
RULES = [
    RuleNode("GGAdaptiveProjected", "APG (Adaptive Projected Guidance)", {"eta": 0.0}),
    RuleNode("GGFrequencyBands", "Frequency Bands (FDG / FreSca)", {"low": 1.0}),
    RuleNode("GGZeroStar", "CFG-Zero* (scale + zero-init)", {}),
    RuleNode("GGAutoguidance", "Autoguidance (weak model)", {}, ("weak_model",)),
]


def workflow():
    return json.loads((ROOT / "tools" / "templates" / "first_look.json").read_text(encoding="utf-8"))


def trace_bytes(folder):
    save(exact_trace(), folder / "one.safetensors")
    return (folder / "one.safetensors").read_bytes()
