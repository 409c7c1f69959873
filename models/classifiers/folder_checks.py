"""A folder of the transformers library, checked before the library sees it.

What it would fetch, run, follow out of the folder or take memory for is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...files.claims import ANYTHING, check_claims, either, maybe, number, several, switch, table, text, whole
from ...files.folders import read_json, refuse_links, weight_files
from ...files.notes import MOST_LABELS
from ...files.safetensors import read_header
from ...guidance.printing import quote, shorten
from .preprocessing import LARGEST_SIDE

CODE = (
    "auto_map",
    "quantization_config",
    "use_timm_backbone",
    "use_pretrained_backbone",
    "timm_model",
    "custom_pipelines",
    "transformers_weights",
    "configuration_files",
    "fast_tokenizer_files",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
    "spm_file",
)
CONFIG = {  # what config.json may say; the library reads the rest, and its errors are passed on
    "architectures": maybe(several(text(), 100)),
    "model_type": maybe(text()),
    "depth_estimation_type": maybe(text()),
    "id2label": maybe(table(text(), MOST_LABELS)),
    "text_config": maybe(table(ANYTHING, 1000)),
    "vision_config": maybe(table(ANYTHING, 1000)),
}
TOKENIZER = {"tokenizer_class": maybe(text())}
SIDES = either(whole(1, LARGEST_SIDE), table(maybe(whole(1, LARGEST_SIDE)), 10), several(whole(1, LARGEST_SIDE), 2, 2))
PREPARED = {  # of preprocessor_config.json, what leads to a size; the library reads the rest
    "do_resize": maybe(switch()),
    "do_center_crop": maybe(switch()),
    "image_mean": maybe(several(number(), 3, 3)),
    "image_std": maybe(several(number(), 3, 3)),
    "resample": maybe(whole(0, 5)),
    "size": maybe(SIDES),
    "crop_size": maybe(SIDES),
    "crop_pct": maybe(number(0.1, 10)),
    "keep_aspect_ratio": maybe(switch()),
    "ensure_multiple_of": maybe(whole(1, LARGEST_SIDE)),
}
OFFLINE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
AGAIN = "Fetch the whole folder again."
MOST_PLANNED = 2  # times the numbers in the weights: where a few are missing, the library names them
LARGEST_SIZE = 10**7  # of any number in config.json: a vocabulary has up to a million words
LAYERS = re.compile(r"layers?$|^depths?$|_(blocks|stages)$")
ADAPTER = "adapter_config.json"


@contextmanager
def explain_errors(what: str) -> Iterator[None]:
    """Whatever the library raises about a folder, as a ValueError that says what it is about."""
    try:
        yield
    except Exception as error:  # the library has errors of its own
        raise ValueError(f"{what}: {shorten(str(error), 500)}. {AGAIN}") from error


def check_size(folder: Path, planned: int) -> None:
    """Refuse a config of a much larger network than the weights hold, before memory is taken for it."""
    held = sum(math.prod(entry.shape) for shard in weight_files(folder) for entry in read_header(shard)[0].values())
    if planned > MOST_PLANNED * held:
        raise ValueError(
            f"{folder.name}/config.json describes a network of {planned:,} numbers but the weights hold {held:,}; the "
            f"rest would be random. {AGAIN}"
        )


def checked_config(folder: Path) -> dict[str, Any]:
    """config.json of a folder that needs no network, runs no code and reads nothing outside itself."""
    refuse_links(folder)
    config = read_json(folder / "config.json")
    refuse_code(f"{folder.name}/config.json", config)
    check_claims(f"{folder.name}/config.json", config, CONFIG, AGAIN)
    if (folder / ADAPTER).exists():
        raise ValueError(f"{folder.name}/ holds an adapter ({ADAPTER}), not a whole model. Merge it and save again.")
    refuse_depth(folder, config, sum(len(read_header(shard)[0]) for shard in weight_files(folder)))
    return config


def check_type(folder: Path) -> None:
    """Refuse a config without a type: the library would take one from the folder's name, also that of a wrapper."""
    if not read_json(folder / "config.json").get("model_type"):
        raise ValueError(f"{folder.name}/config.json: model_type is missing; a text is needed. {AGAIN}")


def refuse_depth(folder: Path, config: Mapping[str, Any], tensors: int) -> None:
    """Refuse a config with more layers than the weights have tensors, or a size that no network has."""
    for key, value in settings_in(config):
        sizes = value if isinstance(value, list) else [value]
        most = tensors if LAYERS.search(key) else LARGEST_SIZE
        wrong = next((size for size in sizes if type(size) is int and size > most), None)
        if wrong is not None:
            raise ValueError(
                f"{folder.name}/config.json says {key} = {quote(wrong)} but the weights have {tensors} tensors. {AGAIN}"
            )


def refuse_code(file: str, value: Any) -> None:
    """Refuse settings under which the library would run code, fetch another model or need a special kernel."""
    for key, setting in settings_in(value):
        if (key in CODE and setting) or (isinstance(setting, str) and leads_away(key, setting)):
            raise ValueError(
                f"{file} asks for {key} = {setting!r}: code or weights from elsewhere. Only whole, plain models are "
                "read here: save the model again without it."
            )


def leads_away(key: str, setting: str) -> bool:
    """Whether a word makes the library ask another one, which reads files and addresses of its own, or fetch a kernel.

    timm loads any file, also a pickle, or address that a config of its wrappers names.
    """
    if key in ("model_type", "image_processor_type", "feature_extractor_type"):
        return setting.lower().startswith("timm")
    return key == "backbone" or (key in ("attn_implementation", "_attn_implementation") and "/" in setting)


def settings_in(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, however deep."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from settings_in(inner)
