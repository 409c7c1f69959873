"""Hostile headers: every kind of file that the pack reads, with one to four changes that no writer would make."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from . import values
from .cases import Case, Stock
from .catalogue import Catalogue
from .files import PICKLE, Change, Parts
from .graphs import Builder, Graph

DEEP = 8  # steps into a document
OWN = 0.9  # how often the pack's own statements are changed
CLAIMS = {
    "dtype": ("F64", "F32", "F16", "BF16", "I64", "I8", "BOOL", "F8_E4M3", "F4", "X", "", 3, None, "C64"),
    "shape": ([], [0], [1], [-1], [2**40], [2**62, 2**62], [1.5], ["1"], "3", None, [[1]], [True], [1] * 70),
    "data_offsets": ([0, 0], [0], [4, 0], [-4, 4], [0, 2**60], [1, 2, 3], None, "0,4", [0.0, 4.0], [True, 4]),
}
TYPES = ("float64", "float32", "float16", "bfloat16", "int64", "uint8", "bool", "complex64", "float8_e4m3fn")
SHAPES = ([], [0], [1], [1, 1, 1], [3], [2, 0], [4, 2, 3], [1] * 30, [100_000])
FILLS = (0.0, 1.0, -1.0, "nan", "inf", 1e30, 6e4)
CONTENTS = ("", "{", "[]", "null", "\x08" + "\0" * 7 + "{}      ", "PK\x03\x04", "\x80\x02}.", PICKLE, "GGUF", "<html>")
WORDS = ("gg.format", "gg.version", "gg.header", "gg.config", "gg.labels", "gg.role", "gg.architecture", "workflow")
LENGTHS = (0, 1, 2**16, 2**24, 2**31, 2**40, 2**63, 2**64 - 1)
LONGER = (
    "9" * 400,
    "x" * 2_000_000,
    "[" * 3000 + "]" * 3000,
    '{"a":' * 3000 + "1" + "}" * 3000,
    "NaN",
    "-Infinity",
    "1e999",
)


def header_case(rng: Random, stock: Stock) -> Case:
    """A file of some kind with a spoiled header, and a graph that reads it."""
    kind = rng.choice(("traces", "traces", "classifiers", "denoisers"))
    source = rng.choice(sorted((stock.folder / "sources" / kind).glob("*.safetensors")))
    path, reading = KINDS[kind]
    parts = Parts.of(source.read_bytes())
    edits = [change(rng, parts) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    graph = reading(rng, stock.catalogue, Path(path).name)
    recipe = {"path": path, "source": f"{kind}/{source.name}", "edits": edits}
    return Case("header", f"{kind}: {', '.join(edit['op'] for edit in edits)}", graph, [], [recipe])


def change(rng: Random, parts: Parts) -> Change:
    """One change: mostly of the metadata, and there mostly of something deep inside."""
    return rng.choice((*[_deep] * 8, _key, _key, _tensor, _tensor, _claim, _bytes))(rng, parts)


def _deep(rng: Random, parts: Parts) -> Change:
    readable = [key for key, text in parts.metadata.items() if text[:1] in "[{"]
    if not readable:
        return _key(rng, parts)
    own = [key for key in readable if key.startswith("gg.")]
    key = rng.choice(own if own and rng.random() < OWN else readable)
    place = place_in(rng, json.loads(parts.metadata[key]))
    return {"op": "metadata", "place": [key, *place]} | hostile(rng)


def _key(rng: Random, parts: Parts) -> Change:
    key = rng.choice((*parts.metadata, *WORDS))
    text = rng.choice((*LONGER, *values.TEXTS, "null", "[]", "{}", "3", "-1", "0", '"x"', "true", values.anything(rng)))
    return {"op": "metadata", "place": [key]} | ({} if rng.random() < 0.2 else {"value": text})


def _tensor(rng: Random, parts: Parts) -> Change:
    name = rng.choice((*parts.header, "more", ""))
    if rng.random() < 0.2:
        return {"op": "tensor", "name": name}
    same = parts.header.get(name, {}).get("shape", [1])
    shape = same if rng.random() < 0.5 else rng.choice(SHAPES)
    return {"op": "tensor", "name": name, "shape": shape, "dtype": rng.choice(TYPES), "fill": rng.choice(FILLS)}


def _claim(rng: Random, parts: Parts) -> Change:
    name, field = rng.choice(list(parts.header) or ["none"]), rng.choice(list(CLAIMS))
    if rng.random() < 0.1:
        return {"op": "claim", "place": [name], "value": rng.choice((None, [], 3, "x", {}))}
    return {"op": "claim", "place": [name, field], "value": rng.choice(CLAIMS[field])}


def _bytes(rng: Random, _: Parts) -> Change:
    return rng.choice(
        (
            {"op": "cut", "at": rng.random()},
            {"op": "append", "count": rng.choice((1, 8, 4096))},
            {"op": "byte", "at": rng.random(), "value": rng.randrange(256)},
            {"op": "length", "value": rng.choice(LENGTHS)},
            {"op": "whole", "value": rng.choice(CONTENTS)},
        )
    )


def hostile(rng: Random) -> dict[str, Any]:
    """A value that does not belong there, or none at all."""
    if rng.random() < 0.15:
        return {}
    return {"value": rng.choice((values.anything(rng), values.anything(rng), rng.choice(LONGER), [], {}, [{}], -1))}


def place_in(rng: Random, document: Any) -> list:
    """A way into a document, mostly to its end."""
    place: list = []
    while isinstance(document, dict | list) and document and len(place) < DEEP:
        key = rng.choice(list(document) if isinstance(document, dict) else range(len(document)))
        place.append(key)
        document = document[key]
        if rng.random() < 0.4:
            break
    return place or ["more"]


def reading_trace(rng: Random, catalogue: Catalogue, name: str) -> Graph:
    """One or two nodes that look at the trace."""
    builder = Builder(catalogue)
    loaded = builder.add("GGLoadTrace", trace_name=f"traces/{name}")
    if rng.random() < 0.3:
        builder.add("PreviewAny", {"source": [loaded, 0]})
    readers = [kind.name for kind in catalogue.values() if kind.ours and "GUIDANCE_TRACE" in _kinds_of_inputs(kind)]
    for reader in rng.sample(readers, 2):
        slots = catalogue[reader].inputs.values()
        wires = {slot.name: [loaded, 0] for slot in slots if slot.kind == "GUIDANCE_TRACE"}
        chosen = {slot.name: values.plain(rng, slot) for slot in slots if slot.kind == "COMBO"}
        builder.finish(builder.add(reader, wires, ("vae",) if rng.random() < 0.3 else (), **chosen))
    return builder.graph


def _kinds_of_inputs(kind) -> set[str]:
    return {slot.kind for slot in kind.inputs.values()}


def reading_classifier(rng: Random, catalogue: Catalogue, name: str) -> Graph:
    """A gradient with it, or a training that starts from it."""
    builder = Builder(catalogue, classifier=name)
    if rng.random() < 0.2:
        builder.finish(builder.add("GGTrainNoisyClassifier", optional=("latent", "start_from")))
    else:
        steered = builder.add("GGClassifierGradient", evaluation=rng.choice(("auto", "noisy x_t", "x0")))
        builder.finish(steered)
    builder.add("PreviewAny", {"source": builder.wire("GG_CLASSIFIER")})
    return builder.graph


def reading_denoiser(rng: Random, catalogue: Catalogue, name: str) -> Graph:
    """A run with it."""
    builder = Builder(catalogue)
    slots = catalogue["GGLoadDenoiser"].inputs.values()
    chosen: dict[str, Any] = {s.name: values.plain(rng, s) for s in slots if rng.random() < 0.3}
    chosen["denoiser_name"] = name
    builder.nodes_by_kind["GGLoadDenoiser"] = builder.add("GGLoadDenoiser", **chosen)
    builder.finish(builder.add("GGGuidedSampler"))
    builder.add("PreviewAny", {"source": builder.wire("MODEL")})
    return builder.graph


Reading = Callable[[Random, Catalogue, str], Graph]
KINDS: dict[str, tuple[str, Reading]] = {
    "traces": ("output/traces/fuzzed.safetensors", reading_trace),
    "classifiers": ("models/classifiers/fuzzed.safetensors", reading_classifier),
    "denoisers": ("models/denoisers/fuzzed.safetensors", reading_denoiser),
}
