"""Hostile model files: folders of the transformers library, networks of torchvision, probes, and JSON beside them."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from . import values
from .cases import Case, Stock
from .catalogue import Catalogue
from .files import PICKLE, Change, Parts
from .graphs import Builder, Graph
from .headers import CONTENTS, change, hostile, place_in

PLACE = "models/classifiers/fuzzed"
INDEX = "model.safetensors.index.json"
OUTSIDE = (
    "../tiny-vit/model.safetensors",
    "/etc/passwd",
    "model.bin",
    "pytorch_model.bin",
    "sub/model.safetensors",
    "",
)
FOREIGN_KEYS: tuple[tuple[str, Any], ...] = (  # settings by which the library would follow, fetch or run something
    ("transformers_weights", "pytorch_model.bin"),
    ("transformers_weights", "../tiny-vit/model.safetensors"),
    ("configuration_files", ["config.0.1.json", "config.5.0.0.json"]),
    ("auto_map", {"AutoModel": "code.Model"}),
    ("auto_map", {"AutoConfig": "code.Config"}),
    ("quantization_config", {"quant_method": "bitsandbytes", "load_in_8bit": True}),
    ("use_timm_backbone", True),
    ("backbone", "resnet50"),
    ("backbone_config", {"model_type": "timm_backbone", "backbone": "resnet50"}),
    ("_name_or_path", "../../../etc"),
    ("_attn_implementation", "kernels-community/flash-attn"),
    ("model_type", "bert"),
    ("architectures", ["BertForSequenceClassification"]),
    ("architectures", []),
    ("architectures", "ViTForImageClassification"),
    ("hidden_size", 4096),
    ("hidden_size", 31),
    ("num_hidden_layers", 10**6),
    ("num_hidden_layers", 0),
    ("num_attention_heads", 0),
    ("image_size", 10**6),
    ("image_size", 0),
    ("patch_size", 0),
    ("num_channels", 1),
    ("intermediate_size", 10**9),
    ("vocab_size", 10**9),
    ("id2label", {"0": "a", "7": "b"}),
    ("id2label", {"x": "a"}),
    ("id2label", {}),
    ("num_labels", 10**8),
    ("torch_dtype", "float8"),
    ("dtype", "nothing"),
    ("hidden_act", "nothing"),
)
ENERGIES = {"clip": "GGTextEnergy", "segformer": "GGSegmentationEnergy", "dpt": "GGDepthEnergy", "vit": "GGLabelEnergy"}


def model_case(rng: Random, stock: Stock) -> Case:
    """A spoiled model and a graph that uses it."""
    sources = sorted((stock.folder / "sources" / "models").iterdir())
    source = rng.choice([path for path in sources if path.is_dir() or path.suffix == ".safetensors"])
    many = range(rng.choice((1, 1, 2, 3)))
    if source.is_dir():
        edits = [_in_folder(rng, source) for _ in many]
        recipes = [{"path": PLACE, "source": f"models/{source.name}", "edits": edits}]
        graph = using(rng, stock.catalogue, "fuzzed/", ENERGIES[source.name.removeprefix("tiny-")])
        return Case("model file", _named(source.name, edits), graph, [], recipes)
    parts = Parts.of(source.read_bytes())
    edits = [change(rng, parts) for _ in many]
    recipes = [{"path": f"{PLACE}.safetensors", "source": f"models/{source.name}", "edits": edits}]
    if rng.random() < 0.5:
        beside = [_state_claim(rng) for _ in many]
        recipes.append({"path": f"{PLACE}.json", "source": "nothing.json", "edits": beside})
    graph = using(rng, stock.catalogue, "fuzzed.safetensors", "GGLabelEnergy")
    return Case("model file", _named(source.name, edits), graph, [], recipes)


def _named(source: str, edits: list[Change]) -> str:
    return f"{source}: {', '.join(edit['op'] for edit in edits)}"


def using(rng: Random, catalogue: Catalogue, name: str, energy: str) -> Graph:
    """An energy of the network that steers a short run; sometimes features of it, or its labels only."""
    builder = Builder(catalogue, classifier=name)
    if rng.random() < 0.2:
        builder.finish(builder.wire("GG_CLASSIFIER")[0])
    elif rng.random() < 0.2:
        wanted = {"compare": rng.choice(("features", "style")), "spread": 1.0}
        builder.finish(builder.add("GGReferenceEnergy", optional=("image", "classifier"), **wanted))
    else:
        builder.finish(builder.add(energy, optional=("mask",)))
    builder.add("PreviewAny", {"source": builder.wire("GG_CLASSIFIER")})
    return builder.graph


def _state_claim(rng: Random) -> Change:
    """A statement in the JSON beside a file."""
    if rng.random() < 0.1:
        return {"op": "whole", "value": rng.choice(CONTENTS)}
    keys = ("labels", "size", "mean", "std", "mode", "fit", "schedule", "features", "activation", "noisy", "more")
    return {"op": "json", "place": [rng.choice(keys)]} | hostile(rng)


def _in_folder(rng: Random, source: Path) -> Change:
    """One change of a file in a folder."""
    tried = (_setting, _setting, _foreign, _foreign, _index, _weights, _replace, _link)
    return rng.choice(tried)(rng, source)


def _setting(rng: Random, source: Path) -> Change:
    """A value in one of its JSON files."""
    file = rng.choice(sorted(source.glob("*.json")))
    document = json.loads(file.read_text(encoding="utf-8"))
    return {"file": file.name, "op": "json", "place": place_in(rng, document)} | hostile(rng)


def _foreign(rng: Random, _: Path) -> Change:
    key, value = rng.choice(FOREIGN_KEYS)
    return {"file": "config.json", "op": "json", "place": [key], "value": value}


def _index(rng: Random, _: Path) -> Change:
    """An index of weights that leads elsewhere, or nowhere."""
    names = rng.choice(({"a": rng.choice(OUTSIDE)}, {}, [], None, {"a": 3}, {"a": "absent.safetensors"}, {"a": None}))
    whole = {"weight_map": names, "metadata": rng.choice(({}, None, {"total_size": "x"}))}
    return {"file": INDEX, "op": "whole", "value": json.dumps(whole)}


def _weights(rng: Random, source: Path) -> Change:
    file = "model.safetensors"
    return {"file": file} | change(rng, Parts.of((source / file).read_bytes()))


def _replace(rng: Random, source: Path) -> Change:
    """A file that is gone, or something else altogether."""
    names = [file.name for file in sorted(source.iterdir())]
    file = rng.choice((*names, "model.safetensors", "pytorch_model.bin", "adapter_config.json", "config.0.1.json"))
    if rng.random() < 0.3:
        return {"file": file, "op": "remove"}
    return {"file": file, "op": "whole", "value": rng.choice((PICKLE, *CONTENTS, *values.TEXTS[:6]))}


def _link(rng: Random, _: Path) -> Change:
    """A file that is a link out of its folder."""
    file = rng.choice(("model.safetensors", "config.json", "preprocessor_config.json", "tokenizer.json"))
    kind = rng.choice(("clip", "segformer", "dpt", "vit"))
    return {"file": file, "op": "link", "to": f"sources/models/tiny-{kind}/{file}"}
