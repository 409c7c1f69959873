"""Figures of the template's own run for the documentation: any word of GGFigure, drawn by the node, without metadata.

The run is that of `The geometry of guidance`, so that a reader who opens the template sees the same pictures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from ..drawing.film import MOVIES
from .api_client import Client
from .provision import ROOT

TEMPLATE = ROOT / "tools" / "workflows" / "geometry_of_guidance.json"
FIGURES = ROOT / "docs" / "figures"
DENOISER, SAMPLER, FIGURE = "1", "6", "23"  # node ids of the template
RUN = ("1", "2", "3", "4", SAMPLER)


def run_graph() -> dict:
    """The template's guided run alone: what everything else is drawn from."""
    template = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    return {node: template[node] for node in RUN}


def figure_graph(words: Sequence[str]) -> dict:
    """The run with one figure node a word, its settings those of the template; animations are saved as WebP."""
    template = json.loads(TEMPLATE.read_text(encoding="utf-8"))[FIGURE]
    graph = run_graph()
    for word in words:
        chosen = {"figure": word, "save": "webp" if word in MOVIES else "png"}
        graph[word] = template | {"inputs": template["inputs"] | chosen}
    return graph


def file_of(word: str) -> Path:
    """Where the documentation keeps a figure."""
    return FIGURES / f"{word.replace(' ', '-')}.{'webp' if word in MOVIES else 'png'}"


def draw_words(client: Client, words: Sequence[str]) -> None:
    """Run once, draw the figures of all words, and keep them in docs/figures."""
    job = client.run(figure_graph(words))
    for word in words:
        content = client.file(job.outputs[word]["images"][0])
        write(file_of(word), content)


def write(path: Path, content: bytes) -> None:
    """Keep a picture without what is embedded in it; pictures of one documentation must not outgrow a clone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(plain_webp(content) if path.suffix == ".webp" else plain_png(content))


def plain_png(content: bytes) -> bytes:
    """The same pixels in as few bytes as Pillow manages, without text chunks."""
    from PIL import Image

    out = BytesIO()
    with Image.open(BytesIO(content)) as picture:
        Image.fromarray(_pixels(picture)).save(out, "PNG", optimize=True)
    return out.getvalue()


def _pixels(picture):
    import numpy as np

    return np.asarray(picture.convert("RGBA" if picture.mode == "RGBA" else "RGB"))


def plain_webp(content: bytes) -> bytes:
    """An animated WebP without its EXIF block.

    A RIFF file is chunks of name, size and bytes padded to even length; the first chunk's bit 3 announces the EXIF.
    """
    chunks, at = [], 12
    while at < len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        chunks.append(content[at:end])
        at = end
    kept = b"".join(chunk for chunk in chunks if chunk[:4] != b"EXIF")
    flags = kept[8] & ~0b1000
    body = b"WEBP" + kept[:8] + bytes([flags]) + kept[9:]
    return b"RIFF" + len(body).to_bytes(4, "little") + body
