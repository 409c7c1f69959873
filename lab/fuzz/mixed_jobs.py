"""Jobs of every sort, what each must make to the bit, and whether the files that it leaves are whole."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from ...files.safetensors import read_safetensors
from .catalogue import Catalogue
from .graphs import Builder, Graph

PREFIX = "mixed"  # of the files of every job
UNFINISHED = ".part"  # the end of a name until the file is whole
TENSORS, PICTURES = (".safetensors", ".latent"), (".png", ".webp", ".apng")
LAST = b"IEND\xaeB`\x82"  # of a PNG; readers of pictures do without
ENDS = {".svg": b"</svg>", ".html": b"</html>", ".png": LAST, ".apng": LAST}


def guided_job(catalogue: Catalogue, rule: str, seed: int, steps: int = 12) -> Graph:
    """A guided run that keeps its latent and its trace."""
    builder = Builder(catalogue)
    run = builder.add("GGGuidedSampler", {"guidance": [builder.add(rule), 0]}, seed=seed, steps=steps)
    builder.add("SaveLatent", {"samples": [run, 0]}, filename_prefix=f"latents/{PREFIX}")
    builder.add("GGSaveTrace", {"trace": [run, 2]}, filename_prefix=PREFIX)
    return builder.graph


def training_job(catalogue: Catalogue, seed: int) -> Graph:
    """A classifier that is trained and written."""
    builder = Builder(catalogue)
    values = {"seed": seed, "steps": 20, "filename_prefix": PREFIX}
    builder.add("GGTrainNoisyClassifier", None, ("latent",), **values)
    return builder.graph


def figure_job(catalogue: Catalogue, seed: int) -> Graph:
    """A run whose figure, page and table are written."""
    builder = Builder(catalogue)
    run = builder.add("GGGuidedSampler", seed=seed, steps=4)
    builder.add("SaveLatent", {"samples": [run, 0]}, filename_prefix=f"latents/{PREFIX}")
    builder.add("GGFigure", {"trace": [run, 2]}, save="all", size="column 600", filename_prefix=PREFIX)
    builder.add("GGExportHTML", {"trace": [run, 2]}, filename_prefix=PREFIX)
    builder.add("GGMetrics", {"trace": [run, 2]}, filename_prefix=PREFIX)
    return builder.graph


def trace_job(catalogue: Catalogue, seed: int) -> Graph:
    """One run whose trace is written again and again."""
    graph = guided_job(catalogue, "GGAdaptiveProjected", seed, steps=3)
    run = next(node for node, facts in graph.items() if facts["class_type"] == "GGGuidedSampler")
    for number in range(30):
        inputs = {"trace": [run, 2], "filename_prefix": f"again{number}"}
        graph[f"again {number}"] = {"class_type": "GGSaveTrace", "inputs": inputs}
    return graph


def recording_job(catalogue: Catalogue, seed: int) -> Graph:
    """A sampler of the host that is recorded."""
    builder = Builder(catalogue)
    record = builder.add("GGRecord")
    sampled = builder.add("KSampler", {"model": [record, 0]}, seed=seed, steps=8)
    read = builder.add("GGReadTrace", {"recorder": [record, 1], "latent": [sampled, 0]})
    builder.add("SaveLatent", {"samples": [sampled, 0]}, filename_prefix=f"latents/{PREFIX}")
    builder.add("GGSaveTrace", {"trace": [read, 0]}, filename_prefix=PREFIX)
    return builder.graph


RULES = ("GGAdaptiveProjected", "GGClassifierGradient", "GGReuse", "GGPlusPlus", "GGFrequencyBands", "GGWatchEnergy")
JOBS: dict[str, Callable[[Catalogue, int], Graph]] = {
    **{f"guided by {rule}": lambda catalogue, seed, rule=rule: guided_job(catalogue, rule, seed) for rule in RULES},
    "recorded": recording_job,
    "trained": training_job,
    "drawn": figure_job,
}


class Folder:
    """The files that jobs leave in a host's folders.  place: the host's own folder"""

    def __init__(self, place: Path):
        self.roots = [place / "output", place / "models" / "classifiers"]
        self.known = self._every()

    def _every(self) -> set[Path]:
        return {path for root in self.roots for path in root.rglob("*") if path.is_file()}

    def of_job(self, number: int) -> list[Path]:
        """The files of a job that has this number."""
        return [path for path in self.new() if f"{PREFIX}{number:05d}" in path.name]

    def new(self) -> list[Path]:
        """Files that were not there before, finished or not."""
        return sorted(self._every() - self.known)

    def clear(self) -> None:
        """Take the new files away."""
        for path in self.new():
            path.unlink()


def numbered_job(graph: Graph, number: int) -> Graph:
    """A job with a number of five digits in the names of its files, which a checksum passes over."""
    return json.loads(json.dumps(graph).replace(f'{PREFIX}"', f'{PREFIX}{number:05d}"'))


def broken_files(files: Iterable[Path]) -> list[str]:
    """Names of files that stand under their own name and are not whole."""
    return [path.name for path in files if not path.name.endswith(UNFINISHED) and not is_whole(path)]


def is_whole(path: Path) -> bool:
    """Whether a file can be read to its end."""
    try:
        content_of(path)
    except (ValueError, OSError, SyntaxError):
        return False
    return path.suffix not in ENDS or path.read_bytes().rstrip().endswith(ENDS[path.suffix])


def content_of(path: Path) -> bytes:
    """What must be the same to the bit whenever a job is done again: tensors, pixels, numbers."""
    if path.suffix in TENSORS:
        tensors, _ = read_safetensors(path)
        return b"".join(name.encode() + raw_bytes(tensors[name]) for name in sorted(tensors))
    if path.suffix in PICTURES:
        from PIL import Image

        with Image.open(path) as picture:
            return picture.convert("RGBA").tobytes()
    return path.read_bytes() if path.suffix == ".csv" else b""


def raw_bytes(tensor: Tensor) -> bytes:
    """The memory of a tensor of any type."""
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def checksum(files: Iterable[Path]) -> str:
    """One mark of everything that a job has made; the counters in the names do not count, nor who wrote first."""
    total = hashlib.sha256()
    for name, content in sorted((re.sub(r"\d{5}", "", path.name).encode(), content_of(path)) for path in files):
        total.update(name + content)
    return total.hexdigest()
