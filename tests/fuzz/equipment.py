"""Sound files of every kind, a folder a kind, and what else lies in the folders of a fuzzed host."""

import shutil
from dataclasses import replace

import torch
from PIL import Image
from safetensors.torch import save_file

from guidance_geometry.dev.fixtures.tiny_folders import save_tiny
from guidance_geometry.tests.classifier_files import stored
from guidance_geometry.tests.tiny_denoiser import write_tiny
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import save

KINDS = ("traces", "classifiers", "denoisers", "folders", "pickles")
TINY = ("clip", "segformer", "dpt", "vit")


def write_sources(base):
    """Write the sound files."""
    torch.manual_seed(0)
    for kind in KINDS:
        (base / kind).mkdir(parents=True)
    for sampler in ("euler", "ddpm"):
        trace = exact_trace(4.0, sampler=sampler, batch=2, steps=4)
        facts = {"options": {"eta": 1.0}, "terms": {"gradient": "+ 2 x gradient"}, "notes": ["a note"]}
        save(replace(trace, header={**trace.header, **facts}), base / "traces" / f"{sampler}.safetensors")
    stored(base / "classifiers", "pocket-noisy-1")
    said = {"gg.features": "tiny-clip/", "gg.labels": '["cat", "dog"]', "gg.unit_features": "true", "gg.noisy": "false"}
    probe = {"weight": torch.ones(2, 16), "bias": torch.zeros(2)}
    save_file(probe, base / "classifiers" / "probe.safetensors", said)
    write_tiny(base / "denoisers" / "tiny.safetensors")
    for kind in TINY:
        (base / "folders" / f"tiny-{kind}").mkdir()
        save_tiny(base / "folders" / f"tiny-{kind}", kind)
    for old in (False, True):
        weights = {"model": {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, "epoch": 3}
        torch.save(weights, base / "pickles" / f"{old}.pt", _use_new_zipfile_serialization=not old)


def equip(folder):
    """Write what the prompts name into a host's folders."""
    write_sources(folder / "sources")
    shutil.copytree(folder / "sources" / "traces", folder / "output" / "traces")
    shutil.copytree(folder / "sources" / "folders", folder / "models" / "classifiers", dirs_exist_ok=True)
    (folder / "input").mkdir(exist_ok=True)
    Image.linear_gradient("L").resize((32, 32)).convert("RGB").save(folder / "input" / "ramp.png")
