"""Folders of the transformers library under its other major version: what one version saved, the other reads the same.

The host brings one version. The other one is installed by pip into .cache/, beside the environment and not into it, and
asked in a process of its own. Every family of the tests is saved by each version and read by both; the answers of the
loaded guides must agree.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...classifiers.reading import open_classifier
from ...dev.places import ROOT
from ...files.safetensors import read_safetensors, write_safetensors
from ..pages.sources import origin
from ..train.demo_files import write_json

CACHE = ROOT / ".cache" / "transformers-versions"
PACKAGES = {
    4: ("transformers>=4.57,<5", "huggingface-hub>=0.34,<1", "tokenizers>=0.22,<0.23.1"),
    5: ("transformers>=5,<6", "huggingface-hub>=1", "tokenizers>=0.22"),
}
AGREES = 1e-5  # largest difference of two answers that counts as the same; answers are of size 1
PICTURES = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0)) * 2 - 1


def answer_files() -> list[Path]:
    """What each version has answered, as the pack stands."""
    return sorted(answers_of().glob("read-by-*.json"))


def answers_of() -> Path:
    """Folder of the answers."""
    return CACHE / origin(Path(__file__))


def major() -> int:
    """Major version of the library in this process."""
    return int(version("transformers").split(".")[0])


def install_version(wanted: int) -> Path:
    """Folder with the library's other version and what it needs in versions of its own; installed once."""
    folder = CACHE / f"packages-{wanted}"
    if not (folder / "transformers").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        subprocess.run([*pip, *PACKAGES[wanted]], check=True)
    return folder


def answers(folder: Path) -> dict[str, Tensor]:
    """What a guide from a folder says to the pictures."""
    guide: Any = open_classifier(folder)
    with torch.no_grad():
        if guide.output == "text":
            return {"image": guide.image_features(PICTURES), "text": guide.text_features(["a photo of a cat", "dog"])}
        ask = {"depth": "depth", "features": "features"}.get(guide.output, "logits")
        return {guide.output: getattr(guide, ask)(PICTURES)}


def save_all(folder: Path) -> None:
    """Save every family by the version of this process, with what its guide says."""
    from ...dev.fixtures.tiny_folders import NETWORKS, save_tiny

    torch.manual_seed(0)
    for kind in NETWORKS:
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        save_tiny(place, kind)
        said = {name: answer.contiguous() for name, answer in answers(place).items()}
        write_safetensors(folder / f"{kind}.safetensors", said, {"version": version("transformers")})


def compare_all(folder: Path) -> bool:
    """Read every family that another version has saved, and keep how far apart the answers are; whether none is."""
    rows = []
    for file in sorted(folder.glob("*.safetensors")):
        expected, metadata = read_safetensors(file)
        found = answers(folder / file.stem)
        apart = max(float((found[name] - expected[name]).abs().max()) for name in expected)
        largest = max(float(answer.abs().max()) for answer in expected.values())
        rows.append([file.stem, metadata["version"], version("transformers"), apart, largest])
        path = f"saved by {metadata['version']}, read by {version('transformers')}"
        print(f"{file.stem:15} {path:36} largest difference {apart:.1e} of {largest:.2f}", flush=True)
    write_json(answers_of() / f"read-by-{major()}.json", {"rows": rows})
    return all(apart <= AGREES * max(1.0, largest) for *_, apart, largest in rows)


def other(given: argparse.Namespace) -> int:
    """In the process of the other version: save, and read what the first has saved."""
    save_all(given.mine)
    return int(not compare_all(given.theirs))


def main() -> int:
    """Save, let the other version read and save, read that; fail where two answers differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mine", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--theirs", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.mine:
        return other(given)
    here, there = (CACHE / f"saved-by-{one}" for one in (major(), 9 - major()))
    save_all(here)
    command = [sys.executable, str(ROOT / "lab"), "transformers_versions"]
    env = {**os.environ, "PYTHONPATH": str(install_version(9 - major()))}
    read = subprocess.run([*command, "--mine", str(there), "--theirs", str(here)], env=env, check=False).returncode
    return int(not compare_all(there) or read != 0)


if __name__ == "__main__":
    sys.exit(main())
